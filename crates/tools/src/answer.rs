//! A model's whole answer as text.

use futures_util::StreamExt as _;
use lla_inference::{Backend, ChatRequest, Event};
use lla_protocol::openai::{FinishReason, Usage};

/// Longer answers are refused, in bytes: no tool has a use for them, and a model that repeats itself
/// would fill the memory.
const MAX_TEXT: usize = 1 << 20;

/// What a model said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answer {
    /// The text; may be empty.
    pub text: String,
    /// Why it ended. [`FinishReason::Length`]: it is not complete.
    pub finish: FinishReason,
    /// Token counts, where the backend tells them.
    pub usage: Option<Usage>,
}

/// Why there is no answer to work with.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The backend refused or failed.
    #[error(transparent)]
    Inference(#[from] lla_inference::Error),
    /// The backend ended its answer without saying why: it may be cut.
    #[error("the backend '{backend}' ended its answer without a reason")]
    Unfinished {
        /// Which backend.
        backend: String,
    },
    /// The answer is longer than any tool can use.
    #[error("the answer is longer than {limit} bytes; set 'max_tokens'")]
    TooLong {
        /// The limit in bytes.
        limit: usize,
    },
}

/// Asks for one answer and collects it. Dropping the future cancels the work.
///
/// # Errors
/// When the backend refuses or fails, or the answer is cut or too long.
pub async fn complete_text(backend: &dyn Backend, request: ChatRequest) -> Result<Answer, Error> {
    let mut events = backend.chat(ChatRequest { n: None, ..request }).await?;
    let (mut text, mut finish, mut usage) = (String::new(), None, None);
    while let Some(event) = events.next().await {
        match event? {
            Event::Delta(delta) => text.push_str(&delta.text),
            Event::Finish { reason, .. } => finish = Some(reason),
            Event::Usage(counts) => usage = Some(counts),
            Event::Progress(_) => {}
        }
        if text.len() > MAX_TEXT {
            return Err(Error::TooLong { limit: MAX_TEXT });
        }
    }
    let finish = finish.ok_or_else(|| Error::Unfinished { backend: backend.name().to_owned() })?;
    Ok(Answer { text, finish, usage })
}

#[cfg(test)]
mod tests {
    use lla_inference::{MockBackend, Script};
    use lla_protocol::openai::{Message, Role, Sampling};

    use super::*;

    async fn answer(script: Script) -> (Result<Answer, Error>, usize) {
        let mock = MockBackend::new("m").with_script(script);
        let request = ChatRequest {
            model: "m".to_owned(),
            messages: vec![Message::text(Role::User, "say it")],
            sampling: Sampling::default(),
            max_tokens: None,
            n: Some(3),
            extra: serde_json::Map::new(),
        };
        let answer = complete_text(&mock, request).await;
        (answer, mock.running())
    }

    #[tokio::test]
    async fn the_whole_answer_comes_with_its_counts() {
        let usage = Some(Usage::new(2, 3));
        let expected = Answer { text: "one two three".to_owned(), finish: FinishReason::Stop, usage };
        assert_eq!(answer(Script::text("one two three")).await, (Ok(expected), 0));
    }

    #[tokio::test]
    async fn no_answer_is_a_typed_error() {
        let broken = lla_inference::Error::upstream("m", "broke");
        let script = Script::ErrorMidStream { text: "one".to_owned(), error: broken.clone() };
        assert_eq!(answer(script).await.0, Err(Error::Inference(broken.clone())));
        assert_eq!(answer(Script::Refuse(broken.clone())).await.0, Err(Error::Inference(broken)));
        let cut = answer(Script::Truncated { text: "one".to_owned() }).await.0;
        assert_eq!(cut, Err(Error::Unfinished { backend: "m".to_owned() }));
        let endless = answer(Script::text("x".repeat(MAX_TEXT + 1))).await;
        assert_eq!(endless, (Err(Error::TooLong { limit: MAX_TEXT }), 0));
    }
}
