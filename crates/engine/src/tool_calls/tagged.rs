//! Reads a call whose arguments stand in tags, each value bare: `<parameter=zone>UTC</parameter>`.

use super::call::{Call, LONGEST_HEADER, Part, Progress, append};
use super::family::Family;
use super::marker::is_beginning;
use super::values::Types;

/// The tags of a format, as far as they stand behind `<tool_call>`.
#[derive(Debug)]
pub(super) struct Tags {
    /// In front of the name and behind it; with nothing behind, a line end or a tag ends it.
    pub(super) function: (&'static str, &'static str),
    /// Around the name of a parameter.
    pub(super) key: (&'static str, &'static str),
    /// Around its value.
    pub(super) value: (&'static str, &'static str),
    /// Behind the last parameter.
    pub(super) end: &'static str,
    /// A line end in front of a value and one behind it are not part of it.
    pub(super) lines: bool,
}

/// Qwen3-Coder and what has its format.
pub(super) const QWEN: Tags = Tags {
    function: ("<function=", ">"),
    key: ("<parameter=", ">"),
    value: ("", "</parameter>"),
    end: "</function>",
    lines: true,
};

/// GLM since 4.5.
pub(super) const GLM: Tags = Tags {
    function: ("", ""),
    key: ("<arg_key>", "</arg_key>"),
    value: ("<arg_value>", "</arg_value>"),
    end: "</tool_call>",
    lines: false,
};

#[derive(Debug)]
enum State {
    /// In front of the name.
    Head,
    Name,
    /// Behind the name or a value.
    Between,
    Key,
    /// Behind a key, in front of its value.
    Open,
    /// In a value of these types. `begun`: its beginning, a text, has gone out.
    Value {
        types: Types,
        begun: bool,
    },
}

/// What the tools' parameters may be, by name of the tool.
pub(super) type Parameters = Vec<(String, Vec<(String, Types)>)>;

/// One call under way.
#[derive(Debug)]
pub(super) struct TaggedReader {
    tags: &'static Tags,
    parameters: Parameters,
    /// All that was read, from the marker on.
    raw: String,
    state: State,
    /// What was read in this state and waits.
    held: String,
    /// The parameters' types, and those that have come.
    types: Vec<(String, Types)>,
    keys: Vec<String>,
    started: bool,
}

impl TaggedReader {
    /// A call whose format is `family`'s, `None` when that has no tags. `raw`: what was read before.
    pub(super) fn new(family: Family, raw: &str, parameters: &Parameters) -> Option<Self> {
        let tags = family.tags()?;
        let named = raw.ends_with(tags.function.0);
        let state = if named { State::Name } else { State::Head };
        let (raw, parameters) = (raw.to_owned(), parameters.clone());
        let (held, types, keys) = (String::new(), Vec::new(), Vec::new());
        Some(Self { tags, parameters, raw, state, held, types, keys, started: false })
    }

    fn advance(&mut self, char: char, known: &[String], parts: &mut Vec<Part>) -> Progress {
        let waits = !matches!(self.state, State::Key | State::Value { .. });
        if waits && self.held.is_empty() && char.is_ascii_whitespace() {
            return Progress::More;
        }
        match self.state {
            State::Name if self.tags.function.1.is_empty() && matches!(char, '\n' | '<') => {
                let named = self.named(known, parts);
                if named == Progress::More { self.advance(char, known, parts) } else { named }
            }
            State::Name => {
                self.held.push(char);
                let end = self.tags.function.1;
                if !end.is_empty() && self.held.ends_with(end) {
                    self.held.truncate(self.held.len() - end.len());
                    return self.named(known, parts);
                }
                let said = self.held.trim_end();
                if known.iter().any(|name| name.starts_with(said)) { Progress::More } else { Progress::Broken }
            }
            State::Head | State::Between | State::Open => {
                self.held.push(char);
                self.tag(parts)
            }
            State::Key => {
                self.held.push(char);
                match self.held.strip_suffix(self.tags.key.1) {
                    Some(key) => {
                        let key = key.trim().to_owned();
                        self.begin_value(key, parts)
                    }
                    None if self.held.len() > LONGEST_HEADER => Progress::Broken,
                    None => Progress::More,
                }
            }
            State::Value { types, begun } => {
                self.held.push(char);
                self.in_value(types, begun, parts);
                Progress::More
            }
        }
    }

