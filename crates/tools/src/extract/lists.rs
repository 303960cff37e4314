//! Lists: several values in a row behind a word that names them, lines that begin alike, or all values of a form.

use std::ops::Range;
use std::sync::LazyLock;

use regex::Regex;

use super::choose::{Choice, Taken, choices};
use super::evidence::same_name;
use super::find::{Candidate, Sort, trimmed};
use super::form::{Form, Node};
use super::pattern;
use super::reading::Reading;
use super::vocabulary::{Role, likeness, words};

static BETWEEN: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"[,;|/]\s+(?:and|or|y|und|et|e)\s+|[,;|]\s+|,|\s+(?:and|or|y|und|et|e|&)\s+|\n+"));
static BULLET: LazyLock<Regex> = LazyLock::new(|| pattern(r"^[ \t]*(?:[-*•+]|\d{1,2}[.)])[ \t]+"));
/// What stands between a cue and the first item.
static OPENING: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"(?i)^(?:\s*(?:are|is|in|were|include|includes|including|with|of|son|sind|the|:|=|\[|con)\s*)+|^\s+")
});

/// The items of a list; empty: the text has none. `used` holds places of other fields.
pub(super) fn items(
    node: &Node,
    item: &Node,
    reading: &Reading<'_>,
    candidates: &[Candidate],
    used: &[Range<usize>],
) -> Vec<Taken> {
    let all = choices(item, reading, candidates);
    let mut places = under_heading(node, reading);
    if places.is_empty() {
        places = of_pairs(node, reading);
    }
    let mut found = pick(item, reading, &all, &places);
    if found.is_empty() && matches!(item.form, Form::Integer | Form::Number) {
        found = numbers(&all);
    }
    if found.is_empty() {
        found = of_form(item, reading, &all);
    }
    if found.is_empty() {
        found = pick(item, reading, &all, &behind_cue(node, reading));
    }
    if found.is_empty() && item.roles.contains(&Role::Person) {
        found = names(reading, &all, used);
    }
    found
}

/// Whether a list can be told from the text by its name alone: then it goes before single fields.
pub(super) fn is_named(node: &Node, reading: &Reading<'_>) -> bool {
    !under_heading(node, reading).is_empty() || !of_pairs(node, reading).is_empty()
}

/// Lines behind a line that names the list.
fn under_heading(node: &Node, reading: &Reading<'_>) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    let mut open = false;
    let mut start = 0;
    for line in reading.text.split_inclusive('\n') {
        let at = start..start + line.len();
        start = at.end;
        let bullet = BULLET.find(line);
        let heading = line.trim().trim_start_matches('#').trim();
        let marked = line.trim().ends_with(':') || line.starts_with('#');
        let name = if marked { words(heading) } else { Vec::new() };
        if marked && name.len() <= 5 {
            let name: Vec<String> = name.iter().map(|word| super::vocabulary::stem(word)).collect();
            open = same_name(node, &name) >= 0.5;
        } else if open && let Some(bullet) = bullet {
            found.push(trimmed(reading.text, at.start + bullet.end()..at.end));
        } else if !line.trim().is_empty() {
            open = false;
        }
    }
    found
}

/// The values of the pairs whose key names the list.
fn of_pairs(node: &Node, reading: &Reading<'_>) -> Vec<Range<usize>> {
    let named: Vec<f64> = reading.pairs.iter().map(|pair| same_name(node, &pair.key)).collect();
    let best = named.iter().copied().fold(0.0, f64::max);
    if best < 0.45 {
        return Vec::new();
    }
    let mut found = Vec::new();
    let pairs = reading.pairs.iter().zip(&named).filter(|(_, same)| **same >= best - 1e-9);
    let lines: Vec<Range<usize>> = pairs.map(|(pair, _)| value_of(reading, pair.value.clone())).collect();
    // Lines that begin alike have one item each, a single one has them all.
    let alike = lines.len() > 1;
    for line in lines {
        if alike {
            found.push(trimmed(reading.text, line));
        } else {
            found.extend(split(reading.text, line));
        }
    }
    found
}

