//! Yes or no, and one of some words: found by the words themselves and by what denies them.

use std::ops::Range;

use serde_json::Value;

use super::choose::Taken;
use super::evidence::{nearness, same_name};
use super::find::numbers::CURRENCIES;
use super::find::{Candidate, Sort};
use super::form::Node;
use super::reading::{Reading, Word};
use super::vocabulary::{likeness, stem, words};

const YES: &str = "yes y true si sí ja oui on included available allowed enabled possible ok";
const NO: &str = "no n false nein non off none nope not never disabled excluded ninguno keine";
/// Words before or behind another one that deny it.
const DENIALS: &str = "no not without never non sin kein keine keinen ohne nicht pas sans ni nor isnt arent wont cannot cant dont doesnt lacks excluding except missing";
/// Words of names that every such name could have.
const FORMAL: &str =
    "is has was are required needed allowed included available enabled possible time under needs with in does can";
/// Words that say the opposite.
const OPPOSITES: [(&str, &str); 14] = [
    ("full", "part"),
    ("success", "failed failure error denied unsuccessful"),
    ("successful", "failed failure error denied"),
    ("passed", "failed"),
    ("paid", "unpaid outstanding due overdue"),
    ("open", "closed"),
    ("active", "inactive expired cancelled"),
    ("enabled", "disabled"),
    ("valid", "invalid expired"),
    ("remote", "onsite on-site"),
    ("new", "used second-hand"),
    ("free", "paid"),
    ("resolved", "unresolved open"),
    ("online", "offline"),
];

fn is_in(list: &str, word: &str) -> bool {
    list.split(' ').any(|known| known == word)
}

/// Whether the text says yes or no to a field; `None`: it says nothing of it.
pub(super) fn flag(node: &Node, reading: &Reading<'_>) -> Option<Taken> {
    by_pair(node, reading).or_else(|| by_words(node, reading))
}

fn by_pair(node: &Node, reading: &Reading<'_>) -> Option<Taken> {
    let named = reading.pairs.iter().map(|pair| (same_name(node, &pair.key), pair)).filter(|(same, _)| *same >= 0.45);
    let mut named: Vec<_> = named.collect();
    named.sort_by(|one, other| other.0.total_cmp(&one.0));
    named.into_iter().find_map(|(_, pair)| {
        let first = reading.words.iter().find(|word| word.at.start >= pair.value.start)?;
        let said = reading.text.get(first.at.clone())?.to_lowercase();
        let value = if is_in(YES, &said) {
            true
        } else if is_in(NO, &said) {
            false
        } else {
            return None;
        };
        Some(Taken { value: Value::Bool(value), at: first.at.clone() })
    })
}

fn by_words(node: &Node, reading: &Reading<'_>) -> Option<Taken> {
    let all = words(&node.name);
    let special: Vec<String> = all.iter().filter(|word| !is_in(FORMAL, word)).cloned().collect();
    let own: Vec<String> = if special.is_empty() { all } else { special };
    let mut denied_elsewhere = None;
    for word in &own {
        let stemmed = stem(word);
        for (index, found) in reading.words.iter().enumerate() {
            let text = reading.text.get(found.at.clone())?.to_lowercase();
            if likeness(&found.stem, &stemmed) > 0.5 {
                let value = !is_denied(reading, index);
                return Some(Taken { value: Value::Bool(value), at: found.at.clone() });
            }
            let opposite = OPPOSITES.iter().any(|(known, others)| known == word && is_in(others, &text));
            let prefixed = ["un", "in", "non", "dis", "im"]
                .iter()
                .any(|prefix| text.strip_prefix(prefix).is_some_and(|rest| stem(rest) == stemmed));
            if (opposite || prefixed) && denied_elsewhere.is_none() {
                denied_elsewhere = Some(Taken { value: Value::Bool(false), at: found.at.clone() });
            }
        }
    }
    denied_elsewhere
}

