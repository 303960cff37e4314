//! Words that may be values: names with capitals, what stands in quotes, values of pairs, what stands between
//! punctuation.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::super::pattern;
use super::super::reading::{Reading, Word};
use super::{Candidate, Sort, trimmed};

static NAME: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?:(?:Mr|Mrs|Ms|Dr|Prof|St|Sr|Sra|Hr|Fr)\.? )?(?:\p{Lu}\.[ -]?)*\p{Lu}[\p{L}\p{N}’'-]*(?:(?: (?:&|de|del|de la|la|von|van|der|den|of|du|y|e|et|and|the) | & | |-)(?:\p{Lu}\. ?)*\p{Lu}[\p{L}\p{N}’'-]*)*(?: S\.[AL]\.| Ltd\.?| Inc\.?| Co\.)?(?: \d{1,4}\b)?",
    )
});
static QUOTED: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r#""(?P<a>[^"\n]{1,200})"|“(?P<b>[^”\n]{1,200})”|«(?P<c>[^»\n]{1,200})»|„(?P<d>[^“”\n]{1,200})[“”]|`(?P<e>[^`\n]{1,200})`|(?:^|[\s(=:])'(?P<f>[^'\n]{1,200})'"#,
    )
});
/// Where words of a chunk end.
static BREAK: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r#"[,;:!?](?:\s|$)|\.(?:\s|$)|[()\[\]|"“”\n\t]+|\s[-–—]\s|\s(?:and|y|und|et|but|because)\s"#)
});
/// Small words that begin a phrase and are no part of a value.
static LEAD: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)^(?:the|a|an|in|on|at|to|from|by|for|of|with|is|was|are|near|via|into|und|el|la|los|las|de|del|en|con|para|por|der|die|das|von|mit|nach|bei|am|im|le|les|du|des|pour|à|avec|my|our|your|their|his|her|this|these|please|we|i|it|they|only) ",
    )
});

/// Words that neither begin nor end a value.
const SMALL: &str = "the a an in on at to from by for of with is was are and or but her his its my our no not has hav will be \
    as it we i el la los las de del en con para por y der die das von mit und am zum le les du des et pour";

/// Words before a thing.
const ARTICLES: &str = "the a an my our your this these el la los las un una der die das ein eine einen le les une du";

/// Longest text of a candidate without a form of its own, in bytes.
const LONGEST: usize = 240;

/// Words with capitals in a row; where they begin a sentence also without the first word, and where a small
/// word joins them also the parts.
pub(super) fn names(reading: &Reading<'_>) -> Vec<Candidate> {
    let text = reading.text;
    let mut found = Vec::new();
    for place in NAME.find_iter(text) {
        let inside =
            text[..place.start()].chars().next_back().is_some_and(|c| c.is_alphanumeric() || c == '_' || c == '.');
        if inside || place.len() > LONGEST {
            continue;
        }
        let mut add = |at: Range<usize>| {
            let at = named(text, trimmed(text, at));
            if !at.is_empty() {
                found.push(Candidate::new(at, Sort::Name));
            }
        };
        add(place.range());
        let name = place.as_str();
        let verb = name.split(' ').next().is_some_and(|word| word.ends_with("ing") || word.ends_with("ed"));
        if verb
            && reading.begins_sentence(place.start())
            && let Some(space) = name.find(' ')
        {
            add(place.start() + space + 1..place.end());
        }
        if let Some(cut) = name.rfind(' ').filter(|&cut| name[cut + 1..].starts_with(|c: char| c.is_ascii_digit())) {
            add(place.start()..place.start() + cut);
        }
        for joint in [" & ", " and ", " y ", " e ", " et ", " of ", " de ", " von ", " the ", " The "] {
            if let Some(cut) = name.find(joint) {
                add(place.start()..place.start() + cut);
                add(place.start() + cut + joint.len()..place.end());
            }
        }
    }
    found
}

/// Words with a capital that are no part of a name.
const NO_NAMES: &str = "hi hello dear hey contact call text from the for at in on wanted selling thank thanks best kind regards cheers \
    our my we i a an it this that please to by with subject date re fwd your you if when and or no not yes total price note new only \
    free used also next last monday tuesday wednesday thursday friday saturday sunday mon tue wed thu fri sat sun january february \
    march april may june july august september october november december el la los las un una der die das ein eine le les \
    hola hallo bonjour gracias saludos atentamente reported updated attendees owner patient passenger invoice order status \
    reference ticket ordered error warn info debug get post put delete http pm am id";

fn is_no_name(word: &str) -> bool {
    let word = word.to_lowercase();
    NO_NAMES.split(' ').any(|known| known == word) || super::numbers::is_currency(&word)
}