/// The value up to the end of its sentence, or to the next pair.
fn value_of(reading: &Reading<'_>, value: Range<usize>) -> Range<usize> {
    let end = reading.sentence_at(value.start).end.clamp(value.start, value.end);
    let next = reading.value_behind(value.start).filter(|&start| start < end);
    let cut = next.and_then(|next| reading.text.get(value.start..next)?.rfind([',', ';', '(', '|']));
    value.start..cut.map_or(end, |cut| value.start + cut)
}

/// What stands behind a word of the list's name: at least two things in a row.
fn behind_cue(node: &Node, reading: &Reading<'_>) -> Vec<Range<usize>> {
    let is_cue = |stem: &str| node.cues.iter().any(|cue| cue.weight >= 0.5 && likeness(&cue.stem, stem) > 0.5);
    for word in reading.words.iter().filter(|word| is_cue(&word.stem)) {
        let end = reading.sentence_at(word.at.start).end;
        let Some(rest) = reading.text.get(word.at.end..end) else { continue };
        let opening = OPENING.find(rest).map_or(0, |opening| opening.end());
        let found = split(reading.text, word.at.end + opening..end);
        if found.len() > 1 {
            return found;
        }
    }
    // `Available in white, black and brass`: a list of short words, if the sentence has nothing else.
    let wanted = node.roles.contains(&Role::Quality) || reading.sentences.len() == 1;
    let sentences = reading.sentences.iter().filter(|_| wanted);
    for sentence in sentences {
        let text = &reading.text[sentence.clone()];
        let start = [" in ", " with ", ": ", " con ", " en ", " aus "]
            .iter()
            .find_map(|word| text.find(word).map(|at| at + word.len()));
        let found = split(reading.text, sentence.start + start.unwrap_or(0)..sentence.end);
        let short = |at: &Range<usize>| reading.text[at.clone()].split(' ').count() <= 2;
        if start.is_some() && found.len() > 2 && found.iter().all(short) {
            return found;
        }
    }
    Vec::new()
}

/// The parts between commas and small words; without what stands in brackets behind them.
fn split(text: &str, at: Range<usize>) -> Vec<Range<usize>> {
    let Some(slice) = text.get(at.clone()) else { return Vec::new() };
    let mut found = Vec::new();
    let mut start = 0;
    let ends: Vec<(usize, usize)> = BETWEEN.find_iter(slice).map(|place| (place.start(), place.end())).collect();
    for (end, next) in ends.into_iter().chain([(slice.len(), slice.len())]) {
        let item = trimmed(text, at.start + start..at.start + end);
        start = next;
        if !item.is_empty() {
            found.push(item);
        }
    }
    found
}

/// Each place as an item: the candidate there, or for text the place itself.
fn pick(item: &Node, reading: &Reading<'_>, all: &[Choice], places: &[Range<usize>]) -> Vec<Taken> {
    let mut found: Vec<Taken> = Vec::new();
    for place in places {
        let bare = reading
            .text
            .get(place.clone())
            .and_then(|text| text.find(" ("))
            .map_or(place.clone(), |cut| place.start..place.start + cut);
        let bare = trimmed(reading.text, bare);
        let inside =
            |choice: &&Choice| choice.candidate.at.start >= place.start && choice.candidate.at.end <= place.end;
        let whole = all.iter().find(|choice| choice.candidate.at == bare).or_else(|| {
            let marked = [Role::Email, Role::Url, Role::Ip, Role::Phone, Role::Date, Role::Time];
            let by_form = !matches!(item.form, Form::Text) || marked.iter().any(|role| item.roles.contains(role));
            all.iter().filter(inside).min_by_key(|choice| choice.candidate.at.start).filter(|_| by_form)
        });
        if let Some(choice) = whole {
            found.push(Taken { value: choice.value.clone(), at: choice.candidate.at.clone() });
        } else if matches!(item.form, Form::Text) && !bare.is_empty() {
            let value = serde_json::Value::String(reading.text[bare.clone()].to_owned());
            if item.is_valid(&value) {
                found.push(Taken { value, at: bare });
            }
        } else if let Form::Choice(values) = &item.form {
            let said = reading.text[bare.clone()].to_lowercase();
            let value = values.iter().find(|value| value.as_str().is_some_and(|value| value.to_lowercase() == said));
            found.extend(value.map(|value| Taken { value: value.clone(), at: bare }));
        }
    }
    found
}

