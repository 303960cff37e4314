//! What vLLM serves beside the OpenAI API: `/tokenize` and `/detokenize`
//! (<https://docs.vllm.ai/en/latest/serving/openai_compatible_server.html>).

use serde::{Deserialize, Serialize};

use crate::fields::{FieldError, Fields};
use crate::openai::Message;

/// `POST /tokenize`.
#[derive(Debug, Clone, PartialEq)]
pub struct TokenizeRequest {
    /// Which model; may be left out when the server has one.
    pub model: Option<String>,
    /// What to count.
    pub input: TokenizeInput,
}

/// Text as it is, or a chat that goes through the model's template first.
#[derive(Debug, Clone, PartialEq)]
pub enum TokenizeInput {
    /// A raw text.
    Prompt {
        /// The text.
        prompt: String,
        /// Adds what the model wants in front (BOS); default true.
        add_special_tokens: bool,
    },
    /// A chat.
    Chat {
        /// The messages.
        messages: Vec<Message>,
        /// Opens the assistant's turn at the end; default true.
        add_generation_prompt: bool,
    },
}

impl TokenizeRequest {
    /// Reads a request body.
    ///
    /// # Errors
    /// Names the field at fault; neither or both of `prompt` and `messages` is one of them.
    pub fn parse(body: &[u8]) -> Result<Self, FieldError> {
        let mut fields = Fields::from_body(body)?;
        let model = fields.string("model")?;
        let prompt = fields.string("prompt")?;
        let messages = fields.array("messages")?;
        let input = match (prompt, messages) {
            (Some(prompt), None) => {
                let add_special_tokens = fields.boolean("add_special_tokens")?.unwrap_or(true);
                TokenizeInput::Prompt { prompt, add_special_tokens }
            }
            (None, Some(items)) => {
                let messages = items
                    .into_iter()
                    .enumerate()
                    .map(|(index, item)| Message::parse(item, &format!("messages[{index}]")))
                    .collect::<Result<_, _>>()?;
                let add_generation_prompt = fields.boolean("add_generation_prompt")?.unwrap_or(true);
                TokenizeInput::Chat { messages, add_generation_prompt }
            }
            _ => return Err(FieldError::new("prompt", "invalid_value", "give either 'prompt' or 'messages'")),
        };
        Ok(Self { model, input })
    }
}

/// Answer of `POST /tokenize`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TokenizeResponse {
    /// Number of tokens.
    pub count: u32,
    /// The window of the model.
    pub max_model_len: u32,
    /// The tokens.
    pub tokens: Vec<u32>,
}

/// `POST /detokenize`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DetokenizeRequest {
    /// Which model; may be left out when the server has one.
    pub model: Option<String>,
    /// The tokens.
    pub tokens: Vec<u32>,
}

impl DetokenizeRequest {
    /// Reads a request body.
    ///
    /// # Errors
    /// Names the field at fault.
    pub fn parse(body: &[u8]) -> Result<Self, FieldError> {
        let mut fields = Fields::from_body(body)?;
        let model = fields.string("model")?;
        let items = fields.array("tokens")?.ok_or_else(|| fields.missing("tokens"))?;
        let tokens = items
            .iter()
            .map(|item| item.as_u64().and_then(|id| u32::try_from(id).ok()))
            .collect::<Option<_>>()
            .ok_or_else(|| FieldError::new("tokens", "invalid_type", "expected an array of token ids"))?;
        Ok(Self { model, tokens })
    }
}

/// Answer of `POST /detokenize`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DetokenizeResponse {
    /// The text.
    pub prompt: String,
}
