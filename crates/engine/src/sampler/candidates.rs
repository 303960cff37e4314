//! Narrows the vocabulary to the tokens that may be drawn, and draws one.
//!
//! The vocabulary has 50,000 to 250,000 entries and this runs for each token of each sequence, so
//! everything here is a few linear passes: `top_k` looks at the largest score of each block first,
//! `top_p` drops what together weighs less than the tail that it would cut anyway and finds the border
//! in the rest by halving, without sorting it.

use super::SamplingParams;

/// Scores per block of the first look of `top_k`.
const BLOCK: usize = 64;
/// `top_p` sorts no more than this many weights; before that it halves the range.
const SORTED: usize = 32;

/// A token that may be drawn.
#[derive(Debug, Clone, Copy)]
struct Candidate {
    token: u32,
    /// Scaled by the temperature, relative to the likeliest: at most 0.
    score: f32,
    /// Probability, relative to the likeliest: at most 1.
    weight: f32,
}

impl Candidate {
    fn new(token: u32, score: f32) -> Self {
        Self { token, score, weight: exp_of_negative(score) }
    }
}

/// Buffers that are reused from token to token.
#[derive(Debug, Default)]
pub(super) struct Candidates {
    kept: Vec<Candidate>,
    scratch: Vec<f32>,
}

impl Candidates {
    /// Draws from `scores` (no NaN, no +inf) whose largest is `best`, finite; `uniform` is in
    /// `0..1`. `None` does not happen for such scores.
    pub(super) fn draw(&mut self, scores: &[f32], best: f32, params: &SamplingParams, uniform: f64) -> Option<u32> {
        let filters = params.top_k > 0 || params.top_p < 1.0 || params.min_p > 0.0;
        if !filters && !params.min_p.is_nan() {
            return self.draw_from_all(scores, best, params.temperature, uniform);
        }
        let lowest = self.lowest_of_top_k(scores, params.top_k);
        self.keep(scores, lowest, best, params);
        self.narrow_top_k(params.top_k);
        if params.top_p < 1.0 {
            self.narrow_top_p(params.top_p.max(0.0));
        }
        self.pick(uniform)
    }

    /// The same without any filter, and without a list of candidates: it would be the whole vocabulary.
    fn draw_from_all(&mut self, scores: &[f32], best: f32, temperature: f32, uniform: f64) -> Option<u32> {
        self.kept.clear();
        self.scratch.clear();
        self.scratch.extend(scores.iter().map(|&score| exp_of_negative((score - best) / temperature)));
        // Blocks first: adding up one after the other would wait for each sum.
        let sums = self.scratch.chunks(BLOCK).map(|block| block.iter().copied().map(f64::from).sum::<f64>());
        let mut left = uniform * sums.clone().sum::<f64>();
        for (block, sum) in sums.enumerate() {
            if left >= sum {
                left -= sum;
                continue;
            }
            let start = block * BLOCK;
            for (index, &weight) in self.scratch.iter().enumerate().skip(start).take(BLOCK) {
                left -= f64::from(weight);
                if left < 0.0 {
                    return u32::try_from(index).ok();
                }
            }
        }
        // Rounding may leave a hair's breadth after the last one.
        self.scratch.iter().rposition(|&weight| weight > 0.0).and_then(|index| u32::try_from(index).ok())
    }

    /// A score that at least `top_k` tokens reach, and not many more; -inf without `top_k`.
    fn lowest_of_top_k(&mut self, scores: &[f32], top_k: i32) -> f32 {
        let Some(top_k) = usize::try_from(top_k).ok().filter(|&top_k| top_k > 0) else { return f32::NEG_INFINITY };
        self.scratch.clear();
        self.scratch.extend(scores.chunks(BLOCK).map(|block| block.iter().copied().fold(f32::NEG_INFINITY, f32::max)));
        if top_k > self.scratch.len() {
            return f32::NEG_INFINITY;
        }
        // `top_k` different blocks each have a token with at least this score.
        let (_, lowest, _) = self.scratch.select_nth_unstable_by(top_k - 1, |a, b| b.total_cmp(a));
        *lowest
    }

