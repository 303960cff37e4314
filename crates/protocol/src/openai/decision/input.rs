//! What decisions are about: a text, or messages and calls with what came of them.

use std::collections::HashSet;

use serde_json::Value;

use crate::fields::{FieldError, Fields};

/// See the module.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DecisionInput {
    /// A text; not empty.
    Text(String),
    /// At least one.
    Items(Vec<DecisionItem>),
}

/// One item of a conversation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum DecisionItem {
    /// A message.
    Message {
        /// `user`, `developer`, `system` or `assistant`.
        role: String,
        /// Its parts, joined by line breaks.
        text: String,
    },
    /// A tool was called.
    Call {
        /// The tool.
        name: String,
        /// What it was given.
        arguments: String,
    },
    /// A tool answered.
    Output {
        /// What it said.
        text: String,
    },
}

impl DecisionInput {
    pub(super) fn parse(value: Value) -> Result<Self, FieldError> {
        let items = match value {
            Value::String(text) if !text.is_empty() => return Ok(Self::Text(text)),
            Value::Array(items) if !items.is_empty() => items,
            Value::String(_) | Value::Array(_) => {
                return Err(FieldError::new("input", "invalid_value", "must not be empty"));
            }
            _ => return Err(FieldError::new("input", "invalid_type", "expected a string or an array of messages")),
        };
        let mut calls = HashSet::new();
        let item = |(index, item)| DecisionItem::parse(item, &format!("input[{index}]"), &mut calls);
        Ok(Self::Items(items.into_iter().enumerate().map(item).collect::<Result<_, _>>()?))
    }
}

impl DecisionItem {
    /// `calls`: the ids of the calls so far.
    fn parse(value: Value, path: &str, calls: &mut HashSet<String>) -> Result<Self, FieldError> {
        let mut fields = Fields::from_value(value, path)?;
        match fields.string("type")?.as_deref() {
            None | Some("message") => message(fields),
            Some(kind @ ("function_call" | "custom_tool_call")) => {
                let given = if kind == "function_call" { "arguments" } else { "input" };
                calls.insert(fields.required_string("call_id")?);
                Ok(Self::Call { name: fields.required_string("name")?, arguments: fields.required_string(given)? })
            }
            Some("function_call_output" | "custom_tool_call_output") => {
                let id = fields.required_string("call_id")?;
                if !calls.contains(&id) {
                    let message = "no call before it has this id";
                    return Err(FieldError::new(&fields.path("call_id"), "invalid_value", message));
                }
                let at = fields.path("output");
                let output = fields.take("output").ok_or_else(|| fields.missing("output"))?;
                Ok(Self::Output { text: text(output, &at, &["input_text"])? })
            }
            Some(_) => {
                let message = "must be 'message', 'function_call', 'function_call_output', 'custom_tool_call' or \
                               'custom_tool_call_output'";
                Err(FieldError::new(&fields.path("type"), "invalid_value", message))
            }
        }
    }
}

fn message(mut fields: Fields) -> Result<DecisionItem, FieldError> {
    let role = fields.required_string("role")?;
    let parts: &[&str] = match role.as_str() {
        "user" => &["input_text", "input_json"],
        "developer" | "system" => &["input_text"],
        "assistant" => &["output_text", "refusal"],
        _ => {
            let message = "must be 'user', 'developer', 'system' or 'assistant'";
            return Err(FieldError::new(&fields.path("role"), "invalid_value", message));
        }
    };
    let at = fields.path("content");
    let content = fields.take("content").ok_or_else(|| fields.missing("content"))?;
    Ok(DecisionItem::Message { role, text: text(content, &at, parts)? })
}

/// The text of a string or of a list of parts; `kinds`: the types that parts may have here.
pub(super) fn text(value: Value, path: &str, kinds: &[&str]) -> Result<String, FieldError> {
    let parts = match value {
        Value::String(text) => return Ok(text),
        Value::Array(parts) => parts,
        _ => return Err(FieldError::new(path, "invalid_type", "expected a string or an array of parts")),
    };
    let part = |(index, part): (usize, Value)| -> Result<String, FieldError> {
        let mut fields = Fields::from_value(part, &format!("{path}[{index}]"))?;
        let kind = fields.required_string("type")?;
        if !kinds.contains(&kind.as_str()) {
            let message = format!("only parts of type {} can be read here", kinds.join(" and "));
            return Err(FieldError::new(&format!("{path}[{index}]"), "unsupported_content", &message));
        }
        match kind.as_str() {
            "input_json" => match fields.take("data") {
                Some(data @ (Value::Object(_) | Value::Array(_))) => Ok(data.to_string()),
                Some(_) => Err(FieldError::new(&fields.path("data"), "invalid_type", "expected an object or an array")),
                None => Err(fields.missing("data")),
            },
            "refusal" => fields.required_string("refusal"),
            _ => fields.required_string("text"),
        }
    };
    let texts: Vec<String> = parts.into_iter().enumerate().map(part).collect::<Result<_, _>>()?;
    Ok(texts.join("\n"))
}
