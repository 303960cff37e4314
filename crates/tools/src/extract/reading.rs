//! The text as words, sentences and `key: value` pairs. All places are bytes.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::pattern;

mod lines;
use super::vocabulary::stem;

/// The text of a call, read once for all fields.
#[derive(Debug)]
pub(super) struct Reading<'a> {
    pub(super) text: &'a str,
    pub(super) words: Vec<Word>,
    /// In order, without gaps that hold words; never over a line's end.
    pub(super) sentences: Vec<Range<usize>>,
    pub(super) pairs: Vec<Pair>,
    /// The pairs in the order of their values' beginnings.
    by_value: Vec<usize>,
    /// Whether numbers are written as in `1.234,50`.
    pub(super) decimal_comma: bool,
}

/// A run of letters, digits, and what joins them.
#[derive(Debug)]
pub(super) struct Word {
    pub(super) at: Range<usize>,
    pub(super) stem: String,
    /// Index of its sentence.
    pub(super) sentence: usize,
}

/// `Key: value` or `key=value`.
#[derive(Debug)]
pub(super) struct Pair {
    /// Stems of the key's words.
    pub(super) key: Vec<String>,
    /// Up to the end of the line, or of the quotes.
    pub(super) value: Range<usize>,
}

static WORD: LazyLock<Regex> = LazyLock::new(|| pattern(r"[\p{L}\p{N}]+(?:['’][\p{L}]+)?"));
static SENTENCE_END: LazyLock<Regex> = LazyLock::new(|| pattern(r"[.!?]+[)\u{22}»]?(?:\s+|$)|\n+"));
static PAIR: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?:^|[\n.;,(|\-*•\t]|\. )[ \t]*(?P<key>\p{L}[\p{L}\p{N}'’._#/-]*(?: [\p{L}(#°&/][\p{L}\p{N}'’.%)/-]*){0,4}) ?(?: ?\([^)\n]{0,20}\))?[:：][ \t]+(?P<value>[^\n])",
    )
});
static FIELD: LazyLock<Regex> =
    LazyLock::new(|| pattern(r#"(?P<key>[\p{L}_][\p{L}\p{N}_.-]*)=(?P<value>"[^"\n]*"|[^\s,;"]+)"#));
static DECIMAL_COMMA: LazyLock<Regex> = LazyLock::new(|| pattern(r"\d,\d{1,2}(?:[^\d,]|$)"));
static DECIMAL_POINT: LazyLock<Regex> = LazyLock::new(|| pattern(r"\d,\d{3}\.\d|[^.\d]\d+\.\d{1,2}(?:[^\d.]|$)"));
static FOREIGN: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"(?i)\b(?:el|la|los|las|con|por|von|der|die|das|und|nach|am|le|les|des|pour|et|del|ein|eine|est|una?)\b")
});
static ENGLISH: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"(?i)\b(?:the|of|and|for|with|is|to|from|on|at|was|by|are|in|you|we|not|has)\b"));

/// What stands before a full stop that ends no sentence.
const ABBREVIATIONS: [&str; 20] = [
    "mr", "mrs", "ms", "dr", "st", "no", "nr", "prof", "vs", "approx", "tel", "sr", "sra", "inc", "ca", "num", "ext",
    "fig", "art", "max",
];

impl<'a> Reading<'a> {
    #[cfg(test)]
    pub(super) fn of(text: &'a str) -> Self {
        Self::with(text, decimal_comma(text))
    }

    /// Reads a part of a text whose way to write numbers is known.
    pub(super) fn with(text: &'a str, decimal_comma: bool) -> Self {
        let sentences = sentences(text);
        let mut sentence = 0;
        let words = WORD
            .find_iter(text)
            .map(|found| {
                while sentence + 1 < sentences.len() && sentences[sentence].end <= found.start() {
                    sentence += 1;
                }
                Word { at: found.range(), stem: stem(found.as_str()), sentence }
            })
            .collect();
        let pairs = pairs(text);
        let mut by_value: Vec<usize> = (0..pairs.len()).collect();
        by_value.sort_by_key(|&index| pairs[index].value.start);
        Self { text, words, sentences, pairs, by_value, decimal_comma }
    }

    /// The pairs, with their indices, whose values begin last at or before a place: where values stand inside each
    /// other the innermost.
    pub(super) fn pairs_at(&self, place: usize) -> impl Iterator<Item = (usize, &Pair)> {
        let start = |&index: &usize| self.pairs[index].value.start;
        let begun = self.by_value.partition_point(|index| start(index) <= place);
        let last = begun.checked_sub(1).map_or(0, |last| start(&self.by_value[last]));
        let innermost = self.by_value[..begun].iter().rev().take_while(move |index| start(index) == last);
        innermost.map(|&index| (index, &self.pairs[index]))
    }

    /// Where the next value of a pair begins behind a place.
    pub(super) fn value_behind(&self, place: usize) -> Option<usize> {
        let begun = self.by_value.partition_point(|&index| self.pairs[index].value.start <= place);
        self.by_value.get(begun).map(|&index| self.pairs[index].value.start)
    }

    /// The index of the first word that begins at or behind a place.
    pub(super) fn word_at(&self, place: usize) -> usize {
        self.words.partition_point(|word| word.at.start < place)
    }

    /// The sentence that a place is in.
    pub(super) fn sentence_at(&self, place: usize) -> Range<usize> {
        let index = self.sentences.partition_point(|sentence| sentence.end <= place);
        self.sentences.get(index).cloned().unwrap_or(place..place)
    }

