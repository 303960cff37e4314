//! Follows a grammar to a near end, for an answer that was cut by its length.

use std::cmp::Reverse;

use llguidance::Matcher;

use super::close::{Scanner, open_json};
use super::vocabulary::ConstraintVocabulary;

/// Most choices: a grammar that does not end by then will hardly end.
const STEPS: usize = 512;
/// Most tokens, with those that are forced.
const TOKENS: usize = 4096;
/// Outside of JSON strings: what ends something, then short values, then what opens something.
const JSON_ORDER: &[u8] = b"}]\"ntf0123456789,:-.eE+[{";
/// In strings and other texts: what parts words comes first, because patterns need it to go on.
const TEXT_ORDER: &[u8] = b"\"@.-:/_+ ,;TZ0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSUVWXY";

/// A scanner that has read `json`.
fn scanned(json: &str) -> Option<Scanner> {
    let mut scanner = Scanner::default();
    json.bytes().try_for_each(|byte| scanner.push(byte))?;
    Some(scanner)
}

/// One walk to an end.
pub(super) struct Finish<'a> {
    vocabulary: &'a ConstraintVocabulary,
    scanner: Option<Scanner>,
    /// Whether all of the text is JSON; otherwise calls hold some.
    json: bool,
    /// What ends a part that may hold any text.
    end: Option<&'static str>,
    /// The text so far, where only a part of it is JSON.
    text: Vec<u8>,
    /// How often each byte was chosen: of what is allowed the rarest comes next, so a pattern such as
    /// `[a-z]+@` and a recursion with another branch both go on.
    used: [u16; 256],
}

impl<'a> Finish<'a> {
    pub(super) fn new(vocabulary: &'a ConstraintVocabulary, json: bool, end: Option<&'static str>) -> Self {
        Self { vocabulary, scanner: json.then(Scanner::default), json, end, text: Vec::new(), used: [0; 256] }
    }

    /// Reads `written` with a fresh matcher and goes on from there. Returns what was added; `None` when
    /// the grammar does not take `written` or no end was found.
    pub(super) fn run(mut self, mut matcher: Matcher, written: &[u8]) -> Option<String> {
        let tokens = self.vocabulary.spell(written)?;
        if matcher.try_consume_tokens(&tokens).ok()? != tokens.len() {
            return None;
        }
        self.scan(written)?;
        let mut added = Vec::new();
        let mut count = 0;
        for _ in 0..STEPS {
            if matcher.is_stopped() || matcher.is_accepting().ok()? {
                return matcher.stop_reason().is_ok().then(|| String::from_utf8(added).ok()).flatten();
            }
            let tokens = self.next(&mut matcher)?;
            count += tokens.len();
            if count > TOKENS {
                return None;
            }
            for token in tokens {
                matcher.consume_token(token).ok()?;
                let bytes = self.vocabulary.bytes(token);
                added.extend_from_slice(bytes);
                self.scan(bytes)?;
            }
        }
        None
    }

    fn scan(&mut self, bytes: &[u8]) -> Option<()> {
        let read = self.scanner.as_mut().map(|scanner| bytes.iter().try_for_each(|&byte| scanner.push(byte)));
        if self.json {
            return read.unwrap_or(Some(()));
        }
        self.text.extend_from_slice(bytes);
        if read != Some(Some(())) {
            // The JSON of a call is over, or has not begun before.
            let text = std::str::from_utf8(&self.text).ok().filter(|_| bytes.contains(&b'{'));
            self.scanner = text.and_then(open_json).and_then(scanned);
        }
        Some(())
    }

    /// What comes next: what is forced, or one byte that is allowed, or else the shortest token.
    fn next(&mut self, matcher: &mut Matcher) -> Option<Vec<u32>> {
        let forced = matcher.compute_ff_tokens();
        if !forced.is_empty() {
            return Some(forced);
        }
        if let Some(end) = self.end.and_then(|end| self.vocabulary.spell(end.as_bytes()))
            && matcher.compute_ff_bytes().is_empty()
            && matcher.validate_tokens(&end).ok()? == end.len()
        {
            return Some(end);
        }
        for byte in self.candidates() {
            let Some(token) = self.vocabulary.single(byte) else { continue };
            if matcher.validate_tokens(&[token]).ok()? == 1 {
                let used = &mut self.used[usize::from(byte)];
                *used = used.saturating_add(1);
                return Some(vec![token]);
            }
        }
        let mask = matcher.compute_mask().ok()?;
        let shortest = mask.iter().filter(|&token| !self.vocabulary.bytes(token).is_empty());
        shortest.min_by_key(|&token| self.vocabulary.bytes(token).len()).map(|token| vec![token])
    }

    fn candidates(&self) -> Vec<u8> {
        let in_text = self.scanner.as_ref().is_none_or(Scanner::in_string);
        let order = if in_text { TEXT_ORDER } else { JSON_ORDER };
        let closes = |byte: u8| match &self.scanner {
            Some(_) if in_text => byte == b'"',
            Some(_) => matches!(byte, b'}' | b']'),
            None => false,
        };
        let mut bytes = order.to_vec();
        // The sort is stable: among equals the order above holds.
        bytes.sort_by_key(|&byte| (Reverse(closes(byte)), self.used[usize::from(byte)]));
        bytes
    }
}
