//! A call that a server can not be made to make: asked of it as an answer of a JSON Schema.
//!
//! The tools are described in the system message, the schema leaves nothing to be written but the call, and what
//! was written becomes a call on its way back. It comes whole, as one delta.

use std::collections::BTreeMap;

use futures_util::{StreamExt as _, future, stream};
use lla_protocol::FieldError;
use lla_protocol::openai::{Content, FinishReason, Message, Part, Role, Tool, ToolChoice, Tools};
use serde::Deserialize;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};

use crate::{ChatRequest, Delta, Error, Event, EventStream};

/// The forms of an answer that a forced call leaves no room for.
const FORMS: [&str; 3] = ["response_format", "structured_outputs", "guided_json"];

/// See the module.
#[derive(Debug)]
pub(super) struct Forced {
    /// At least one.
    tools: Vec<Tool>,
    /// The caller named the tool.
    is_named: bool,
}

/// What is written where there are several tools.
#[derive(Deserialize)]
struct Choice<'a> {
    name: String,
    #[serde(borrow)]
    arguments: &'a RawValue,
}

impl Forced {
    /// Rewrites a request that asks for a call in any case; `None`, and nothing is changed, for all others.
    ///
    /// # Errors
    /// Names the field about tools that is wrong.
    pub(super) fn take(request: &mut ChatRequest) -> Result<Option<Self>, FieldError> {
        match request.extra.get("tool_choice") {
            None | Some(Value::Null) => return Ok(None),
            Some(Value::String(word)) if word != "required" => return Ok(None),
            Some(_) => {}
        }
        let mut extra = request.extra.clone();
        let tools = Tools::take(&mut extra)?;
        if !tools.forced() {
            return Ok(None);
        }
        let forced = Self { is_named: tools.choice == ToolChoice::Named, tools: tools.tools };
        for form in FORMS {
            extra.shift_remove(form);
        }
        let schema = json!({"name": "call", "strict": true, "schema": forced.schema()});
        extra.insert("response_format".to_owned(), json!({"type": "json_schema", "json_schema": schema}));
        request.extra = extra;
        instruct(&mut request.messages, forced.instruction());
        Ok(Some(forced))
    }

    /// The arguments of the only tool, or the name of one of them with its arguments.
    fn schema(&self) -> Value {
        if let [only] = self.tools.as_slice() {
            return only.schema();
        }
        let choice = |(index, tool): (usize, &Tool)| {
            let mut arguments = tool.schema();
            move_references(&mut arguments, &format!("#/anyOf/{index}/properties/arguments"));
            json!({
                "type": "object",
                "properties": {"name": {"const": tool.name}, "arguments": arguments},
                "required": ["name", "arguments"],
                "additionalProperties": false,
            })
        };
        json!({"anyOf": self.tools.iter().enumerate().map(choice).collect::<Vec<_>>()})
    }

    fn instruction(&self) -> String {
        let describe = |tool: &Tool| {
            let mut described = json!({"name": tool.name});
            if let Some(description) = &tool.description {
                described["description"] = description.as_str().into();
            }
            described["parameters"] = tool.schema();
            described.to_string()
        };
        let tools: Vec<String> = self.tools.iter().map(describe).collect();
        let tools = tools.join("\n");
        match self.tools.as_slice() {
            [_] => format!(
                "Call this tool now:\n{tools}\nAnswer with the JSON object of its arguments, which matches its \
                 parameters, and nothing else."
            ),
            _ => format!(
                "Call one of these tools now:\n{tools}\nAnswer with this JSON object and nothing else:\n{{\"name\": \
                 <name of the tool>, \"arguments\": <object that matches its parameters>}}"
            ),
        }
    }

    /// Makes the call of what `backend` wrote.
    pub(super) fn calls(self, backend: &str, events: EventStream) -> EventStream {
        let backend = backend.to_owned();
        let mut written: BTreeMap<u32, String> = BTreeMap::new();
        let calls = events.flat_map(move |item| {
            let shown = match item {
                Ok(Event::Delta(delta)) => {
                    written.entry(delta.index).or_default().push_str(&delta.text);
                    let rest = Delta { text: String::new(), ..delta };
                    let says_more = rest.logprobs.is_some() || !rest.extra.is_empty();
                    if says_more { vec![Ok(Event::Delta(rest))] } else { Vec::new() }
                }
                Ok(Event::Finish { index, reason }) => {
                    let text = written.remove(&index).unwrap_or_default();
                    match self.end(index, text.trim(), reason) {
                        Some(events) => events.into_iter().map(Ok).collect(),
                        None => vec![Err(Error::upstream(&backend, "a tool call was asked for, and none was written"))],
                    }
                }
                other => vec![other],
            };
            stream::iter(shown)
        });
        // An error is the last item.
        Box::pin(calls.scan(false, |over, item| {
            let shown = (!*over).then_some(item);
            *over = matches!(shown, Some(Err(_)));
            future::ready(shown)
        }))
    }

    /// The call and the finish; `None` when what was written is no call.
    fn end(&self, index: u32, text: &str, reason: FinishReason) -> Option<Vec<Event>> {
        let call = |name: &str, arguments: &str| Event::call(index, 0, None, name, arguments);
        let said = match (self.read(text), self.tools.as_slice()) {
            (Some((name, arguments)), _) => call(&name, arguments),
            (None, _) if reason == FinishReason::Stop => return None,
            // Cut off: what there is of it was asked for.
            (None, [only]) => call(&only.name, text),
            (None, _) => Event::text(index, text),
        };
        let reason = match reason {
            FinishReason::Stop if !self.is_named => FinishReason::ToolCalls,
            other => other,
        };
        Some(vec![said, Event::Finish { index, reason }])
    }

    /// Name and arguments of a whole call.
    fn read<'a>(&self, text: &'a str) -> Option<(String, &'a str)> {
        let is_object = |text: &str| serde_json::from_str::<Map<String, Value>>(text).is_ok();
        if let [only] = self.tools.as_slice() {
            return is_object(text).then(|| (only.name.clone(), text));
        }
        let choice: Choice<'a> = serde_json::from_str(text).ok()?;
        let arguments = choice.arguments.get();
        let is_known = self.tools.iter().any(|tool| tool.name == choice.name);
        (is_known && is_object(arguments)).then_some((choice.name, arguments))
    }
}

/// A schema that stands at `place` now: its references start from the root of the document.
fn move_references(schema: &mut Value, place: &str) {
    match schema {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value {
                    Value::String(target) if name == "$ref" && target.starts_with('#') => {
                        *target = format!("{place}{}", &target[1..]);
                    }
                    other => move_references(other, place),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| move_references(item, place)),
        _ => {}
    }
}

/// Puts the instruction behind the system message, or in front of all where there is none.
fn instruct(messages: &mut Vec<Message>, instruction: String) {
    match messages.first_mut() {
        Some(Message { role: Role::System | Role::Developer, content, .. }) => match content {
            Content::Text(said) => *said = format!("{said}\n\n{instruction}"),
            Content::Parts(parts) => parts.push(Part::Text(instruction)),
            Content::None => *content = Content::Text(instruction),
        },
        _ => messages.insert(0, Message::text(Role::System, instruction)),
    }
}

#[cfg(test)]
mod tests;
