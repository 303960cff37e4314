//! A text as words and marks, of which some must not be touched.

use std::fmt;
use std::ops::Range;

/// A word, a mark, or a place that must stay as it is, with the white space ahead of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Piece {
    /// White space ahead of it.
    pub(super) lead: String,
    /// The word.
    pub(super) text: String,
    /// It must stay.
    pub(super) fixed: bool,
}

/// A text in pieces; written out it is the same text.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Pieces(pub(super) Vec<Piece>);

impl Piece {
    /// Whether there is a letter or a digit in it.
    pub(super) fn is_word(&self) -> bool {
        self.text.contains(char::is_alphanumeric)
    }

    /// Its text in small letters with a straight apostrophe.
    pub(super) fn plain(&self) -> String {
        self.text.to_lowercase().replace('’', "'")
    }

    /// Whether a sentence ends with it.
    pub(super) fn ends_sentence(&self) -> bool {
        matches!(self.text.as_str(), "." | "!" | "?" | "…")
    }
}

impl Pieces {
    /// Cuts a text; what `fixed` names (byte ranges in order, apart from each other) is one piece each.
    pub(super) fn of(text: &str, fixed: &[Range<usize>]) -> Self {
        let mut pieces = Vec::new();
        let mut at = 0;
        for range in fixed {
            cut(&text[at..range.start], &mut pieces);
            let lead = take_lead(&mut pieces);
            pieces.push(Piece { lead, text: text[range.clone()].to_owned(), fixed: true });
            at = range.end;
        }
        cut(&text[at..], &mut pieces);
        Self(pieces)
    }

    /// Whether a sentence or a line begins at a piece.
    pub(super) fn begins_sentence(&self, index: usize) -> bool {
        let Some(before) = index.checked_sub(1).and_then(|before| self.0.get(before)) else { return true };
        before.ends_sentence() || self.0.get(index).is_some_and(|piece| piece.lead.contains('\n'))
    }
}

impl fmt::Display for Pieces {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|piece| write!(formatter, "{}{}", piece.lead, piece.text))
    }
}

/// White space at the end of what was cut so far, which is ahead of the next piece.
fn take_lead(pieces: &mut Vec<Piece>) -> String {
    match pieces.last() {
        Some(last) if last.text.is_empty() => pieces.pop().map(|piece| piece.lead).unwrap_or_default(),
        _ => String::new(),
    }
}

fn cut(text: &str, pieces: &mut Vec<Piece>) {
    let mut rest = text;
    while !rest.is_empty() {
        let word = rest.trim_start();
        let lead = take_lead(pieces) + &rest[..rest.len() - word.len()];
        let length = length(word);
        pieces.push(Piece { lead, text: word[..length].to_owned(), fixed: false });
        rest = &word[length..];
    }
}

/// The bytes of the first word of a text, or of its first mark.
fn length(text: &str) -> usize {
    let mut end = 0;
    let mut letters = text.char_indices().peekable();
    while let Some((at, letter)) = letters.next() {
        let joins =
            "'’-.".contains(letter) && end > 0 && letters.peek().is_some_and(|(_, next)| next.is_alphanumeric());
        if !letter.is_alphanumeric() && !joins {
            return if end == 0 { at + letter.len_utf8() } else { end };
        }
        end = at + letter.len_utf8();
    }
    end
}

/// With a capital at the beginning.
pub(super) fn capital(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// With a small letter at the beginning, unless it is a word that always has a capital.
pub(super) fn small(text: &str) -> String {
    let first = text.split_whitespace().next().unwrap_or_default();
    if first == "I" || first.starts_with("I'") || first.chars().skip(1).any(char::is_uppercase) {
        return text.to_owned();
    }
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}
