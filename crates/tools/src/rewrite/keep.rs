//! What must stay: where it stands, whether it is still there. Every text is read once for all strings together.

use std::collections::{BTreeSet, HashSet};
use std::ops::Range;

use aho_corasick::AhoCorasick;

use crate::prose::facts;

/// Strings that must stay. They are named by their number.
#[derive(Debug)]
pub(super) struct Must {
    strings: Vec<String>,
    /// `None`: there are too many to be sought at once.
    finder: Option<AhoCorasick>,
}

impl Must {
    /// The strings of the caller, and what stays by default: numbers, names, addresses, code in backticks.
    pub(super) fn of(text: &str, keep: &[String]) -> Self {
        let mut known: HashSet<&str> = keep.iter().map(String::as_str).collect();
        let by_default = facts::fixed(text).into_iter().map(|range| &text[range]).filter(|string| known.insert(string));
        let by_default: Vec<&str> = by_default.collect();
        let all = keep.iter().map(String::as_str).chain(by_default);
        let strings: Vec<String> = all.filter(|string| !string.is_empty()).map(str::to_owned).collect();
        let finder = AhoCorasick::new(&strings).ok();
        Self { strings, finder }
    }

    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.strings.len()
    }

    /// The string of a number.
    pub(super) fn string(&self, number: usize) -> &str {
        self.strings.get(number).map_or("", String::as_str)
    }

    /// Every place of every string.
    pub(super) fn each<'a>(&'a self, text: &'a str) -> Box<dyn Iterator<Item = (usize, Range<usize>)> + 'a> {
        match &self.finder {
            Some(finder) => {
                Box::new(finder.find_overlapping_iter(text).map(|found| (found.pattern().as_usize(), found.range())))
            }
            None => Box::new(self.strings.iter().enumerate().flat_map(|(number, string)| {
                text.match_indices(string.as_str()).map(move |(at, found)| (number, at..at + found.len()))
            })),
        }
    }

    /// Those that are in a text.
    pub(super) fn held(&self, text: &str) -> BTreeSet<usize> {
        self.each(text).map(|(number, _)| number).collect()
    }

    /// Those that are not in a text.
    pub(super) fn missing(&self, text: &str) -> Vec<usize> {
        let held = self.held(text);
        (0..self.strings.len()).filter(|number| !held.contains(number)).collect()
    }

    /// Those that are in one text and not in the other.
    pub(super) fn lost(&self, before: &str, after: &str) -> Vec<usize> {
        let held = self.held(after);
        self.held(before).into_iter().filter(|number| !held.contains(number)).collect()
    }

    /// Where they stand in a text, with what stays by default; byte ranges in order, apart from each other.
    pub(super) fn places(&self, text: &str) -> Vec<Range<usize>> {
        let mut found = facts::fixed(text);
        found.extend(self.each(text).map(|(_, range)| range));
        facts::apart(found)
    }

    /// Gives missing strings their own letters back where only their case was changed; those that are there now.
    pub(super) fn restore(&self, text: &mut String, missing: &[usize]) -> Vec<usize> {
        let low = text.to_lowercase();
        // Only where small letters take the same bytes, so that places are the same in both.
        if missing.is_empty() || low.len() != text.len() {
            return Vec::new();
        }
        let sought: Vec<String> = missing.iter().map(|number| self.string(*number).to_lowercase()).collect();
        let Ok(finder) = AhoCorasick::new(&sought) else { return Vec::new() };
        let mut done: HashSet<usize> = HashSet::new();
        for found in finder.find_overlapping_iter(&low) {
            let string = missing.get(found.pattern().as_usize()).map_or("", |number| self.string(*number));
            let fits = string.len() == found.len() && text.get(found.range()).is_some();
            if fits && done.insert(found.pattern().as_usize()) {
                text.replace_range(found.range(), string);
            }
        }
        let held = self.held(text);
        missing.iter().copied().filter(|number| held.contains(number)).collect()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn must(strings: &[&str]) -> Must {
        Must::of("", &strings.iter().map(|&string| string.to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn what_stays_by_default_is_named_once_behind_what_the_caller_keeps() {
        let must = Must::of("Ask Ann: Ann has 3 of 3 `keys`.", &["has".to_owned(), "3".to_owned()]);
        assert_eq!(must.strings, ["has", "3", "Ann", "`keys`"]);
    }

    #[test]
    fn letters_come_back_where_only_their_case_was_changed() {
        let must = must(&["McRae", "USB-C", "Oslo"]);
        let mut text = "mcrae has a usb-c plug".to_owned();
        let missing = must.missing(&text);
        assert_eq!(must.restore(&mut text, &missing), [0, 1]);
        assert_eq!((text.as_str(), must.missing(&text)), ("McRae has a USB-C plug", vec![2]));
    }

    proptest! {
        #[test]
        fn strings_are_found_as_one_by_one(
            text in "[ab é]{0,30}",
            strings in prop::collection::vec("[ab é]{1,3}", 0..6),
        ) {
            let must = Must::of("", &strings);
            let simply: Vec<usize> =
                must.strings.iter().enumerate().filter(|(_, string)| !text.contains(string.as_str())).map(|(at, _)| at).collect();
            prop_assert_eq!(must.missing(&text), simply);
            let without = Must { strings: must.strings.clone(), finder: None };
            prop_assert_eq!(without.held(&text), must.held(&text));
            for place in must.places(&text) {
                prop_assert!(text.get(place).is_some());
            }
        }
    }
}