/// Numbers with a `#`, or those that stand next to the list's name.
fn numbers(all: &[Choice]) -> Vec<Taken> {
    let hash = |choice: &&Choice| choice.candidate.number.as_ref().is_some_and(|number| number.hash);
    let mut found: Vec<&Choice> = all.iter().filter(hash).collect();
    if found.is_empty() {
        found = all.iter().filter(|choice| choice.evidence.names_the_field()).collect();
    }
    in_order(found)
}

fn in_order(mut found: Vec<&Choice>) -> Vec<Taken> {
    found.sort_by_key(|choice| choice.candidate.at.start);
    found.iter().map(|choice| Taken { value: choice.value.clone(), at: choice.candidate.at.clone() }).collect()
}

/// All values of a form that only they have.
fn of_form(item: &Node, reading: &Reading<'_>, all: &[Choice]) -> Vec<Taken> {
    let sort = match item.roles.as_slice() {
        roles if roles.contains(&Role::Email) => Sort::Email,
        roles if roles.contains(&Role::Url) => Sort::Url,
        roles if roles.contains(&Role::Ip) => Sort::Ip,
        roles if roles.contains(&Role::Phone) => Sort::Phone,
        roles if roles.contains(&Role::Path) => Sort::Path,
        roles if roles.contains(&Role::Version) => Sort::Version,
        roles if roles.contains(&Role::Date) => Sort::Date,
        roles if roles.contains(&Role::Time) => Sort::Time,
        roles if roles.contains(&Role::Code) => Sort::Code,
        _ => Sort::Words,
    };
    let mut found: Vec<&Choice> =
        all.iter().filter(|choice| choice.candidate.sort == sort && sort != Sort::Words).collect();
    if let Some(pattern) = item.pattern() {
        found = all.iter().filter(|choice| pattern.is_match(choice.candidate.text(reading.text))).collect();
    }
    in_order(found)
}

/// Names that stand in a row.
fn names(reading: &Reading<'_>, all: &[Choice], used: &[Range<usize>]) -> Vec<Taken> {
    let is_name = |choice: &&Choice| {
        choice.candidate.sort == Sort::Name && !used.iter().any(|used| choice.candidate.overlaps(used))
    };
    let mut found: Vec<&Choice> = all.iter().filter(is_name).collect();
    // The shorter ones: `Ana y Luis` is two names.
    found.sort_by_key(|choice| (choice.candidate.at.len(), choice.candidate.at.start));
    let mut single: Vec<&Choice> = Vec::new();
    for choice in found {
        let text = choice.candidate.text(reading.text);
        let joined = [" and ", " y ", " e ", " und ", " et ", " & "].iter().any(|word| text.contains(word));
        if !joined {
            single.retain(|other| {
                !(choice.candidate.overlaps(&other.candidate.at) && choice.evidence.fit >= other.evidence.fit)
            });
            if !single.iter().any(|other| other.candidate.overlaps(&choice.candidate.at)) {
                single.push(choice);
            }
        }
    }
    single.sort_by_key(|choice| choice.candidate.at.start);
    let in_row = |one: &Choice, other: &Choice| {
        let gap = reading.text.get(one.candidate.at.end..other.candidate.at.start).map_or("", str::trim);
        [",", "and", "y", "und", "et", "e", "&", ", and", ";"].contains(&gap)
    };
    let rows = single.iter().enumerate().filter(|(index, choice)| {
        let next = single.get(index + 1).is_some_and(|next| in_row(choice, next));
        next || index.checked_sub(1).and_then(|before| single.get(before)).is_some_and(|before| in_row(before, choice))
    });
    in_order(rows.map(|(_, choice)| *choice).collect())
}
