//! Reads an answer while it comes in: when its tokens came, and how many there were.

use std::time::Instant;

use lla_protocol::openai::Usage;
use serde_json::Value;

use super::measure::{Answer, Fault};

/// Longest text of a server that is shown.
const MAX_MESSAGE: usize = 300;

/// A fault of this kind, its message cut to a length that can be shown.
#[must_use]
pub fn fault(kind: &str, message: String) -> Fault {
    let message = match message.char_indices().nth(MAX_MESSAGE) {
        Some((end, _)) => format!("{}…", &message[..end]),
        None => message,
    };
    Fault { kind: kind.to_owned(), message }
}

/// An answer while it comes in.
#[derive(Debug)]
pub struct Reading {
    begin: Instant,
    first: Option<Instant>,
    last: Option<Instant>,
    pieces: u32,
    finished: bool,
    usage: Option<Usage>,
    model: Option<String>,
}

impl Reading {
    /// Of a request that was sent at `begin`.
    #[must_use]
    pub fn new(begin: Instant) -> Self {
        Self { begin, first: None, last: None, pieces: 0, finished: false, usage: None, model: None }
    }

    /// Takes an event of a stream that came at `now`.
    ///
    /// # Errors
    /// When it is an error, or no event of an answer.
    pub fn take(&mut self, event: &[u8], now: Instant) -> Result<(), Fault> {
        let said = self.document(event)?;
        if said {
            self.first.get_or_insert(now);
            self.last = Some(now);
            self.pieces += 1;
        }
        Ok(())
    }

    /// Reads a chunk, or a whole answer; whether it says something that a model wrote.
    ///
    /// # Errors
    /// When it is an error, or no JSON.
    pub fn document(&mut self, text: &[u8]) -> Result<bool, Fault> {
        let document: Value = serde_json::from_slice(text)
            .map_err(|error| fault("bad answer", format!("what came is no JSON: {error}")))?;
        if let Some(error) = document.get("error").filter(|error| !error.is_null()) {
            let message = error["message"].as_str().map_or_else(|| error.to_string(), str::to_owned);
            return Err(fault("error in the answer", message));
        }
        // Some servers repeat it in every chunk: the last one counts.
        if let Ok(usage) = serde_json::from_value(document["usage"].clone()) {
            self.usage = Some(usage);
        }
        if self.model.is_none() {
            self.model = document["model"].as_str().map(str::to_owned);
        }
        let mut said = false;
        for choice in document["choices"].as_array().into_iter().flatten() {
            self.finished |= choice["finish_reason"].is_string();
            let parts = [&choice["delta"], &choice["message"]];
            said |= parts.iter().any(|part| says_something(part));
        }
        Ok(said)
    }

    /// Whether the answer came to its end.
    ///
    /// # Errors
    /// When it did not.
    pub fn checked(&self) -> Result<(), Fault> {
        if self.finished {
            return Ok(());
        }
        Err(fault("broken off", "the answer ended without a finish_reason".to_owned()))
    }

    /// The times and counts, and the model that answered.
    #[must_use]
    pub fn end(self) -> (Answer, Option<String>) {
        let counted_by_server = self.usage.is_some();
        let output_tokens = match &self.usage {
            Some(usage) => Some(usage.completion_tokens),
            None => (self.pieces > 0).then_some(self.pieces),
        };
        let per_token = match (self.first, self.last, output_tokens) {
            (Some(first), Some(last), Some(tokens)) if tokens > 1 && self.pieces > 1 => {
                Some(last.duration_since(first) / (tokens - 1))
            }
            _ => None,
        };
        let answer = Answer {
            first_token: self.first.map(|first| first.duration_since(self.begin)),
            per_token,
            end_to_end: self.begin.elapsed(),
            input_tokens: self.usage.map(|usage| usage.prompt_tokens),
            output_tokens,
            counted_by_server,
        };
        (answer, self.model)
    }
}

/// Text, reasoning (under either name) or a call.
fn says_something(part: &Value) -> bool {
    let texts = ["content", "reasoning_content", "reasoning"];
    texts.iter().any(|name| part[name].as_str().is_some_and(|text| !text.is_empty()))
        || part["tool_calls"].as_array().is_some_and(|calls| !calls.is_empty())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    fn read(events: &[&str]) -> Result<Answer, Fault> {
        let begin = Instant::now();
        let mut reading = Reading::new(begin);
        for (event, milliseconds) in events.iter().zip([10, 20, 40, 60]) {
            reading.take(event.as_bytes(), begin + Duration::from_millis(milliseconds))?;
        }
        reading.checked()?;
        Ok(reading.end().0)
    }

    #[test]
    fn first_token_pace_and_counts() {
        let role = r#"{"choices":[{"delta":{"role":"assistant","content":""}}]}"#;
        let text = r#"{"choices":[{"delta":{"content":"a"}}]}"#;
        let end = r#"{"choices":[{"delta":{"reasoning_content":"b"},"finish_reason":"length"}]}"#;
        let usage = r#"{"choices":[],"usage":{"prompt_tokens":7,"completion_tokens":5,"total_tokens":12}}"#;
        let found = read(&[role, text, end, usage]).expect("whole");
        let milliseconds = Duration::from_millis;
        assert_eq!((found.first_token, found.per_token), (Some(milliseconds(20)), Some(milliseconds(5))));
        assert_eq!((found.input_tokens, found.output_tokens, found.counted_by_server), (Some(7), Some(5), true));

        let found = read(&[text, text, end]).expect("whole");
        assert_eq!((found.per_token, found.output_tokens), (Some(milliseconds(15)), Some(3)));
        assert_eq!((found.input_tokens, found.counted_by_server), (None, false));
    }

    #[test]
    fn an_answer_that_is_none_is_a_fault() {
        for (events, kind) in [
            (&[r#"{"choices":[{"delta":{"content":"a"}}]}"#][..], "broken off"),
            (&[r#"{"error":{"message":"out of memory"}}"#], "error in the answer"),
            (&["<html>"], "bad answer"),
            (&[], "broken off"),
        ] {
            assert_eq!(read(events).expect_err(kind).kind, kind);
        }
    }
}
