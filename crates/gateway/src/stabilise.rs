//! The prefix stabiliser: volatile first lines of a system prompt, put where they spoil nothing.
//!
//! Some agent clients begin the system prompt with a line that changes with every request (a billing
//! header, the time, a session's id). A prefix cache compares prompts from their first token: one such
//! line makes thousands of tokens behind it new each time, on any backend that has a prefix cache.
//! Off unless the configuration lists what such lines look like, because it changes what the model
//! reads: [`Action::Move`] says the lines at the end of the last user message instead, where they come
//! after everything that can be reused; [`Action::Drop`] leaves them out.
//!
//! Only lines at the very beginning of the first message are looked at, up to the first that matches
//! no pattern.

use lla_protocol::openai::{Content, Message, Part, Role};
use regex::{RegexSet, RegexSetBuilder};
use serde::{Deserialize, Serialize};

use crate::config::ConfigError;

/// Most memory that the patterns may take, in bytes.
const PATTERN_LIMIT: usize = 1 << 20;

/// `[server.prefix_stabiliser]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PrefixStabiliserConfig {
    /// Regular expressions, each for a whole line. Default: none, the prompt stays as it came.
    pub lines: Vec<String>,
    /// What happens to the lines that match. Default: `move`.
    pub action: Action,
}

/// What happens to volatile lines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Action {
    /// They follow the text of the last user message.
    #[default]
    Move,
    /// The model does not see them.
    Drop,
}

/// A [`PrefixStabiliserConfig`], ready for use.
#[derive(Debug, Clone)]
pub(crate) struct PrefixStabiliser {
    lines: RegexSet,
    action: Action,
}

impl PrefixStabiliserConfig {
    /// Reads the patterns.
    pub(crate) fn compile(&self) -> Result<PrefixStabiliser, ConfigError> {
        let whole_lines = self.lines.iter().map(|line| format!("^(?:{line})$"));
        let lines = RegexSetBuilder::new(whole_lines).size_limit(PATTERN_LIMIT).build();
        let lines = lines.map_err(|error| ConfigError {
            field: "server.prefix_stabiliser.lines",
            message: format!("each must be a regular expression for a whole line: {error}"),
        })?;
        Ok(PrefixStabiliser { lines, action: self.action })
    }
}

impl PrefixStabiliser {
    /// Puts the volatile first lines of a conversation elsewhere. Whether there were any.
    pub(crate) fn apply(&self, messages: &mut Vec<Message>) -> bool {
        if self.lines.is_empty() {
            return false;
        }
        let last_user = messages.iter().rposition(|message| message.role == Role::User);
        if self.action == Action::Move && last_user.is_none() {
            return false;
        }
        let Some(text) = messages.first_mut().and_then(system_text) else { return false };
        let length = self.volatile_length(text);
        if length == 0 {
            return false;
        }
        let volatile: String = text.drain(..length).collect();
        if self.action == Action::Move
            && let Some(message) = last_user.and_then(|index| messages.get_mut(index))
        {
            append(message, volatile.trim_end());
        }
        // Some templates refuse a system message that says nothing.
        if messages.first_mut().and_then(system_text).is_some_and(|text| text.is_empty()) {
            messages.remove(0);
        }
        true
    }

    /// Bytes of the lines at the beginning that match, with empty lines between and after them.
    fn volatile_length(&self, text: &str) -> usize {
        let (mut length, mut seen) = (0, false);
        for line in text.split_inclusive('\n') {
            let content = line.trim_end_matches(['\n', '\r']);
            let matches = self.lines.is_match(content);
            let is_gap = seen && content.trim().is_empty();
            if !matches && !is_gap {
                break;
            }
            seen = true;
            length += line.len();
        }
        length
    }
}

/// The text of a system message, if it has any and nothing else.
fn system_text(message: &mut Message) -> Option<&mut String> {
    if !matches!(message.role, Role::System | Role::Developer) {
        return None;
    }
    match &mut message.content {
        Content::Text(text) => Some(text),
        Content::Parts(parts) => match parts.as_mut_slice() {
            [Part::Text(text)] => Some(text),
            _ => None,
        },
        Content::None => None,
    }
}

