//! The label by asking for it, for backends that can not score texts: a prompt, and a schema that allows nothing
//! but the labels. It measures nothing, and small models answer the same label to almost everything.

use serde_json::{Value, json};

use super::Wanted;
use crate::call::{Call, Question};
use crate::error::ToolError;

/// The labels that the model names.
pub(super) async fn ask(wanted: &Wanted, text: &str, call: &Call) -> Result<Vec<String>, ToolError> {
    let mut list = String::new();
    for (name, description) in &wanted.labels {
        let line = if description.is_empty() { format!("- {name}\n") } else { format!("- {name}: {description}\n") };
        list.push_str(&line);
    }
    let examples: String =
        wanted.examples.iter().map(|example| format!("Text: {}\nLabel: {}\n\n", example.text, example.label)).collect();
    let names: Vec<&String> = wanted.labels.keys().collect();
    let (field, schema) = if wanted.multi {
        ("labels", json!({"type": "array", "items": {"type": "string", "enum": names}, "maxItems": names.len()}))
    } else {
        ("label", json!({"type": "string", "enum": names}))
    };
    let how_many = if wanted.multi { "all labels that fit" } else { "exactly one label" };
    let longest: usize = wanted.labels.keys().map(String::len).sum();
    let question = Question {
        system: "You are a precise text classifier. You answer with labels and nothing else.",
        user: format!(
            "Choose {how_many} for the text from this list:\n{list}\n{examples}Text:\n\"\"\"\n{text}\n\"\"\"\n\n\
             Answer as JSON with the field \"{field}\"."
        ),
        schema: Some(json!({
            "type": "object", "properties": {field: schema}, "required": [field], "additionalProperties": false,
        })),
        max_tokens: u32::try_from(64 + longest).unwrap_or(u32::MAX),
    };
    let answer = call.ask(question).await?;
    Ok(read(&answer.text, field, wanted))
}

/// The labels that an answer names. An answer that was cut, or is none, names none.
fn read(answer: &str, field: &str, wanted: &Wanted) -> Vec<String> {
    let Ok(answer) = serde_json::from_str::<Value>(answer) else { return Vec::new() };
    let named: Vec<&str> = match &answer[field] {
        Value::String(name) => vec![name],
        Value::Array(names) => names.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    };
    let mut chosen: Vec<String> = Vec::new();
    for name in named {
        if wanted.labels.contains_key(name) && !chosen.iter().any(|earlier| earlier == name) {
            chosen.push(name.to_owned());
        }
    }
    chosen
}
