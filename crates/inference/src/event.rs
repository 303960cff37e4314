//! What a backend answers with: one stream of events, however it is sent on later.

use std::pin::Pin;

use futures_util::Stream;
use lla_protocol::openai::{FinishReason, Usage};
use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::Error;

/// One piece of an answer.
#[derive(Debug, Clone, PartialEq)]
pub enum Event {
    /// Something to append to a choice.
    Delta(Delta),
    /// A choice has ended; nothing more follows for it.
    Finish {
        /// Which choice.
        index: u32,
        /// Why.
        reason: FinishReason,
    },
    /// Token counts of the whole request; at most once, after every choice has ended.
    Usage(Usage),
    /// What is going on before the answer begins (a model is being loaded), in words for the caller.
    /// Not part of the answer: streams show it as a comment.
    Progress(String),
}

/// What is appended to a choice. Text is valid UTF-8 in itself: characters are never cut.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Delta {
    /// Which choice.
    pub index: u32,
    /// Text; may be empty when `logprobs` or `extra` carry something.
    pub text: String,
    /// Log-probabilities of the tokens in `text`, in the shape of the API that was asked.
    pub logprobs: Option<Value>,
    /// Other parts of a message delta, as OpenAI streams them (`tool_calls`, `reasoning_content`).
    pub extra: Map<String, Value>,
}

impl Event {
    /// A delta of plain text.
    #[must_use]
    pub fn text(index: u32, text: impl Into<String>) -> Self {
        Self::Delta(Delta { index, text: text.into(), ..Delta::default() })
    }

    /// A delta that is a whole call of a function, the `place`-th of its choice. `arguments` are the text of a JSON
    /// object; a call that the server gave no `id` gets one.
    pub(crate) fn call(index: u32, place: u32, id: Option<String>, name: &str, arguments: &str) -> Self {
        let id = id.filter(|id| !id.is_empty()).unwrap_or_else(|| format!("call_{}", Uuid::new_v4().simple()));
        let function = json!({"name": name, "arguments": arguments});
        let calls = json!([{"index": place, "id": id, "type": "function", "function": function}]);
        let extra = Map::from_iter([("tool_calls".to_owned(), calls)]);
        Self::Delta(Delta { index, extra, ..Delta::default() })
    }
}

/// An answer under way.
///
/// Contract: per choice any number of `Delta`, then one `Finish`; then at most one `Usage`; then the
/// stream ends. `Progress` may come at any time. An `Err` is the last item. **Dropping the stream cancels the work** all the way down
/// to the running sequence.
pub type EventStream = Pin<Box<dyn Stream<Item = Result<Event, Error>> + Send>>;
