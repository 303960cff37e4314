//! Prompts of a wanted length that are never the same twice.

/// Words that are one token each, with the space before them, in the usual vocabularies.
const WORDS: &str = "time year people way day man thing woman life child world school state family student \
    group country problem hand part place case week company system program question work government number \
    night point home water room mother area money story fact month lot right study book eye job word business \
    issue side kind head house service friend father power hour game line end member law car city community \
    name president team minute idea body information back parent face level office door health person art war \
    history party result change morning reason research girl moment air teacher force education";

/// What the model is asked to do with them, and its length in tokens, about.
const TASK: &str = "\nWrite a long story with these words.";
const TASK_TOKENS: u32 = 9;

/// Makes prompts. The same seed gives the same ones.
#[derive(Debug)]
pub struct Prompts {
    shared: String,
    own: u32,
    seed: u64,
}

impl Prompts {
    /// Prompts of about `tokens` tokens, of which `shared` (at most `tokens`) are the same in all. Another
    /// seed gives others, so that a second run does not meet what the first has left in a cache.
    #[must_use]
    pub fn new(tokens: u32, shared: u32, seed: u64) -> Self {
        let words = tokens.saturating_sub(TASK_TOKENS).max(1);
        let shared = shared.min(words);
        Self { shared: words_of(&mut fastrand::Rng::with_seed(seed), shared), own: words - shared, seed }
    }

    /// One for a try that is not measured.
    #[must_use]
    pub fn first(&self) -> String {
        self.at(0)
    }

    /// The one with this number.
    #[must_use]
    pub fn at(&self, number: u64) -> String {
        // Neighbouring seeds give unlike sequences: the generator mixes them (wyrand).
        let mut random = fastrand::Rng::with_seed(self.seed.wrapping_add(number).wrapping_add(1));
        format!("{}{}{TASK}", self.shared, words_of(&mut random, self.own))
    }
}

fn words_of(random: &mut fastrand::Rng, count: u32) -> String {
    let words: Vec<&str> = WORDS.split_whitespace().collect();
    let mut text = String::new();
    for _ in 0..count {
        text.push_str(words[random.usize(..words.len())]);
        text.push(' ');
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn common(left: &str, right: &str) -> usize {
        left.split(' ').zip(right.split(' ')).take_while(|(left, right)| left == right).count()
    }

    #[test]
    fn no_prompt_comes_twice_and_lengths_are_as_asked() {
        let prompts = Prompts::new(64, 0, 7);
        let all: HashSet<String> = (0..2000).map(|number| prompts.at(number)).collect();
        assert_eq!(all.len(), 2000);
        assert!(all.iter().all(|prompt| prompt.split_whitespace().count() == 64 - 9 + 7));
        assert_eq!(prompts.at(5), Prompts::new(64, 0, 7).at(5));
        assert_ne!(prompts.at(5), Prompts::new(64, 0, 8).at(5));
    }

    #[test]
    fn prompts_share_what_was_asked_for_and_little_more() {
        for (tokens, shared, wanted) in [(64, 0, 0), (64, 32, 32), (64, 64, 55), (16, 100, 7)] {
            let prompts = Prompts::new(tokens, shared, 1);
            let found = common(&prompts.at(1), &prompts.at(2));
            assert!((wanted..wanted + 9).contains(&found), "{tokens} {shared}: {found}");
        }
    }
}
