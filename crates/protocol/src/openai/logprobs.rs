//! Log-probabilities of tokens: the fields that ask for them, and the two shapes that answers have.
//!
//! Servers that run models read the fields with [`Logprobs`]; for everybody else they ride along
//! in `rest`, so that an upstream gets them as they were sent.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::fields::{FieldError, Fields};

/// Most tokens per place that a caller may ask for, as in the OpenAI API's chats and in vLLM.
const MAX_TOP: u32 = 20;

/// What a request asks for; the likeliest tokens of each place, or nothing.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Logprobs {
    /// How many of the likeliest tokens to list for each place; `None`: no log-probabilities.
    pub top: Option<u32>,
    /// Give the prompt back in front of the answer; completions only.
    pub echo: bool,
}

impl Logprobs {
    /// Reads `logprobs` and `top_logprobs` of a chat, and leaves them where they are.
    ///
    /// # Errors
    /// A wrong type or range, or `top_logprobs` without `logprobs: true`.
    pub fn of_chat(fields: &Fields) -> Result<Self, FieldError> {
        let wanted = fields.look("logprobs", Fields::boolean)?.unwrap_or(false);
        let top = fields.look("top_logprobs", top)?;
        if top.is_some_and(|top| top > 0) && !wanted {
            let message = "only allowed when 'logprobs' is true";
            return Err(FieldError::new(&fields.path("top_logprobs"), "invalid_value", message));
        }
        Ok(Self { top: wanted.then_some(top.unwrap_or(0)), echo: false })
    }

    /// Reads `logprobs` and `echo` of a completion, and leaves them where they are.
    ///
    /// # Errors
    /// A wrong type or range.
    pub fn of_completion(fields: &Fields) -> Result<Self, FieldError> {
        let echo = fields.look("echo", Fields::boolean)?.unwrap_or(false);
        Ok(Self { top: fields.look("logprobs", top)?, echo })
    }
}

fn top(fields: &mut Fields, name: &str) -> Result<Option<u32>, FieldError> {
    let taken = fields.integer(name, 0..=i64::from(MAX_TOP))?;
    Ok(taken.and_then(|number| u32::try_from(number).ok()))
}

/// `choices[].logprobs` of a chat.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct ChatLogprobs {
    /// One entry per token of the message.
    pub content: Option<Vec<ChatTokenLogprob>>,
    /// One entry per token of a refusal.
    pub refusal: Option<Vec<ChatTokenLogprob>>,
}

/// One token of a message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ChatTokenLogprob {
    /// The token's text; what is no whole character is replaced by U+FFFD.
    pub token: String,
    /// Natural logarithm of its probability.
    pub logprob: f64,
    /// The token's bytes.
    pub bytes: Option<Vec<u8>>,
    /// The likeliest tokens of this place, the likeliest first.
    pub top_logprobs: Vec<TopLogprob>,
}

/// One of the likeliest tokens of a place.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TopLogprob {
    /// See [`ChatTokenLogprob::token`].
    pub token: String,
    /// See [`ChatTokenLogprob::logprob`].
    pub logprob: f64,
    /// See [`ChatTokenLogprob::bytes`].
    pub bytes: Option<Vec<u8>>,
}

/// `choices[].logprobs` of a completion: lists of the same length, one entry per token.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct CompletionLogprobs {
    /// The tokens' texts.
    pub tokens: Vec<String>,
    /// Their log-probabilities; `null` for the first token of an echoed prompt.
    pub token_logprobs: Vec<Option<f64>>,
    /// The likeliest tokens of each place and the token that stands there, with their
    /// log-probabilities; `null` where `token_logprobs` is.
    pub top_logprobs: Vec<Option<Map<String, Value>>>,
    /// Where each token begins, in characters of the choice's text.
    pub text_offset: Vec<usize>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(json: &str) -> Fields {
        Fields::from_body(json.as_bytes()).expect("an object")
    }

    #[test]
    fn chats_ask_by_flag_and_number() {
        for (json, top) in [
            ("{}", None),
            (r#"{"logprobs":false,"top_logprobs":0}"#, None),
            (r#"{"logprobs":true}"#, Some(0)),
            (r#"{"logprobs":true,"top_logprobs":0}"#, Some(0)),
            (r#"{"logprobs":true,"top_logprobs":20}"#, Some(20)),
        ] {
            assert_eq!(Logprobs::of_chat(&fields(json)), Ok(Logprobs { top, echo: false }), "{json}");
        }
        for (json, param, code) in [
            (r#"{"top_logprobs":2}"#, "top_logprobs", "invalid_value"),
            (r#"{"logprobs":true,"top_logprobs":21}"#, "top_logprobs", "out_of_range"),
            (r#"{"logprobs":true,"top_logprobs":-1}"#, "top_logprobs", "out_of_range"),
            (r#"{"logprobs":1}"#, "logprobs", "invalid_type"),
        ] {
            let error = Logprobs::of_chat(&fields(json)).expect_err(json);
            assert_eq!((error.param.as_deref(), error.code), (Some(param), code), "{json}");
        }
    }

    #[test]
    fn completions_ask_by_number_and_what_is_looked_at_stays() {
        let asked = fields(r#"{"logprobs":5,"echo":true}"#);
        assert_eq!(Logprobs::of_completion(&asked), Ok(Logprobs { top: Some(5), echo: true }));
        assert_eq!(Value::Object(asked.rest()).to_string(), r#"{"logprobs":5,"echo":true}"#);
        assert!(Logprobs::of_completion(&fields(r#"{"logprobs":true}"#)).is_err());
        assert!(Logprobs::of_completion(&fields(r#"{"echo":"yes"}"#)).is_err());
    }
}