/// The place without words at its beginning that are no part of a name; empty when none is.
fn named(text: &str, at: Range<usize>) -> Range<usize> {
    let mut at = at;
    loop {
        let first = text[at.clone()].split(' ').next().unwrap_or_default();
        let word = first.trim_end_matches(['.', ',']).to_lowercase();
        let dull = is_no_name(&word);
        // `The Salt Road` is a name; `The` is none.
        let article = ["the", "la", "el", "los", "las", "le", "les", "der", "die", "das", "new"].contains(&&*word)
            && at.len() > first.len();
        if !dull || article || first.is_empty() {
            return at;
        }
        at = trimmed(text, at.start + first.len()..at.end);
        if !text[at.clone()].starts_with(char::is_uppercase) {
            return at.start..at.start;
        }
    }
}

/// What stands between quotes.
pub(super) fn quoted(text: &str) -> Vec<Candidate> {
    let inner =
        QUOTED.captures_iter(text).filter_map(|captures| captures.iter().skip(1).flatten().next().map(|m| m.range()));
    inner.map(|at| Candidate::new(trimmed(text, at), Sort::Quoted)).collect()
}

/// The values of pairs: up to the end of the line, of the sentence, and the first comma or bracket.
pub(super) fn values(reading: &Reading<'_>) -> Vec<Candidate> {
    let text = reading.text;
    let mut found = Vec::new();
    for (index, pair) in reading.pairs.iter().enumerate() {
        for end in ends(reading, pair.value.clone()) {
            let at = trimmed(text, pair.value.start..end);
            if at.len() <= LONGEST && !at.is_empty() {
                found.push(Candidate { pair: Some(index), ..Candidate::new(at, Sort::Value) });
            }
        }
    }
    found
}

fn ends(reading: &Reading<'_>, value: Range<usize>) -> Vec<usize> {
    let text = reading.text;
    let sentence = reading.sentence_at(value.start).end.clamp(value.start, value.end);
    let mut ends = vec![sentence];
    let slice = &text[value.start..sentence];
    for sign in [", ", "; ", " (", " <", " | ", ") ", "),", ")."] {
        ends.extend(slice.find(sign).map(|cut| value.start + cut));
    }
    if let Some(next) = reading.value_behind(value.start).filter(|&next| next < value.end) {
        // Another pair begins inside: the value ends before its key.
        ends.retain(|&end| end <= next);
        let cut = text[value.start..next].rfind([',', ';', '.', '(', '|']).map(|cut| value.start + cut);
        ends.extend(cut);
    }
    ends.sort_unstable();
    ends.dedup();
    ends
}

/// What stands between punctuation, with and without the small words at its beginning.
pub(super) fn chunks(reading: &Reading<'_>) -> Vec<Candidate> {
    let text = reading.text;
    let mut found = Vec::new();
    for sentence in &reading.sentences {
        let slice = &text[sentence.clone()];
        let mut start = 0;
        let mut pieces = vec![sentence.clone()];
        for end in BREAK.find_iter(slice).chain(std::iter::empty()) {
            pieces.push(sentence.start + start..sentence.start + end.start());
            start = end.end();
        }
        pieces.push(sentence.start + start..sentence.end);
        for piece in pieces {
            let mut at = trimmed(text, piece);
            for _ in 0..3 {
                if at.is_empty() || at.len() > LONGEST {
                    break;
                }
                if text[at.clone()].contains(' ') || !is_no_name(&text[at.clone()]) {
                    found.push(Candidate::new(at.clone(), Sort::Chunk));
                }
                let Some(lead) = LEAD.find(&text[at.clone()]) else { break };
                at.start += lead.end();
            }
        }
    }
    found
}

/// What articles and their like stand before: `the hiking boots`.
pub(in super::super) fn things(reading: &Reading<'_>) -> Vec<Candidate> {
    let is_article = |word: &&Word| {
        reading
            .text
            .get(word.at.clone())
            .is_some_and(|text| ARTICLES.split(' ').any(|known| known == text.to_lowercase()))
    };
    reading.words.iter().filter(is_article).flat_map(|word| words_behind(reading, word.at.end)).collect()
}

/// The words behind a place: one, two, three, four of them, up to the next punctuation.
pub(in super::super) fn words_behind(reading: &Reading<'_>, place: usize) -> Vec<Candidate> {
    let text = reading.text;
    let stop = reading.sentence_at(place).end;
    let piece = BREAK.find_at(text, place).map_or(stop, |end| end.start().min(stop));
    let first = reading.word_at(place);
    let words = reading.words[first..].iter().take(4).take_while(|word| word.at.end <= piece);
    let Some(start) = reading.words.get(first).map(|word| word.at.start) else { return Vec::new() };
    let is_small = |word: &Word| SMALL.split(' ').any(|small| small == word.stem);
    let ends_token = |word: &&Word| {
        let mut rest = text[word.at.end..].chars();
        !(rest.next().is_some_and(|letter| "/-_.@:#+".contains(letter))
            && rest.next().is_some_and(char::is_alphanumeric))
    };
    let words: Vec<&Word> = words.collect();
    let first = words.iter().position(|word| !is_small(word)).unwrap_or(words.len());
    let start = words.get(first).map_or(start, |word| word.at.start);
    let ends = words[first..].iter().copied().filter(ends_token).filter(|word| !is_small(word));
    ends.map(|word| Candidate::new(start..word.at.end, Sort::Words)).collect()
}
