//! What a text states that can be looked up again: numbers, names, addresses, code.

use std::collections::HashSet;
use std::ops::Range;

use super::words::{is_number, is_stop, words};

/// Numbers of a text as they are written, without the punctuation around them.
pub(crate) fn numbers(text: &str) -> HashSet<String> {
    words(text).filter(|word| is_number(word)).map(plain_number).collect()
}

/// `22,000`, `22.000` and `22000` are the same number; so are `9%` and `9`.
pub(crate) fn plain_number(word: &str) -> String {
    let word = word.trim_matches(|letter: char| !letter.is_alphanumeric()).to_lowercase();
    let groups: Vec<&str> = word.split([',', '.']).collect();
    let grouped = groups.len() > 1
        && groups.iter().all(|group| group.bytes().all(|byte| byte.is_ascii_digit()))
        && groups.iter().skip(1).all(|group| group.len() == 3);
    if grouped { groups.concat() } else { word }
}

/// Words that begin with a capital where a sentence does not: names, mostly. Without a sentence's first
/// word, unless it stands so elsewhere too.
pub(crate) fn names(sentences: &[&str]) -> HashSet<String> {
    let mut found = HashSet::new();
    for sentence in sentences {
        let mut starts = true;
        for word in words(sentence) {
            if !starts && is_capital(word) && !is_stop(word) {
                found.insert(word.to_owned());
            }
            starts = false;
        }
    }
    found
}

/// Whether a word begins with a capital letter.
pub(crate) fn is_capital(word: &str) -> bool {
    word.starts_with(char::is_uppercase)
}

/// Places of a text, in bytes, that a rewriting must not touch: addresses, code in backticks, numbers,
/// names. In order; they do not overlap.
pub(crate) fn fixed(text: &str) -> Vec<Range<usize>> {
    let mut found = code(text);
    for sentence in super::sentences::in_line(text).into_iter().flat_map(str::lines) {
        let offset = sentence.as_ptr() as usize - text.as_ptr() as usize;
        let mut starts = true;
        for piece in sentence.split_whitespace() {
            let at = offset + (piece.as_ptr() as usize - sentence[..].as_ptr() as usize);
            let is_address = piece.contains("://") || piece.starts_with("www.") || is_mail(piece);
            let edge = |letter: char| !letter.is_alphanumeric() && !"$€£%#/".contains(letter);
            let trimmed = piece.trim_end_matches(edge);
            let end = at + trimmed.len();
            let begin = at + (trimmed.len() - trimmed.trim_start_matches(edge).len());
            if begin >= end {
                continue;
            }
            let word = &text[begin..end];
            let shouted =
                word.chars().count() > 1 && word.chars().all(|letter| letter.is_uppercase() || letter.is_ascii_digit());
            let named = !starts && is_capital(word) && !is_stop(word) && !word.contains(['\'', '’']);
            if is_address || is_number(word) || named || (shouted && !starts && word.len() <= 5) {
                found.push(begin..end);
            }
            starts = piece.ends_with([':', '.', '!', '?']);
        }
    }
    apart(found)
}

/// Ranges in order, with those that share something joined.
pub(crate) fn apart(mut found: Vec<Range<usize>>) -> Vec<Range<usize>> {
    found.sort_by_key(|range| range.start);
    let mut apart: Vec<Range<usize>> = Vec::new();
    for range in found {
        match apart.last_mut() {
            Some(last) if range.start < last.end => last.end = last.end.max(range.end),
            _ => apart.push(range),
        }
    }
    apart
}

fn is_mail(piece: &str) -> bool {
    piece.split_once('@').is_some_and(|(user, host)| !user.is_empty() && host.contains('.'))
}

/// What stands between backticks, with them.
fn code(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut from = 0;
    while let Some(begin) = text[from..].find('`').map(|at| from + at) {
        let ticks = text[begin..].bytes().take_while(|byte| *byte == b'`').count();
        let mark = &text[begin..begin + ticks];
        let Some(length) = text[begin + ticks..].find(mark) else { break };
        from = begin + ticks + length + ticks;
        found.push(begin..from);
    }
    found
}
