//! Lists of objects: a table with a header, or lines, blocks or sentences that have the same fields.

use std::ops::Range;

use super::choose::{self, Findings, Taken, inside};
use super::evidence::same_name;
use super::find::{self, trimmed};
use super::flags;
use super::form::{Form, Node};
use super::places::Places;
use super::reading::Reading;
use super::vocabulary::{stem, words};

/// The objects that the text has, each with its fields' pointers from the object on (`/name`).
pub(super) fn records(list: &Node, item: &Node, reading: &Reading<'_>) -> Vec<Findings> {
    let Form::Object(fields) = &item.form else { return Vec::new() };
    let table = table(fields, reading);
    if !table.is_empty() {
        return table;
    }
    let lines = reading.text.split_inclusive('\n');
    let mut start = 0;
    let lines: Vec<Range<usize>> = lines
        .map(|line| {
            start += line.len();
            start - line.len()..start
        })
        .collect();
    let below = heading(list, reading, &lines);
    let mut best: Vec<Findings> = Vec::new();
    for segments in [below, lines, reading.sentences.clone()] {
        let records = segments.iter().map(|segment| record(item, fields, reading, segment));
        let found: Vec<Findings> = records.filter(|record| !record.is_empty()).collect();
        if found.len() > best.len() {
            best = found;
        }
        // Lines below a heading that names the list are meant.
        if best.len() > 1 {
            break;
        }
    }
    best
}

/// The lines below one that names the list.
fn heading(list: &Node, reading: &Reading<'_>, lines: &[Range<usize>]) -> Vec<Range<usize>> {
    let mut open = false;
    let mut found = Vec::new();
    for line in lines {
        let text = reading.text[line.clone()].trim();
        let name: Vec<String> = words(text).iter().map(|word| stem(word)).collect();
        if (text.ends_with(':') || text.starts_with('#')) && name.len() <= 5 {
            open = same_name(list, &name) >= 0.5;
        } else if text.is_empty() {
            open &= found.is_empty();
        } else if open {
            found.push(line.clone());
        }
    }
    found
}

/// The fields of a part of the text; none when it is no record.
fn record(item: &Node, fields: &[Node], reading: &Reading<'_>, segment: &Range<usize>) -> Findings {
    let text = &reading.text[segment.clone()];
    let part = Reading::with(text, reading.decimal_comma);
    let candidates = find::candidates(&part);
    let mut leaves = Vec::new();
    choose::leaves(item, "", &mut leaves);
    let rows = choose::rows(&leaves, &part, &candidates);
    let mut found = choose::assign(&rows, &Places::default());
    for (pointer, node) in &leaves {
        let taken = match &node.form {
            Form::Flag => flags::flag(node, &part),
            Form::Choice(values) => flags::choice(node, values, &part),
            _ => None,
        };
        found.extend(taken.map(|taken| (pointer.clone(), taken)));
    }
    let needed = fields.iter().filter(|field| field.required && !field.nullable).count().max(fields.len().div_ceil(2));
    if found.len() < needed.max(1) || text.trim().is_empty() {
        return Findings::new();
    }
    let shift = |taken: Taken| Taken { at: taken.at.start + segment.start..taken.at.end + segment.start, ..taken };
    found.into_iter().map(|(pointer, taken)| (pointer, shift(taken))).collect()
}

/// Rows below a line whose cells are the fields' names.
fn table(fields: &[Node], reading: &Reading<'_>) -> Vec<Findings> {
    let mut found = Vec::new();
    let mut header: Option<(char, Vec<Option<&Node>>)> = None;
    let mut start = 0;
    for line in reading.text.split_inclusive('\n') {
        let at = start..start + line.len();
        start = at.end;
        match &header {
            None => header = header_of(fields, line),
            Some((sign, columns)) => {
                let cells = cells(reading.text, at, *sign);
                let ruled = line.chars().all(|letter| letter.is_whitespace() || "-|:+=".contains(letter));
                if ruled && !line.trim().is_empty() {
                    continue;
                }
                if cells.len() != columns.len() {
                    break;
                }
                let mut record = Findings::new();
                for (cell, column) in cells.into_iter().zip(columns) {
                    let Some((node, taken)) = column.and_then(|node| Some((node, cell_value(node, reading, cell)?)))
                    else {
                        continue;
                    };
                    record.insert(inside("", &node.name), taken);
                }
                found.push(record);
            }
        }
    }
    found
}

/// Which column is which field, if at least half of the fields have one.
fn header_of<'a>(fields: &'a [Node], line: &str) -> Option<(char, Vec<Option<&'a Node>>)> {
    let sign = ['|', '\t', ';', ','].into_iter().find(|&sign| line.trim().trim_matches('|').contains(sign))?;
    let names = cells(line, 0..line.len(), sign);
    let field = |at: &Range<usize>| {
        let name: Vec<String> = words(&line[at.clone()]).iter().map(|word| stem(word)).collect();
        let fit = |node: &&Node| same_name(node, &name);
        fields.iter().filter(|node| fit(node) >= 0.5).max_by(|one, other| fit(one).total_cmp(&fit(other)))
    };
    let columns: Vec<Option<&Node>> = names.iter().map(field).collect();
    let matched = columns.iter().flatten().count();
    (matched >= 2 && matched * 2 >= fields.len()).then_some((sign, columns))
}

fn cells(text: &str, at: Range<usize>, sign: char) -> Vec<Range<usize>> {
    let line = text[at.clone()].trim_end();
    let offset = if sign == '|' { line.len() - line.trim_start().trim_start_matches('|').len() } else { 0 };
    let line = if sign == '|' { line[offset..].trim_end_matches('|') } else { line };
    let mut start = at.start + offset;
    line.split(sign)
        .map(|cell| {
            let place = start..start + cell.len();
            start = place.end + sign.len_utf8();
            place
        })
        .collect()
}

fn cell_value(node: &Node, reading: &Reading<'_>, cell: Range<usize>) -> Option<Taken> {
    let at = trimmed(reading.text, cell);
    let text = reading.text.get(at.clone()).filter(|text| !text.is_empty())?;
    let part = Reading::with(text, reading.decimal_comma);
    let taken = match &node.form {
        Form::Flag => {
            let value = ["yes", "true", "y", "1", "x"].contains(&&*text.to_lowercase());
            Taken { value: serde_json::Value::Bool(value), at: 0..text.len() }
        }
        Form::Choice(values) => flags::choice(node, values, &part)?,
        Form::Text => {
            let choices = choose::choices(node, &part, &[find::Candidate::new(0..text.len(), find::Sort::Value)]);
            let value = choices
                .first()
                .map_or_else(|| serde_json::Value::String(text.to_owned()), |choice| choice.value.clone());
            node.is_valid(&value).then_some(Taken { value, at: 0..text.len() })?
        }
        _ => {
            let choices = choose::choices(node, &part, &find::candidates(&part));
            choices.first().map(|choice| Taken { value: choice.value.clone(), at: choice.candidate.at.clone() })?
        }
    };
    Some(Taken { at: taken.at.start + at.start..taken.at.end + at.start, ..taken })
}
