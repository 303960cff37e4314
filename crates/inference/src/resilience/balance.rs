//! Which of several replicas takes a request. Pure.
//!
//! Prompts that begin alike go to the same replica, whose prefix cache then holds their beginning: consistent
//! hashing in its rendezvous form (each replica has a weight per prompt, the highest wins; when one goes, only
//! its prompts move), with bounded load (Mirrokni, Thorup, Zadimoghaddam, "Consistent Hashing with Bounded
//! Loads", 2016): a replica that has clearly more to do than the others is passed over. Load is counted in
//! tokens that are still to be read or written, because requests differ by a thousand times.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// A replica with so much more than the mean is passed over.
const BOUND: f64 = 1.25;
/// Tokens that do not count for the bound: a replica computes several requests together at little cost, so a few
/// of them are no reason to leave a warm cache.
const SLACK: u64 = 4096;

/// A replica that may be chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Candidate<'a> {
    /// Its name; the same in every gateway, so that all of them agree.
    pub name: &'a str,
    /// Tokens under way on it.
    pub load: u64,
}

/// What prompts that begin alike have in common: a hash of their first text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PrefixKey(u64);

/// Bytes of the prompt that make its key: about 250 tokens.
const PREFIX_BYTES: usize = 1024;

impl PrefixKey {
    /// The key of a prompt that is given in pieces (role, text, role, text, …).
    pub fn of<'a>(pieces: impl IntoIterator<Item = &'a str>) -> Self {
        // `DefaultHasher::new()` has fixed keys: equal in every process of one build.
        let mut hasher = DefaultHasher::new();
        let mut left = PREFIX_BYTES;
        for piece in pieces {
            let bytes = &piece.as_bytes()[..piece.len().min(left)];
            hasher.write(bytes);
            hasher.write_u8(0xff);
            left -= bytes.len();
            if left == 0 {
                break;
            }
        }
        Self(hasher.finish())
    }

    fn weight(self, name: &str) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.0.hash(&mut hasher);
        name.hash(&mut hasher);
        hasher.finish()
    }
}

/// The place of the replica that takes the request; `None` when there is none. Without a key: the one with the
/// least to do.
#[must_use]
pub fn choose(candidates: &[Candidate<'_>], key: Option<PrefixKey>) -> Option<usize> {
    let least = (0..candidates.len()).min_by_key(|&index| candidates[index].load)?;
    let Some(key) = key else { return Some(least) };
    let total: u64 = candidates.iter().fold(0, |sum, candidate| sum.saturating_add(candidate.load));
    #[expect(clippy::cast_precision_loss, reason = "a bound, not a count")]
    let bound = total as f64 / candidates.len() as f64 * BOUND + SLACK as f64;
    #[expect(clippy::cast_precision_loss, reason = "compared with a bound")]
    let within = |&index: &usize| candidates[index].load as f64 <= bound;
    let weight = |&index: &usize| (key.weight(candidates[index].name), candidates[index].name);
    Some((0..candidates.len()).filter(within).max_by_key(weight).unwrap_or(least))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const NAMES: [&str; 5] = ["a", "b", "c", "d", "e"];

    fn idle(names: &[&'static str]) -> Vec<Candidate<'static>> {
        names.iter().map(|name| Candidate { name, load: 0 }).collect()
    }

    fn key(number: usize) -> PrefixKey {
        PrefixKey::of(["system", &format!("prompt {number}")])
    }

    #[test]
    fn prompts_stay_where_they_are_when_another_replica_goes() {
        let (all, fewer) = (idle(&NAMES), idle(&NAMES[..4]));
        let mut per_replica = [0; 5];
        for number in 0..1000 {
            let before = choose(&all, Some(key(number))).expect("one");
            per_replica[before] += 1;
            if before < 4 {
                assert_eq!(choose(&fewer, Some(key(number))), Some(before));
            }
        }
        assert!(per_replica.iter().all(|count| (140..260).contains(count)), "{per_replica:?}");
    }

    #[test]
    fn only_the_beginning_counts_and_roles_are_told_from_texts() {
        let long = "x".repeat(PREFIX_BYTES);
        assert_eq!(PrefixKey::of([long.as_str(), "one"]), PrefixKey::of([long.as_str(), "other"]));
        assert_ne!(PrefixKey::of(["ab", "c"]), PrefixKey::of(["a", "bc"]));
    }

    #[test]
    fn a_busy_replica_is_passed_over_and_without_a_key_the_idlest_is_taken() {
        let mut replicas = idle(&NAMES[..3]);
        let home = choose(&replicas, Some(key(1))).expect("one");
        replicas[home].load = SLACK;
        assert_eq!(choose(&replicas, Some(key(1))), Some(home), "a little is no reason to leave");
        replicas[home].load = 100 * SLACK;
        let second = choose(&replicas, Some(key(1))).expect("one");
        assert_ne!(second, home);
        replicas[second].load = 5;
        let idlest = choose(&replicas, None).expect("one");
        assert!(idlest != home && idlest != second);
        assert_eq!(choose(&[], None), None);
    }

    proptest! {
        #[test]
        fn nobody_gets_much_more_than_the_mean(sizes in prop::collection::vec((0_usize..4, 1_u64..5000), 1..400)) {
            let mut replicas = idle(&NAMES);
            for (prompt, size) in sizes {
                let chosen = choose(&replicas, Some(key(prompt))).expect("one");
                replicas[chosen].load += size;
            }
            let total: u64 = replicas.iter().map(|replica| replica.load).sum();
            for replica in replicas {
                prop_assert!(replica.load <= total / 5 * 5 / 4 + SLACK + 5000 + 5);
            }
        }
    }
}
