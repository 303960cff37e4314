//! Keeps text of the caller from becoming control tokens.
//!
//! Before rendering, a sentinel (a Unicode noncharacter that occurs nowhere else) is put into every
//! string of the caller where a control token would otherwise stand or could come to stand: after the
//! first character of each occurrence, at an end that is the beginning of a token, at a beginning
//! that is the end of one, and beside a string that is the middle of one. After rendering the prompt
//! is cut at the sentinels, and no token reaches over a cut. Nothing of the text itself changes.

use std::borrow::Cow;
use std::collections::HashSet;

use serde_json::{Map, Value};

/// Where sentinels go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Strength {
    /// Where whole control tokens stand, and at the ends of texts.
    Tokens,
    /// After every character that a control token begins with, too.
    Beginnings,
}

/// Knows the control tokens of a model.
#[derive(Debug)]
pub(super) struct Guard {
    tokens: HashSet<String>,
    /// Lengths of tokens in bytes, the longest first.
    lengths: Vec<usize>,
    first_chars: HashSet<char>,
    /// Everything but the whole that a token begins with, and that one ends with.
    beginnings: HashSet<String>,
    endings: HashSet<String>,
    /// All tokens without their first and last characters, one after the other.
    middles: String,
    /// Noncharacters that are neither in the template nor in a token.
    sentinels: Vec<char>,
}

impl Guard {
    /// A guard for these tokens and this template.
    pub(super) fn new(control: &[String], source: &str) -> Self {
        let tokens: HashSet<String> = control.iter().filter(|token| !token.is_empty()).cloned().collect();
        let mut lengths: Vec<usize> = tokens.iter().map(String::len).collect();
        lengths.sort_unstable_by(|a, b| b.cmp(a));
        lengths.dedup();
        let mut guard = Self {
            lengths,
            first_chars: tokens.iter().filter_map(|token| token.chars().next()).collect(),
            beginnings: HashSet::new(),
            endings: HashSet::new(),
            middles: String::new(),
            sentinels: ('\u{FDD0}'..='\u{FDEF}')
                .filter(|sentinel| !source.contains(*sentinel) && !tokens.iter().any(|token| token.contains(*sentinel)))
                .collect(),
            tokens: HashSet::new(),
        };
        for token in &tokens {
            guard.learn_parts(token);
        }
        guard.tokens = tokens;
        guard
    }

    fn learn_parts(&mut self, token: &str) {
        let borders: Vec<usize> = token.char_indices().map(|(index, _)| index).skip(1).collect();
        for &border in &borders {
            self.beginnings.insert(token[..border].to_owned());
            self.endings.insert(token[border..].to_owned());
        }
        if let (Some(&start), Some(&end)) = (borders.first(), borders.last()) {
            self.middles.push_str(&token[start..end]);
            self.middles.push('\0');
        }
    }

    /// A sentinel that is in none of the values.
    pub(super) fn free_sentinel(&self, values: &[&Value]) -> Option<char> {
        let mut used = HashSet::new();
        for value in values {
            visit(value, &mut |text| used.extend(text.chars().filter(|char| ('\u{FDD0}'..='\u{FDEF}').contains(char))));
        }
        self.sentinels.iter().copied().find(|sentinel| !used.contains(sentinel))
    }

    /// A string in the values contains a character that a token begins with.
    pub(super) fn might_begin_token(&self, values: &[&Value]) -> bool {
        let mut found = false;
        for value in values {
            visit(value, &mut |text| found |= text.chars().any(|char| self.first_chars.contains(&char)));
        }
        found
    }

