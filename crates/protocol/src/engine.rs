//! What only our own engine serves: `POST /scores`.
//!
//! It tells how likely texts are behind a prompt, without writing any. No other server has this route;
//! both ends of it are ours.

use serde::{Deserialize, Serialize};

use crate::fields::{FieldError, Fields};
use crate::openai::Message;

/// Most prompts of one request.
const MAX_ITEMS: usize = 4096;
/// Most continuations of one request, over all prompts.
const MAX_CONTINUATIONS: usize = 32_768;

/// `POST /scores`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ScoreRequest {
    /// Which model.
    pub model: String,
    /// At least one, at most 4,096; with at most 32,768 continuations together.
    pub items: Vec<ScoreItem>,
}

/// A prompt and texts that may follow on it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ScoreItem {
    /// What stands before.
    #[serde(flatten)]
    pub prompt: ScorePrompt,
    /// At least one; none of them is empty.
    pub continuations: Vec<String>,
}

/// What stands before a continuation. Text in it never becomes a control token.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum ScorePrompt {
    /// Plain text.
    Text {
        /// The text; not empty.
        prompt: String,
    },
    /// A chat, rendered by the model's template up to the opening of the assistant's turn.
    Chat {
        /// At least one message.
        messages: Vec<Message>,
        /// What the assistant has said already; may be empty.
        prefix: String,
    },
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ScoreResponse {
    /// The model that was used.
    pub model: String,
    /// One per item, in their order.
    pub items: Vec<ItemScores>,
    /// Token counts.
    pub usage: ScoreUsage,
}

/// The scores of one item.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ItemScores {
    /// For each continuation, in their order, the log-probability of each of its tokens (natural logarithm,
    /// at most 0). Where the tokenizer joins the end of the prompt with a continuation, all continuations of
    /// the item begin with the tokens from there on.
    pub logprobs: Vec<Vec<f32>>,
    /// The log-probability of the token that is the likeliest to follow on the prompt.
    pub best: f32,
}

/// Tokens of all items together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ScoreUsage {
    /// Tokens of all prompts, each counted for every item.
    pub prompt_tokens: u32,
    /// Tokens that went through the model: what the items do not share, and the continuations.
    pub computed_tokens: u32,
    /// Tokens of the prompts that were there already, from earlier requests or items.
    pub cached_tokens: u32,
}

impl ScoreRequest {
    /// Reads a request body.
    ///
    /// # Errors
    /// Names the first field that is missing, of a wrong type or out of range.
    pub fn parse(body: &[u8]) -> Result<Self, FieldError> {
        let mut fields = Fields::from_body(body)?;
        let model = fields.required_string("model")?;
        let items = fields.array("items")?.ok_or_else(|| fields.missing("items"))?;
        if !(1..=MAX_ITEMS).contains(&items.len()) {
            let message = format!("must have between 1 and {MAX_ITEMS} items, got {}", items.len());
            return Err(FieldError::new("items", "out_of_range", &message));
        }
        let items: Vec<ScoreItem> = (items.into_iter().enumerate())
            .map(|(index, item)| ScoreItem::parse(Fields::from_value(item, &format!("items[{index}]"))?))
            .collect::<Result<_, _>>()?;
        let continuations: usize = items.iter().map(|item| item.continuations.len()).sum();
        if continuations > MAX_CONTINUATIONS {
            let message = format!("may have {MAX_CONTINUATIONS} continuations together, got {continuations}");
            return Err(FieldError::new("items", "out_of_range", &message));
        }
        Ok(Self { model, items })
    }
}

impl ScoreItem {
    fn parse(mut fields: Fields) -> Result<Self, FieldError> {
        let prompt = match (fields.string("prompt")?, fields.array("messages")?) {
            (Some(prompt), None) if !prompt.is_empty() => ScorePrompt::Text { prompt },
            (Some(_), None) => {
                return Err(FieldError::new(&fields.path("prompt"), "invalid_value", "must not be empty"));
            }
            (None, Some(items)) if !items.is_empty() => {
                let path = fields.path("messages");
                let message = |(index, item)| Message::parse(item, &format!("{path}[{index}]"));
                let messages = items.into_iter().enumerate().map(message).collect::<Result<_, _>>()?;
                ScorePrompt::Chat { messages, prefix: fields.string("prefix")?.unwrap_or_default() }
            }
            _ => {
                let message = "give either 'prompt' or 'messages' (at least one)";
                return Err(FieldError::new(&fields.path("prompt"), "invalid_value", message));
            }
        };
        let path = fields.path("continuations");
        let texts = fields.array("continuations")?.ok_or_else(|| fields.missing("continuations"))?;
        if texts.is_empty() {
            return Err(FieldError::new(&path, "invalid_value", "must have at least one text"));
        }
        let text = |(index, value): (usize, serde_json::Value)| match value {
            serde_json::Value::String(text) if !text.is_empty() => Ok(text),
            _ => Err(FieldError::new(&format!("{path}[{index}]"), "invalid_value", "must be a text that is not empty")),
        };
        Ok(Self { prompt, continuations: texts.into_iter().enumerate().map(text).collect::<Result<_, _>>()? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let json = r#"{"model":"m","items":[{"prompt":"a","continuations":["b","c"]},{"messages":[{"role":"user","content":"q"}],"prefix":"p","continuations":["x"]}]}"#;
        let request = ScoreRequest::parse(json.as_bytes()).expect("good");
        assert_eq!(request.items.len(), 2);
        assert_eq!(serde_json::to_string(&request).expect("json"), json);
    }

    #[test]
    fn errors_name_the_field_and_the_place() {
        let many = format!(r#"[{}]"#, vec![r#"{"prompt":"a","continuations":["b"]}"#; MAX_ITEMS + 1].join(","));
        for (items, param) in [
            ("[]", "items"),
            (&many, "items"),
            (r#"[{"continuations":["b"]}]"#, "items[0].prompt"),
            (r#"[{"prompt":"","continuations":["b"]}]"#, "items[0].prompt"),
            (r#"[{"prompt":"a","messages":[],"continuations":["b"]}]"#, "items[0].prompt"),
            (r#"[{"prompt":"a"}]"#, "items[0].continuations"),
            (r#"[{"prompt":"a","continuations":[]}]"#, "items[0].continuations"),
            (r#"[{"prompt":"a","continuations":["b",""]}]"#, "items[0].continuations[1]"),
            (r#"[{"messages":[{"role":"user"}],"continuations":["b"]}]"#, "items[0].messages[0].content"),
            (r#"[{"prompt":"a","continuations":["b"]},7]"#, "items[1]"),
        ] {
            let error = ScoreRequest::parse(format!(r#"{{"model":"m","items":{items}}}"#).as_bytes()).expect_err(items);
            assert_eq!(error.param.as_deref(), Some(param), "{}", error.message);
        }
    }
}
