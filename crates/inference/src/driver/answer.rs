//! Reads an answer: bytes -> server-sent events -> [`Event`]s, holding the server to the contract of
//! [`EventStream`].
//!
//! [`Assembly`] is the pure part. A server that is cut off, ends early, or finishes less than was
//! asked for yields an error, never a short answer that looks whole.

mod shapes;

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream;
use lla_protocol::openai::{ChatDelta, FinishReason, Usage};
use lla_protocol::sse::Decoder;
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::time::{Instant, timeout};

use super::connection::{Connection, Opened};
use super::failure;
use crate::{Delta, Error, Event, EventStream};

/// Longest single event of a stream.
const MAX_EVENT: usize = 1 << 20;

/// What the answer must turn out to be.
#[derive(Debug, Clone)]
pub(super) struct Expected {
    /// How many choices must finish.
    pub(super) choices: usize,
    /// The model asked for, for errors.
    pub(super) model: String,
}

/// Turns an accepted answer into events. Most servers stream; one that answers with a whole JSON
/// document is read too.
pub(super) async fn events(
    connection: Arc<Connection>,
    mut opened: Opened,
    expected: Expected,
) -> Result<EventStream, Error> {
    let kind = opened.response.header("content-type").unwrap_or_default();
    let mut assembly = Assembly::new(&connection.name, expected);
    if kind.starts_with("application/json") {
        let body = connection.read_all(opened.response, connection.timeouts.total).await?;
        assembly.take(&body)?;
        assembly.end()?;
        return Ok(Box::pin(stream::iter(assembly.ready.into_iter().map(Ok))));
    }
    if !kind.starts_with("text/event-stream") {
        let message = format!("it answered with the content type '{kind}' instead of a stream of events");
        return Err(Error::upstream(&connection.name, message));
    }
    opened.response.forget_head();
    let (decoder, begun, over, failed) = (Decoder::new(MAX_EVENT), false, false, None);
    // In a box, because `unfold` moves it twice for every event.
    let reading = Box::new(Reading { connection, opened, decoder, assembly, begun, over, failed });
    Ok(Box::pin(stream::unfold(reading, |mut reading| async move { Some((reading.next().await?, reading)) })))
}

/// A stream that is being read. Dropping it closes the connection.
struct Reading {
    connection: Arc<Connection>,
    opened: Opened,
    decoder: Decoder,
    assembly: Assembly,
    /// A first byte has come.
    begun: bool,
    /// Nothing follows but what is ready.
    over: bool,
    /// The last item, once everything before it has been handed on.
    failed: Option<Error>,
}

impl Reading {
    async fn next(&mut self) -> Option<Result<Event, Error>> {
        loop {
            if let Some(event) = self.assembly.ready.pop_front() {
                return Some(Ok(event));
            }
            if self.over {
                return self.failed.take().map(Err);
            }
            if let Err(error) = self.read_on().await {
                self.over = true;
                self.failed = Some(error);
            }
        }
    }

    async fn read_on(&mut self) -> Result<(), Error> {
        let Some(chunk) = self.chunk().await? else {
            self.over = true;
            if self.decoder.is_mid_event() {
                return Err(self.assembly.broken("the stream was cut off within an event"));
            }
            return self.assembly.end();
        };
        let mut events = Vec::new();
        let decoded = self.decoder.push(&chunk, |data| events.push(data));
        for data in events {
            if data == b"[DONE]" {
                self.over = true;
                return self.assembly.end();
            }
            self.assembly.take(&data)?;
        }
        decoded.map_err(|error| self.assembly.broken(&error.to_string()))
    }

    /// The next bytes; `None` at the end of the body.
    async fn chunk(&mut self) -> Result<Option<bytes::Bytes>, Error> {
        let limits = self.connection.timeouts;
        let spent = Instant::now().duration_since(self.opened.begin);
        let (phase, limit) = if self.begun {
            ("next chunk", limits.between_chunks)
        } else {
            ("first byte", limits.first_byte.saturating_sub(spent))
        };
        let left = limits.total.saturating_sub(spent);
        let (phase, limit) = if left < limit { ("total", left) } else { (phase, limit) };
        let chunk = timeout(limit, self.opened.response.chunk()).await.map_err(|_| {
            let after: Duration = match phase {
                "total" => limits.total,
                "first byte" => limits.first_byte,
                _ => limits.between_chunks,
            };
            self.connection.timed_out(phase, after)
        })?;
        self.begun = true;
        chunk.map_err(|error| self.connection.broken_off(&error))
    }
}

/// One JSON document of an answer: a chunk of a stream or the whole, of a chat or a completion. Only
/// what we act on, and lenient in what is left out, because servers differ.
#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    choices: Option<Vec<Choice>>,
    #[serde(default)]
    usage: Option<Value>,
    #[serde(default)]
    error: Option<Value>,
}

