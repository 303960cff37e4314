//! Answers as the OpenAI API shapes them: whole, and as the events of a stream.

use lla_protocol::openai::{
    ChatChoice, ChatChunk, ChatChunkChoice, ChatCompletion, ChatDelta, ChatMessage, Completion, CompletionChoice,
    FinishReason, Usage,
};
use lla_protocol::sse;
use serde::Serialize;
use serde_json::{Map, Value};

use super::choices::Delta;
use super::echo::Echo;
use super::logprobs::{self, TextLogprobs};
use crate::logprobs::TokenLogprobs;

/// Which of the two routes answers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Api {
    /// `/v1/chat/completions`.
    Chat,
    /// `/v1/completions`.
    Text,
}

/// What all parts of one answer share.
#[derive(Debug, Clone)]
pub(super) struct Heading {
    api: Api,
    id: String,
    created: i64,
    model: String,
    /// Whether log-probabilities were asked for.
    logprobs: bool,
}

/// One complete choice.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// In front of `text`.
    pub(super) echo: Option<Echo>,
    pub(super) text: String,
    /// The tokens of `text`, when asked for.
    pub(super) tokens: Vec<TokenLogprobs>,
    /// `None` only before the end.
    pub(super) reason: Option<FinishReason>,
}

impl Heading {
    pub(super) fn new(api: Api, model: &str, logprobs: bool) -> Self {
        let prefix = match api {
            Api::Chat => "chatcmpl",
            Api::Text => "cmpl",
        };
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        Self {
            api,
            id: format!("{prefix}-{}", uuid::Uuid::now_v7().simple()),
            created: i64::try_from(since.as_secs()).unwrap_or(0),
            model: model.to_owned(),
            logprobs,
        }
    }

    /// The body of an answer that is not streamed.
    pub(super) fn whole(self, answers: Vec<Answer>, usage: Usage) -> Whole {
        match self.api {
            Api::Chat => Whole::Chat(ChatCompletion {
                id: self.id,
                object: "chat.completion".to_owned(),
                created: self.created,
                model: self.model,
                choices: (0..).zip(answers).map(|(index, answer)| chat_choice(index, answer, self.logprobs)).collect(),
                usage: Some(usage),
                system_fingerprint: None,
            }),
            Api::Text => Whole::Text(Completion {
                id: self.id,
                object: "text_completion".to_owned(),
                created: self.created,
                model: self.model,
                choices: (0..).zip(answers).map(|(index, answer)| whole_text(index, answer, self.logprobs)).collect(),
                usage: Some(usage),
                system_fingerprint: None,
            }),
        }
    }
}

/// See [`Heading::whole`].
#[derive(Debug, Serialize)]
#[serde(untagged)]
pub(super) enum Whole {
    Chat(ChatCompletion),
    Text(Completion),
}

fn chat_choice(index: u32, answer: Answer, logprobs: bool) -> ChatChoice {
    let logprobs = logprobs.then(|| logprobs::chat(&answer.tokens)).flatten();
    let message =
        ChatMessage { role: "assistant".to_owned(), content: Some(answer.text), refusal: None, rest: Map::new() };
    ChatChoice { index, message, logprobs, finish_reason: answer.reason.unwrap_or(FinishReason::Stop) }
}

fn whole_text(index: u32, answer: Answer, logprobs: bool) -> CompletionChoice {
    let Answer { echo, text: said, tokens, reason } = answer;
    let mut shape = TextLogprobs::default();
    let mut text = echo.map_or_else(String::new, |echo| {
        shape.echo(&echo);
        echo.text
    });
    shape.add(&said, &tokens);
    text.push_str(&said);
    let logprobs = logprobs.then(|| shape.take()).flatten();
    CompletionChoice { index, text, logprobs, finish_reason: reason }
}

fn text_choice(index: u32, text: String, finish_reason: Option<FinishReason>) -> CompletionChoice {
    CompletionChoice { index, text, logprobs: None, finish_reason }
}

/// Writes the events of one streamed answer into a buffer. The heading is made once: an event only
/// swaps what is new.
#[derive(Debug)]
pub(super) struct EventWriter {
    event: Event,
    /// One per choice of a completion that was asked for log-probabilities.
    logprobs: Vec<TextLogprobs>,
    with_logprobs: bool,
    /// Choices whose first event (the role) has been written; chat only.
    opened: Vec<bool>,
}

#[derive(Debug, Serialize)]
#[serde(untagged)]
enum Event {
    Chat(ChatChunk),
    Text(Completion),
}

