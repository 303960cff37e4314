//! Which candidate is which field's value: all fields together, the surest first, no place twice if that can
//! be helped.

use std::collections::BTreeMap;
use std::ops::Range;

use serde_json::{Number, Value};

use super::evidence::{Evidence, evidence};
use super::find::{Candidate, Sort, names};
use super::form::{Form, Node};
use super::places::Places;
use super::reading::Reading;
use super::vocabulary::{self, Role};

/// Most candidates that a field keeps.
const MOST: usize = 400;
/// What a candidate loses when another field has its place.
const TAKEN: f64 = 2.5;
/// What a candidate loses when another field has a part of it.
const TOUCHED: f64 = 1.5;

/// A value with the place it was taken from.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Taken {
    pub(super) value: Value,
    /// In bytes.
    pub(super) at: Range<usize>,
}

/// What was found, by JSON pointer; the items of a list have the list's pointer and their index.
pub(super) type Findings = BTreeMap<String, Taken>;

/// A candidate as a field's value.
#[derive(Debug, Clone)]
pub(super) struct Choice {
    pub(super) candidate: Candidate,
    pub(super) value: Value,
    pub(super) evidence: Evidence,
    /// What the model says for it; 0 when it was not asked.
    pub(super) likely: f64,
}

/// A field with its candidates, the best first.
#[derive(Debug)]
pub(super) struct Row<'a> {
    pub(super) pointer: String,
    pub(super) node: &'a Node,
    pub(super) choices: Vec<Choice>,
}

impl Choice {
    pub(super) fn score(&self) -> f64 {
        self.evidence.score() + self.likely
    }
}

/// The fields that are no object, with their pointers.
pub(super) fn leaves<'a>(node: &'a Node, pointer: &str, found: &mut Vec<(String, &'a Node)>) {
    if let Form::Object(fields) = &node.form {
        for field in fields {
            leaves(field, &inside(pointer, &field.name), found);
        }
    } else {
        found.push((pointer.to_owned(), node));
    }
}

/// The pointer of a field of what `pointer` names.
pub(super) fn inside(pointer: &str, name: &str) -> String {
    format!("{pointer}/{}", name.replace('~', "~0").replace('/', "~1"))
}

/// The text and number fields with what may be their values.
pub(super) fn rows<'a>(leaves: &[(String, &'a Node)], reading: &Reading<'_>, candidates: &[Candidate]) -> Vec<Row<'a>> {
    leaves.iter().filter_map(|leaf| row(leaf, reading, candidates)).collect()
}

/// A field with what may be its values; `None`: it is none of text or numbers.
pub(super) fn row<'a>(
    (pointer, node): &(String, &'a Node),
    reading: &Reading<'_>,
    candidates: &[Candidate],
) -> Option<Row<'a>> {
    matches!(node.form, Form::Text | Form::Integer | Form::Number).then(|| {
        let choices = choices(node, reading, candidates);
        Row { pointer: pointer.clone(), node, choices }
    })
}

/// What may be a field's value, the best first.
pub(super) fn choices(node: &Node, reading: &Reading<'_>, candidates: &[Candidate]) -> Vec<Choice> {
    let own = own_candidates(node, reading);
    let all = candidates.iter().filter(|one| one.sort != Sort::Words).chain(&own);
    let choice = |candidate: &Candidate| {
        let evidence = evidence(node, candidate, reading)?;
        let value = value(node, candidate, reading.text)?;
        Some(Choice { candidate: candidate.clone(), value, evidence, likely: 0.0 })
    };
    let mut choices: Vec<Choice> = all.filter_map(choice).collect();
    choices.sort_by(|one, other| {
        let places =
            (one.candidate.at.start, one.candidate.at.end).cmp(&(other.candidate.at.start, other.candidate.at.end));
        other.score().total_cmp(&one.score()).then(places)
    });
    let mut seen = std::collections::HashSet::new();
    choices.retain(|choice| seen.insert(choice.candidate.at.clone()));
    choices.truncate(MOST);
    choices
}

