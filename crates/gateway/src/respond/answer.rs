//! The whole answer: deltas of each choice put together.

use lla_inference::{Delta, Event};
use lla_protocol::openai::{
    ChatChoice, ChatCompletion, ChatMessage, Completion, CompletionChoice, FinishReason, Usage,
};
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};

use super::merge::{drop_indexes, grow, merge};
use super::{Api, Identity};

/// An answer in the making; written as the API's JSON when it is complete.
#[derive(Debug)]
pub(super) struct Answer {
    api: Api,
    identity: Identity,
    choices: Vec<Choice>,
    usage: Option<Usage>,
}

#[derive(Debug, Clone, Default)]
struct Choice {
    text: String,
    extra: Map<String, Value>,
    /// In the shape of the API that was asked.
    logprobs: Map<String, Value>,
    finish: Option<FinishReason>,
}

impl Answer {
    pub(super) fn new(api: Api, identity: Identity, choices: usize) -> Self {
        Self { api, identity, choices: vec![Choice::default(); choices], usage: None }
    }

    /// Adds an event; those for unknown choices were refused before.
    pub(super) fn add(&mut self, event: Event) {
        match event {
            Event::Delta(delta) => {
                if let Some(choice) = self.choices.get_mut(delta.index as usize) {
                    choice.add(delta);
                }
            }
            Event::Finish { index, reason } => {
                if let Some(choice) = self.choices.get_mut(index as usize) {
                    choice.finish = Some(reason);
                }
            }
            Event::Usage(usage) => self.usage = Some(usage),
            Event::Progress(_) => {}
        }
    }

    fn chat(&self) -> ChatCompletion {
        let choice = |(index, choice): (u32, &Choice)| ChatChoice {
            index,
            message: choice.message(),
            logprobs: choice.logprobs(),
            finish_reason: choice.finish.unwrap_or(FinishReason::Stop),
        };
        ChatCompletion {
            id: self.identity.id.clone(),
            object: "chat.completion".to_owned(),
            created: self.identity.created,
            model: self.identity.model.clone(),
            choices: (0..).zip(&self.choices).map(choice).collect(),
            usage: self.usage,
            system_fingerprint: None,
        }
    }

    fn completion(&self) -> Completion {
        let choice = |(index, choice): (u32, &Choice)| CompletionChoice {
            index,
            text: choice.text.clone(),
            logprobs: choice.logprobs(),
            finish_reason: choice.finish,
        };
        Completion {
            id: self.identity.id.clone(),
            object: "text_completion".to_owned(),
            created: self.identity.created,
            model: self.identity.model.clone(),
            choices: (0..).zip(&self.choices).map(choice).collect(),
            usage: self.usage,
            system_fingerprint: None,
        }
    }
}

impl Serialize for Answer {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self.api {
            Api::Chat => self.chat().serialize(serializer),
            Api::Completion => self.completion().serialize(serializer),
        }
    }
}

impl Choice {
    fn add(&mut self, delta: Delta) {
        self.text.push_str(&delta.text);
        merge(&mut self.extra, delta.extra);
        if let Some(Value::Object(logprobs)) = delta.logprobs {
            grow(&mut self.logprobs, logprobs);
        }
    }

    fn logprobs(&self) -> Option<Value> {
        (!self.logprobs.is_empty()).then(|| Value::Object(self.logprobs.clone()))
    }

    /// `content` is `null` only when the message is nothing but calls, as the official API has it.
    fn message(&self) -> ChatMessage {
        let mut rest = self.extra.clone();
        drop_indexes(&mut rest);
        let refusal = rest.shift_remove("refusal").and_then(|refusal| refusal.as_str().map(str::to_owned));
        let only_calls = self.text.is_empty() && (rest.contains_key("tool_calls") || refusal.is_some());
        ChatMessage { role: "assistant".to_owned(), content: (!only_calls).then(|| self.text.clone()), refusal, rest }
    }
}
