//! Finds the end of a JSON value in a text that arrives in pieces, and where it stops being JSON.

use serde_json::Value;

/// What a character did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Step {
    /// The value goes on.
    More,
    /// The value ends with this character.
    Done,
    /// The value, a bare word or number, ended before this character.
    DoneBefore,
    /// No JSON value goes on like this.
    Broken,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Nest {
    Object,
    Array,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Value,
    FirstItem,
    FirstKey,
    Key,
    Colon,
    AfterValue,
    /// In a string; `true`: it names a member.
    Text(bool),
    /// After a backslash in such a string.
    Escape(bool),
    /// This many hexadecimal digits are missing.
    Hex(bool, u8),
    Scalar,
}

/// Reads one value, character by character.
#[derive(Debug)]
pub(super) struct Scanner {
    nests: Vec<Nest>,
    state: State,
    /// A word or number under way.
    scalar: String,
}

impl Scanner {
    pub(super) fn new() -> Self {
        Self { nests: Vec::new(), state: State::Value, scalar: String::new() }
    }

    /// Takes the next character.
    pub(super) fn push(&mut self, char: char) -> Step {
        match self.state {
            State::Text(is_key) => self.in_text(char, is_key),
            State::Escape(is_key) => match char {
                'u' => self.go(State::Hex(is_key, 4)),
                '"' | '\\' | '/' | 'b' | 'f' | 'n' | 'r' | 't' => self.go(State::Text(is_key)),
                _ => Step::Broken,
            },
            State::Hex(is_key, missing) => match (char.is_ascii_hexdigit(), missing) {
                (false, _) => Step::Broken,
                (true, 1) => self.go(State::Text(is_key)),
                (true, _) => self.go(State::Hex(is_key, missing - 1)),
            },
            State::Scalar => self.in_scalar(char),
            _ if matches!(char, ' ' | '\t' | '\n' | '\r') => Step::More,
            State::Value | State::FirstItem => self.begin_value(char),
            State::FirstKey | State::Key => match char {
                '"' => self.go(State::Text(true)),
                '}' if self.state == State::FirstKey => self.close(Nest::Object),
                _ => Step::Broken,
            },
            State::Colon if char == ':' => self.go(State::Value),
            State::Colon => Step::Broken,
            State::AfterValue => match (char, self.nests.last()) {
                (',', Some(Nest::Object)) => self.go(State::Key),
                (',', Some(Nest::Array)) => self.go(State::Value),
                ('}', _) => self.close(Nest::Object),
                (']', _) => self.close(Nest::Array),
                _ => Step::Broken,
            },
        }
    }

    fn go(&mut self, state: State) -> Step {
        self.state = state;
        Step::More
    }

    fn in_text(&mut self, char: char, is_key: bool) -> Step {
        match char {
            '"' if is_key => self.go(State::Colon),
            '"' => self.end_value(),
            '\\' => self.go(State::Escape(is_key)),
            // Line breaks within strings are not JSON.
            '\0'..='\u{1f}' => Step::Broken,
            _ => Step::More,
        }
    }

    fn in_scalar(&mut self, char: char) -> Step {
        if char.is_ascii_alphanumeric() || matches!(char, '+' | '-' | '.') {
            self.scalar.push(char);
            return Step::More;
        }
        if serde_json::from_str::<Value>(&self.scalar).is_err() {
            return Step::Broken;
        }
        match self.end_value() {
            Step::Done => Step::DoneBefore,
            _ => self.push(char),
        }
    }

    fn begin_value(&mut self, char: char) -> Step {
        match char {
            '{' => {
                self.nests.push(Nest::Object);
                self.go(State::FirstKey)
            }
            '[' => {
                self.nests.push(Nest::Array);
                self.go(State::FirstItem)
            }
            ']' if self.state == State::FirstItem => self.close(Nest::Array),
            '"' => self.go(State::Text(false)),
            '-' | '0'..='9' | 't' | 'f' | 'n' => {
                self.scalar.clear();
                self.scalar.push(char);
                self.go(State::Scalar)
            }
            _ => Step::Broken,
        }
    }

    fn close(&mut self, nest: Nest) -> Step {
        if self.nests.pop() == Some(nest) { self.end_value() } else { Step::Broken }
    }

    fn end_value(&mut self) -> Step {
        self.state = State::AfterValue;
        if self.nests.is_empty() { Step::Done } else { Step::More }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many characters belong to the value, if it is one.
    fn length(text: &str) -> Option<usize> {
        let mut scanner = Scanner::new();
        for (index, char) in text.chars().enumerate() {
            match scanner.push(char) {
                Step::More => {}
                Step::Done => return Some(index + 1),
                Step::DoneBefore => return Some(index),
                Step::Broken => return None,
            }
        }
        None
    }

    #[test]
    fn values_end_where_json_says() {
        for (text, wanted) in [
            (r#"{} x"#, Some(2)),
            (r#"{"a": [1, -2.5e3, "}\"\u00e4", {"b": null}], "c": true} }"#, Some(55)),
            (r#""a\\" "#, Some(5)),
            ("12,", Some(2)),
            ("[ ]", Some(3)),
            ("{\"a\": \"x\ny\"}", None),
            (r#"{"a" 1}"#, None),
            (r#"{"a": 1,}"#, None),
            (r#"{"a": nul}"#, None),
            (r#"{"a": 01}"#, None),
            (r#"[1}"#, None),
            (r#"{"a": "\x"}"#, None),
            (r#"{'a': 1}"#, None),
            (r#"{"a": 1"#, None),
        ] {
            assert_eq!(length(text), wanted, "{text}");
        }
    }
}