#[derive(Deserialize)]
struct Choice {
    #[serde(default)]
    index: u32,
    /// What a chat stream adds, or (`message`) the whole message.
    #[serde(default, alias = "message")]
    delta: Option<ChatDelta>,
    /// What a completion adds, or all of it.
    #[serde(default)]
    text: Option<String>,
    #[serde(default)]
    logprobs: Option<Value>,
    #[serde(default)]
    finish_reason: Option<String>,
}

/// Puts documents together to events.
#[derive(Debug)]
struct Assembly {
    backend: String,
    expected: Expected,
    finished: BTreeSet<u32>,
    /// Characters of each completion so far.
    written: BTreeMap<u32, usize>,
    usage: Option<Usage>,
    /// Events that wait to be handed on.
    ready: VecDeque<Event>,
}

impl Assembly {
    fn new(backend: &str, expected: Expected) -> Self {
        Self {
            backend: backend.to_owned(),
            expected,
            finished: BTreeSet::new(),
            written: BTreeMap::new(),
            usage: None,
            ready: VecDeque::new(),
        }
    }

    fn broken(&self, message: &str) -> Error {
        Error::upstream(&self.backend, message)
    }

    fn take(&mut self, data: &[u8]) -> Result<(), Error> {
        let document: Document = serde_json::from_slice(data)
            .map_err(|error| self.broken(&format!("it sent something that is no chunk of an answer: {error}")))?;
        if document.error.is_some_and(|error| !error.is_null()) {
            return Err(failure::from_event(&self.backend, failure::read_envelope(data), &self.expected.model));
        }
        for choice in document.choices.unwrap_or_default() {
            self.take_choice(choice)?;
        }
        // Some servers repeat it in every chunk: the last one counts.
        if let Some(usage) = document.usage.and_then(|usage| serde_json::from_value(usage).ok()) {
            self.usage = Some(usage);
        }
        Ok(())
    }

    fn take_choice(&mut self, mut choice: Choice) -> Result<(), Error> {
        let index = choice.index;
        if usize::try_from(index).is_ok_and(|index| index >= self.expected.choices) {
            return Err(self.broken(&format!("it answered with a choice {index} that was not asked for")));
        }
        let is_text = choice.text.is_some();
        let mut delta = delta_of(&mut choice);
        if is_text {
            let offset = self.written.entry(index).or_default();
            delta.logprobs = delta.logprobs.map(|logprobs| shapes::completion_logprobs(logprobs, *offset));
            *offset += delta.text.chars().count();
        }
        let is_news = !delta.text.is_empty() || delta.logprobs.is_some() || !delta.extra.is_empty();
        if is_news && self.finished.contains(&index) {
            return Err(self.broken(&format!("it went on with choice {index} after its end")));
        }
        if is_news {
            self.ready.push_back(Event::Delta(delta));
        }
        if let Some(word) = choice.finish_reason {
            let reason = finish_reason(&word)
                .ok_or_else(|| self.broken(&format!("it stopped generating (finish reason '{word}')")))?;
            if self.finished.insert(index) {
                self.ready.push_back(Event::Finish { index, reason });
            }
        }
        Ok(())
    }

    /// The answer has ended; checks that it is whole.
    fn end(&mut self) -> Result<(), Error> {
        let (finished, expected) = (self.finished.len(), self.expected.choices);
        if finished < expected {
            let message = format!("its answer ended early: {finished} of {expected} choices were finished");
            return Err(self.broken(&message));
        }
        self.ready.extend(self.usage.take().map(Event::Usage));
        Ok(())
    }
}

/// Takes out what a choice adds. The role is known, and empty parts say nothing.
fn delta_of(choice: &mut Choice) -> Delta {
    let (text, mut extra) = match choice.delta.take() {
        Some(delta) => (delta.content, delta.rest),
        None => (choice.text.take(), Map::new()),
    };
    extra.retain(|_, value| says_something(value));
    shapes::name_reasoning(&mut extra);
    let logprobs = choice.logprobs.take().filter(|logprobs| !logprobs.is_null());
    Delta { index: choice.index, text: text.unwrap_or_default(), logprobs, extra }
}

fn says_something(value: &Value) -> bool {
    !value.is_null() && value.as_array().is_none_or(|items| !items.is_empty())
}

/// The reasons of the API and the spellings of some servers. `None` (vLLM's `abort`, `error`): the
/// answer is not whole.
fn finish_reason(word: &str) -> Option<FinishReason> {
    Some(match word {
        "stop" | "eos" | "eos_token" | "end_turn" | "stop_sequence" => FinishReason::Stop,
        "length" | "max_tokens" => FinishReason::Length,
        "tool_calls" => FinishReason::ToolCalls,
        "function_call" => FinishReason::FunctionCall,
        "content_filter" => FinishReason::ContentFilter,
        _ => return None,
    })
}

#[cfg(test)]
mod tests;
