//! Answers as the OpenAI API shapes them: whole, and as the events of a stream.

use lla_protocol::openai::{
    ChatChoice, ChatChunk, ChatChunkChoice, ChatCompletion, ChatDelta, ChatMessage, Completion, CompletionChoice,
    FinishReason, Usage,
};
use lla_protocol::sse;
use serde::Serialize;
use serde_json::{Map, Value, json};

use super::choices::{CallDelta, Delta};
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

/// One choice as far as it is known.
#[derive(Debug, Default)]
pub(super) struct Answer {
    /// In front of `text`.
    pub(super) echo: Option<Echo>,
    text: String,
    /// The tokens of the answer, when asked for.
    tokens: Vec<TokenLogprobs>,
    reasoning: String,
    calls: Vec<Call>,
    /// `None`: it goes on.
    pub(super) reason: Option<FinishReason>,
}

/// A call of an [`Answer`].
#[derive(Debug)]
struct Call {
    index: u32,
    id: String,
    name: String,
    arguments: String,
}

impl Answer {
    /// Appends the news.
    pub(super) fn add(&mut self, delta: Delta) {
        self.text.push_str(&delta.text);
        self.tokens.extend(delta.tokens);
        self.reasoning.push_str(&delta.reasoning);
        for call in delta.calls {
            match call {
                CallDelta::Start { index, id, name } => {
                    self.calls.push(Call { index, id, name, arguments: String::new() });
                }
                CallDelta::Arguments { index, text } => {
                    let call = self.calls.iter_mut().find(|call| call.index == index);
                    call.into_iter().for_each(|call| call.arguments.push_str(&text));
                }
            }
        }
        self.calls.retain(|call| !delta.dropped.contains(&call.index));
    }

    fn reason(&self) -> FinishReason {
        self.reason.unwrap_or(FinishReason::Stop)
    }
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

fn whole_text(index: u32, answer: Answer, logprobs: bool) -> CompletionChoice {
    let finish_reason = Some(answer.reason());
    let Answer { echo, text: said, tokens, .. } = answer;
    let mut shape = TextLogprobs::default();
    let mut text = echo.map_or_else(String::new, |echo| {
        shape.echo(&echo);
        echo.text
    });
    shape.add(&said, &tokens);
    text.push_str(&said);
    let logprobs = logprobs.then(|| shape.take()).flatten();
    CompletionChoice { index, text, logprobs, finish_reason }
}

fn chat_choice(index: u32, answer: Answer, logprobs: bool) -> ChatChoice {
    let logprobs = logprobs.then(|| logprobs::chat(&answer.tokens)).flatten();
    let finish_reason = answer.reason();
    let mut rest = reasoning_fields(answer.reasoning);
    let only_calls = answer.text.is_empty() && !answer.calls.is_empty();
    if !answer.calls.is_empty() {
        let calls = answer.calls.into_iter().map(|Call { id, name, arguments, .. }| {
            json!({"id": id, "type": "function", "function": {"name": name, "arguments": arguments}})
        });
        rest.insert("tool_calls".to_owned(), calls.collect());
    }
    let content = (!only_calls).then_some(answer.text);
    let message = ChatMessage { role: "assistant".to_owned(), content, refusal: None, rest };
    ChatChoice { index, message, logprobs, finish_reason }
}

/// Reasoning under both names in use: `reasoning_content` (DeepSeek, llama-server, older vLLM) and
/// `reasoning` (vLLM).
fn reasoning_fields(text: String) -> Map<String, Value> {
    let mut fields = Map::new();
    if !text.is_empty() {
        fields.insert("reasoning_content".to_owned(), Value::String(text.clone()));
        fields.insert("reasoning".to_owned(), Value::String(text));
    }
    fields
}

/// A call's news as OpenAI streams them: what it is comes first, with empty arguments, and then the
/// arguments.
fn call_fields(news: CallDelta) -> Map<String, Value> {
    let call = match news {
        CallDelta::Start { index, id, name } => {
            json!({"index": index, "id": id, "type": "function", "function": {"name": name, "arguments": ""}})
        }
        CallDelta::Arguments { index, text } => json!({"index": index, "function": {"arguments": text}}),
    };
    Map::from_iter([("tool_calls".to_owned(), Value::Array(vec![call]))])
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
            Event::Chat(_) => self.chat_delta(buffer, index, news, logprobs),
            Event::Text(part) => {
                part.choices = vec![CompletionChoice { logprobs, ..text_choice(index, news.text, None) }];
                append(buffer, &self.event);
            }
        }
    }

    /// Reasoning, text and each call's news are events of their own, as clients know them. The first of
    /// them carries the log-probabilities.
    fn chat_delta(&mut self, buffer: &mut Vec<u8>, index: u32, news: Delta, mut logprobs: Option<Value>) {
        let silent = news.calls.is_empty() && news.reasoning.is_empty();
        let reasoning = Some(news.reasoning).filter(|text| !text.is_empty()).map(reasoning_fields);
        let said = Some(news.text).filter(|text| silent || !text.is_empty());
        let text = said.map(|text| ChatDelta { content: Some(text), ..ChatDelta::default() });
        let others = |rest| ChatDelta { rest, ..ChatDelta::default() };
        let deltas =
            reasoning.map(others).into_iter().chain(text).chain(news.calls.into_iter().map(call_fields).map(others));
        for delta in deltas {
            let Event::Chat(chunk) = &mut self.event else { return };
            chunk.choices = vec![ChatChunkChoice { index, delta, logprobs: logprobs.take(), finish_reason: None }];
            append(buffer, &self.event);
        }
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
