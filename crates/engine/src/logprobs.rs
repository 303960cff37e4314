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
