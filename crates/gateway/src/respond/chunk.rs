//! Events -> the bytes of server-sent events, in the shape of the API that was called.

use std::collections::HashSet;

use lla_inference::{Delta, Event};
use lla_protocol::openai::{ChatChunk, ChatChunkChoice, ChatDelta, Completion, CompletionChoice, FinishReason, Usage};
use lla_protocol::sse;
use serde::Serialize;
use serde_json::{Map, Value};

use super::{Api, Identity};
use crate::error::ApiError;

/// Writes the chunks of one answer.
#[derive(Debug)]
pub(super) struct ChunkWriter {
    api: Api,
    identity: Identity,
    include_usage: bool,
    /// Chat choices whose first chunk, the one with the role, has been written.
    begun: HashSet<u32>,
}

impl ChunkWriter {
    pub(super) fn new(api: Api, identity: Identity, include_usage: bool) -> Self {
        Self { api, identity, include_usage, begun: HashSet::new() }
    }

    /// Appends the chunks for `event` to `out`.
    pub(super) fn write(&mut self, event: Event, out: &mut Vec<u8>) {
        match (self.api, event) {
            (Api::Chat, Event::Delta(delta)) => {
                self.begin(delta.index, out);
                self.chat_delta(delta, out);
            }
            (Api::Chat, Event::Finish { index, reason }) => {
                self.begin(index, out);
                self.chat_choice(index, ChatDelta::default(), None, Some(reason), out);
            }
            (Api::Completion, Event::Delta(Delta { index, text, logprobs, .. })) => {
                self.text_choice(CompletionChoice { index, text, logprobs, finish_reason: None }, out);
            }
            (Api::Completion, Event::Finish { index, reason }) => {
                let last = CompletionChoice { index, text: String::new(), logprobs: None, finish_reason: Some(reason) };
                self.text_choice(last, out);
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

    /// The role comes first, in a chunk of its own.
    fn begin(&mut self, index: u32, out: &mut Vec<u8>) {
        if self.begun.insert(index) {
            let mut rest = Map::new();
            rest.insert("refusal".to_owned(), Value::Null);
            let delta = ChatDelta { role: Some("assistant".to_owned()), content: Some(String::new()), rest };
            self.chat_choice(index, delta, None, None, out);
        }
    }

    fn chat_delta(&self, delta: Delta, out: &mut Vec<u8>) {
        // A delta that only carries calls or log-probabilities has no text to append.
        let silent = delta.text.is_empty() && (!delta.extra.is_empty() || delta.logprobs.is_some());
        let content = (!silent).then_some(delta.text);
        let news = ChatDelta { role: None, content, rest: delta.extra };
        self.chat_choice(delta.index, news, delta.logprobs, None, out);
    }

    fn chat_choice(
        &self,
        index: u32,
        delta: ChatDelta,
        logprobs: Option<Value>,
        finish_reason: Option<FinishReason>,
        out: &mut Vec<u8>,
    ) {
        let choice = ChatChunkChoice { index, delta, logprobs, finish_reason };
        append(&self.chat_chunk(vec![choice], None), out);
    }

    fn text_choice(&self, choice: CompletionChoice, out: &mut Vec<u8>) {
        append(&self.text_chunk(vec![choice], None), out);
    }

    fn usage(&self, usage: Usage, out: &mut Vec<u8>) {
        match self.api {
            Api::Chat => append(&self.chat_chunk(Vec::new(), Some(usage)), out),
            Api::Completion => append(&self.text_chunk(Vec::new(), Some(usage)), out),
        }
    }

    fn chat_chunk(&self, choices: Vec<ChatChunkChoice>, usage: Option<Usage>) -> ChatChunk {
        ChatChunk {
            id: self.identity.id.clone(),
            object: "chat.completion.chunk".to_owned(),
            created: self.identity.created,
            model: self.identity.model.clone(),
            choices,
            usage,
            system_fingerprint: None,
        }
    }

    fn text_chunk(&self, choices: Vec<CompletionChoice>, usage: Option<Usage>) -> Completion {
        Completion {
            id: self.identity.id.clone(),
            object: "text_completion".to_owned(),
            created: self.identity.created,
            model: self.identity.model.clone(),
            choices,
            usage,
            system_fingerprint: None,
        }
    }
}

fn append(payload: &impl Serialize, out: &mut Vec<u8>) {
    match sse::event(payload) {
        Ok(bytes) => out.extend_from_slice(&bytes),
        // Only maps with keys that are not strings can not be written, and no chunk has one.
        Err(error) => tracing::error!(%error, "a chunk can not be written as JSON"),
    }
}
