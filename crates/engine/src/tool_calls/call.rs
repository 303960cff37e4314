//! Reads one call: `{"name": …, "arguments": {…}}`, or a header with the name and then `{…}`.

use serde_json::Value;

use super::family::Family;
use super::scan::{Scanner, Step};

/// Longest text between a marker and the arguments in bytes.
pub(super) const LONGEST_HEADER: usize = 256;

/// What became known of a call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Part {
    /// The call is real: its name is one of the tools', and its arguments begin.
    Start(String),
    /// Text of the arguments to append.
    Arguments(String),
}

/// A call under way, in one of the formats.
pub(super) trait Call: std::fmt::Debug + Send + Sync {
    /// [`Part::Start`] has gone out.
    fn started(&self) -> bool;

    /// All that was read, from the marker on.
    fn into_raw(self: Box<Self>) -> String;

    /// Takes the next character. `known`: the names of the tools.
    fn push(&mut self, char: char, known: &[String], parts: &mut Vec<Part>) -> Progress;
}

/// How the call goes on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Progress {
    More,
    /// The call ends with this character.
    Done,
    /// It is no call; the character has not been taken.
    Broken,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Field {
    Name,
    Arguments,
    /// `id`, `type`: read over.
    Other,
}

#[derive(Debug)]
enum State {
    /// Before the first brace.
    Open,
    /// Behind the first brace, or (`false`) behind a comma.
    Key(bool),
    InKey(String),
    Colon(Field),
    /// In a value; its text is kept unless it can go out at once.
    Value(Field, Scanner, String),
    /// Behind a value.
    Next,
    Header(String),
}

/// One call under way.
#[derive(Debug)]
pub(super) struct CallReader {
    family: Family,
    /// All that was read, from the marker on.
    raw: String,
    state: State,
    /// The name stands in a header: the call ends with its arguments.
    headed: bool,
    /// Only with blanks behind the colons it is a call.
    spaced: bool,
    name: Option<String>,
    /// Arguments that came before the name.
    early: Option<String>,
    started: bool,
}

impl CallReader {
    /// A call as one object; the next character is its brace. `raw`: what was read before; `spaced`: it
    /// has blanks behind the colons, or is no call.
    pub(super) fn object(family: Family, raw: String, spaced: bool) -> Self {
        Self { spaced, ..Self::new(family, raw, State::Open, false) }
    }

    /// A call with its name in front of the arguments.
    pub(super) fn headed(family: Family, raw: String) -> Self {
        Self::new(family, raw, State::Header(String::new()), true)
    }

    fn new(family: Family, raw: String, state: State, headed: bool) -> Self {
        Self { family, raw, state, headed, spaced: false, name: None, early: None, started: false }
    }

    fn advance(&mut self, char: char, known: &[String], parts: &mut Vec<Part>) -> Progress {
        let is_space = matches!(char, ' ' | '\t' | '\n' | '\r');
        match &mut self.state {
            State::Open if char == '{' => self.go(State::Key(true)),
            State::Open => Progress::Broken,
            State::Key(_) | State::Colon(_) | State::Next if is_space => Progress::More,
            State::Key(_) if char == '"' => self.go(State::InKey(String::new())),
            State::Key(true) | State::Next if char == '}' => self.end(parts),
            State::Next if char == ',' => self.go(State::Key(false)),
            State::Key(_) | State::Next => Progress::Broken,
            State::InKey(key) if char != '"' => {
                key.push(char);
                // Whatever is no call is known as soon as possible: it waits to be shown as text.
                let fits = KEYS.iter().any(|(name, _)| name.starts_with(key.as_str()));
                if fits { Progress::More } else { Progress::Broken }
            }
            State::InKey(key) => match KEYS.iter().find(|(name, _)| name == key) {
                Some(&(_, field)) if self.is_new(field) => self.go(State::Colon(field)),
                _ => Progress::Broken,
            },
            State::Colon(field) if char == ':' => {
                let field = *field;
                self.go(State::Value(field, Scanner::new(), String::new()))
            }
            State::Colon(_) => Progress::Broken,
            State::Value(_, _, text) if self.spaced && char != ' ' && text.is_empty() && self.raw.ends_with(':') => {
                Progress::Broken
            }
            State::Value(..) => self.in_value(char, known, parts),
            State::Header(header) if char != '{' => {
                header.push(char);
                if header.len() > LONGEST_HEADER { Progress::Broken } else { Progress::More }
            }
            State::Header(header) => match self.family.header_name(header) {
                Some(name) if known.iter().any(|known| known == name) => {
                    self.name = Some(name.to_owned());
                    self.state = State::Value(Field::Arguments, Scanner::new(), String::new());
                    self.in_value(char, known, parts)
                }
                _ => Progress::Broken,
            },
        }
    }

