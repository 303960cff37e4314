//! Reads an answer as it comes: what is text, what is reasoning, what is a call.

use std::sync::Arc;

use lla_protocol::openai::FinishReason;

use super::call::{Call, CallReader, Part, Progress};
use super::marker::{is_beginning, safe_length};
use super::reading::{Event, Reading};
use super::tagged::TaggedReader;
use crate::error::EngineError;
use crate::reasoning::{CLOSE, OPEN};

#[derive(Debug)]
enum State {
    /// Nothing but white space so far. `strip`: which is not part of the answer.
    Start { strip: bool },
    /// In a reasoning section; nothing of it has been shown if `fresh`.
    Reasoning { fresh: bool },
    /// Free text.
    Text,
    /// Text in which no call is looked for.
    Plain,
    /// Behind a marker or a call, where the next call may begin. `raw`: what was read since the marker;
    /// `after`: behind a call; `list`: in brackets.
    Between { raw: String, after: bool, list: bool },
    /// In a call.
    Call { call: Box<dyn Call>, list: bool },
}

/// Reads one choice.
#[derive(Debug)]
pub struct Reader {
    reading: Arc<Reading>,
    state: State,
    /// Text that waits for what comes next.
    held: String,
    /// Calls begun, and those of them that were dropped.
    begun: u32,
    dropped: u32,
    /// Bytes of the answer.
    length: usize,
    events: Vec<Event>,
}

impl Reader {
    /// Begins with an answer.
    #[must_use]
    pub fn new(reading: Arc<Reading>) -> Self {
        let state = if reading.open { State::Reasoning { fresh: true } } else { State::Start { strip: false } };
        Self { reading, state, held: String::new(), begun: 0, dropped: 0, length: 0, events: Vec::new() }
    }

    /// Takes the next piece of the answer and tells what is known with it.
    pub fn push(&mut self, text: &str) -> Vec<Event> {
        self.length += text.len();
        self.held.push_str(text);
        while self.step() {}
        std::mem::take(&mut self.events)
    }

    /// The answer has ended: tells what was held back, and why it ended in the API's words.
    ///
    /// # Errors
    /// [`EngineError::ToolCall`] when a call was asked for and the answer holds none.
    pub fn finish(&mut self, reason: FinishReason) -> Result<(Vec<Event>, FinishReason), EngineError> {
        self.end_of_text(reason);
        let calls = self.begun - self.dropped;
        let reason = match reason {
            FinishReason::Stop if calls > 0 && self.reading.named => FinishReason::Stop,
            FinishReason::Stop if calls > 0 => FinishReason::ToolCalls,
            FinishReason::Stop if self.reading.forced => return Err(EngineError::ToolCall { length: self.length }),
            other => other,
        };
        Ok((std::mem::take(&mut self.events), reason))
    }

    fn end_of_text(&mut self, reason: FinishReason) {
        let held = std::mem::take(&mut self.held);
        match std::mem::replace(&mut self.state, State::Text) {
            State::Start { strip: true } => self.content(held.trim()),
            State::Text if self.begun > self.dropped => self.content(held.trim_end()),
            State::Start { .. } | State::Text | State::Plain => self.content(&held),
            State::Reasoning { fresh: true } => self.reasoning(held.trim()),
            State::Reasoning { fresh: false } => self.reasoning(held.trim_end()),
            State::Between { after: true, .. } if self.reading.family.closes().contains(&held.trim()) => {}
            State::Between { after: true, .. } => self.content(held.trim()),
            State::Between { raw, .. } => self.content(&(raw + &held)),
            // The caller's limit cut the call: what there is of it was asked for.
            State::Call { call, .. } if call.started() && reason == FinishReason::Length => {}
            State::Call { call, .. } => self.drop_call(call),
        }
    }

    /// Does what the held text allows; false when more is needed.
    fn step(&mut self) -> bool {
        if self.held.is_empty() {
            return false;
        }
        match std::mem::replace(&mut self.state, State::Text) {
            State::Start { strip } => self.start(strip),
            State::Reasoning { fresh } => self.in_reasoning(fresh),
            State::Text => self.text(),
            State::Plain => {
                let all = std::mem::take(&mut self.held);
                self.content(&all);
                self.state = State::Plain;
                false
            }
            State::Between { raw, after, list } => self.between(raw, after, list),
            State::Call { call, list } => self.call(call, list),
        }
    }