    /// Whether a place begins a sentence.
    pub(super) fn begins_sentence(&self, place: usize) -> bool {
        let before = self.text[..place].trim_end_matches([' ', '\t', '"', '-', '*', '(']);
        before.is_empty() || before.ends_with(['.', '!', '?', '\n', ':']) || self.sentence_at(place).start == place
    }
}

/// Whether a text writes numbers as in `1.234,50`.
pub(super) fn decimal_comma(text: &str) -> bool {
    let comma = DECIMAL_COMMA.is_match(text) && !DECIMAL_POINT.is_match(text);
    let foreign = FOREIGN.find_iter(text).count() > ENGLISH.find_iter(text).count();
    comma || (foreign && !DECIMAL_POINT.is_match(text))
}

fn sentences(text: &str) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut start = 0;
    for end in SENTENCE_END.find_iter(text) {
        let before = &text[start..end.start()];
        let last = before.rsplit(|letter: char| !letter.is_alphanumeric()).next().unwrap_or_default();
        let is_dot = end.as_str().starts_with('.') && !end.as_str().contains('\n');
        let is_initial = last.chars().count() == 1 && last.chars().all(char::is_uppercase);
        if is_dot && (is_initial || ABBREVIATIONS.contains(&&*last.to_lowercase())) {
            continue;
        }
        if !before.trim().is_empty() {
            found.push(start..end.end());
        }
        start = end.end();
    }
    if !text[start..].trim().is_empty() {
        found.push(start..text.len());
    }
    found
}

fn pairs(text: &str) -> Vec<Pair> {
    let stems = |key: &str| WORD.find_iter(key).map(|word| stem(word.as_str())).collect::<Vec<String>>();
    let mut pairs = Vec::new();
    let mut from = 0;
    // Pairs may stand inside the value of another one: `A: b, c: d`.
    while let Some(found) = PAIR.captures_at(text, from) {
        let (Some(key), Some(value)) = (found.name("key"), found.name("value")) else { break };
        // The pattern stops behind the value's first letter: to read every line once for each of its pairs takes long.
        let end = text[value.end()..].find('\n').map_or(text.len(), |line| value.end() + line);
        pairs.push(Pair { key: stems(key.as_str()), value: value.start()..end });
        from = value.start().max(from + 1);
        while !text.is_char_boundary(from) {
            from += 1;
        }
    }
    for found in FIELD.captures_iter(text) {
        let (Some(key), Some(value)) = (found.name("key"), found.name("value")) else { continue };
        let quoted = value.as_str().len() > 1 && value.as_str().starts_with('"');
        let value = if quoted { value.start() + 1..value.end() - 1 } else { value.range() };
        let key = super::vocabulary::words(key.as_str()).iter().map(|word| stem(word)).collect();
        pairs.push(Pair { key, value });
    }
    pairs.extend(lines::pairs(text));
    pairs.retain(|pair| !pair.key.is_empty() && !pair.value.is_empty());
    pairs
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sentences_end_where_they_end() {
        let text = "Mr. Day came at 7.30 p.m. on Monday. He left! No. 5 stayed\nlast";
        let found: Vec<&str> = Reading::of(text).sentences.iter().map(|at| text[at.clone()].trim()).collect();
        assert_eq!(found, ["Mr. Day came at 7.30 p.m.", "on Monday.", "He left!", "No. 5 stayed", "last"]);
    }

    #[test]
    fn pairs_stand_in_lines_sentences_and_fields() {
        let text = "Due date: 3 May\nShe said so. Owner: Gita, reproducible: yes. lvl=warn msg=\"no way\"";
        let reading = Reading::of(text);
        let found: Vec<(String, &str)> =
            reading.pairs.iter().map(|pair| (pair.key.join(" "), &text[pair.value.clone()])).collect();
        assert_eq!(found[0], ("due dat".to_owned(), "3 May"));
        assert!(found[1].1.starts_with("Gita, repro"), "{found:?}");
        assert!(found[2].1.starts_with("yes. lvl"), "{found:?}");
        assert_eq!(found[3..], [("lvl".to_owned(), "warn"), ("msg".to_owned(), "no way")]);
    }

    #[test]
    fn values_inside_each_other_are_told_by_their_beginnings() {
        let text = "Owner: Gita, place: Ulm, day: Monday\nx=1";
        let reading = Reading::of(text);
        let starts: Vec<usize> = ["Gita", "Ulm", "Monday", "1"].iter().filter_map(|said| text.find(said)).collect();
        for place in 0..text.len() {
            let innermost = starts.iter().rev().find(|&&start| start <= place);
            let found: Vec<usize> = reading.pairs_at(place).map(|(_, pair)| pair.value.start).collect();
            assert_eq!(found, innermost.into_iter().copied().collect::<Vec<_>>(), "{place}");
            assert_eq!(reading.value_behind(place), starts.iter().copied().find(|&start| start > place), "{place}");
        }
    }

    #[test]
    fn the_decimal_sign_is_seen() {
        for (text, comma) in [
            ("1,940.00 and 3.50", false),
            ("total 119,80 EUR", true),
            ("Presupuesto 12.300 para el año", true),
            ("12,480 people", false),
        ] {
            assert_eq!(Reading::of(text).decimal_comma, comma, "{text}");
        }
    }
}
