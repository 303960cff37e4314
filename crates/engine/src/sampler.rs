//! From logits to a token, one [`Sampler`] per sequence.
//!
//! Semantics and order are vLLM's: logit bias, penalties (repetition over prompt and answer,
//! frequency and presence over the answer), temperature, then `min_p`, `top_k`, `top_p`, then one
//! draw. Temperature 0 takes the likeliest token (the first of equals) and draws nothing. Each drawn
//! token takes exactly one number from the sequence's own generator, so the same seed and the same
//! logits give the same tokens, whatever else runs.
//!
//! What it does not: know tokens' texts, decide when a generation ends, or which tokens a grammar allows.
//!
//! Nothing is sorted that need not be and nothing is allocated per token once the buffers have grown:
//! see `candidates.rs`. Start at [`Sampler::sample`].

use std::collections::HashMap;

use rand_chacha::ChaCha8Rng;
use rand_chacha::rand_core::{RngCore, SeedableRng};

use self::candidates::Candidates;

mod candidates;
#[cfg(test)]
mod tests;

/// Below this a temperature counts as 0, as in vLLM.
const GREEDY_BELOW: f32 = 1e-5;

/// How tokens are chosen. The default is that of the OpenAI API: temperature 1 and nothing else.
#[derive(Debug, Clone, PartialEq)]
pub struct SamplingParams {
    /// 0 takes the likeliest token.
    pub temperature: f32,
    /// The smallest set of tokens with this probability mass; 1 is off.
    pub top_p: f32,
    /// The likeliest `top_k` tokens (and all that are as likely as the last one); 0 and -1 are off.
    pub top_k: i32,
    /// Tokens at least this likely, relative to the likeliest; 0 is off.
    pub min_p: f32,
    /// Subtracted once per occurrence in the answer.
    pub frequency_penalty: f32,
    /// Subtracted once from each token that is in the answer.
    pub presence_penalty: f32,
    /// Divides positive and multiplies negative logits of tokens in prompt or answer; 1 is off.
    pub repetition_penalty: f32,
    /// `None`: entropy of the operating system.
    pub seed: Option<i64>,
    /// Token and what is added to its logit. Tokens outside of the vocabulary are ignored.
    pub logit_bias: Vec<(u32, f32)>,
}

impl Default for SamplingParams {
    fn default() -> Self {
        Self {
            temperature: 1.0,
            top_p: 1.0,
            top_k: 0,
            min_p: 0.0,
            frequency_penalty: 0.0,
            presence_penalty: 0.0,
            repetition_penalty: 1.0,
            seed: None,
            logit_bias: Vec::new(),
        }
    }
}

/// Which tokens may be chosen.
#[derive(Debug, Clone, Copy, Default)]
pub struct Choice<'a> {
    /// Never these (the end token when it is to be ignored).
    pub banned: &'a [u32],
    /// Only these, when there is a restriction: bit `i` of word `i / 32` stands for token `i`.
    pub allowed: Option<&'a [u32]>,
}

impl Choice<'_> {
    fn is_free(&self) -> bool {
        self.banned.is_empty() && self.allowed.is_none()
    }

    fn allows(&self, token: u32) -> bool {
        let bit = |words: &[u32]| words.get(token as usize / 32).is_some_and(|word| word >> (token % 32) & 1 == 1);
        !self.banned.contains(&token) && self.allowed.is_none_or(bit)
    }
}

/// Chooses the tokens of one sequence.
#[derive(Debug)]
pub struct Sampler {
    params: SamplingParams,
    rng: ChaCha8Rng,
    /// Token -> how often it is in the answer; tokens that are only in the prompt have 0. Empty when
    /// no penalty is on.
    seen: HashMap<u32, u32>,
    penalized: bool,
    /// Logits as changed by bias, penalties and bans.
    scores: Vec<f32>,
    candidates: Candidates,
}

impl Sampler {
    /// A sampler for a sequence with this prompt. The generator is seeded here.
    #[must_use]
    pub fn new(params: SamplingParams, prompt: &[u32]) -> Self {
        let rng = params.seed.map_or_else(rng_from_entropy, |seed| ChaCha8Rng::seed_from_u64(seed.cast_unsigned()));
        let repetition = repetition_of(&params);
        #[expect(clippy::float_cmp, reason = "exactly 1 and 0 are the values that mean off")]
        let penalized = repetition != 1.0 || params.frequency_penalty != 0.0 || params.presence_penalty != 0.0;
        #[expect(clippy::float_cmp, reason = "exactly 1 is the value that means off")]
        let seen = if repetition == 1.0 { HashMap::new() } else { prompt.iter().map(|&token| (token, 0)).collect() };
        Self { params, rng, seen, penalized, scores: Vec::new(), candidates: Candidates::default() }
    }