fn append(message: &mut Message, lines: &str) {
    match &mut message.content {
        Content::Text(text) => *text = format!("{text}\n\n{lines}"),
        Content::Parts(parts) => parts.push(Part::Text(format!("\n\n{lines}"))),
        Content::None => message.content = Content::Text(lines.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stabiliser(action: Action) -> PrefixStabiliser {
        let lines = vec!["x-[a-z-]+-header: .*".to_owned(), r"Today is \d{4}-\d{2}-\d{2}\.".to_owned()];
        PrefixStabiliserConfig { lines, action }.compile().expect("patterns")
    }

    fn texts(messages: &[Message]) -> Vec<String> {
        let text = |message: &Message| match &message.content {
            Content::Text(text) => text.clone(),
            other => format!("{other:?}"),
        };
        messages.iter().map(|message| format!("{}: {}", message.role.as_str(), text(message))).collect()
    }

    #[test]
    fn volatile_first_lines_go_to_the_end_or_away() {
        use Action::{Drop, Move};
        let volatile = "x-billing-header: v=1; id=17\nToday is 2026-11-25.\n\nYou write code.\nToday is 2026-11-25.";
        type Case<'a> = (&'a str, Action, &'a [(Role, &'a str)], &'a [&'a str]);
        let table: [Case<'_>; 7] = [
            (
                "moved behind what can be reused",
                Move,
                &[(Role::System, volatile), (Role::User, "one"), (Role::Assistant, "1"), (Role::User, "two")],
                &[
                    "system: You write code.\nToday is 2026-11-25.",
                    "user: one",
                    "assistant: 1",
                    "user: two\n\nx-billing-header: v=1; id=17\nToday is 2026-11-25.",
                ],
            ),
            (
                "left out",
                Drop,
                &[(Role::Developer, volatile), (Role::User, "one")],
                &["developer: You write code.\nToday is 2026-11-25.", "user: one"],
            ),
            (
                "a line in the middle stays",
                Move,
                &[(Role::System, "You write code.\nToday is 2026-11-25."), (Role::User, "one")],
                &["system: You write code.\nToday is 2026-11-25.", "user: one"],
            ),
            (
                "a part of a line is no line",
                Move,
                &[(Role::System, "Today is 2026-11-25. Be brief."), (Role::User, "one")],
                &["system: Today is 2026-11-25. Be brief.", "user: one"],
            ),
            (
                "users may say what they like",
                Drop,
                &[(Role::User, "x-billing-header: 1")],
                &["user: x-billing-header: 1"],
            ),
            (
                "nothing else in the message",
                Drop,
                &[(Role::System, "x-billing-header: 1"), (Role::User, "one")],
                &["user: one"],
            ),
            ("nowhere to move it to", Move, &[(Role::System, "x-billing-header: 1")], &["system: x-billing-header: 1"]),
        ];
        for (name, action, before, after) in table {
            let mut messages: Vec<Message> = before.iter().map(|(role, text)| Message::text(*role, *text)).collect();
            let original = messages.clone();
            let changed = stabiliser(action).apply(&mut messages);
            assert_eq!(texts(&messages), after, "{name}");
            assert_eq!(changed, messages != original, "{name}");
        }
    }

    #[test]
    fn without_patterns_nothing_changes() {
        let off = PrefixStabiliserConfig::default().compile().expect("no patterns");
        let mut messages = vec![Message::text(Role::System, "x-billing-header: 1"), Message::text(Role::User, "one")];
        let before = messages.clone();
        assert!(!off.apply(&mut messages));
        assert_eq!(messages, before);
    }

    #[test]
    fn a_broken_pattern_names_its_key() {
        let config = PrefixStabiliserConfig { lines: vec!["(".to_owned()], ..PrefixStabiliserConfig::default() };
        assert_eq!(config.compile().unwrap_err().field, "server.prefix_stabiliser.lines");
    }
}
