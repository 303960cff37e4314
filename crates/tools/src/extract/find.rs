//! Candidates: places of a text that may be a field's value, found by their form alone.
//!
//! Marks (addresses, dates, codes) are found first; numbers and names are not looked for inside them.
//! Which candidate belongs to which field is not decided here.

use std::ops::Range;

use super::reading::Reading;

pub(super) mod dates;
pub(super) mod marks;
pub(super) mod names;
pub(super) mod numbers;

/// What a candidate is by its form.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Sort {
    Email,
    Url,
    Ip,
    Path,
    Phone,
    /// A date, or a date with a time.
    Date,
    Time,
    Version,
    /// Letters and digits, or digits with signs between them.
    Code,
    /// A word that programs use as a name: `search-indexer`, `json.Error`, `writeRows`.
    Symbol,
    Number,
    /// Words with capitals.
    Name,
    /// Inside quotes.
    Quoted,
    /// The value of a pair.
    Value,
    /// Words between punctuation.
    Chunk,
    /// One word, or a few of a chunk.
    Words,
}

/// A place of the text that may be a value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Candidate {
    pub(super) at: Range<usize>,
    pub(super) sort: Sort,
    /// What a number is.
    pub(super) number: Option<numbers::Quantity>,
    /// A date as in ISO 8601, where it is complete.
    pub(super) iso: Option<String>,
    /// For a pair's value, which pair.
    pub(super) pair: Option<usize>,
}

impl Candidate {
    pub(super) fn new(at: Range<usize>, sort: Sort) -> Self {
        Self { at, sort, number: None, iso: None, pair: None }
    }

    pub(super) fn overlaps(&self, other: &Range<usize>) -> bool {
        self.at.start < other.end && other.start < self.at.end
    }

    pub(super) fn text<'a>(&self, text: &'a str) -> &'a str {
        text.get(self.at.clone()).unwrap_or_default()
    }
}

/// All candidates of a text, in no order that means anything; none twice.
pub(super) fn candidates(reading: &Reading<'_>) -> Vec<Candidate> {
    let text = reading.text;
    let mut found = marks::addresses(text);
    let free = |found: &[Candidate], at: &Range<usize>| !found.iter().any(|earlier| earlier.overlaps(at));
    for finder in [dates::dates, dates::times, marks::phones] {
        let more: Vec<Candidate> = finder(text).into_iter().filter(|new| free(&found, &new.at)).collect();
        found.extend(more);
    }
    let marked = found.clone();
    // A long code of digits may look like a telephone number.
    let addresses: Vec<Candidate> = marked.iter().filter(|one| one.sort != Sort::Phone).cloned().collect();
    let codes: Vec<Candidate> = marks::codes(text).into_iter().filter(|new| free(&addresses, &new.at)).collect();
    let solid: Vec<Candidate> =
        marked.iter().chain(codes.iter().filter(|code| code.sort != Sort::Symbol)).cloned().collect();
    found.extend(codes);
    let numbers = numbers::numbers(text, reading.decimal_comma);
    found.extend(
        numbers.into_iter().filter(|new| new.number.as_ref().is_some_and(|n| n.unit_inside) || free(&solid, &new.at)),
    );
    found.extend(names::names(reading).into_iter().filter(|new| free(&marked, &new.at)));
    found.extend(names::quoted(text));
    found.extend(names::values(reading));
    found.extend(names::chunks(reading));
    let mut seen = std::collections::HashSet::new();
    found.retain(|candidate| {
        !candidate.at.is_empty() && seen.insert((candidate.at.clone(), candidate.sort, candidate.pair))
    });
    found
}

/// A value has fewer brackets without a partner at its ends.
const MOST_BRACKETS: usize = 16;

/// The range without white space and punctuation at its ends, and without brackets that open or close nothing;
/// empty when there are too many of them for a value.
pub(super) fn trimmed(text: &str, at: Range<usize>) -> Range<usize> {
    let nothing = at.start..at.start;
    let mut at = at;
    for _ in 0..MOST_BRACKETS {
        at = bare(text, at);
        match without_bracket(text, &at) {
            Some(inner) => at = inner,
            None => return at,
        }
    }
    nothing
}

/// The range without white space and punctuation at its ends.
fn bare(text: &str, at: Range<usize>) -> Range<usize> {
    let Some(slice) = text.get(at.clone()) else { return at.start..at.start };
    let dull = |letter: char| letter.is_whitespace() || ".,;:!?|\"'`“”„«»<>*".contains(letter);
    let dull_end = |letter: char| dull(letter) && !is_closed_abbreviation(slice, letter);
    let end = slice.trim_end_matches(dull_end).len();
    let start = slice.len() - slice.trim_start_matches(|letter| dull(letter) || letter == '-').len();
    if start >= end { at.start..at.start } else { at.start + start..at.start + end }
}

/// `S.L.` keeps its last full stop.
fn is_closed_abbreviation(slice: &str, letter: char) -> bool {
    let slice = slice.trim_end();
    let mut back = slice.chars().rev();
    letter == '.' && back.next() == Some('.') && back.next().is_some_and(char::is_uppercase) && back.next() == Some('.')
}

/// Without a bracket that opens or closes nothing; `None` where there is none.
fn without_bracket(text: &str, at: &Range<usize>) -> Option<Range<usize>> {
    let slice = &text[at.clone()];
    let (opened, closed) = (slice.matches('(').count(), slice.matches(')').count());
    let wraps = slice.starts_with('(') && slice.ends_with(')') && opened == 1;
    match () {
        () if wraps => Some(at.start + 1..at.end - 1),
        () if opened > closed && slice.starts_with('(') => Some(at.start + 1..at.end),
        () if closed > opened && slice.ends_with(')') => Some(at.start..at.end - 1),
        () if opened > closed => slice.rfind('(').map(|cut| at.start..at.start + cut),
        () => None,
    }
}

#[cfg(test)]
mod tests;
