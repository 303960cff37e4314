//! How well a candidate fits a field, by what can be seen: its form, and the field's words near it.

use fit::{is_occupation, number_fit, text_fit};

use super::find::Candidate;
use super::find::Sort::{Chunk, Name, Value, Words};
use super::form::{Form, Node};
use super::reading::Reading;
use super::vocabulary::{self, Role, likeness};

mod fit;

/// What was seen.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub(super) struct Evidence {
    /// The field is named by the key of the pair whose value this is: 0 to 1.
    pub(super) key: f64,
    /// The field's words stand near: 0 to about 1.
    pub(super) near: f64,
    /// The form is what the field's name asks for: -1 to 1.
    pub(super) fit: f64,
    /// Small signs for this kind of value.
    pub(super) signs: f64,
}

impl Evidence {
    /// All together; above about 3 a field is named in the text.
    pub(super) fn score(self) -> f64 {
        4.0 * self.key + 3.0 * self.near + 2.0 * self.fit + self.signs
    }

    /// Whether the text says that this is the field.
    pub(super) fn names_the_field(self) -> bool {
        self.key >= 0.45 || self.near >= 0.4
    }
}

/// What a letter ends with, before the name; stems.
const SIGNED: [&str; 14] = [
    "regard",
    "thank",
    "cheer",
    "best",
    "sincerely",
    "grus",
    "grusse",
    "saludo",
    "atentament",
    "you",
    "cordialement",
    "wish",
    "yours",
    "greet",
];

/// What a candidate shows for a field; `None` where it can not be its value.
pub(super) fn evidence(node: &Node, candidate: &Candidate, reading: &Reading<'_>) -> Option<Evidence> {
    let key = key(node, candidate, reading);
    let fit = match node.form {
        Form::Text => text_fit(node, candidate, reading, key)? - foreign_key(candidate, reading, key),
        Form::Integer | Form::Number => number_fit(node, candidate)?,
        _ => return None,
    };
    let near = near(node, candidate, reading);
    Some(Evidence { key, near, fit, signs: signs(node, candidate, reading) })
}

/// A pair's value belongs to what its key says; a chunk with a pair inside is more than a value.
fn foreign_key(candidate: &Candidate, reading: &Reading<'_>, key: f64) -> f64 {
    match candidate.sort {
        Value if key < 0.2 => 0.9,
        Chunk if reading.value_behind(candidate.at.start).is_some_and(|start| start < candidate.at.end) => 0.6,
        _ => 0.0,
    }
}

/// How far the words of a key are those of the field, and the other way round.
pub(super) fn same_name(node: &Node, key: &[String]) -> f64 {
    let best = |word: &String| node.cues.iter().map(|cue| cue.weight * likeness(&cue.stem, word)).fold(0.0, f64::max);
    let own: Vec<String> = vocabulary::words(&node.name).iter().map(|word| vocabulary::stem(word)).collect();
    let matched: Vec<f64> = key.iter().map(best).collect();
    let top = matched.iter().copied().fold(0.0, f64::max);
    #[expect(clippy::cast_precision_loss, reason = "a few words")]
    let share = matched.iter().filter(|&&weight| weight > 0.1).count() as f64 / key.len().max(1) as f64;
    let covers = own.iter().all(|word| key.iter().any(|key| likeness(key, word) > 0.5));
    let whole = if covers { 0.15 } else { 0.0 };
    if top < 0.15 { 0.0 } else { (top * (0.6 + 0.25 * share) + whole).min(1.0) }
}

fn key(node: &Node, candidate: &Candidate, reading: &Reading<'_>) -> f64 {
    let mut best: f64 = 0.0;
    for (index, pair) in reading.pairs_at(candidate.at.start) {
        if candidate.at.end > pair.value.end || candidate.pair.is_some_and(|own| own != index) {
            continue;
        }
        let Some(between) = reading.text.get(pair.value.start..candidate.at.start) else { continue };
        let words = between.split_whitespace().filter(|word| word.chars().any(char::is_alphanumeric)).count();
        let crosses = between.contains([';', '\n']) || between.contains(". ");
        #[expect(clippy::cast_precision_loss, reason = "a few words")]
        let distance = if crosses { 0.1 } else { 1.0 / (1.0 + 0.7 * words as f64) };
        best = best.max(distance * same_name(node, &pair.key));
    }
    best
}

/// Whether a place is named by the field's words: of a pair's key, or near it.
pub(super) fn nearness(node: &Node, candidate: &Candidate, reading: &Reading<'_>) -> f64 {
    2.0 * key(node, candidate, reading) + near(node, candidate, reading)
}

