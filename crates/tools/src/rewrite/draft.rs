//! A text's sentences while they are changed, with the books of what must stay: a change is looked at by itself,
//! without reading the rest of the text again.

use std::collections::BTreeSet;
use std::fmt;

use super::keep::Must;
use crate::prose::sentences::split;
use crate::prose::words::count;

/// See the module.
pub(super) struct Draft<'a> {
    must: &'a Must,
    /// Those that were left out are empty, so that the others keep their places.
    pub(super) sentences: Vec<Sentence>,
    /// How many sentences hold each of the strings that must stay.
    holders: Vec<usize>,
    /// Words of all of them.
    pub(super) words: usize,
    /// Sentences that are not left out.
    pub(super) number: usize,
}

/// A sentence of a [`Draft`].
pub(super) struct Sentence {
    text: String,
    /// Which of the strings that must stay it holds.
    holds: BTreeSet<usize>,
    /// A string that must stay begins or ends in it, and goes on in another.
    is_fixed: bool,
}

impl<'a> Draft<'a> {
    pub(super) fn of(text: &str, must: &'a Must) -> Self {
        let texts = split(text).into_iter().map(|sentence| sentence.text);
        let sentences: Vec<Sentence> =
            texts.map(|text| Sentence { holds: must.held(&text), text, is_fixed: false }).collect();
        let mut holders = vec![0; must.len()];
        for number in sentences.iter().flat_map(|sentence| &sentence.holds) {
            holders[*number] += 1;
        }
        let words = sentences.iter().map(|sentence| count(&sentence.text)).sum();
        let number = sentences.len();
        let mut draft = Self { must, sentences, holders, words, number };
        draft.fix();
        draft
    }

    /// Finds what only several sentences hold together.
    fn fix(&mut self) {
        let mut ends = Vec::with_capacity(self.sentences.len());
        let mut end = 0;
        for sentence in &self.sentences {
            end += sentence.text.len() + 1;
            ends.push(end);
        }
        let whole = self.to_string();
        for (number, place) in self.must.each(&whole).filter(|(number, _)| self.holders[*number] == 0) {
            let first = ends.partition_point(|end| *end <= place.start);
            let last = ends.partition_point(|end| *end < place.end);
            debug_assert!(first < last, "{number} stands in one sentence");
            for sentence in self.sentences.iter_mut().take(last + 1).skip(first) {
                sentence.is_fixed = true;
            }
        }
    }

    /// A sentence; empty when it was left out.
    pub(super) fn text(&self, index: usize) -> &str {
        self.sentences.get(index).map_or("", |sentence| &sentence.text)
    }

    /// Puts another sentence in place where nothing is lost by it; whether it did.
    pub(super) fn put(&mut self, index: usize, text: String) -> bool {
        !text.trim().is_empty() && !self.text(index).is_empty() && self.change(index, text)
    }

    /// Leaves a sentence out where nothing is lost by it.
    pub(super) fn leave_out(&mut self, index: usize) {
        if !self.text(index).is_empty() && self.change(index, String::new()) {
            self.number -= 1;
        }
    }

    fn change(&mut self, index: usize, text: String) -> bool {
        let Some(sentence) = self.sentences.get_mut(index).filter(|sentence| !sentence.is_fixed) else { return false };
        let holds = self.must.held(&text);
        if sentence.holds.difference(&holds).any(|number| self.holders[*number] == 1) {
            return false;
        }
        for number in &sentence.holds {
            self.holders[*number] -= 1;
        }
        for number in &holds {
            self.holders[*number] += 1;
        }
        self.words = self.words - count(&sentence.text) + count(&text);
        *sentence = Sentence { text, holds, is_fixed: false };
        true
    }
}

impl fmt::Display for Draft<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut texts = self.sentences.iter().map(|sentence| sentence.text.as_str()).filter(|text| !text.is_empty());
        formatter.write_str(texts.next().unwrap_or_default())?;
        texts.try_for_each(|text| write!(formatter, " {text}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_that_loses_something_is_refused() {
        let keep = ["late again".to_owned(), "cats. Dogs".to_owned()];
        let must = Must::of("", &keep);
        let mut draft = Draft::of("He is late again. She is late again. I like cats. Dogs too. That is all.", &must);
        assert_eq!((draft.number, draft.words), (5, 16));
        assert!(draft.put(0, "He is late.".to_owned()), "the second one says it, too");
        assert!(!draft.put(1, "She is late.".to_owned()), "now nobody else does");
        assert!(!draft.put(2, "Cats!".to_owned()), "they hold it together");
        assert!(!draft.put(4, "  ".to_owned()));
        draft.leave_out(3);
        draft.leave_out(4);
        draft.leave_out(4);
        assert_eq!(draft.to_string(), "He is late. She is late again. I like cats. Dogs too.");
        assert_eq!((draft.number, draft.words), (4, 12));
    }
}
