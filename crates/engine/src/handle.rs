//! What the handles of both kinds of engine have in common: the model, and whether its thread runs.

use std::sync::Arc;

use tokio::sync::watch;

use crate::metrics::Metrics;
use crate::model::{Model, ModelCard};

/// A model with a thread of its own. [`crate::Engine`] and [`crate::Embedder`] lead to it.
pub struct Handle {
    pub(crate) model: Arc<Model>,
    pub(crate) card: ModelCard,
    pub(crate) metrics: Arc<Metrics>,
    /// Turns true when the thread has ended, for whatever reason.
    pub(crate) stopped: watch::Receiver<bool>,
}

impl Handle {
    /// What is told about the model.
    #[must_use]
    pub fn card(&self) -> &ModelCard {
        &self.card
    }

    /// Counters of this engine.
    #[must_use]
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.metrics
    }

    /// Text to tokens. `add_special`: with those that the model wants around it; `parse_special`: control
    /// tokens written in it count.
    #[must_use]
    pub fn tokenize(&self, text: &str, add_special: bool, parse_special: bool) -> Vec<u32> {
        self.model.tokenize(text, add_special, parse_special)
    }

    /// Tokens to text.
    #[must_use]
    pub fn detokenize(&self, tokens: &[u32]) -> String {
        self.model.detokenize(tokens)
    }

    /// Whether its thread runs.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        !*self.stopped.borrow()
    }

    /// Resolves when its thread has ended.
    pub async fn stopped(&self) {
        let mut stopped = self.stopped.clone();
        // An error means that the sender is gone, so the thread is as well.
        drop(stopped.wait_for(|stopped| *stopped).await);
    }
}