fn near(node: &Node, candidate: &Candidate, reading: &Reading<'_>) -> f64 {
    let first = reading.word_at(candidate.at.start);
    let behind = reading.word_at(candidate.at.end);
    let sentence = reading.words.get(first).map_or(usize::MAX, |word| word.sentence);
    let is_number = candidate.number.is_some();
    let commas = |from: usize, to: usize| {
        reading.text.get(from..to).map_or(0, |text| text.matches([',', ';', '|']).count()) as f64
    };
    let weight = |stem: &str| node.cues.iter().map(|cue| cue.weight * likeness(&cue.stem, stem)).fold(0.0, f64::max);
    let mut best: f64 = 0.0;
    let mut sum: f64 = 0.0;
    for (distance, word) in reading.words[..first].iter().rev().take(7).enumerate() {
        if word.sentence != sentence {
            break;
        }
        let far = distance as f64 + 1.5 * commas(word.at.end, candidate.at.start);
        let value = weight(&word.stem) / (1.0 + 0.45 * far);
        sum += value;
        best = best.max(value);
    }
    let reach = if is_number { 3 } else { 2 };
    for (distance, word) in reading.words.iter().skip(behind).take(reach).enumerate() {
        if word.sentence != sentence || commas(candidate.at.end, word.at.start) > 0.0 {
            break;
        }
        let share = if is_number { 1.0 } else { 0.45 };
        let value = share * weight(&word.stem) / (1.0 + 0.8 * distance as f64);
        sum += value;
        best = best.max(value);
    }
    best + 0.2 * (sum - best)
}

/// Small words before a value that say what it is.
fn signs(node: &Node, candidate: &Candidate, reading: &Reading<'_>) -> f64 {
    let place = candidate.at.start as f64 / reading.text.len().max(1) as f64;
    if !matches!(node.form, Form::Text) {
        return -0.5 * place;
    }
    let has = |role: Role| node.roles.contains(&role);
    let text = candidate.text(reading.text);
    let first = reading.word_at(candidate.at.start);
    let before = first.checked_sub(1).and_then(|index| reading.words.get(index));
    let joined = before.is_some_and(|word| {
        reading
            .text
            .get(word.at.end..candidate.at.start)
            .is_some_and(|gap| gap.trim().is_empty() && !gap.contains('\n'))
    });
    let before = if joined { before.map_or("", |word| word.stem.as_str()) } else { "" };
    let mut sum = 0.0;
    if candidate.sort == Name || candidate.sort == Chunk {
        if has(Role::Place)
            && ["in", "at", "near", "to", "from", "en", "nach", "a", "à", "bei", "aus"].contains(&before)
        {
            sum += 1.0;
        }
        if has(Role::Group)
            && ["from", "at", "by", "with", "bei", "von", "con", "mit", "to", "avec", "chez"].contains(&before)
        {
            sum += 0.8;
        }
        if has(Role::Person)
            && ["by", "is", "with", "con", "von", "de", "contact", "mit", "for", "pour", "avec"].contains(&before)
        {
            sum += 0.5;
        }
    }
    let last = text.rsplit(' ').next().unwrap_or_default().trim_end_matches('.');
    let is_firm =
        ["Ltd", "GmbH", "Inc", "LLC", "AG", "S.L", "S.A", "Co", "Corp", "BV", "SA", "SL", "KG", "plc", "Group"]
            .contains(&last);
    if is_firm || (text.contains(" & ") && candidate.sort == Name) {
        sum += if has(Role::Group) {
            0.8
        } else if has(Role::Person) {
            -0.8
        } else {
            0.0
        };
    }
    if candidate.sort == Words && !has(Role::Code) {
        let parts = text.split(' ').count().min(3) as f64;
        sum += 0.2 * (parts - 1.0);
    }
    if candidate.sort == Name {
        let parts = text.split(' ').count().min(3) as f64;
        sum += 0.25 * (parts - 1.0);
    }
    if !has(Role::Job) && is_occupation(text) && (has(Role::Person) || has(Role::Group) || has(Role::Place)) {
        sum -= 1.5;
    }
    let signed = first.checked_sub(1).and_then(|index| reading.words.get(index)).map_or("", |word| word.stem.as_str());
    if has(Role::Person) && candidate.sort == Name && SIGNED.contains(&signed) {
        sum += 1.0;
    }
    let own = vocabulary::words(&node.name);
    let has_word = |list: &[&str]| own.iter().any(|word| list.contains(&word.as_str()));
    if text.starts_with("Dr") && has_word(&["doctor", "physician", "dentist"]) {
        sum += 1.5;
    }
    let is_error =
        ["Error", "Exception", "Panic", "Fault"].iter().any(|end| text.ends_with(end)) && !text.contains(' ');
    if is_error && has_word(&["exception", "error"]) && !has_word(&["message"]) {
        sum += 1.5;
    }
    if has(Role::Person) && ["Mr", "Mrs", "Ms", "Dr", "Prof"].iter().any(|title| text.starts_with(title)) {
        sum += 0.4;
    }
    // The field's own word is the key, not the value, unless the value is a name.
    let own =
        |word: &String| text.split(' ').any(|part| likeness(&vocabulary::stem(part), &vocabulary::stem(word)) > 0.5);
    if (candidate.sort != Name || !text.contains(' ')) && vocabulary::words(&node.name).iter().any(own) {
        sum -= 1.0;
    }
    let length = text.len().max(1) as f64;
    sum - 0.4 * place - if candidate.sort == Chunk { (length / 60.0).min(1.0) * 0.3 } else { 0.0 }
}