    /// Takes over what reaches `lowest` and `min_p`, with temperature applied.
    fn keep(&mut self, scores: &[f32], lowest: f32, best: f32, params: &SamplingParams) {
        // ln(0) is -inf: everything passes. NaN as `min_p` passes everything too.
        let least = params.min_p.clamp(0.0, 1.0).ln().max(f32::NEG_INFINITY);
        // Subtracting before dividing: the quotient can not overflow to +inf.
        let scaled = |score: f32| (score - best) / params.temperature;
        self.kept.clear();
        if lowest > f32::NEG_INFINITY {
            let few = (0_u32..).zip(scores).filter(|&(_, &score)| score >= lowest);
            self.kept.extend(few.map(|(token, &score)| Candidate::new(token, scaled(score))));
        } else {
            // All of them: the exponentials first, in one go.
            self.scratch.clear();
            self.scratch.extend(scores.iter().map(|&score| exp_of_negative(scaled(score))));
            let least = params.min_p.clamp(f32::MIN_POSITIVE, 1.0) * (1.0 - 1e-6);
            let possible = (0_u32..).zip(&self.scratch).filter(|&(_, &weight)| weight >= least);
            self.kept.extend(possible.map(|(token, &weight)| Candidate {
                token,
                score: scaled(scores[token as usize]),
                weight,
            }));
        }
        if least > f32::NEG_INFINITY {
            self.kept.retain(|candidate| candidate.score >= least);
        }
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

    /// Cuts to the smallest set with the mass `top_p` of what is left; at least one token stays. The
    /// order by token stays too, so that a draw with the same number changes little when logits do.
    fn narrow_top_p(&mut self, top_p: f32) {
        let total = self.mass();
        let tail = (1.0 - f64::from(top_p)) * total;
        #[expect(clippy::cast_precision_loss, reason = "vocabularies are far below 2^53")]
        let negligible = (tail / self.kept.len() as f64).min(1.0);
        // What is dropped here weighs less than the tail even if all of it is taken together, so the
        // set that is looked for lies in what stays.
        self.kept.retain(|candidate| f64::from(candidate.weight) >= negligible);
        self.scratch.clear();
        self.scratch.extend(self.kept.iter().map(|candidate| candidate.weight));
        let Some((least, count)) = smallest_set(&mut self.scratch, f64::from(top_p) * total) else { return };
        let heavier = self.kept.iter().filter(|candidate| candidate.weight > least).count();
        // Of those as heavy as the last one, the first.
        let mut equals = count - heavier;
        self.kept.retain(|candidate| {
            let equal_kept = candidate.weight >= least && equals > 0;
            let keep = candidate.weight > least || equal_kept;
            equals -= usize::from(keep && candidate.weight <= least);
            keep
        });
    }

    /// What the last draw was made from.
    #[cfg(test)]
    pub(super) fn kept_tokens(&self) -> Vec<u32> {
        if self.kept.is_empty() {
            return (0_u32..).zip(&self.scratch).filter(|(_, weight)| **weight > 0.0).map(|(token, _)| token).collect();
        }
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

/// The smallest set of the heaviest weights with at least the mass `target`: the least weight in it
/// and how many it has. `None` when there are no weights. Reorders the weights.
fn smallest_set(weights: &mut [f32], target: f64) -> Option<(f32, usize)> {
    let sum = |weights: &[f32]| weights.iter().map(|&weight| f64::from(weight)).sum::<f64>();
    let heavier_first = |a: &f32, b: &f32| b.total_cmp(a);
    // All before `from` are heavier than the rest, in the set, and have this mass; the last of the
    // set lies before `to`.
    let (mut from, mut to, mut mass) = (0, weights.len(), 0.0);
    while to - from > SORTED {
        let half = (to - from) / 2;
        weights[from..to].select_nth_unstable_by(half - 1, heavier_first);
        let with_half = mass + sum(&weights[from..from + half]);
        if with_half >= target {
            to = from + half;
        } else {
            from += half;
            mass = with_half;
        }
    }
    weights[from..to].sort_unstable_by(heavier_first);
    for (index, &weight) in (from..to).zip(&weights[from..to]) {
        mass += f64::from(weight);
        if mass >= target {
            return Some((weight, index + 1));
        }
    }
    // Rounding: the whole range is needed.
    weights[..to].last().map(|&weight| (weight, to))
}

/// e^x for x <= 0 within 3e-7 of the value, in a form that compilers turn into vector instructions;
/// std's is called element by element. Below -87 (a weight of 1e-38) it is 0.
pub(super) fn exp_of_negative(x: f32) -> f32 {
    /// Adding it rounds to an integer, which is then in the low bits.
    const ROUND: f32 = 12_582_912.0;
    const LN_2_HIGH: f32 = 0.693_359_4;
    const LN_2_LOW: f32 = -2.121_944_4e-4;
    let clamped = x.max(-87.0);
    let rounded = clamped * std::f32::consts::LOG2_E + ROUND;
    let power = rounded - ROUND;
    let rest = clamped - power * LN_2_HIGH - power * LN_2_LOW;
    let series = 1.0
        + rest * (1.0 + rest * (0.5 + rest * (1.0 / 6.0 + rest * (1.0 / 24.0 + rest * (1.0 / 120.0 + rest / 720.0)))));
    let two_to_power = f32::from_bits(1.0_f32.to_bits().wrapping_add(rounded.to_bits() << 23));
    if x < -87.0 { 0.0 } else { series * two_to_power }
}

/// By score, the smaller token first among equals: a total order, so results do not depend on how
/// the selection went about it.
fn likelier_first(a: &Candidate, b: &Candidate) -> std::cmp::Ordering {
    b.score.total_cmp(&a.score).then(a.token.cmp(&b.token))
}
