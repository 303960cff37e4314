//! Messages of the OpenAI API -> Ollama's. Pure.

use std::collections::HashMap;

use lla_protocol::FieldError;
use lla_protocol::ollama::{self, ToolCall, ToolCallFunction, image_data};
use lla_protocol::openai::{Content, Message, Part, Role};
use serde_json::{Map, Value};

use super::estimate::Tokens;

/// The messages of a request and what they cost.
pub(super) struct Converted {
    pub(super) messages: Vec<ollama::Message>,
    pub(super) tokens: Tokens,
    /// Where the first image stands.
    pub(super) image_at: Option<String>,
}

/// Converts them all.
///
/// # Errors
/// Names the part that Ollama has no place for.
pub(super) fn convert(messages: Vec<Message>) -> Result<Converted, FieldError> {
    let mut converted = Converted { messages: Vec::new(), tokens: Tokens::default(), image_at: None };
    // Name of the function behind the id of each call so far.
    let mut called = HashMap::new();
    for (index, message) in messages.into_iter().enumerate() {
        let path = format!("messages[{index}]");
        let message = one(message, &path, &mut called)?;
        if !message.images.is_empty() {
            converted.image_at.get_or_insert_with(|| format!("{path}.content"));
        }
        converted.tokens = converted.tokens.and(cost(&message));
        converted.messages.push(message);
    }
    Ok(converted)
}

fn cost(message: &ollama::Message) -> Tokens {
    let calls = |call: &ToolCall| Value::Object(call.function.arguments.clone()).to_string() + &call.function.name;
    let calls: String = message.tool_calls.iter().map(calls).collect();
    // Templates leave out what was thought, and some say calls in other words.
    let extras = Tokens::of(message.thinking.as_deref().unwrap_or_default()).and(Tokens::of(&calls)).perhaps();
    Tokens::of(&message.content).and(extras).message().images(message.images.len())
}

fn one(message: Message, path: &str, called: &mut HashMap<String, String>) -> Result<ollama::Message, FieldError> {
    let Message { role, content, mut rest } = message;
    let mut converted = ollama::Message { role: role_word(role), ..ollama::Message::default() };
    (converted.content, converted.images) = content_of(content, path)?;
    match role {
        Role::Assistant => {
            converted.thinking = thinking(&mut rest);
            converted.tool_calls = calls(&mut rest, path)?;
            for call in &converted.tool_calls {
                called.extend(call.id.clone().map(|id| (id, call.function.name.clone())));
            }
            if let (Some(Value::String(refusal)), true) = (rest.shift_remove("refusal"), converted.content.is_empty()) {
                converted.content = refusal;
            }
        }
        Role::Tool => {
            converted.tool_call_id = text(&mut rest, "tool_call_id");
            let known = converted.tool_call_id.as_ref().and_then(|id| called.get(id));
            converted.tool_name = text(&mut rest, "name").or_else(|| known.cloned());
        }
        Role::Function => converted.tool_name = text(&mut rest, "name"),
        Role::System | Role::Developer | Role::User => {}
    }
    for name in ["function_call", "audio"] {
        if rest.get(name).is_some_and(|value| !value.is_null()) {
            let message = "Ollama has no such field; send calls as 'tool_calls'";
            return Err(FieldError::new(&format!("{path}.{name}"), "unsupported_parameter", message));
        }
    }
    Ok(converted)
}

fn role_word(role: Role) -> &'static str {
    match role {
        Role::System | Role::Developer => "system",
        Role::User => "user",
        Role::Assistant => "assistant",
        Role::Tool | Role::Function => "tool",
    }
}

fn text(rest: &mut Map<String, Value>, name: &str) -> Option<String> {
    match rest.shift_remove(name) {
        Some(Value::String(text)) => Some(text),
        _ => None,
    }
}

/// `reasoning_content`, or `reasoning` as newer vLLM and Ollama's own OpenAI route call it.
fn thinking(rest: &mut Map<String, Value>) -> Option<String> {
    let (one, other) = (text(rest, "reasoning_content"), text(rest, "reasoning"));
    one.or(other).filter(|thinking| !thinking.is_empty())
}

/// Texts joined by line breaks, as elsewhere here, and the images.
fn content_of(content: Content, path: &str) -> Result<(String, Vec<String>), FieldError> {
    let parts = match content {
        Content::None => return Ok(Default::default()),
        Content::Text(text) => return Ok((text, Vec::new())),
        Content::Parts(parts) => parts,
    };
    let (mut texts, mut images) = (Vec::new(), Vec::new());
    for (index, part) in parts.into_iter().enumerate() {
        let path = format!("{path}.content[{index}]");
        match part {
            Part::Text(text) => texts.push(text),
            Part::Other { kind, raw } => match kind.as_str() {
                "image_url" => images.push(image(&raw, &path)?),
                "refusal" => texts.extend(raw.get("refusal").and_then(Value::as_str).map(str::to_owned)),
                _ => {
                    let message = format!("Ollama takes parts of type 'text' and 'image_url', not '{kind}'");
                    return Err(FieldError::new(&format!("{path}.type"), "unsupported_content", &message));
                }
            },
        }
    }
    Ok((texts.join("\n"), images))
}

