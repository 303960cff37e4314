//! Lines of an answer -> [`Event`]s of one choice. Pure; `reading.rs` gets the lines.

use lla_protocol::ollama::{Piece, TokenLogprob, ToolCall};
use lla_protocol::openai::{ChatLogprobs, ChatTokenLogprob, CompletionLogprobs, FinishReason, TopLogprob};
use serde_json::{Map, Value};

use crate::{Delta, Error, Event};

/// What the answer is to look like.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Shape {
    /// A message.
    Chat {
        /// Of several calls only the first counts.
        one_call: bool,
    },
    /// A text.
    Completion {
        /// Log-probabilities list the likeliest tokens.
        top: bool,
    },
}

/// Counts at the end of one answer, where Ollama tells.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Counts {
    pub(super) prompt: Option<u32>,
    pub(super) answer: Option<u32>,
}

/// Puts one choice together.
#[derive(Debug)]
pub(super) struct Assembly {
    backend: String,
    choice: u32,
    shape: Shape,
    calls: u32,
    /// Characters of the text so far.
    written: usize,
}

impl Assembly {
    pub(super) fn new(backend: &str, choice: u32, shape: Shape) -> Self {
        Self { backend: backend.to_owned(), choice, shape, calls: 0, written: 0 }
    }

    /// The events of a line, into `ready`; the counts when it is the last one. The finish waits for
    /// [`Assembly::finish`], so that the counts can be checked before.
    pub(super) fn take(&mut self, piece: &mut Piece, ready: &mut Vec<Event>) -> Result<Option<Counts>, Error> {
        if let Some(message) = &piece.error {
            return Err(Error::upstream(&self.backend, format!("it broke off: {message}")));
        }
        let message = piece.message.take().unwrap_or_default();
        let text = message.content.or(piece.response.take()).unwrap_or_default();
        let thinking = message.thinking.or(piece.thinking.take()).unwrap_or_default();
        if !thinking.is_empty() {
            ready.push(self.extra("reasoning_content", thinking.into()));
        }
        let logprobs = piece.logprobs.take().filter(|logprobs| !logprobs.is_empty());
        if !text.is_empty() || logprobs.is_some() {
            let logprobs = logprobs.map(|tokens| self.logprobs(&tokens));
            self.written += text.chars().count();
            ready.push(Event::Delta(Delta { index: self.choice, text, logprobs, extra: Map::new() }));
        }
        for call in message.tool_calls.unwrap_or_default() {
            ready.extend(self.call(call));
        }
        Ok(piece.done.then_some(Counts { prompt: piece.prompt_eval_count, answer: piece.eval_count }))
    }

    /// How the answer ended.
    pub(super) fn finish(&self, done_reason: Option<&str>) -> Result<Event, Error> {
        let reason = match done_reason {
            Some("length") => FinishReason::Length,
            _ if self.calls > 0 => FinishReason::ToolCalls,
            // Older versions leave the ordinary end out.
            Some("stop" | "") | None => FinishReason::Stop,
            Some(word) => {
                return Err(Error::upstream(&self.backend, format!("it stopped generating (done reason '{word}')")));
            }
        };
        Ok(Event::Finish { index: self.choice, reason })
    }

    /// A whole call as the first and only delta of it.
    fn call(&mut self, call: ToolCall) -> Option<Event> {
        let index = self.calls;
        if matches!(self.shape, Shape::Chat { one_call: true }) && index > 0 {
            return None;
        }
        self.calls += 1;
        let arguments = Value::Object(call.function.arguments).to_string();
        Some(Event::call(self.choice, index, call.id, &call.function.name, &arguments))
    }

    fn extra(&self, name: &str, value: Value) -> Event {
        let extra = Map::from_iter([(name.to_owned(), value)]);
        Event::Delta(Delta { index: self.choice, extra, ..Delta::default() })
    }

    fn logprobs(&self, tokens: &[TokenLogprob]) -> Value {
        match self.shape {
            Shape::Chat { .. } => written(&chat_logprobs(tokens)),
            Shape::Completion { top } => written(&completion_logprobs(tokens, top, self.written)),
        }
    }
}

/// None of the shapes has what JSON can not write.
fn written(shape: &impl serde::Serialize) -> Value {
    serde_json::to_value(shape).unwrap_or_default()
}

fn chat_logprobs(tokens: &[TokenLogprob]) -> ChatLogprobs {
    let bytes = |bytes: &Option<Vec<u8>>| Some(bytes.clone().unwrap_or_default());
    let token = |token: &TokenLogprob| ChatTokenLogprob {
        token: token.token.clone(),
        logprob: token.logprob,
        bytes: bytes(&token.bytes),
        top_logprobs: token
            .top_logprobs
            .iter()
            .map(|top| TopLogprob { token: top.token.clone(), logprob: top.logprob, bytes: bytes(&top.bytes) })
            .collect(),
    };
    ChatLogprobs { content: Some(tokens.iter().map(token).collect()), refusal: None }
}

fn completion_logprobs(tokens: &[TokenLogprob], top: bool, written: usize) -> CompletionLogprobs {
    let mut lists = CompletionLogprobs::default();
    let mut offset = written;
    for token in tokens {
        let mut likeliest = Map::new();
        if top {
            likeliest.extend(token.top_logprobs.iter().map(|top| (top.token.clone(), top.logprob.into())));
        }
        // The token that stands there is always listed.
        likeliest.insert(token.token.clone(), token.logprob.into());
        lists.text_offset.push(offset);
        offset += token.token.chars().count();
        lists.tokens.push(token.token.clone());
        lists.token_logprobs.push(Some(token.logprob));
        lists.top_logprobs.push(Some(likeliest));
    }
    lists
}

#[cfg(test)]
mod tests;
