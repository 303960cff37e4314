//! From scores of labels to probabilities, and what is read off them. Pure.

/// What was found for one question.
#[derive(Debug, Clone, PartialEq)]
pub struct Verdict {
    /// How likely each label is, in the order of the labels; their sum is 1.
    pub probabilities: Vec<f64>,
    /// The probability that the model says any of the labels, of everything it might say; 0 to 1. `None`: not
    /// known.
    pub label_mass: Option<f64>,
    /// Whether what the model would say first begins one of the labels. `None`: not known.
    pub argmax_is_label: Option<bool>,
}

impl Verdict {
    /// The label with this index is taken for certain.
    pub(super) fn certain(labels: usize, index: usize) -> Self {
        let probabilities = (0..labels).map(|label| if label == index { 1.0 } else { 0.0 }).collect();
        Self { probabilities, label_mass: None, argmax_is_label: None }
    }

    /// The likeliest label; of equals the first.
    #[must_use]
    pub fn best(&self) -> usize {
        let better = |best: usize, index: usize| {
            if self.probabilities[index] > self.probabilities[best] { index } else { best }
        };
        (0..self.probabilities.len()).reduce(better).unwrap_or(0)
    }

    /// How far the probabilities are from being all the same: 0, to one being certain: 1. It is 1 minus the
    /// entropy over the entropy of equal probabilities, so questions with more labels can be compared with
    /// those with fewer.
    #[must_use]
    pub fn confidence(&self) -> f64 {
        let count = self.probabilities.len();
        if count < 2 {
            return 1.0;
        }
        let entropy: f64 = self.probabilities.iter().filter(|&&p| p > 0.0).map(|p| -p * p.ln()).sum();
        #[expect(clippy::cast_precision_loss, reason = "a few hundred labels at most")]
        let most = (count as f64).ln();
        (1.0 - entropy / most).clamp(0.0, 1.0)
    }

    /// The expected index: on a scale, the expected level.
    #[must_use]
    pub fn expected(&self) -> f64 {
        let indexes = (0_u32..).map(f64::from);
        self.probabilities.iter().zip(indexes).map(|(probability, index)| probability * index).sum()
    }
}

/// Probabilities that are to each other as the exponentials of the scores are.
pub(super) fn softmax(scores: &[f64]) -> Vec<f64> {
    let largest = scores.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let shares: Vec<f64> = scores.iter().map(|score| (score - largest).exp()).collect();
    let sum: f64 = shares.iter().sum();
    shares.into_iter().map(|share| share / sum).collect()
}

/// The logarithm of the sum of the exponentials.
pub(super) fn log_sum(scores: impl Iterator<Item = f64> + Clone) -> f64 {
    let largest = scores.clone().fold(f64::NEG_INFINITY, f64::max);
    if largest == f64::NEG_INFINITY {
        return largest;
    }
    largest + scores.map(|score| (score - largest).exp()).sum::<f64>().ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(probabilities: &[f64]) -> Verdict {
        Verdict { probabilities: probabilities.to_vec(), label_mass: None, argmax_is_label: None }
    }

    #[test]
    fn confidence_goes_from_equal_to_certain() {
        for (probabilities, confidence, best) in [
            (&[0.5, 0.5][..], 0.0, 0),
            (&[0.25; 4], 0.0, 0),
            (&[0.0, 1.0, 0.0], 1.0, 1),
            (&[1.0], 1.0, 0),
            (&[0.1, 0.9], 0.531, 1),
        ] {
            let found = verdict(probabilities);
            assert!((found.confidence() - confidence).abs() < 1e-3, "{probabilities:?}: {}", found.confidence());
            assert_eq!(found.best(), best);
        }
        assert!((verdict(&[0.7, 0.2, 0.1]).expected() - 0.4).abs() < 1e-9);
    }

    #[test]
    fn scores_become_probabilities_however_small_they_are() {
        let found = softmax(&[-1000.0, -1000.0 + 3.0_f64.ln()]);
        assert!((found[0] - 0.25).abs() < 1e-9 && (found[1] - 0.75).abs() < 1e-9, "{found:?}");
        assert!((log_sum([0.25_f64.ln(), 0.5_f64.ln()].into_iter()).exp() - 0.75).abs() < 1e-9);
    }
}
