//! Stop strings: finds them across the borders of tokens and never lets a part of one out.
//!
//! What it does not: decide what a stop means for the generation. Text goes in as it is decoded,
//! text that is safe to send comes out, the same for every way the text is cut into pieces. The
//! earliest place in the text wins. One Knuth-Morris-Pratt automaton per stop string: each byte is
//! looked at once, however long the stop strings are.
//!
//! Start at [`StopMatcher::push`].

#[cfg(test)]
mod tests;

/// What became known with a piece of text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Matched {
    /// Text that belongs to the answer for sure.
    pub(crate) emit: String,
    /// A stop string was found; all that came before it has been emitted.
    pub(crate) stopped: bool,
}

/// One stop string and how much of it the text ends with.
#[derive(Debug)]
struct Pattern {
    text: Vec<u8>,
    /// For each prefix that ends at `i`: the length of its longest proper suffix that is a prefix.
    fallback: Vec<usize>,
    /// The text so far ends with this many bytes of the pattern; less than its length.
    matched: usize,
}

impl Pattern {
    fn new(text: String) -> Self {
        let text = text.into_bytes();
        let mut fallback = vec![0; text.len()];
        let mut matched = 0;
        for index in 1..text.len() {
            while matched > 0 && text[index] != text[matched] {
                matched = fallback[matched - 1];
            }
            matched += usize::from(text[index] == text[matched]);
            fallback[index] = matched;
        }
        Self { text, fallback, matched: 0 }
    }

    /// Takes the next byte; true when the pattern is complete with it.
    fn advance(&mut self, byte: u8) -> bool {
        while self.matched > 0 && self.text[self.matched] != byte {
            self.matched = self.fallback[self.matched - 1];
        }
        self.matched += usize::from(self.text[self.matched] == byte);
        let complete = self.matched == self.text.len();
        if complete {
            self.matched = self.fallback[self.matched - 1];
        }
        complete
    }
}

/// Looks for stop strings in a text that arrives in pieces.
#[derive(Debug)]
pub(crate) struct StopMatcher {
    patterns: Vec<Pattern>,
    /// Text that is not yet known to be safe.
    held: String,
    /// Bytes of the text that have been emitted: where `held` starts.
    emitted: usize,
    /// Where the earliest complete stop string starts that was found; an even earlier one may still
    /// be under way.
    found: Option<usize>,
    stopped: bool,
}

impl StopMatcher {
    /// Empty stop strings are ignored.
    #[must_use]
    pub(crate) fn new(stops: Vec<String>) -> Self {
        let patterns = stops.into_iter().filter(|stop| !stop.is_empty()).map(Pattern::new).collect();
        Self { patterns, held: String::new(), emitted: 0, found: None, stopped: false }
    }

    /// Takes the next piece of text and hands out what can not be part of a stop string any more.
    ///
    /// After a stop string was found nothing more is emitted.
    pub(crate) fn push(&mut self, text: &str) -> Matched {
        if self.stopped {
            return Matched { emit: String::new(), stopped: true };
        }
        if self.patterns.is_empty() {
            return Matched { emit: text.to_owned(), stopped: false };
        }
        let before = self.emitted + self.held.len();
        self.held.push_str(text);
        for (end, byte) in (before + 1..).zip(text.bytes()) {
            self.advance(byte, end);
            if self.stopped {
                break;
            }
        }
        let safe = if self.stopped { self.found } else { self.earliest_open(self.emitted + self.held.len()) };
        let emit = self.emit_until(safe);
        if self.stopped {
            self.held.clear();
        }
        Matched { emit, stopped: self.stopped }
    }

    /// The generation ended: hands out what was held back, up to a stop string if there is one.
    pub(crate) fn finish(&mut self) -> String {
        let emit = self.emit_until(self.found);
        self.held.clear();
        self.stopped |= self.found.is_some();
        emit
    }

    /// A stop string was found. Can become true with [`Self::finish`] too: when a stop string was
    /// complete but one that starts earlier was still possible.
    #[must_use]
    pub(crate) fn stopped(&self) -> bool {
        self.stopped
    }

    /// Takes the byte that ends at `end`.
    fn advance(&mut self, byte: u8, end: usize) {
        for pattern in &mut self.patterns {
            if pattern.advance(byte) {
                let start = end - pattern.text.len();
                self.found = Some(self.found.map_or(start, |found| found.min(start)));
            }
        }
        if let Some(found) = self.found {
            self.stopped = self.earliest_open(end).is_none_or(|open| open >= found);
        }
    }

    /// Where the earliest stop string starts that the text up to `end` may be in the middle of.
    fn earliest_open(&self, end: usize) -> Option<usize> {
        self.patterns.iter().filter(|pattern| pattern.matched > 0).map(|pattern| end - pattern.matched).min()
    }

    /// Hands out the held text up to the position `until` of the whole text; all of it without one.
    /// Positions are where a stop string starts in the text, so they lie between characters.
    fn emit_until(&mut self, until: Option<usize>) -> String {
        let len = until.map_or(self.held.len(), |until| until.saturating_sub(self.emitted));
        let rest = self.held.split_off(len.min(self.held.len()));
        self.emitted += self.held.len();
        std::mem::replace(&mut self.held, rest)
    }
}
