//! How likely is a text, instead of: which text is likely? What decisions and the text tools are made of.

use lla_protocol::engine;

pub use engine::{ScoreItem, ScorePrompt, ScoreUsage};

/// Tell how likely texts are.
#[derive(Debug, Clone, PartialEq)]
pub struct ScoreRequest {
    /// The model, by the name the backend knows.
    pub model: String,
    /// Prompts with what may follow on each. Whatever beginnings they share is computed once, so put what
    /// they share in front.
    pub items: Vec<ScoreItem>,
}

/// What came of a [`ScoreRequest`].
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Scores {
    /// For each item, for each of its continuations, the log-probability of each of its tokens (natural
    /// logarithm, at most 0); never an empty list.
    pub logprobs: Vec<Vec<Vec<f32>>>,
    /// For each item, the log-probability of the token that is the likeliest to follow on its prompt.
    pub best: Vec<f32>,
    /// Token counts.
    pub usage: ScoreUsage,
}

impl ScoreRequest {
    /// Whether an answer has a list of scores for everything that was asked.
    #[must_use]
    pub fn is_answered_by(&self, logprobs: &[Vec<Vec<f32>>]) -> bool {
        let fits = |(item, found): (&ScoreItem, &Vec<Vec<f32>>)| {
            item.continuations.len() == found.len() && found.iter().all(|tokens| !tokens.is_empty())
        };
        self.items.len() == logprobs.len() && self.items.iter().zip(logprobs).all(fits)
    }
}

impl Scores {
    /// The log-probability of each continuation of an item as a whole: the sum over its tokens.
    #[must_use]
    pub fn sums(&self, item: usize) -> Vec<f64> {
        let sum = |tokens: &Vec<f32>| tokens.iter().copied().map(f64::from).sum();
        self.logprobs.get(item).map_or_else(Vec::new, |found| found.iter().map(sum).collect())
    }

    /// The same per token: texts of different length can be compared.
    #[must_use]
    pub fn means(&self, item: usize) -> Vec<f64> {
        let lengths = self.logprobs.get(item).into_iter().flatten().map(|tokens| tokens.len().max(1));
        #[expect(clippy::cast_precision_loss, reason = "a count of tokens")]
        let mean = |(sum, length): (f64, usize)| sum / length as f64;
        self.sums(item).into_iter().zip(lengths).map(mean).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sums_and_means_are_over_the_tokens_of_a_continuation() {
        let logprobs = vec![vec![vec![-1.0, -2.0], vec![-4.0]]];
        let scores = Scores { logprobs, best: vec![-0.5], usage: ScoreUsage::default() };
        assert_eq!((scores.sums(0), scores.means(0)), (vec![-3.0, -4.0], vec![-1.5, -4.0]));
        assert_eq!(scores.sums(1), Vec::<f64>::new());
    }
}