/// Candidates that only this field has: words behind its own, and what its pattern matches.
fn own_candidates(node: &Node, reading: &Reading<'_>) -> Vec<Candidate> {
    let mut found = Vec::new();
    if !matches!(node.form, Form::Text) {
        return found;
    }
    if let Some(pattern) = node.pattern() {
        found.extend(pattern.find_iter(reading.text).take(MOST).map(|place| Candidate::new(place.range(), Sort::Code)));
    }
    if node.roles.is_empty() || node.roles.contains(&Role::Product) {
        found.extend(names::things(reading));
    }
    let is_cue =
        |stem: &str| node.cues.iter().any(|cue| cue.weight >= 0.55 && vocabulary::likeness(&cue.stem, stem) > 0.9);
    for word in reading.words.iter().filter(|word| is_cue(&word.stem)).take(MOST) {
        found.extend(names::words_behind(reading, word.at.end));
    }
    found
}

/// The candidate as a value that the field's schema allows.
fn value(node: &Node, candidate: &Candidate, text: &str) -> Option<Value> {
    let fits = |value: &Value| node.is_valid(value);
    if matches!(node.form, Form::Text) {
        let written = Value::String(candidate.text(text).to_owned());
        let wants_iso = node.description.to_lowercase().contains("iso") || node.description.contains("YYYY-MM-DD");
        let iso = candidate.iso.clone().filter(|_| matches!(candidate.sort, Sort::Date | Sort::Time));
        let day = iso.as_ref().and_then(|iso| iso.split('T').next().map(str::to_owned));
        let offset = iso.as_ref().filter(|iso| iso.len() == 10).map(|iso| format!("{iso}T00:00:00Z"));
        let zoned = (candidate.sort == Sort::Time).then(|| iso.as_ref().map(|iso| format!("{iso}Z"))).flatten();
        let others = [iso, day, zoned, offset].into_iter().flatten().map(Value::String);
        return if wants_iso {
            others.chain([written]).find(fits)
        } else {
            std::iter::once(written).chain(others).find(fits)
        };
    }
    let number = match (&candidate.number, &candidate.iso) {
        (Some(number), _) => number.value,
        (None, Some(iso)) => iso.get(..4)?.parse().ok()?,
        _ => return None,
    };
    #[expect(clippy::cast_possible_truncation, reason = "a whole number below 2^53")]
    let value = if number.fract() == 0.0 && number.abs() < 9e15 {
        Value::from(number as i64)
    } else {
        Value::Number(Number::from_f64(number)?)
    };
    Some(value).filter(fits)
}

