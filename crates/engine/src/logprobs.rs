//! Log-probabilities of tokens, as they are reported to callers: of the model's own distribution
//! (temperature 1, before bias, penalties and filters), natural logarithm.

/// A token and what the model thought of it.
#[derive(Debug, Clone, PartialEq)]
pub struct Scored {
    /// The token.
    pub token: u32,
    /// The bytes it stands for; a part of a character is possible.
    pub bytes: Vec<u8>,
    /// At most 0.
    pub logprob: f32,
}

/// One place of a text: the token that stands there, and the likeliest ones.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenLogprobs {
    /// The token that stands there. The first token of a prompt has no probability: see
    /// [`crate::Output::Prompt`].
    pub chosen: Scored,
    /// The likeliest tokens of this place, the likeliest first; as many as were asked for.
    pub top: Vec<Scored>,
}

/// The log-probability of `chosen` and the `top` likeliest tokens with theirs, the likeliest first (of
/// equals the one with the lower number). NaN counts as impossible.
#[must_use]
pub fn of_logits(logits: &[f32], chosen: u32, top: usize) -> (f32, Vec<(u32, f32)>) {
    let normalizer = normalizer(logits);
    let logprob = |logit: f32| (clean(logit) - normalizer).min(0.0);
    let mut best: Vec<(u32, f32)> = Vec::with_capacity(top + 1);
    for (token, &logit) in (0_u32..).zip(logits) {
        let logit = clean(logit);
        if top == 0 || (best.len() == top && best.last().is_some_and(|&(_, last)| logit <= last)) {
            continue;
        }
        let place = best.partition_point(|&(_, other)| other >= logit);
        best.insert(place, (token, logit));
        best.truncate(top);
    }
    let chosen = logits.get(chosen as usize).map_or(f32::NEG_INFINITY, |&logit| logprob(logit));
    (chosen, best.into_iter().map(|(token, logit)| (token, logprob(logit))).collect())
}

/// The logarithm of the sum of the exponentials: a logit minus this is a log-probability.
#[must_use]
pub fn normalizer(logits: &[f32]) -> f32 {
    let largest = logits.iter().copied().map(clean).fold(f32::NEG_INFINITY, f32::max);
    let sum: f64 = logits.iter().map(|&logit| f64::from(clean(logit) - largest).exp()).sum();
    #[expect(clippy::cast_possible_truncation, reason = "logits are f32")]
    let normalizer = largest + sum.ln() as f32;
    normalizer
}

fn clean(logit: f32) -> f32 {
    if logit.is_nan() { f32::NEG_INFINITY } else { logit }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn probabilities_sum_to_one_and_the_likeliest_come_first() {
        let logits = [1.0, 3.0, f32::NAN, 3.0, -2.0];
        let (chosen, top) = of_logits(&logits, 0, 3);
        assert_eq!(top.iter().map(|&(token, _)| token).collect::<Vec<_>>(), [1, 3, 0]);
        assert!((top[2].1 - chosen).abs() < 1e-6);
        let all: f32 = (0..5).map(|token| of_logits(&logits, token, 0).0.exp()).sum();
        assert!((all - 1.0).abs() < 1e-5, "{all}");
        assert_eq!(of_logits(&logits, 2, 0), (f32::NEG_INFINITY, vec![]));
        assert_eq!(of_logits(&logits, 9, 9).1.len(), 5);
    }
}
