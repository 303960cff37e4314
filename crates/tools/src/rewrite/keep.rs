//! What must stay: where it stands, whether it is still there.

use std::ops::Range;

use crate::prose::facts;

/// What stays by default: numbers, names, addresses, code in backticks; each once, in order.
pub(super) fn by_default(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    for range in facts::fixed(text) {
        let string = &text[range];
        if !found.iter().any(|known| known == string) {
            found.push(string.to_owned());
        }
    }
    found
}

/// Those that are not in a text.
pub(super) fn missing<'a>(text: &str, must: &'a [String]) -> Vec<&'a String> {
    must.iter().filter(|string| !text.contains(string.as_str())).collect()
}

/// Where they stand in a text, with what stays by default; byte ranges in order, apart from each other.
pub(super) fn places(text: &str, must: &[String]) -> Vec<Range<usize>> {
    let mut found = facts::fixed(text);
    for string in must.iter().filter(|string| !string.is_empty()) {
        found.extend(text.match_indices(string.as_str()).map(|(at, string)| at..at + string.len()));
    }
    found.sort_by_key(|range| (range.start, range.end));
    let mut apart: Vec<Range<usize>> = Vec::new();
    for range in found {
        match apart.last_mut() {
            Some(last) if range.start < last.end => last.end = last.end.max(range.end),
            _ => apart.push(range),
        }
    }
    apart
}

/// Gives a string its own letters back where only their case was changed. Says whether it is there now.
pub(super) fn restore(text: &mut String, string: &str) -> bool {
    if text.contains(string) {
        return true;
    }
    let (low, sought) = (text.to_lowercase(), string.to_lowercase());
    // Only where small letters take the same bytes, so that places are the same in both.
    let at = low.find(&sought).filter(|at| low.len() == text.len() && text.get(*at..at + string.len()).is_some());
    if let Some(at) = at {
        text.replace_range(at..at + string.len(), string);
    }
    text.contains(string)
}