/// Gives every field its best candidate, the surest fields first. `used` holds places that are taken already.
pub(super) fn assign(rows: &[Row<'_>], used: &Places) -> Findings {
    let mut used = used.clone();
    let mut findings = Findings::new();
    let mut open: Vec<(&Row<'_>, &Choice, f64)> = rows.iter().filter_map(|row| best_of(row, &used)).collect();
    while let Some(place) = surest(&open) {
        let (row, choice, score) = open.remove(place);
        if !is_stated(row.node, choice, score, &used) {
            continue;
        }
        let at = &choice.candidate.at;
        used.extend([at.clone()]);
        let taken = Taken { value: choice.value.clone(), at: at.clone() };
        findings.insert(row.pointer.clone(), taken);
        // Choices only lose by what is taken: a best one that this does not touch is the best one still.
        let touched = |choice: &Choice| choice.candidate.at == *at || choice.candidate.overlaps(at);
        for best in open.iter_mut().filter(|(_, choice, _)| touched(choice)) {
            if let Some(now) = best_of(best.0, &used) {
                *best = now;
            }
        }
    }
    findings
}

/// The field with the best score; of equal ones the first.
fn surest(open: &[(&Row<'_>, &Choice, f64)]) -> Option<usize> {
    (0..open.len()).max_by(|&one, &other| open[one].2.total_cmp(&open[other].2).then(other.cmp(&one)))
}

fn best_of<'a, 'b>(row: &'a Row<'b>, used: &Places) -> Option<(&'a Row<'b>, &'a Choice, f64)> {
    let score = |choice: &Choice| {
        let at = &choice.candidate.at;
        let loss = match () {
            () if used.contains(at) => TAKEN,
            () if used.touch(at) => TOUCHED,
            () => 0.0,
        };
        choice.score() - loss
    };
    let scores = row.choices.iter().map(score).enumerate();
    let (best, score) = scores.max_by(|one, other| one.1.total_cmp(&other.1).then(other.0.cmp(&one.0)))?;
    Some((row, row.choices.get(best)?, score))
}

/// Whether the text says it. A field that must have a value takes what there is.
fn is_stated(node: &Node, choice: &Choice, score: f64, used: &Places) -> bool {
    if node.required && !node.nullable {
        return score > -1.5;
    }
    let free = !used.contains(&choice.candidate.at);
    if choice.evidence.names_the_field() {
        return score > 1.5 && (free || choice.evidence.key > 0.7);
    }
    // A form that only one kind of value has names the field by itself: `email`, `phone`, `date`.
    let marked = [Role::Email, Role::Phone, Role::Url, Role::Ip, Role::Date];
    let plain = vocabulary::words(&node.name).len() == 1 && marked.iter().any(|role| node.roles.contains(role));
    let only = node.roles.first().is_some_and(|role| vocabulary::roles(&node.name).next() == Some(*role));
    free && plain && only && choice.evidence.fit >= 1.0 && vocabulary::stem(&node.name) != "fax"
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    /// A place with how likely it is, in few steps so that some are equal.
    fn choice() -> impl Strategy<Value = Choice> {
        (0_usize..30, 1_usize..6, 0_u8..9).prop_map(|(start, length, likely)| Choice {
            candidate: Candidate::new(start..start + length, Sort::Words),
            value: json!(start),
            evidence: Evidence::default(),
            likely: f64::from(likely) / 2.0,
        })
    }

    /// The same, with every field looked at anew after each one.
    fn assigned_anew(rows: &[Row<'_>], used: &[Range<usize>]) -> Findings {
        let (mut used, mut findings) = (used.to_vec(), Findings::new());
        let mut open: Vec<&Row<'_>> = rows.iter().collect();
        loop {
            let mut best: Option<(usize, &Choice, f64)> = None;
            for (place, row) in open.iter().enumerate() {
                for choice in &row.choices {
                    let at = &choice.candidate.at;
                    let touched = used.iter().any(|taken| choice.candidate.overlaps(taken));
                    let loss = if used.contains(at) { TAKEN } else { f64::from(u8::from(touched)) * TOUCHED };
                    let score = choice.score() - loss;
                    if best.is_none_or(|(_, _, before)| score > before) {
                        best = Some((place, choice, score));
                    }
                }
            }
            let Some((place, choice, score)) = best else { return findings };
            let row = open.remove(place);
            if score > -1.5 {
                used.push(choice.candidate.at.clone());
                let taken = Taken { value: choice.value.clone(), at: choice.candidate.at.clone() };
                findings.insert(row.pointer.clone(), taken);
            }
        }
    }

    proptest! {
        #[test]
        fn fields_get_what_they_get_when_all_are_looked_at_anew(
            choices in prop::collection::vec(prop::collection::vec(choice(), 0..8), 1..7),
            taken in prop::collection::vec((0_usize..30, 0_usize..6), 0..5),
        ) {
            let schema = json!({"properties": {"a": {"type": "string"}}, "required": ["a"]});
            let root = super::super::form::read(schema.as_object().expect("object"), None).expect("fields");
            let Form::Object(fields) = &root.form else { panic!("{root:?}") };
            let rows: Vec<Row<'_>> = choices
                .into_iter()
                .enumerate()
                .map(|(index, choices)| Row { pointer: format!("/{index}"), node: &fields[0], choices })
                .collect();
            let taken: Vec<Range<usize>> = taken.into_iter().map(|(start, length)| start..start + length).collect();
            let mut used = Places::default();
            used.extend(taken.iter().cloned());
            prop_assert_eq!(assign(&rows, &used), assigned_anew(&rows, &taken));
        }
    }
}