fn image(raw: &Map<String, Value>, path: &str) -> Result<String, FieldError> {
    let path = format!("{path}.image_url");
    let value = raw.get("image_url");
    let url = value.and_then(|value| value.as_str().or_else(|| value.get("url")?.as_str()));
    let url = url.ok_or_else(|| FieldError::new(&path, "invalid_type", "expected an object with a 'url'"))?;
    image_data(url)
        .map(str::to_owned)
        .map_err(|error| FieldError::new(&format!("{path}.url"), "invalid_value", &error.to_string()))
}

fn calls(rest: &mut Map<String, Value>, path: &str) -> Result<Vec<ToolCall>, FieldError> {
    let Some(Value::Array(calls)) = rest.shift_remove("tool_calls") else { return Ok(Vec::new()) };
    (0_u32..).zip(calls).map(|(index, value)| call(&value, index, &format!("{path}.tool_calls[{index}]"))).collect()
}

fn call(value: &Value, index: u32, path: &str) -> Result<ToolCall, FieldError> {
    let function = value.get("function").ok_or_else(|| {
        FieldError::new(&format!("{path}.type"), "unsupported_tool", "Ollama takes only calls of type 'function'")
    })?;
    let part = |name: &str| function.get(name).and_then(Value::as_str).unwrap_or_default();
    let arguments = part("arguments").trim();
    let arguments = if arguments.is_empty() { "{}" } else { arguments };
    let arguments = serde_json::from_str::<Map<String, Value>>(arguments).map_err(|error| {
        let message = format!("must be the text of a JSON object: {error}");
        FieldError::new(&format!("{path}.function.arguments"), "invalid_value", &message)
    })?;
    let id = value.get("id").and_then(Value::as_str).map(str::to_owned);
    Ok(ToolCall { id, function: ToolCallFunction { index, name: part("name").to_owned(), arguments } })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn converted(messages: &[Value]) -> Result<Value, FieldError> {
        let messages = messages.iter().enumerate();
        let messages = messages.map(|(index, value)| Message::parse(value.clone(), &format!("messages[{index}]")));
        let messages = messages.collect::<Result<_, _>>().expect("the gateway lets it pass");
        convert(messages).map(|converted| serde_json::to_value(converted.messages).expect("json"))
    }

    #[test]
    fn every_role_finds_its_place() {
        let messages = converted(&[
            json!({"role": "developer", "content": "d"}),
            json!({"role": "user", "name": "ann", "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]}),
            json!({"role": "assistant", "content": null, "reasoning_content": "hm", "tool_calls": [
                {"id": "1", "type": "function", "function": {"name": "f", "arguments": "{\"z\":1,\"a\":[]}"}},
                {"id": "2", "type": "function", "function": {"name": "g", "arguments": ""}}]}),
            json!({"role": "tool", "tool_call_id": "2", "content": "r"}),
            json!({"role": "assistant", "refusal": "no"}),
        ]);
        let expected = json!([
            {"role": "system", "content": "d"},
            {"role": "user", "content": "a\nb"},
            {"role": "assistant", "content": "", "thinking": "hm", "tool_calls": [
                {"id": "1", "function": {"index": 0, "name": "f", "arguments": {"z": 1, "a": []}}},
                {"id": "2", "function": {"index": 1, "name": "g", "arguments": {}}}]},
            {"role": "tool", "content": "r", "tool_name": "g", "tool_call_id": "2"},
            {"role": "assistant", "content": "no"},
        ]);
        assert_eq!(messages.expect("good").to_string(), expected.to_string());
    }

    #[test]
    fn images_are_taken_out_of_their_urls() {
        let image = |url: &str| json!({"type": "image_url", "image_url": {"url": url}});
        let message = |part: Value| json!({"role": "user", "content": [{"type": "text", "text": "what?"}, part]});
        let messages = converted(&[message(image("data:image/png;base64,aGk="))]).expect("good");
        assert_eq!(messages, json!([{"role": "user", "content": "what?", "images": ["aGk="]}]));
        for (part, param) in [
            (image("http://127.0.0.1/secret.png"), "messages[0].content[1].image_url.url"),
            (json!({"type": "image_url", "image_url": 5}), "messages[0].content[1].image_url"),
            (json!({"type": "input_audio", "input_audio": {}}), "messages[0].content[1].type"),
        ] {
            let error = converted(&[message(part)]).expect_err("refused");
            assert_eq!(error.param.as_deref(), Some(param), "{}", error.message);
        }
    }

    #[test]
    fn arguments_have_to_be_an_object() {
        let message = |arguments: &str| json!({"role": "assistant", "tool_calls": [{"id": "1", "function": {"name": "f", "arguments": arguments}}]});
        for arguments in ["[1]", "{", "5"] {
            let error = converted(&[message(arguments)]).expect_err("refused");
            assert_eq!(error.param.as_deref(), Some("messages[0].tool_calls[0].function.arguments"));
        }
        let error = converted(&[json!({"role": "assistant", "content": "x", "function_call": {"name": "f"}})]);
        assert_eq!(error.expect_err("refused").param.as_deref(), Some("messages[0].function_call"));
    }
}
