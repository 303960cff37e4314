//! Tries of what every server has: chat and streams; and of what stands in their answers.

use lla_inference::{Dialect, Error};
use serde_json::json;

use super::finding::Finding;
use super::talk::{Said, excerpt};

/// A question with a short answer.
pub const GREETING: &str = "Say hello to Ada in one short sentence.";
/// One whose answer comes in pieces.
pub const COUNTING: &str = "Count from one to twenty in words, separated by commas.";

/// Whether an answer came, and was whole.
#[must_use]
pub fn answer(said: &Result<Said, Error>) -> Finding {
    match said {
        Err(error) => Finding::failed(error),
        Ok(said) if said.text.trim().is_empty() && !said.thought() => Finding::no("the answer is empty"),
        Ok(said) => {
            let tokens = said.usage.map_or_else(
                || "no usage".to_owned(),
                |usage| format!("{} + {} tokens", usage.prompt_tokens, usage.completion_tokens),
            );
            let shown = if said.text.trim().is_empty() { &said.reasoning } else { &said.text };
            Finding::yes(format!("\"{}\" ({tokens}, {:.0} ms)", excerpt(shown), said.total.as_secs_f64() * 1e3))
        }
    }
}

/// Whether it came in more than one piece.
#[must_use]
pub fn stream(said: &Result<Said, Error>) -> Finding {
    match said {
        Err(error) => Finding::failed(error),
        Ok(said) if said.pieces < 2 => Finding::no("the whole answer came in one piece"),
        Ok(said) => {
            let milliseconds = |time: std::time::Duration| time.as_secs_f64() * 1e3;
            Finding::yes(format!(
                "{} pieces, the first after {:.0} of {:.0} ms",
                said.pieces,
                milliseconds(said.first),
                milliseconds(said.total)
            ))
        }
    }
}

/// The fields that ask a server not to think. Which of them it knows depends on its kind.
#[must_use]
pub fn thinking_off(dialect: Dialect) -> serde_json::Value {
    match dialect {
        Dialect::Vllm | Dialect::LlamaServer | Dialect::LlaEngine => {
            json!({"reasoning_effort": "none", "chat_template_kwargs": {"enable_thinking": false}})
        }
        _ => json!({"reasoning_effort": "none"}),
    }
}

/// Whether a model that thinks can be told not to. `before`: whether it thought when nobody said so.
#[must_use]
pub fn thinking(before: bool, said: &Result<Said, Error>) -> Finding {
    match said {
        Err(error) => Finding::refused(error),
        Ok(said) if said.thought() => Finding::no("it thinks all the same"),
        Ok(_) if before => Finding::yes("it thinks by itself, and not when it is told so"),
        Ok(_) => Finding::not_offered("this model does not think"),
    }
}

/// Whether tokens come with log-probabilities.
#[must_use]
pub fn logprobs(said: &Result<Said, Error>) -> Finding {
    match said {
        Err(error) => Finding::refused(error),
        Ok(said) if said.scored == 0 => Finding::no("they were asked for, and none came"),
        Ok(said) => Finding::yes(format!("{} tokens with theirs", said.scored)),
    }
}

#[cfg(test)]
mod tests {
    use super::super::finding::Works;
    use super::*;

    #[test]
    fn answers_are_judged() {
        let said = |text: &str, pieces| Ok(Said { text: text.to_owned(), pieces, ..Said::default() });
        let error = || Err(Error::Internal);
        assert_eq!(answer(&said("Hello Ada.", 1)).works, Works::Yes);
        assert_eq!(answer(&said(" ", 1)).works, Works::No);
        assert_eq!(answer(&error()).works, Works::No);
        assert_eq!((stream(&said("a", 1)).works, stream(&said("ab", 2)).works), (Works::No, Works::Yes));
        assert_eq!(thinking(true, &said("a", 1)).works, Works::Yes);
        assert_eq!(thinking(false, &said("a", 1)).works, Works::NotOffered);
        assert_eq!(thinking(true, &said("<think>a", 1)).works, Works::No);
        assert_eq!(logprobs(&said("a", 1)).works, Works::No);
    }
}
