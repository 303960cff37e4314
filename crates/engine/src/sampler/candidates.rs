//! Narrows the vocabulary to the tokens that may be drawn, and draws one.
//!
//! The vocabulary has 50,000 to 250,000 entries and this runs for each token of each sequence, so
//! everything here is a few linear passes: `top_k` looks at the largest score of each block first,
//! `top_p` drops what together weighs less than the tail that it would cut anyway, and only the rest
//! is sorted, and only as far as needed.

use super::SamplingParams;

/// Scores per block of the first look of `top_k`.
const BLOCK: usize = 64;
/// How many candidates `top_p` sorts at first; eight times as many with each further round.
const FIRST_SORTED: usize = 64;

/// A token that may be drawn.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    token: u32,
    /// Scaled by the temperature, relative to the likeliest: at most 0.
    score: f32,
    /// Probability, relative to the likeliest: at most 1.
    weight: f32,
}

/// Buffers that are reused from token to token.
#[derive(Debug, Default)]
pub(super) struct Candidates {
    kept: Vec<Candidate>,
    block_maxima: Vec<f32>,
}

impl Candidates {
    /// Draws from `scores` (no NaN, no +inf) whose largest is `best`, finite; `uniform` is in
    /// `0..1`. `None` does not happen for such scores.
    pub(super) fn draw(&mut self, scores: &[f32], best: f32, params: &SamplingParams, uniform: f64) -> Option<u32> {
        let lowest = self.lowest_of_top_k(scores, params.top_k);
        self.keep(scores, lowest, best, params);
        self.narrow_top_k(params.top_k);
        if params.top_p < 1.0 {
            self.narrow_top_p(params.top_p.max(0.0));
        }
        self.pick(uniform)
    }

    /// A score that at least `top_k` tokens reach, and not many more; -inf without `top_k`.
    fn lowest_of_top_k(&mut self, scores: &[f32], top_k: i32) -> f32 {
        let Some(top_k) = usize::try_from(top_k).ok().filter(|&top_k| top_k > 0) else { return f32::NEG_INFINITY };
        self.block_maxima.clear();
        self.block_maxima
            .extend(scores.chunks(BLOCK).map(|block| block.iter().copied().fold(f32::NEG_INFINITY, f32::max)));
        if top_k > self.block_maxima.len() {
            return f32::NEG_INFINITY;
        }
        // `top_k` different blocks each have a token with at least this score.
        let (_, lowest, _) = self.block_maxima.select_nth_unstable_by(top_k - 1, |a, b| b.total_cmp(a));
        *lowest
    }

    /// Takes over what reaches `lowest` and `min_p`, with temperature applied.
    fn keep(&mut self, scores: &[f32], lowest: f32, best: f32, params: &SamplingParams) {
        // ln(0) is -inf: everything passes. NaN as `min_p` passes everything too.
        let least = params.min_p.clamp(0.0, 1.0).ln().max(f32::NEG_INFINITY);
        // Subtracting before dividing: the quotient can not overflow to +inf.
        let scaled = |score: f32| (score - best) / params.temperature;
        self.kept.clear();
        self.kept.extend(
            (0_u32..)
                .zip(scores)
                .filter(|&(_, &score)| score >= lowest && score > f32::NEG_INFINITY)
                .map(|(token, &score)| (token, scaled(score)))
                .filter(|&(_, score)| score >= least)
                .map(|(token, score)| Candidate { token, score, weight: score.exp() }),
        );
    }

    /// Cuts to the `top_k` likeliest and those that are as likely as the last of them, as vLLM does.
    fn narrow_top_k(&mut self, top_k: i32) {
        let Some(top_k) = usize::try_from(top_k).ok().filter(|&top_k| top_k > 0) else { return };
        if top_k >= self.kept.len() {
            return;
        }
        let (_, last, _) = self.kept.select_nth_unstable_by(top_k - 1, likelier_first);
        let least = last.score;
        self.kept.retain(|candidate| candidate.score >= least);
        // Selection leaves an order that depends on how it went; draws must not.
        self.kept.sort_unstable_by_key(|candidate| candidate.token);
    }

    /// Cuts to the smallest set with the mass `top_p` of what is left; at least one token stays.
    fn narrow_top_p(&mut self, top_p: f32) {
        let total = self.mass();
        let tail = (1.0 - f64::from(top_p)) * total;
        #[expect(clippy::cast_precision_loss, reason = "vocabularies are far below 2^53")]
        let negligible = tail / self.kept.len() as f64;
        // What is dropped here weighs less than the tail even if all of it is taken together, so the
        // set that is looked for lies in what stays.
        self.kept.retain(|candidate| f64::from(candidate.weight) >= negligible.min(1.0));
        let target = f64::from(top_p) * total;
        let mut sorted = 0;
        let mut round = FIRST_SORTED;
        let mut mass = 0.0;
        while sorted < self.kept.len() {
            let end = (sorted + round).min(self.kept.len());
            if end < self.kept.len() {
                self.kept[sorted..].select_nth_unstable_by(end - sorted - 1, likelier_first);
            }
            self.kept[sorted..end].sort_unstable_by(likelier_first);
            for index in sorted..end {
                mass += f64::from(self.kept[index].weight);
                if mass >= target {
                    self.kept.truncate(index + 1);
                    return;
                }
            }
            sorted = end;
            round *= 8;
        }
    }

    /// What the last draw was made from.
    #[cfg(test)]
    pub(super) fn kept_tokens(&self) -> Vec<u32> {
        self.kept.iter().map(|candidate| candidate.token).collect()
    }

    fn mass(&self) -> f64 {
        self.kept.iter().map(|candidate| f64::from(candidate.weight)).sum()
    }

    fn pick(&self, uniform: f64) -> Option<u32> {
        let mut left = uniform * self.mass();
        for candidate in &self.kept {
            left -= f64::from(candidate.weight);
            if left < 0.0 {
                return Some(candidate.token);
            }
        }
        // Rounding may leave a hair's breadth after the last one.
        self.kept.iter().rev().find(|candidate| candidate.weight > 0.0).map(|candidate| candidate.token)
    }
}

/// By score, the smaller token first among equals: a total order, so results do not depend on how
/// the selection went about it.
fn likelier_first(a: &Candidate, b: &Candidate) -> std::cmp::Ordering {
    b.score.total_cmp(&a.score).then(a.token.cmp(&b.token))
}