    fn start(&mut self, strip: bool) -> bool {
        let said = self.held.trim_start();
        if said.is_empty() || self.reading.thinks && !strip && is_beginning(said, &[OPEN]) {
            self.state = State::Start { strip };
            return false;
        }
        if self.reading.thinks
            && !strip
            && let Some(rest) = said.strip_prefix(OPEN)
        {
            self.held = rest.to_owned();
            self.state = State::Reasoning { fresh: true };
            return true;
        }
        let is_bare = self.looks_for_calls() && self.reading.family.is_bare();
        if is_bare && said.starts_with(['{', '[']) {
            self.held = said.to_owned();
            self.state = State::Between { raw: String::new(), after: false, list: false };
            return true;
        }
        let opens = self.reading.family.opens();
        if self.reading.either && is_beginning(said, opens) {
            self.state = State::Start { strip };
            return false;
        }
        let begins_call = opens.iter().any(|open| said.starts_with(open));
        if strip {
            self.held = said.to_owned();
        }
        self.state = if begins_call { State::Text } else { self.no_call() };
        true
    }

    /// How it goes on with what is no call.
    fn no_call(&self) -> State {
        if self.reading.either { State::Plain } else { State::Text }
    }

    fn in_reasoning(&mut self, fresh: bool) -> bool {
        if fresh && !self.begin_reasoning() {
            self.state = State::Reasoning { fresh };
            return false;
        }
        if let Some((before, after)) = self.held.split_once(CLOSE) {
            let (before, after) = (before.trim_end().to_owned(), after.to_owned());
            self.reasoning(&before);
            self.held = after;
            self.state = State::Start { strip: true };
            return true;
        }
        let safe = safe_length(&self.held, &[CLOSE]);
        let shown: String = self.held.drain(..safe).collect();
        self.state = State::Reasoning { fresh: fresh && shown.is_empty() };
        self.reasoning(&shown);
        false
    }

    /// Drops what stands in front of the reasoning; some models open the section that the prompt has
    /// opened. False when more is needed.
    fn begin_reasoning(&mut self) -> bool {
        loop {
            let said = self.held.trim_start();
            if said.is_empty() || is_beginning(said, &[OPEN]) {
                return false;
            }
            let Some(rest) = said.strip_prefix(OPEN) else {
                self.held = said.to_owned();
                return true;
            };
            self.held = rest.to_owned();
        }
    }

    fn text(&mut self) -> bool {
        if !self.looks_for_calls() {
            let all = std::mem::take(&mut self.held);
            self.content(&all);
            return false;
        }
        let opens = self.reading.family.opens();
        let found = opens.iter().filter_map(|open| self.held.find(open).map(|place| (place, *open))).min();
        if let Some((place, open)) = found {
            let before = self.held[..place].trim_end().to_owned();
            let raw = self.held[before.len()..place + open.len()].to_owned();
            self.held.drain(..place + open.len());
            self.content(&before);
            self.state = State::Between { raw, after: false, list: false };
            return true;
        }
        let safe = safe_length(&self.held, opens);
        let shown: String = self.held.drain(..safe).collect();
        self.content(&shown);
        false
    }

