//! Guesses the next tokens of a sequence by looking them up: where its last few tokens stood before, in
//! the prompt or in the answer so far, it went on in a way that may be right again (prompt lookup
//! decoding, <https://github.com/apoorvumang/prompt-lookup-decoding>). Copies and edits repeat much.
//!
//! Guesses are checked by the model in one step, and a wrong one costs only its share of that step: the
//! text is the same as without, drawn token by token with the same numbers (a guess counts as right when
//! the model's own draw is that token). How many guesses are worth their cost is computed from what they
//! came to before ([`Drafter`]) and from what tokens cost in a step ([`StepCost`]); often that is none.
//!
//! What it does not: run the model, or know the batch. Start at [`Drafter::propose`].

use std::collections::HashMap;

mod cost;
#[cfg(test)]
mod tests;

pub(crate) use cost::StepCost;

/// Tokens that have to stand there again.
const NGRAM: usize = 3;
/// Most guesses at a time.
const MOST: usize = 16;
/// What is thought of guesses before there were any.
const FIRST_ACCEPTANCE: f64 = 0.6;
/// Weight of the newest guess in the average.
const LEARNING: f64 = 0.1;
/// Guesses that fail again and again are left out for up to this many tokens.
const LONGEST_PAUSE: usize = 128;

/// Guesses for one sequence.
#[derive(Debug)]
pub(crate) struct Drafter {
    /// Last tokens -> where they went on the last time.
    seen: HashMap<[u32; NGRAM], usize>,
    /// Tokens whose beginnings are in `seen`.
    indexed: usize,
    /// Share of guesses that came true, the latest ones counting most.
    acceptance: f64,
    /// Guesses in a row of which none came true.
    misses: u32,
    /// Tokens of the sequence before which nothing is guessed.
    paused_until: usize,
}

impl Default for Drafter {
    fn default() -> Self {
        Self { seen: HashMap::new(), indexed: 0, acceptance: FIRST_ACCEPTANCE, misses: 0, paused_until: 0 }
    }
}

impl Drafter {
    /// Tokens that may follow on `tokens` (all of the sequence so far), as many as are worth their cost
    /// in a step with `beside` other tokens; empty when there is nothing to go by.
    pub(crate) fn propose(&mut self, tokens: &[u32], cost: &StepCost, beside: usize) -> Vec<u32> {
        self.index(tokens);
        if tokens.len() < self.paused_until {
            return Vec::new();
        }
        let Some(last) = tokens.last_chunk::<NGRAM>() else { return Vec::new() };
        let Some(&start) = self.seen.get(last) else { return Vec::new() };
        let count = cost.worthwhile(self.acceptance, beside, MOST);
        tokens[start..].iter().take(count).copied().collect()
    }

    /// Of `drafted` guesses, made when the sequence had `len` tokens, the first `accepted` were right.
    pub(crate) fn learn(&mut self, drafted: usize, accepted: usize, len: usize) {
        if drafted == 0 {
            return;
        }
        for _ in 0..accepted {
            self.acceptance += LEARNING * (1.0 - self.acceptance);
        }
        if accepted < drafted {
            self.acceptance -= LEARNING * self.acceptance;
        }
        if accepted > 0 {
            self.misses = 0;
            return;
        }
        self.misses += 1;
        let pause = 1_usize.checked_shl(self.misses).unwrap_or(LONGEST_PAUSE).min(LONGEST_PAUSE);
        self.paused_until = len + pause;
        // After a pause it is tried again as if for the first time; the pauses get longer.
        self.acceptance = self.acceptance.max(FIRST_ACCEPTANCE / 2.0);
    }

    /// Learns where the sequence went on after each group of tokens; the last group has no continuation.
    fn index(&mut self, tokens: &[u32]) {
        for end in self.indexed.max(NGRAM)..tokens.len() {
            if let Some(group) = tokens[..end].last_chunk::<NGRAM>() {
                self.seen.insert(*group, end);
            }
        }
        self.indexed = self.indexed.max(tokens.len());
    }
}