    /// Chooses the next token from the logits of the whole vocabulary, among those that `choice` allows.
    ///
    /// NaN counts as impossible, +inf as the largest number. When nothing is possible the first
    /// token that is allowed is taken. Call [`Self::accept`] with what becomes part of the answer.
    pub fn sample(&mut self, logits: &[f32], choice: Choice<'_>) -> u32 {
        if self.is_greedy() && !self.penalized && self.params.logit_bias.is_empty() && choice.is_free() {
            return first_of_largest(logits);
        }
        self.score(logits, choice);
        let best = first_of_largest(&self.scores);
        let best_score = self.scores.get(best as usize).copied().unwrap_or(f32::NEG_INFINITY);
        if best_score == f32::NEG_INFINITY {
            return first_allowed(logits.len(), choice);
        }
        if self.is_greedy() {
            return best;
        }
        let uniform = uniform(&mut self.rng);
        self.candidates.draw(&self.scores, best_score, &self.params, uniform).unwrap_or(best)
    }

    /// The token became part of the answer: penalties count it from now on.
    pub fn accept(&mut self, token: u32) {
        if self.penalized {
            *self.seen.entry(token).or_insert(0) += 1;
        }
    }

    fn is_greedy(&self) -> bool {
        // Written so that NaN is greedy too.
        !matches!(self.params.temperature.partial_cmp(&GREEDY_BELOW), Some(std::cmp::Ordering::Greater))
    }

    /// Fills `scores`: logits, bias, penalties, bans; no NaN and no +inf remain.
    fn score(&mut self, logits: &[f32], choice: Choice<'_>) {
        self.scores.clear();
        self.scores.extend(logits.iter().map(|&logit| finite_or_impossible(logit)));
        for &(token, bias) in &self.params.logit_bias {
            if let Some(score) = self.scores.get_mut(token as usize) {
                *score = finite_or_impossible(*score + bias);
            }
        }
        self.penalize();
        for &token in choice.banned {
            if let Some(score) = self.scores.get_mut(token as usize) {
                *score = f32::NEG_INFINITY;
            }
        }
        if let Some(allowed) = choice.allowed {
            forbid_others(&mut self.scores, allowed);
        }
    }

    fn penalize(&mut self) {
        let repetition = repetition_of(&self.params);
        for (&token, &count) in &self.seen {
            let Some(score) = self.scores.get_mut(token as usize) else { continue };
            let mut changed = if *score > 0.0 { *score / repetition } else { *score * repetition };
            if count > 0 {
                #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^24")]
                let count = count as f32;
                changed -= self.params.frequency_penalty * count + self.params.presence_penalty;
            }
            *score = finite_or_impossible(changed);
        }
    }
}

/// The repetition penalty, 1 where the value makes no sense.
fn repetition_of(params: &SamplingParams) -> f32 {
    let penalty = params.repetition_penalty;
    if penalty.is_finite() && penalty > 0.0 { penalty } else { 1.0 }
}

fn finite_or_impossible(logit: f32) -> f32 {
    if logit.is_nan() { f32::NEG_INFINITY } else { logit.min(f32::MAX) }
}

/// Index of the largest value, the first of equals; NaN is smaller than everything; 0 when empty.
fn first_of_largest(values: &[f32]) -> u32 {
    let mut best = 0;
    let mut largest = f32::NEG_INFINITY;
    for (token, &value) in (0_u32..).zip(values) {
        if value > largest {
            best = token;
            largest = value;
        }
    }
    best
}

fn first_allowed(vocabulary: usize, choice: Choice<'_>) -> u32 {
    (0_u32..).zip(0..vocabulary).map(|(token, _)| token).find(|&token| choice.allows(token)).unwrap_or(0)
}

/// Makes every token impossible whose bit is not set; a mask that is too short forbids the rest.
fn forbid_others(scores: &mut [f32], allowed: &[u32]) {
    let words = allowed.iter().copied().chain(std::iter::repeat(0));
    for (block, word) in scores.chunks_mut(32).zip(words) {
        match word {
            0 => block.fill(f32::NEG_INFINITY),
            u32::MAX => {}
            word => {
                let bits = block.iter_mut().enumerate().filter(|(bit, _)| word >> bit & 1 == 0);
                bits.for_each(|(_, score)| *score = f32::NEG_INFINITY);
            }
        }
    }
}

/// 0 up to 1, 1 excluded: 53 random bits.
fn uniform(rng: &mut ChaCha8Rng) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "53 bits fit")]
    let bits = (rng.next_u64() >> 11) as f64;
    bits / 9_007_199_254_740_992.0
}

fn rng_from_entropy() -> ChaCha8Rng {
    // Without entropy from the system sampling still has to go on; the keys of std's hash maps are
    // the next best thing.
    ChaCha8Rng::try_from_os_rng().unwrap_or_else(|_| {
        use std::hash::{BuildHasher, RandomState};
        ChaCha8Rng::seed_from_u64(RandomState::new().hash_one(std::time::SystemTime::now()))
    })
}
