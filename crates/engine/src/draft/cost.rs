//! What a step of the model costs by its number of tokens, learned from the steps themselves.

/// Weight that an observation keeps when the next one comes: the last hundred or so count.
const MEMORY: f64 = 0.99;
/// Assumed before steps of different sizes were seen: a further token costs this share of a lone one.
const FIRST_SHARE: f64 = 0.3;
/// A guess must promise this much more than it costs: estimates are noisy.
const MARGIN: f64 = 1.1;

/// A line through the observed (tokens, seconds) of steps that only decode: a base and a price per token.
#[derive(Debug, Clone, Default)]
pub(crate) struct StepCost {
    weight: f64,
    n: f64,
    nn: f64,
    t: f64,
    nt: f64,
}

impl StepCost {
    /// A step with `tokens` tokens took `seconds`.
    pub(crate) fn observe(&mut self, tokens: usize, seconds: f64) {
        #[expect(clippy::cast_precision_loss, reason = "a few hundred at most")]
        let tokens = tokens as f64;
        let keep = |sum: f64, new: f64| MEMORY * sum + new;
        self.weight = keep(self.weight, 1.0);
        self.n = keep(self.n, tokens);
        self.nn = keep(self.nn, tokens * tokens);
        self.t = keep(self.t, seconds);
        self.nt = keep(self.nt, tokens * seconds);
    }

    /// Seconds of an empty step, and seconds per token. `None` before the first observation.
    pub(crate) fn line(&self) -> Option<(f64, f64)> {
        if self.weight < 1.0 {
            return None;
        }
        let (mean_n, mean_t) = (self.n / self.weight, self.t / self.weight);
        let variance = self.nn / self.weight - mean_n * mean_n;
        // What it would be if only steps of one size had been seen: `mean_t` for `mean_n` tokens.
        let guessed = mean_t * FIRST_SHARE / (1.0 + FIRST_SHARE * (mean_n - 1.0));
        let per_token = if variance > 0.05 {
            ((self.nt / self.weight - mean_n * mean_t) / variance).clamp(0.05 * guessed, mean_t / mean_n)
        } else {
            guessed
        };
        Some(((mean_t - per_token * mean_n).max(0.0), per_token))
    }

    /// How many guesses to add to a step with `beside` tokens, when each comes true with the chance
    /// `acceptance` (and only if those before it did): as long as the next one promises more time than it
    /// costs. A token that comes true saves its share of a later step.
    pub(crate) fn worthwhile(&self, acceptance: f64, beside: usize, most: usize) -> usize {
        let Some((base, per_token)) = self.line() else { return 0 };
        #[expect(clippy::cast_precision_loss, reason = "a few hundred at most")]
        let beside = beside.max(1) as f64;
        let saved = base / beside + per_token;
        let mut chance = 1.0;
        for count in 0..most {
            chance *= acceptance;
            if chance * saved < MARGIN * per_token {
                return count;
            }
        }
        most
    }
}
