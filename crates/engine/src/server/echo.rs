//! A prompt that is given back in front of its answer (`echo: true` of a completion).

use crate::logprobs::TokenLogprobs;

/// See the module.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Echo {
    /// The prompt as the caller wrote it; of tokens, their text.
    pub(super) text: String,
    /// The text of the first token, which has no log-probability.
    pub(super) first: String,
    /// The tokens after the first; `None`: not asked for.
    pub(super) tokens: Option<Vec<TokenLogprobs>>,
}

impl Echo {
    /// With what the engine says about the prompt's tokens.
    pub(super) fn scored(self, tokens: Vec<TokenLogprobs>) -> Self {
        Self { tokens: Some(tokens), ..self }
    }
}
