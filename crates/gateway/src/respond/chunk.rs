//! Events -> the bytes of server-sent events, in the shape of the API that was called.

use std::collections::HashSet;

use lla_inference::{Delta, Event};
use lla_protocol::openai::{ChatChunk, ChatChunkChoice, ChatDelta, Completion, CompletionChoice, Usage};
use lla_protocol::sse;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{Api, Identity};
use crate::error::ApiError;

/// Writes the chunks of one answer.
#[derive(Debug)]
pub(super) struct ChunkWriter {
    /// Written again and again with other choices: the rest of a chunk stays the same.
    chunk: Chunk,
    include_usage: bool,
    /// Chat choices whose first chunk, the one with the role, has been written.
    begun: HashSet<u32>,
}

#[derive(Debug)]
enum Chunk {
    Chat(ChatChunk),
    Text(Completion),
}

impl ChunkWriter {
    pub(super) fn new(api: Api, identity: Identity, include_usage: bool) -> Self {
        let Identity { id, created, model } = identity;
        let (choices, usage, system_fingerprint) = (Vec::with_capacity(1), None, None);
        let chunk = match api {
            Api::Chat => {
                let object = "chat.completion.chunk".to_owned();
                Chunk::Chat(ChatChunk { id, object, created, model, choices, usage, system_fingerprint })
            }
            Api::Completion => {
                let (object, choices) = ("text_completion".to_owned(), Vec::with_capacity(1));
                Chunk::Text(Completion { id, object, created, model, choices, usage, system_fingerprint })
            }
        };
        Self { chunk, include_usage, begun: HashSet::new() }
    }

    /// Appends the chunks for `event` to `out`.
    pub(super) fn write(&mut self, event: Event, out: &mut Vec<u8>) {
        match (&mut self.chunk, event) {
            (Chunk::Chat(chunk), Event::Delta(delta)) => {
                begin(&mut self.begun, delta.index, chunk, out);
                chat_delta(delta, chunk, out);
            }
            (Chunk::Chat(chunk), Event::Finish { index, reason }) => {
                begin(&mut self.begun, index, chunk, out);
                let (delta, logprobs, finish_reason) = (ChatDelta::default(), None, Some(reason));
                chat_choice(ChatChunkChoice { index, delta, logprobs, finish_reason }, chunk, out);
            }
            (Chunk::Text(chunk), Event::Delta(Delta { index, text, logprobs, .. })) => {
                text_choice(CompletionChoice { index, text, logprobs, finish_reason: None }, chunk, out);
            }
            (Chunk::Text(chunk), Event::Finish { index, reason }) => {
                let last = CompletionChoice { index, text: String::new(), logprobs: None, finish_reason: Some(reason) };
                text_choice(last, chunk, out);
            }
            (_, Event::Usage(usage)) if self.include_usage => self.usage(usage, out),
            (_, Event::Usage(_)) => {}
            (_, Event::Progress(text)) => out.extend_from_slice(sse::comment(&text).as_bytes()),
        }
    }

    /// Appends the end of a complete answer.
    pub(super) fn done(out: &mut Vec<u8>) {
        out.extend_from_slice(sse::DONE.as_bytes());
    }

    /// Appends an error; the stream ends with it, without `[DONE]`.
    pub(super) fn error(error: &ApiError, out: &mut Vec<u8>) {
        append(&error.body(), out);
    }

    /// The counts come last, in a chunk of their own.
    fn usage(&mut self, usage: Usage, out: &mut Vec<u8>) {
        match &mut self.chunk {
            Chunk::Chat(chunk) => {
                chunk.choices.clear();
                append(&ChatChunk { usage: Some(usage), ..chunk.clone() }, out);
            }
            Chunk::Text(chunk) => {
                chunk.choices.clear();
                append(&Completion { usage: Some(usage), ..chunk.clone() }, out);
            }
        }
    }
}

/// The role comes first, in a chunk of its own.
fn begin(begun: &mut HashSet<u32>, index: u32, chunk: &mut ChatChunk, out: &mut Vec<u8>) {
    if begun.insert(index) {
        let mut rest = Map::new();
        rest.insert("refusal".to_owned(), Value::Null);
        let delta = ChatDelta { role: Some("assistant".to_owned()), content: Some(String::new()), rest };
        chat_choice(ChatChunkChoice { index, delta, logprobs: None, finish_reason: None }, chunk, out);
    }
}

fn chat_delta(delta: Delta, chunk: &mut ChatChunk, out: &mut Vec<u8>) {
    // A delta that only carries calls or log-probabilities has no text to append.
    let silent = delta.text.is_empty() && (!delta.extra.is_empty() || delta.logprobs.is_some());
    let content = (!silent).then_some(delta.text);
    let (index, logprobs) = (delta.index, delta.logprobs);
    let delta = ChatDelta { role: None, content, rest: delta.extra };
    chat_choice(ChatChunkChoice { index, delta, logprobs, finish_reason: None }, chunk, out);
}

fn chat_choice(choice: ChatChunkChoice, chunk: &mut ChatChunk, out: &mut Vec<u8>) {
    chunk.choices.clear();
    chunk.choices.push(choice);
    append(chunk, out);
}

fn text_choice(choice: CompletionChoice, chunk: &mut Completion, out: &mut Vec<u8>) {
    chunk.choices.clear();
    chunk.choices.push(choice);
    append(chunk, out);
}

fn append(payload: &impl Serialize, out: &mut Vec<u8>) {
    // Only maps with keys that are not strings can not be written, and no chunk has one.
    if let Err(error) = sse::append_event(payload, out) {
        tracing::error!(%error, "a chunk can not be written as JSON");
    }
}
