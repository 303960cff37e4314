//! Chat messages.

use serde::Serialize;
use serde::ser::SerializeMap;
use serde_json::{Map, Value};

use crate::fields::{FieldError, Fields};

/// Who speaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// Instructions of the application.
    System,
    /// The newer name for instructions of the application.
    Developer,
    /// The person or program that asks.
    User,
    /// The model.
    Assistant,
    /// The result of a tool call.
    Tool,
    /// The deprecated form of `tool`.
    Function,
}

impl Role {
    /// The word on the wire.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::System => "system",
            Self::Developer => "developer",
            Self::User => "user",
            Self::Assistant => "assistant",
            Self::Tool => "tool",
            Self::Function => "function",
        }
    }

    fn parse(text: &str) -> Option<Self> {
        [Self::System, Self::Developer, Self::User, Self::Assistant, Self::Tool, Self::Function]
            .into_iter()
            .find(|role| role.as_str() == text)
    }
}

/// What a message says.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(untagged)]
pub enum Content {
    /// `null`: an assistant message that only calls tools.
    None,
    /// Plain text.
    Text(String),
    /// A list of parts.
    Parts(Vec<Part>),
}

/// One part of a message.
#[derive(Debug, Clone, PartialEq)]
pub enum Part {
    /// `{"type": "text", "text": …}`.
    Text(String),
    /// A part that is passed on as it came (`image_url`, `input_audio`, `file`, `refusal`, …).
    Other {
        /// Its `type`.
        kind: String,
        /// The whole part.
        raw: Map<String, Value>,
    },
}

impl Serialize for Part {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Text(text) => {
                let mut map = serializer.serialize_map(Some(2))?;
                map.serialize_entry("type", "text")?;
                map.serialize_entry("text", text)?;
                map.end()
            }
            Self::Other { raw, .. } => raw.serialize(serializer),
        }
    }
}

/// One message of a chat.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Message {
    /// Who speaks.
    pub role: Role,
    /// What is said.
    pub content: Content,
    /// `name`, `tool_calls`, `tool_call_id` and whatever else came with the message.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

impl Message {
    /// A message of plain text.
    #[must_use]
    pub fn text(role: Role, text: impl Into<String>) -> Self {
        Self { role, content: Content::Text(text.into()), rest: Map::new() }
    }

    /// Reads the message at `path` (`messages[0]`).
    ///
    /// # Errors
    /// Names the field: unknown role, missing content, a part without its text.
    pub fn parse(value: Value, path: &str) -> Result<Self, FieldError> {
        let mut fields = Fields::from_value(value, path)?;
        let role_text = fields.required_string("role")?;
        let role = Role::parse(&role_text).ok_or_else(|| {
            FieldError::new(
                &fields.path("role"),
                "invalid_value",
                "must be one of system, developer, user, assistant, tool, function",
            )
        })?;
        let content = parse_content(&mut fields, role)?;
        if let Some(name) = fields.peek("name").filter(|name| !name.is_string()) {
            let message = format!("expected a string, got {name}");
            return Err(FieldError::new(&fields.path("name"), "invalid_type", &message));
        }
        if role == Role::Tool {
            check_call_id(&fields)?;
        }
        if role == Role::Assistant {
            check_calls(&fields)?;
        }
        Ok(Self { role, content, rest: fields.rest() })
    }

    /// The text of the message: parts joined by line breaks, as vLLM does; `""` when there is none.
    ///
    /// # Errors
    /// The index and type of the first part that is not text.
    pub fn text_content(&self) -> Result<String, (usize, &str)> {
        match &self.content {
            Content::None => Ok(String::new()),
            Content::Text(text) => Ok(text.clone()),
            Content::Parts(parts) => {
                let texts: Result<Vec<&str>, _> = parts
                    .iter()
                    .enumerate()
                    .map(|(index, part)| match part {
                        Part::Text(text) => Ok(text.as_str()),
                        Part::Other { kind, .. } => Err((index, kind.as_str())),
                    })
                    .collect();
                Ok(texts?.join("\n"))
            }
        }
    }
}