    /// The control tokens that a tokenizer finds in the pieces, the longest at each place.
    pub(super) fn tokens_in<'a>(&self, pieces: &'a [String]) -> Vec<&'a str> {
        let mut found = Vec::new();
        for piece in pieces {
            let mut free_from = 0;
            for (index, char) in piece.char_indices() {
                if index < free_from || !self.first_chars.contains(&char) {
                    continue;
                }
                if let Some(token) = self.token_at(piece, index) {
                    found.push(token);
                    free_from = index + token.len();
                }
            }
        }
        found
    }

    /// The value with sentinels in all its strings, names of members included.
    ///
    /// # Errors
    /// A token of one character that is in the value: it can not be broken.
    pub(super) fn protect(&self, value: &Value, sentinel: char, strength: Strength) -> Result<Value, String> {
        self.protect_member("", value, sentinel, strength)
    }

    fn protect_member(&self, name: &str, value: &Value, sentinel: char, strength: Strength) -> Result<Value, String> {
        match value {
            // Templates compare roles and types with words that may well be the middle of a token
            // ("user" in "<|user|>"), so these stay whole.
            Value::String(text) => {
                let middles = !matches!(name, "role" | "type");
                Ok(Value::String(self.protect_text(text, sentinel, strength, middles)?.into_owned()))
            }
            Value::Array(items) => {
                let items: Result<_, _> =
                    items.iter().map(|item| self.protect_member(name, item, sentinel, strength)).collect();
                Ok(Value::Array(items?))
            }
            Value::Object(members) => {
                let mut protected = Map::new();
                for (name, member) in members {
                    let member = self.protect_member(name, member, sentinel, strength)?;
                    // Templates look members up by name; only names that are dangerous change.
                    protected.insert(self.protect_text(name, sentinel, strength, false)?.into_owned(), member);
                }
                Ok(Value::Object(protected))
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => Ok(value.clone()),
        }
    }

    fn protect_text<'a>(
        &self,
        text: &'a str,
        sentinel: char,
        strength: Strength,
        middles: bool,
    ) -> Result<Cow<'a, str>, String> {
        let mut cuts = self.cuts_at_ends(text);
        for (index, char) in text.char_indices().filter(|(_, char)| self.first_chars.contains(char)) {
            let token = self.token_at(text, index);
            if token.is_some() || strength == Strength::Beginnings {
                cuts.push(index + char.len_utf8());
            }
            let single = &text[index..index + char.len_utf8()];
            if self.tokens.contains(single) {
                return Err(single.to_owned());
            }
        }
        // Templates may trim, so it is the text without its white space that counts.
        let trimmed = text.trim();
        if middles && !trimmed.is_empty() && trimmed.len() < self.longest() && self.middles.contains(trimmed) {
            cuts.push(text.len() - text.trim_start().len());
        }
        if cuts.is_empty() {
            return Ok(Cow::Borrowed(text));
        }
        cuts.sort_unstable();
        cuts.dedup();
        let mut protected = String::with_capacity(text.len() + cuts.len() * sentinel.len_utf8());
        let mut done = 0;
        for cut in cuts {
            protected.push_str(&text[done..cut]);
            protected.push(sentinel);
            done = cut;
        }
        protected.push_str(&text[done..]);
        Ok(Cow::Owned(protected))
    }

    /// Cuts where the text begins with the end of a token, and where it ends with the beginning of
    /// one; with and without the white space around it, because templates may trim.
    fn cuts_at_ends(&self, text: &str) -> Vec<usize> {
        let longest = self.longest();
        let mut cuts = Vec::new();
        for start in [0, text.len() - text.trim_start().len()] {
            let rest = &text[start..];
            let ends = rest.char_indices().map(|(index, char)| index + char.len_utf8());
            if ends.take_while(|&end| end < longest).any(|end| self.endings.contains(&rest[..end])) {
                cuts.push(start);
            }
        }
        for end in [text.len(), text.trim_end().len()] {
            let rest = &text[..end];
            let starts = rest.char_indices().rev().map(|(index, _)| index);
            if starts.take_while(|&start| end - start < longest).any(|start| self.beginnings.contains(&rest[start..])) {
                cuts.push(end);
            }
        }
        cuts
    }

    fn longest(&self) -> usize {
        self.lengths.first().copied().unwrap_or(0)
    }

    /// The longest token that stands at the index.
    fn token_at<'a>(&self, text: &'a str, index: usize) -> Option<&'a str> {
        let candidates = self.lengths.iter().filter_map(|&length| text.get(index..index + length));
        candidates.into_iter().find(|candidate| self.tokens.contains(*candidate))
    }
}

/// Shows every string in the value, names of members included.
fn visit(value: &Value, see: &mut impl FnMut(&str)) {
    match value {
        Value::String(text) => see(text),
        Value::Array(items) => items.iter().for_each(|item| visit(item, see)),
        Value::Object(members) => {
            for (name, member) in members {
                see(name);
                visit(member, see);
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}
