//! Asks a server something small and gathers the answer.

use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use lla_inference::{Backend, ChatRequest, Delta, Error, Event};
use lla_protocol::openai::{FinishReason, Message, Role, Sampling, Usage};
use serde_json::{Map, Value};

/// A question for a model, with fields as they would come in a request of the API.
#[must_use]
pub fn question(model: &str, text: &str, max_tokens: u32, extra: Value) -> ChatRequest {
    ChatRequest {
        model: model.to_owned(),
        messages: vec![Message::text(Role::User, text)],
        sampling: Sampling { temperature: Some(0.0), ..Sampling::default() },
        max_tokens: Some(max_tokens),
        n: None,
        extra: match extra {
            Value::Object(extra) => extra,
            _ => Map::new(),
        },
    }
}

/// A call of a tool, put together from its pieces.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Call {
    /// Which tool.
    pub name: String,
    /// JSON, as the model wrote it.
    pub arguments: String,
}

/// A whole answer.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Said {
    /// What the model said.
    pub text: String,
    /// What it thought, where the server tells that apart.
    pub reasoning: String,
    /// What it called.
    pub calls: Vec<Call>,
    /// Tokens with a log-probability.
    pub scored: usize,
    /// Pieces with something in them.
    pub pieces: usize,
    /// From the request to the first of them.
    pub first: Duration,
    /// From the request to the end.
    pub total: Duration,
    /// Why it ended.
    pub finish: Option<FinishReason>,
    /// Token counts.
    pub usage: Option<Usage>,
}

impl Said {
    /// Whether the model thought before it answered.
    #[must_use]
    pub fn thought(&self) -> bool {
        !self.reasoning.trim().is_empty() || self.text.trim_start().starts_with("<think>")
    }

    fn take(&mut self, delta: &Delta) {
        self.text.push_str(&delta.text);
        for name in ["reasoning_content", "reasoning"] {
            self.reasoning.push_str(delta.extra.get(name).and_then(Value::as_str).unwrap_or_default());
        }
        let scored = delta.logprobs.as_ref().and_then(|logprobs| logprobs["content"].as_array());
        self.scored += scored.map_or(0, Vec::len);
        let calls = delta.extra.get("tool_calls").and_then(Value::as_array);
        for (place, call) in calls.into_iter().flatten().enumerate() {
            let index = call["index"].as_u64().and_then(|index| usize::try_from(index).ok()).unwrap_or(place);
            // No server makes so many; a wrong index must not fill the memory.
            if index < 128 {
                self.calls.resize(self.calls.len().max(index + 1), Call::default());
                let part = |name: &str| call["function"][name].as_str().unwrap_or_default();
                self.calls[index].name.push_str(part("name"));
                self.calls[index].arguments.push_str(part("arguments"));
            }
        }
    }
}

/// Has a question answered to its end.
///
/// # Errors
/// The driver's.
pub async fn ask(backend: &dyn Backend, request: ChatRequest) -> Result<Said, Error> {
    let begin = Instant::now();
    let mut said = Said::default();
    let mut events = backend.chat(request).await?;
    while let Some(event) = events.next().await {
        match event? {
            Event::Delta(delta) => {
                if said.pieces == 0 {
                    said.first = begin.elapsed();
                }
                said.pieces += 1;
                said.take(&delta);
            }
            Event::Finish { reason, .. } => said.finish = Some(reason),
            other => {
                if let Event::Usage(usage) = other {
                    said.usage = Some(usage);
                }
            }
        }
    }
    said.total = begin.elapsed();
    Ok(said)
}

/// The beginning of a text, on one line, for a finding.
#[must_use]
pub fn excerpt(text: &str) -> String {
    let line = text.split_whitespace().collect::<Vec<_>>().join(" ");
    match line.char_indices().nth(60) {
        Some((end, _)) => format!("{}…", &line[..end]),
        None => line,
    }
}

#[cfg(test)]
mod tests {
    use lla_inference::{MockBackend, Script};
    use serde_json::json;

    use super::*;

    #[test]
    fn calls_come_in_pieces() {
        let mut said = Said::default();
        let piece = |index: u32, function: Value| {
            let extra = json!({"tool_calls": [{"index": index, "function": function}]});
            Delta { extra: extra.as_object().expect("object").clone(), ..Delta::default() }
        };
        said.take(&piece(0, json!({"name": "f", "arguments": ""})));
        said.take(&piece(0, json!({"arguments": "{\"a\""})));
        said.take(&piece(1, json!({"name": "g"})));
        said.take(&piece(0, json!({"arguments": ":1}"})));
        said.take(&piece(u32::MAX, json!({"name": "no"})));
        let call = |name: &str, arguments: &str| Call { name: name.to_owned(), arguments: arguments.to_owned() };
        assert_eq!(said.calls, [call("f", "{\"a\":1}"), call("g", "")]);
    }

    #[tokio::test]
    async fn an_answer_is_gathered() {
        let mock = MockBackend::new("m").with_script(Script::text("hello there"));
        let said = ask(&mock, question("m", "hi", 8, json!({}))).await.expect("answer");
        assert_eq!(said.text, "hello there");
        assert!(said.finish.is_some() && !said.thought());
    }

    #[test]
    fn thinking_is_seen_under_any_name() {
        let said =
            |text: &str, reasoning: &str| Said { text: text.into(), reasoning: reasoning.into(), ..Said::default() };
        assert!(said("<think>hm</think>yes", "").thought() && said("yes", "hm").thought());
        assert!(!said("I <think> not", " ").thought());
    }

    #[test]
    fn excerpts_are_one_short_line() {
        assert_eq!(excerpt("a\n b"), "a b");
        assert_eq!(excerpt(&"é".repeat(61)), format!("{}…", "é".repeat(60)));
    }
}
