//! Messages as the model's template can take them: tools and old calls as plain text where it knows
//! none, ids in the form that it wants.

use std::collections::HashMap;

use lla_protocol::openai::{Content, Message, Role, Tools};
use serde_json::{Value, json};

use super::family::Family;
use crate::chat_format::ChatFormat;

/// Length of the only ids that Mistral's templates take.
const MISTRAL_ID: usize = 9;

/// Prepares messages for rendering. `tools` are what the model may call.
///
/// Content that is not text must have been refused before.
#[must_use]
pub fn prepare(format: &ChatFormat, mut messages: Vec<Message>, tools: &Tools) -> Vec<Message> {
    messages.iter_mut().for_each(name_reasoning);
    match format.family {
        Family::Generic => {
            let mut messages = as_text(messages);
            if tools.callable() {
                instruct(&mut messages, instruction(tools), format.knows_system);
            }
            messages
        }
        Family::Mistral | Family::MistralArgs => {
            messages.iter_mut().for_each(shorten_ids);
            messages
        }
        _ => messages,
    }
}

/// vLLM's newer name of the field.
fn name_reasoning(message: &mut Message) {
    if message.role == Role::Assistant
        && !message.rest.contains_key("reasoning_content")
        && let Some(reasoning) = message.rest.shift_remove("reasoning")
    {
        message.rest.insert("reasoning_content".to_owned(), reasoning);
    }
}

/// What a model is told that was not trained to call tools.
fn instruction(tools: &Tools) -> String {
    let mut text =
        "You can call these tools. Each is described by its name and the JSON Schema of its arguments:\n".to_owned();
    for tool in &tools.tools {
        let mut described = json!({"name": tool.name});
        if let Some(description) = &tool.description {
            described["description"] = description.as_str().into();
        }
        described["parameters"] = tool.schema();
        text.push_str(&described.to_string());
        text.push('\n');
    }
    text.push_str("To call a tool, answer with this JSON object and nothing else:\n{\"name\": <name of the tool>, \"arguments\": <object that matches its schema>}\n");
    text.push_str(match tools.forced() {
        true => "Call a tool now.",
        false => "When you need no tool, answer in plain words.",
    });
    text
}

/// Puts the instruction into the system message, or in front of the first message where there is none.
fn instruct(messages: &mut Vec<Message>, instruction: String, knows_system: bool) {
    match messages.first_mut() {
        Some(first) if !knows_system || matches!(first.role, Role::System | Role::Developer) => {
            let said = text_of(first);
            let is_user = first.role == Role::User;
            let text = if is_user { format!("{instruction}\n\n{said}") } else { format!("{said}\n\n{instruction}") };
            first.content = Content::Text(text);
        }
        _ => messages.insert(0, Message::text(Role::System, instruction)),
    }
}

/// Calls become what the model would have written, results what the user says about them. Templates
/// want user and assistant in turn, so results and what follows them are one message.
fn as_text(messages: Vec<Message>) -> Vec<Message> {
    let mut names: HashMap<String, String> = HashMap::new();
    let mut written: Vec<Message> = Vec::with_capacity(messages.len());
    let mut after_result = false;
    for mut message in messages {
        let is_result = matches!(message.role, Role::Tool | Role::Function);
        if let Some(calls) = message.rest.shift_remove("tool_calls") {
            write_calls(&mut message, &calls, &mut names);
        }
        if is_result {
            message = result_message(&message, &names);
        }
        match written.last_mut() {
            Some(last) if after_result && message.role == Role::User => {
                last.content = Content::Text(format!("{}\n\n{}", text_of(last), text_of(&message)));
            }
            _ => {
                after_result = is_result;
                written.push(message);
            }
        }
    }
    written
}

fn write_calls(message: &mut Message, calls: &Value, names: &mut HashMap<String, String>) {
    let mut lines: Vec<String> = Some(text_of(message)).filter(|text| !text.is_empty()).into_iter().collect();
    for call in calls.as_array().into_iter().flatten() {
        let name = call["function"]["name"].as_str().unwrap_or_default();
        let arguments = call["function"]["arguments"].as_str().unwrap_or_default();
        let arguments = if arguments.trim().is_empty() { "{}" } else { arguments };
        lines.push(format!("{{\"name\": {}, \"arguments\": {arguments}}}", Value::from(name)));
        if let Some(id) = call["id"].as_str() {
            names.insert(id.to_owned(), name.to_owned());
        }
    }
    message.content = Content::Text(lines.join("\n"));
}

fn result_message(message: &Message, names: &HashMap<String, String>) -> Message {
    let id = message.rest.get("tool_call_id").and_then(Value::as_str);
    let named = message.rest.get("name").and_then(Value::as_str);
    let name = named.or_else(|| id.and_then(|id| names.get(id)).map(String::as_str)).unwrap_or("the tool");
    Message::text(Role::User, format!("Result of {name}:\n{}", text_of(message)))
}

fn text_of(message: &Message) -> String {
    message.text_content().unwrap_or_default()
}

/// Gives calls and results ids of nine letters and digits, the same for the same id.
fn shorten_ids(message: &mut Message) {
    if let Some(Value::String(id)) = message.rest.get_mut("tool_call_id") {
        *id = short_id(id);
    }
    let calls = message.rest.get_mut("tool_calls").and_then(Value::as_array_mut);
    for call in calls.into_iter().flatten() {
        if let Some(Value::String(id)) = call.get_mut("id") {
            *id = short_id(id);
        }
    }
}

fn short_id(id: &str) -> String {
    const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
    if id.len() == MISTRAL_ID && id.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return id.to_owned();
    }
    // FNV-1a.
    let fold = |hash: u64, byte: u8| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
    let mut hash = id.bytes().fold(0xcbf2_9ce4_8422_2325, fold);
    let mut digit = || {
        let digit = usize::try_from(hash % 62).unwrap_or(0);
        hash /= 62;
        char::from(DIGITS[digit])
    };
    (0..MISTRAL_ID).map(|_| digit()).collect()
}