/// Whether a word is denied: by one before it in its clause, or right behind it.
fn is_denied(reading: &Reading<'_>, index: usize) -> bool {
    let word = &reading.words[index];
    let text =
        |word: &Word| reading.text.get(word.at.clone()).unwrap_or_default().to_lowercase().replace(['\'', '’'], "");
    let same_clause = |one: &Word, other: &Word| {
        let (from, to) =
            if one.at.end <= other.at.start { (one.at.end, other.at.start) } else { (other.at.end, one.at.start) };
        one.sentence == other.sentence
            && reading.text.get(from..to).is_some_and(|gap| !gap.contains([',', ';', '(', ')']))
    };
    let before = reading.words[..index].iter().rev().take(4).take_while(|before| same_clause(before, word));
    let behind = reading.words[index + 1..].iter().take(3).take_while(|behind| same_clause(word, behind));
    before
        .chain(behind)
        .any(|other| is_in(DENIALS, &text(other)) || is_in("false unavailable impossible optional", &text(other)))
}

/// Which of the field's values the text names.
pub(super) fn choice(node: &Node, values: &[Value], reading: &Reading<'_>) -> Option<Taken> {
    let mut best: Option<(f64, Taken)> = None;
    for value in values {
        for (at, exact) in places(value, reading) {
            let candidate = Candidate::new(at.clone(), Sort::Words);
            let near = nearness(node, &candidate, reading);
            #[expect(clippy::cast_precision_loss, reason = "places in a text")]
            let early = at.start as f64 / reading.text.len().max(1) as f64;
            let score = near + exact - 0.3 * early - if denied(reading, &at) { 1.0 } else { 0.0 };
            if best.as_ref().is_none_or(|(other, _)| score > *other) {
                best = Some((score, Taken { value: value.clone(), at }));
            }
        }
    }
    best.map(|(_, taken)| taken)
}

fn denied(reading: &Reading<'_>, at: &Range<usize>) -> bool {
    let index = reading.word_at(at.start);
    index < reading.words.len() && is_denied(reading, index)
}

/// Where a value stands, and how surely it is meant there.
fn places(value: &Value, reading: &Reading<'_>) -> Vec<(Range<usize>, f64)> {
    let said = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let mut found = Vec::new();
    let wanted: Vec<String> = words(&said).iter().map(|word| stem(word)).collect();
    let raw: Vec<String> = words(&said);
    for (index, first) in reading.words.iter().enumerate() {
        let Some(window) = reading.words.get(index..index + wanted.len()).filter(|window| !window.is_empty()) else {
            break;
        };
        let at = first.at.start..window[window.len() - 1].at.end;
        let text = reading.text.get(at.clone()).unwrap_or_default();
        let same = |(word, raw): (&Word, &String)| {
            reading.text.get(word.at.clone()).is_some_and(|text| text.to_lowercase() == *raw)
        };
        if text == said {
            found.push((at, 1.0));
        } else if said.chars().count() > 2 && window.iter().zip(&raw).all(same) {
            found.push((at, 0.9));
        } else if said.chars().count() > 3
            && window.iter().zip(&wanted).all(|(word, wanted)| likeness(&word.stem, wanted) > 0.5)
        {
            found.push((at, 0.4));
        }
    }
    let signs = CURRENCIES.iter().filter(|(_, code)| *code == said);
    for (sign, _) in signs {
        let lower = reading.text.to_lowercase();
        // Lower case may be of another length; then only the text as it is counts.
        let haystack = if lower.len() == reading.text.len() { &lower } else { reading.text };
        let whole = |at: &usize| {
            let joined = |c: Option<char>| c.is_some_and(char::is_alphabetic);
            !sign.starts_with(char::is_alphabetic)
                || !(joined(haystack[..*at].chars().next_back()) || joined(haystack[at + sign.len()..].chars().next()))
        };
        let matches = haystack.match_indices(*sign).map(|(at, _)| at).filter(whole);
        found.extend(
            matches.map(|at| (at..at + sign.len(), 0.8)).filter(|(at, _)| reading.text.get(at.clone()).is_some()),
        );
    }
    found
}