impl EventWriter {
    pub(super) fn new(heading: Heading, choices: usize) -> Self {
        let Heading { api, id, created, model, logprobs: with_logprobs } = heading;
        let event = match api {
            Api::Chat => Event::Chat(ChatChunk {
                id,
                object: "chat.completion.chunk".to_owned(),
                created,
                model,
                choices: Vec::new(),
                usage: None,
                system_fingerprint: None,
            }),
            Api::Text => Event::Text(Completion {
                id,
                object: "text_completion".to_owned(),
                created,
                model,
                choices: Vec::new(),
                usage: None,
                system_fingerprint: None,
            }),
        };
        let logprobs = (0..choices).map(|_| TextLogprobs::default()).collect();
        Self { event, logprobs, with_logprobs, opened: vec![false; choices] }
    }

    /// The prompt of a completion, in front of its answer.
    pub(super) fn echo(&mut self, buffer: &mut Vec<u8>, index: u32, echo: &Echo) {
        let logprobs = self.text_logprobs(index, |shape| shape.echo(echo));
        let Event::Text(part) = &mut self.event else { return };
        part.choices = vec![CompletionChoice { logprobs, ..text_choice(index, echo.text.clone(), None) }];
        append(buffer, &self.event);
    }

    /// News of a choice.
    pub(super) fn delta(&mut self, buffer: &mut Vec<u8>, index: u32, news: Delta) {
        self.open(buffer, index);
        let logprobs = match &self.event {
            Event::Chat(_) if news.tokens.is_empty() => None,
            Event::Chat(_) => logprobs::chat(&news.tokens),
            Event::Text(_) => self.text_logprobs(index, |shape| shape.add(&news.text, &news.tokens)),
        };
        match &mut self.event {
            Event::Chat(chunk) => {
                chunk.choices = vec![ChatChunkChoice { logprobs, ..delta(index, None, Some(news.text), None) }];
            }
            Event::Text(part) => {
                part.choices = vec![CompletionChoice { logprobs, ..text_choice(index, news.text, None) }];
            }
        }
        append(buffer, &self.event);
    }

    /// What `add` adds to the lists of a choice; `None` when nobody asks.
    fn text_logprobs(&mut self, index: u32, add: impl FnOnce(&mut TextLogprobs)) -> Option<Value> {
        let shape = self.logprobs.get_mut(index as usize).filter(|_| self.with_logprobs)?;
        add(shape);
        shape.take()
    }

    /// The end of a choice.
    pub(super) fn finish(&mut self, buffer: &mut Vec<u8>, index: u32, reason: FinishReason) {
        self.open(buffer, index);
        match &mut self.event {
            Event::Chat(chunk) => chunk.choices = vec![delta(index, None, None, Some(reason))],
            Event::Text(part) => part.choices = vec![text_choice(index, String::new(), Some(reason))],
        }
        append(buffer, &self.event);
    }

    /// The usage of all choices, after all of them have ended.
    pub(super) fn usage(&mut self, buffer: &mut Vec<u8>, usage: Usage) {
        match &mut self.event {
            Event::Chat(chunk) => (chunk.choices, chunk.usage) = (Vec::new(), Some(usage)),
            Event::Text(part) => (part.choices, part.usage) = (Vec::new(), Some(usage)),
        }
        append(buffer, &self.event);
    }

    /// The role comes first in every choice of a chat, together with its first news.
    fn open(&mut self, buffer: &mut Vec<u8>, index: u32) {
        let Event::Chat(chunk) = &mut self.event else { return };
        let is_open = self.opened.get_mut(index as usize).is_none_or(|opened| std::mem::replace(opened, true));
        if !is_open {
            chunk.choices = vec![delta(index, Some("assistant".to_owned()), Some(String::new()), None)];
            append(buffer, &self.event);
        }
    }
}

fn delta(
    index: u32,
    role: Option<String>,
    content: Option<String>,
    finish_reason: Option<FinishReason>,
) -> ChatChunkChoice {
    ChatChunkChoice { index, delta: ChatDelta { role, content, rest: Map::new() }, logprobs: None, finish_reason }
}

/// Adds one event to what will be sent.
pub(super) fn append(buffer: &mut Vec<u8>, payload: &impl Serialize) {
    match sse::event(payload) {
        Ok(event) => buffer.extend_from_slice(&event),
        Err(error) => tracing::error!(%error, "an event could not be written as JSON"),
    }
}