    fn go(&mut self, state: State) -> Progress {
        self.state = state;
        self.held.clear();
        Progress::More
    }

    /// Looks for the tags that may stand here.
    fn tag(&mut self, parts: &mut Vec<Part>) -> Progress {
        let tags = self.tags;
        let wanted: &[&str] = match self.state {
            State::Head => &[tags.function.0],
            State::Open => &[tags.value.0],
            _ => &[tags.key.0, tags.end],
        };
        if !wanted.contains(&self.held.as_str()) {
            return if is_beginning(&self.held, wanted) { Progress::More } else { Progress::Broken };
        }
        match self.state {
            State::Head => self.go(State::Name),
            State::Between if self.held == tags.end => {
                append(parts, if self.keys.is_empty() { "{}" } else { "}" });
                Progress::Done
            }
            State::Between => self.go(State::Key),
            _ => self.go(State::Value { types: self.types_of_last(), begun: false }),
        }
    }

    fn named(&mut self, known: &[String], parts: &mut Vec<Part>) -> Progress {
        let name = self.held.trim().to_owned();
        if !known.contains(&name) {
            return Progress::Broken;
        }
        let described = self.parameters.iter().find(|(tool, _)| *tool == name);
        self.types = described.map(|(_, types)| types.clone()).unwrap_or_default();
        self.started = true;
        parts.push(Part::Start(name));
        self.go(State::Between)
    }

    fn types_of_last(&self) -> Types {
        let key = self.keys.last();
        self.types.iter().find(|(name, _)| Some(name) == key).map_or(Types::ANY, |(_, types)| *types)
    }

    fn begin_value(&mut self, key: String, parts: &mut Vec<Part>) -> Progress {
        if key.is_empty() || self.keys.contains(&key) {
            return Progress::Broken;
        }
        let between = if self.keys.is_empty() { "{" } else { ", " };
        append(parts, &format!("{between}{}: ", serde_json::Value::from(key.as_str())));
        self.keys.push(key);
        if self.tags.value.0.is_empty() {
            return self.go(State::Value { types: self.types_of_last(), begun: false });
        }
        self.go(State::Open)
    }

    fn in_value(&mut self, types: Types, begun: bool, parts: &mut Vec<Part>) {
        let close = self.tags.value.1;
        if let Some(value) = self.held.strip_suffix(close) {
            let lines = self.tags.lines;
            let value = if lines && !begun { value.strip_prefix('\n').unwrap_or(value) } else { value };
            let value = if lines { value.strip_suffix('\n').unwrap_or(value) } else { value };
            let json = match begun {
                true => format!("{}\"", escaped(value)),
                false => types.json(value),
            };
            append(parts, &json);
            self.go(State::Between);
            return;
        }
        // A text goes out as it comes, but for what may be its end.
        if !types.is_text() {
            return;
        }
        let with_line = format!("\n{close}");
        let ends: &[&str] = if self.tags.lines { &[close, &with_line] } else { &[close] };
        let longest = with_line.len();
        let begins = self.held.char_indices().map(|(place, _)| place).filter(|place| self.held.len() - place < longest);
        let safe = begins.into_iter().find(|&place| is_beginning(&self.held[place..], ends));
        let shown: String = self.held.drain(..safe.unwrap_or(self.held.len())).collect();
        if shown.is_empty() {
            return;
        }
        let text = if self.tags.lines && !begun { shown.strip_prefix('\n').unwrap_or(&shown) } else { &shown };
        append(parts, &format!("{}{}", if begun { "" } else { "\"" }, escaped(text)));
        self.state = State::Value { types, begun: true };
    }
}

impl Call for TaggedReader {
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

/// A part of a text as it stands inside a string of JSON.
fn escaped(text: &str) -> String {
    let quoted = serde_json::Value::from(text).to_string();
    quoted.get(1..quoted.len().saturating_sub(1)).unwrap_or_default().to_owned()
}