fn parse_content(fields: &mut Fields, role: Role) -> Result<Content, FieldError> {
    match fields.take("content") {
        Some(Value::String(text)) => Ok(Content::Text(text)),
        Some(Value::Array(parts)) if parts.is_empty() => {
            Err(FieldError::new(&fields.path("content"), "invalid_value", "must not be an empty array"))
        }
        Some(Value::Array(parts)) => {
            let path = fields.path("content");
            let parts: Result<Vec<_>, _> = parts
                .into_iter()
                .enumerate()
                .map(|(index, part)| parse_part(part, &format!("{path}[{index}]")))
                .collect();
            Ok(Content::Parts(parts?))
        }
        Some(_) => Err(FieldError::new(
            &fields.path("content"),
            "invalid_type",
            "expected a string or an array of content parts",
        )),
        None if role == Role::Assistant
            && (fields.peek("tool_calls").is_some()
                || fields.peek("function_call").is_some()
                || fields.peek("refusal").is_some()
                || fields.peek("audio").is_some()) =>
        {
            Ok(Content::None)
        }
        None => Err(fields.missing("content")),
    }
}

/// The call that a tool message answers.
fn check_call_id(fields: &Fields) -> Result<(), FieldError> {
    match fields.peek("tool_call_id") {
        None => Err(fields.missing("tool_call_id")),
        Some(Value::String(_)) => Ok(()),
        Some(_) => Err(FieldError::new(&fields.path("tool_call_id"), "invalid_type", "expected a string")),
    }
}

/// The calls that an assistant message made. They are checked and stay where they are.
fn check_calls(fields: &Fields) -> Result<(), FieldError> {
    let path = fields.path("tool_calls");
    match fields.peek("tool_calls") {
        None => Ok(()),
        Some(Value::Array(calls)) => {
            calls.iter().enumerate().try_for_each(|(index, call)| check_call(call.clone(), &format!("{path}[{index}]")))
        }
        Some(_) => Err(FieldError::new(&path, "invalid_type", "expected an array of tool calls")),
    }
}

fn check_call(call: Value, path: &str) -> Result<(), FieldError> {
    let mut fields = Fields::from_value(call, path)?;
    fields.required_string("id")?;
    match fields.string("type")?.as_deref() {
        None | Some("function") => {
            let mut function = fields.object("function")?.ok_or_else(|| fields.missing("function"))?;
            function.required_string("name")?;
            function.required_string("arguments").map(drop)
        }
        // Other kinds ride along to servers that know them.
        Some(_) => Ok(()),
    }
}

fn parse_part(value: Value, path: &str) -> Result<Part, FieldError> {
    let mut fields = Fields::from_value(value, path)?;
    let kind = fields.required_string("type")?;
    if kind == "text" {
        return Ok(Part::Text(fields.required_string("text")?));
    }
    if fields.peek(&kind).is_none() {
        return Err(fields.missing(&kind));
    }
    let mut raw = fields.rest();
    raw.insert("type".to_owned(), Value::String(kind.clone()));
    Ok(Part::Other { kind, raw })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn tool_calls_and_their_answers_are_checked() {
        let call = |function: Value| json!({"role": "assistant", "tool_calls": [{"id": "1", "function": function}]});
        let good = call(json!({"name": "f", "arguments": "{}"}));
        assert_eq!(Message::parse(good, "m").expect("good").content, Content::None);
        for (message, param) in [
            (call(json!({"name": "f", "arguments": {}})), "m.tool_calls[0].function.arguments"),
            (call(json!({"arguments": "{}"})), "m.tool_calls[0].function.name"),
            (json!({"role": "assistant", "content": "x", "tool_calls": 1}), "m.tool_calls"),
            (json!({"role": "assistant", "tool_calls": [{"function": {}}]}), "m.tool_calls[0].id"),
            (json!({"role": "tool", "content": "x"}), "m.tool_call_id"),
            (json!({"role": "tool", "content": "x", "tool_call_id": 1}), "m.tool_call_id"),
        ] {
            let error = Message::parse(message.clone(), "m").expect_err("refused");
            assert_eq!(error.param.as_deref(), Some(param), "{message}");
        }
    }
}