    fn between(&mut self, mut raw: String, after: bool, list: bool) -> bool {
        let family = self.reading.family;
        let mut rest = self.held.as_str();
        let (mut after, mut list) = (after, list);
        let state = loop {
            let trimmed = rest.trim_start();
            raw.push_str(&rest[..rest.len() - trimmed.len()]);
            rest = trimmed;
            let Some(first) = rest.chars().next() else { break None };
            let marker = |texts: &[&'static str]| texts.iter().copied().find(|text| rest.starts_with(text));
            if let Some(open) = marker(family.opens()) {
                if after {
                    raw.clear();
                }
                raw.push_str(open);
                (rest, after, list) = (&rest[open.len()..], false, false);
            } else if is_beginning(rest, family.opens()) || after && is_beginning(rest, family.closes()) {
                break None;
            } else if let Some(close) = marker(family.closes()).filter(|_| after) {
                rest = &rest[close.len()..];
            } else if first == '{' {
                let raw = if after { String::new() } else { std::mem::take(&mut raw) };
                let is_spaced = self.reading.either;
                break Some(State::Call { call: Box::new(CallReader::object(family, raw, is_spaced)), list });
            } else if let Some(call) = self.tagged(&raw).filter(|_| !after) {
                break Some(State::Call { call: Box::new(call), list });
            } else if (first == '[' && !list && !after)
                || (after && matches!(first, ',' | ';'))
                || (first == ']' && list)
            {
                list = first == '[' || (list && first != ']');
                raw.push(first);
                rest = &rest[1..];
            } else if !after && family.has_header() && !list {
                let call = Box::new(CallReader::headed(family, std::mem::take(&mut raw)));
                break Some(State::Call { call, list });
            } else {
                break Some(self.no_call());
            }
        };
        self.held = rest.to_owned();
        match state {
            None => {
                self.state = State::Between { raw, after, list };
                false
            }
            Some(state) => {
                // No call after all.
                if matches!(state, State::Text | State::Plain) && !after {
                    self.content(&raw);
                }
                self.state = state;
                true
            }
        }
    }

    /// A call in tags, in the formats that have them.
    fn tagged(&self, raw: &str) -> Option<TaggedReader> {
        TaggedReader::new(self.reading.family, raw, &self.reading.parameters)
    }

    fn call(&mut self, mut call: Box<dyn Call>, list: bool) -> bool {
        let held = std::mem::take(&mut self.held);
        let mut parts = Vec::new();
        for (place, char) in held.char_indices() {
            match call.push(char, &self.reading.names, &mut parts) {
                Progress::More => {}
                Progress::Done => {
                    self.hand_on(parts);
                    self.held = held[place + char.len_utf8()..].to_owned();
                    self.state = State::Between { raw: String::new(), after: true, list };
                    return true;
                }
                Progress::Broken => {
                    self.hand_on(parts);
                    self.held = held[place..].to_owned();
                    self.drop_call(call);
                    self.state = self.no_call();
                    return true;
                }
            }
        }
        self.hand_on(parts);
        self.state = State::Call { call, list };
        false
    }

    fn looks_for_calls(&self) -> bool {
        !self.reading.names.is_empty()
    }

    /// Whether the call under way is one too many.
    fn is_surplus(&self, index: u32) -> bool {
        !self.reading.parallel && index > self.dropped
    }

    fn hand_on(&mut self, parts: Vec<Part>) {
        for part in parts {
            let event = match part {
                Part::Start(name) => {
                    self.begun += 1;
                    let id = format!("call_{}", uuid::Uuid::now_v7().simple());
                    Event::CallStart { index: self.begun - 1, id, name }
                }
                Part::Arguments(text) => Event::CallArguments { index: self.begun.saturating_sub(1), text },
            };
            if !self.is_surplus(self.begun.saturating_sub(1)) {
                self.events.push(event);
            }
        }
    }

    /// Shows as text what looked like a call: nothing that the model said is lost.
    fn drop_call(&mut self, call: Box<dyn Call>) {
        if call.started() {
            let index = self.begun.saturating_sub(1);
            if !self.is_surplus(index) {
                self.events.push(Event::CallDropped { index });
            }
            self.dropped += 1;
        }
        let raw = call.into_raw();
        self.content(&raw);
    }

    fn content(&mut self, text: &str) {
        match self.events.last_mut() {
            _ if text.is_empty() => {}
            Some(Event::Content(all)) => all.push_str(text),
            _ => self.events.push(Event::Content(text.to_owned())),
        }
    }

    fn reasoning(&mut self, text: &str) {
        match self.events.last_mut() {
            _ if text.is_empty() => {}
            Some(Event::Reasoning(all)) => all.push_str(text),
            _ => self.events.push(Event::Reasoning(text.to_owned())),
        }
    }
}