    fn go(&mut self, state: State) -> Progress {
        self.state = state;
        Progress::More
    }

    fn is_new(&self, field: Field) -> bool {
        match field {
            Field::Name => self.name.is_none(),
            Field::Arguments => self.early.is_none() && !self.started,
            Field::Other => true,
        }
    }

    fn in_value(&mut self, char: char, known: &[String], parts: &mut Vec<Part>) -> Progress {
        let State::Value(field, scanner, text) = &mut self.state else { return Progress::Broken };
        let field = *field;
        let step = scanner.push(char);
        if step == Step::Broken {
            return Progress::Broken;
        }
        if step != Step::DoneBefore && !(text.is_empty() && char.is_ascii_whitespace()) {
            text.push(char);
        }
        // An object goes out as it comes, once the name is known.
        if field == Field::Arguments && text.starts_with('{') && self.name.is_some() {
            // One brace stays: it marks that an object is under way.
            let fresh = text.split_off(usize::from(self.started));
            text.clear();
            text.push('{');
            self.start(parts);
            append(parts, &fresh);
        }
        if step == Step::More {
            return Progress::More;
        }
        let text = match std::mem::replace(&mut self.state, State::Next) {
            State::Value(_, _, text) => text,
            _ => String::new(),
        };
        if !self.took(field, text, known, parts) {
            return Progress::Broken;
        }
        match step {
            Step::Done if self.headed => Progress::Done,
            Step::Done => Progress::More,
            _ => self.advance(char, known, parts),
        }
    }

    /// Takes a whole value; false when it is not what the field may hold.
    fn took(&mut self, field: Field, text: String, known: &[String], parts: &mut Vec<Part>) -> bool {
        match field {
            Field::Other => true,
            Field::Name => {
                let Ok(name) = serde_json::from_str::<String>(&text) else { return false };
                if !known.contains(&name) {
                    return false;
                }
                self.name = Some(name);
                if let Some(early) = self.early.take() {
                    self.start(parts);
                    append(parts, &early);
                }
                true
            }
            Field::Arguments if self.started => true,
            Field::Arguments => {
                let Some(arguments) = object_text(text) else { return false };
                if self.name.is_some() {
                    self.start(parts);
                    append(parts, &arguments);
                } else {
                    self.early = Some(arguments);
                }
                true
            }
        }
    }

    fn start(&mut self, parts: &mut Vec<Part>) {
        if !std::mem::replace(&mut self.started, true) {
            parts.push(Part::Start(self.name.clone().unwrap_or_default()));
        }
    }

    /// The object's last brace: a call without arguments has the empty object.
    fn end(&mut self, parts: &mut Vec<Part>) -> Progress {
        if self.name.is_none() {
            return Progress::Broken;
        }
        if !self.started {
            self.start(parts);
            append(parts, "{}");
        }
        Progress::Done
    }
}

impl Call for CallReader {
    fn started(&self) -> bool {
        self.started
    }

    fn into_raw(self: Box<Self>) -> String {
        self.raw
    }

    fn push(&mut self, char: char, known: &[String], parts: &mut Vec<Part>) -> Progress {
        let progress = self.advance(char, known, parts);
        if progress != Progress::Broken {
            self.raw.push(char);
        }
        progress
    }
}

const KEYS: [(&str, Field); 5] = [
    ("name", Field::Name),
    ("arguments", Field::Arguments),
    ("parameters", Field::Arguments),
    ("id", Field::Other),
    ("type", Field::Other),
];

/// The arguments as the text of an object: some models write them as a string of JSON, or `null`.
fn object_text(text: String) -> Option<String> {
    if text.starts_with('{') {
        return Some(text);
    }
    match serde_json::from_str::<Value>(&text).ok()? {
        Value::Null => Some("{}".to_owned()),
        Value::String(inner) if inner.trim().is_empty() => Some("{}".to_owned()),
        Value::String(inner) => {
            matches!(serde_json::from_str::<Value>(&inner), Ok(Value::Object(_))).then(|| inner.trim().to_owned())
        }
        _ => None,
    }
}

pub(super) fn append(parts: &mut Vec<Part>, text: &str) {
    if text.is_empty() {
        return;
    }
    match parts.last_mut() {
        Some(Part::Arguments(all)) => all.push_str(text),
        _ => parts.push(Part::Arguments(text.to_owned())),
    }
}
