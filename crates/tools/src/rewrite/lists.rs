//! A text as a list of points.

use super::pieces::capital;
use crate::prose::sentences::split;
use crate::prose::words::count;

/// Fewest points worth a list, when the text can give them.
const FEW: usize = 3;

/// Makes a point of every sentence, or of the parts of an enumeration when there are few sentences.
pub(super) fn bullets(text: &str, numbered: bool) -> String {
    let sentences: Vec<String> = split(text).into_iter().map(|sentence| sentence.text).collect();
    let mut points: Vec<String> = Vec::new();
    let mut lead = None;
    for sentence in &sentences {
        let parts = if sentences.len() < 2 * FEW { enumeration(sentence) } else { Enumeration::default() };
        if parts.points.len() < FEW && !(parts.points.len() == 2 && sentences.len() < FEW) {
            points.push(sentence.clone());
        } else if sentences.len() == 1 {
            lead = parts.lead;
            points.extend(parts.points);
        } else if let Some(lead) = parts.lead {
            points.extend(parts.points.iter().map(|point| format!("{lead}: {point}")));
        } else {
            points.extend(parts.points);
        }
    }
    if points.len() < FEW {
        points = points.iter().flat_map(|point| halves(point)).collect();
    }
    let mark = |(number, point): (usize, String)| {
        let point = capital(point.trim().trim_end_matches(['.', ';', ',']));
        if numbered { format!("{}. {point}", number + 1) } else { format!("- {point}") }
    };
    let lines: Vec<String> = points.into_iter().enumerate().map(mark).collect();
    let list = lines.join("\n");
    lead.map_or(list.clone(), |lead| format!("{}:\n{list}", capital(&lead)))
}

#[derive(Default)]
struct Enumeration {
    lead: Option<String>,
    points: Vec<String>,
}

/// `Before you leave, close A, open B and lock C` as its lead and its points.
fn enumeration(sentence: &str) -> Enumeration {
    let body = sentence.trim_end_matches(['.', '!', ';']);
    let (mut lead, body) = match body.split_once(": ") {
        Some((lead, rest)) if count(lead) <= 12 => (Some(lead.to_owned()), rest),
        _ => (None, body),
    };
    let mark = if body.contains("; ") { "; " } else { ", " };
    let mut points: Vec<String> = body.split(mark).map(|part| without_and(part.trim()).to_owned()).collect();
    // `a, b and c`; with a comma ahead of the last `and` the parts are whole already.
    let joined = [", and ", ", or ", ", y ", "; and "].iter().any(|joint| body.contains(joint));
    if let Some(last) = points.pop() {
        let joint =
            [" and ", " or ", " y ", " e "].iter().find_map(|joint| last.rsplit_once(joint)).filter(|_| !joined);
        match joint {
            Some((first, second)) => points.extend([first.to_owned(), second.to_owned()]),
            None => points.push(last),
        }
    }
    let opens = [
        "before", "after", "when", "if", "please", "on", "in", "at", "for", "during", "once", "as", "to", "antes",
        "para", "cuando", "hi", "hello", "dear", "hey",
    ];
    let first = points.first().cloned().unwrap_or_default();
    let word = first.split_whitespace().next().unwrap_or_default().to_lowercase();
    if lead.is_none() && points.len() > FEW && opens.contains(&word.as_str()) && !first.contains(" and ") {
        lead = Some(points.remove(0));
    }
    points.retain(|point| !point.trim().is_empty());
    Enumeration { lead, points }
}

fn without_and(part: &str) -> &str {
    ["and then ", "and ", "or ", "then ", "y ", "e "].iter().find_map(|word| part.strip_prefix(word)).unwrap_or(part)
}

/// A sentence in two, where its clauses are joined.
fn halves(sentence: &str) -> Vec<String> {
    for joint in ["; ", ", but ", ", and ", ", so ", ", because ", " because ", ", ", " and ", " y "] {
        if let Some((first, second)) = sentence.split_once(joint)
            && count(first) >= 2
            && count(second) >= 2
        {
            return vec![first.to_owned(), second.to_owned()];
        }
    }
    vec![sentence.to_owned()]
}
