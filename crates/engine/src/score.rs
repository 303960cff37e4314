//! Scores texts instead of writing them: how likely is each of some continuations behind a prompt?
//!
//! What it does: cuts the continuations of a prompt into *paths*, so that every token that several of
//! them share is computed once (this file, pure); finds the tokens of prompt and continuation together
//! (`score/join.rs`, pure); runs the paths through the scheduler and its prefix cache (`score/run.rs`).
//!
//! What it does not: prompts, calibration, probabilities over labels. Those are the caller's.
//!
//! Start at [`paths`].

use crate::logprobs::normalizer;

pub mod join;
mod run;
#[cfg(test)]
mod tests;

/// The least log-probability that is reported: JSON has no infinity.
const LEAST: f32 = -1e9;

/// A prompt and what may follow on it, as tokens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScoreTokens {
    /// At least one token.
    pub prompt: Vec<u32>,
    /// At least one; each of at least one token.
    pub continuations: Vec<Vec<u32>>,
}

/// What the continuations of all prompts came to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TextScores {
    /// For each prompt, for each of its continuations, the log-probability of each of its tokens
    /// (natural logarithm, at most 0).
    pub logprobs: Vec<Vec<Vec<f32>>>,
    /// For each prompt, the log-probability of the token that is the likeliest to follow on it.
    pub best: Vec<f32>,
    /// Tokens that went through the model.
    pub computed_tokens: u32,
    /// Tokens of prompts that came from the prefix cache instead.
    pub cached_tokens: u32,
}

/// A token whose log-probability is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    /// The token before it, whose logits tell: an index into the path's tokens.
    pub(crate) position: usize,
    /// The token.
    pub(crate) token: u32,
    /// Whose it is.
    pub(crate) continuation: usize,
    /// Its index there.
    pub(crate) index: usize,
}

/// Tokens to compute, and what is wanted of their logits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Path {
    /// The prompt and the tokens that continuations go on from.
    pub(crate) tokens: Vec<u32>,
    /// The first token whose logits are wanted.
    pub(crate) from: usize,
    /// At least one, in order of their positions.
    pub(crate) marks: Vec<Mark>,
    /// The first one of its prompt.
    pub(crate) is_first: bool,
}

/// The paths that give every token of every continuation once. The first one alone reads the end of the
/// prompt, so the others can take the whole prompt from the cache; continuations of one token each need
/// no other path.
pub(crate) fn paths(item: &ScoreTokens) -> Vec<Path> {
    let base = item.prompt.len().saturating_sub(1);
    // The last token of a continuation is only looked up, never computed.
    let mut stems: Vec<&[u32]> = item.continuations.iter().filter_map(|tokens| Some(tokens.split_last()?.1)).collect();
    stems.sort_unstable();
    // Sorted, a stem stands right before those that go on from it.
    let longest: Vec<&[u32]> = (0..stems.len())
        .filter(|&index| stems.get(index + 1).is_none_or(|next| !next.starts_with(stems[index])))
        .map(|index| stems[index])
        .collect();
    let mut marks: Vec<Vec<Mark>> = vec![Vec::new(); longest.len()];
    for (continuation, tokens) in item.continuations.iter().enumerate() {
        for (index, &token) in tokens.iter().enumerate() {
            let Some(path) = longest.iter().position(|stem| stem.starts_with(&tokens[..index])) else { continue };
            marks[path].push(Mark { position: base + index, token, continuation, index });
        }
    }
    let path = |(stem, mut marks): (&[u32], Vec<Mark>)| {
        marks.sort_by_key(|mark| mark.position);
        let from = marks.first()?.position;
        Some(Path { tokens: [&item.prompt, stem].concat(), from, marks, is_first: from == base })
    };
    longest.into_iter().zip(marks).filter_map(path).collect()
}

/// Scores of a path as they become known.
#[derive(Debug)]
pub(crate) struct Scoring {
    pub(crate) from: usize,
    marks: Vec<Mark>,
    /// All known when the path is computed to its end.
    pub(crate) scores: PathScores,
}

/// What a path came to: log-probabilities.
#[derive(Debug, Clone, PartialEq)]
pub struct PathScores {
    /// One for each mark, in their order.
    pub(crate) marks: Vec<f32>,
    /// Of the likeliest token behind the first one whose logits are wanted.
    pub(crate) best: f32,
}

impl Scoring {
    pub(crate) fn new(from: usize, marks: Vec<Mark>) -> Self {
        let scores = PathScores { marks: vec![LEAST; marks.len()], best: LEAST };
        Self { from, marks, scores }
    }

    /// Whether the logits of this token are wanted.
    pub(crate) fn wants(&self, position: usize) -> bool {
        self.marks.binary_search_by_key(&position, |mark| mark.position).is_ok()
    }

    /// Takes the logits of a token.
    pub(crate) fn score(&mut self, position: usize, logits: &[f32]) {
        let normalizer = normalizer(logits);
        let first = self.marks.partition_point(|mark| mark.position < position);
        let here = self.marks[first..].iter().take_while(|mark| mark.position == position);
        for (mark, score) in here.zip(&mut self.scores.marks[first..]) {
            let logit = logits.get(mark.token as usize).copied().unwrap_or(f32::NEG_INFINITY);
            *score = finite(logit - normalizer);
        }
        if position == self.from {
            self.scores.best = finite(logits.iter().copied().fold(f32::NEG_INFINITY, f32::max) - normalizer);
        }
    }
}

/// A NaN would reach the comparisons of callers, and JSON has no infinity.
fn finite(logprob: f32) -> f32 {
    if logprob.is_nan() { LEAST } else { logprob.clamp(LEAST, 0.0) }
}
