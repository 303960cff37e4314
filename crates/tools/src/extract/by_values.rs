//! Values taken from the text, for all fields of a schema.

use std::ops::Range;

use serde_json::{Map, Value};

use super::choose::{self, Findings};
use super::form::{Form, Node};
use super::likelihood::{self, OpenChoice};
use super::reading::Reading;
use super::{Extracted, Span, by_prompt, fill, find, flags, lists, records};
use crate::call::Call;
use crate::error::ToolError;

/// Finds the values. The data fits the fields; whether it fits the schema as a whole is not checked here.
///
/// # Errors
/// When there is no model, or it fails.
pub(super) async fn extract(
    root: &Node,
    instructions: Option<&str>,
    text: &str,
    schema: &Map<String, Value>,
    call: &Call,
) -> Result<Extracted, ToolError> {
    let reading = Reading::of(text);
    let candidates = find::candidates(&reading);
    let mut leaves = Vec::new();
    choose::leaves(root, "", &mut leaves);
    let mut findings = plain(&leaves, &reading);
    let open: Vec<OpenChoice<'_>> = leaves
        .iter()
        .filter(|(pointer, node)| node.required && !node.nullable && !findings.contains_key(pointer))
        .filter_map(|(pointer, node)| match &node.form {
            Form::Choice(values) => Some(OpenChoice { pointer: pointer.clone(), node, values }),
            _ => None,
        })
        .collect();
    let mut rows = choose::rows(&leaves, &reading, &candidates);
    let model = call.context().models.of(call.context().tier)?;
    let (scored, chosen) = likelihood::weigh(call, &model, &reading, &mut rows, &open).await?;
    let other = leaves.iter().any(|(_, node)| matches!(node.form, Form::Other));
    if (!scored || other)
        && let Some(data) = by_prompt::ask(schema, instructions, text, call).await?
    {
        let (spans, not_found) = by_prompt::locate(&data, text);
        return Ok(Extracted { data, spans, not_found });
    }
    let mut used: Vec<Range<usize>> = Vec::new();
    for named in [true, false] {
        for (pointer, node) in &leaves {
            let Form::List(item) = &node.form else { continue };
            if lists::is_named(node, &reading) == named {
                if !named {
                    used = rows_found(&rows, &used);
                }
                for (place, taken) in list(node, item, &reading, &candidates, &used) {
                    used.push(taken.at.clone());
                    findings.insert(format!("{pointer}{place}"), taken);
                }
            }
        }
        if named {
            findings.extend(choose::assign(&rows, &used));
        }
    }
    let mut made_up = Vec::new();
    let mut data = fill::data(root, "", &findings, &mut made_up).unwrap_or(Value::Null);
    for (pointer, value) in chosen {
        if let Some(place) = data.pointer_mut(&pointer) {
            *place = value;
        }
    }
    let is_there = |pointer: &str| data.pointer(pointer).is_some();
    let spans = findings.iter().filter(|(pointer, _)| is_there(pointer));
    let spans = spans.map(|(pointer, taken)| Span::of(pointer, taken.at.clone(), text)).collect();
    Ok(Extracted { data, spans, not_found: made_up })
}

/// The places that the rows would take.
fn rows_found(rows: &[choose::Row<'_>], used: &[Range<usize>]) -> Vec<Range<usize>> {
    let found = choose::assign(rows, used);
    used.iter().cloned().chain(found.into_values().map(|taken| taken.at)).collect()
}

/// What needs no model: yes and no, and words of an enum that stand in the text.
fn plain(leaves: &[(String, &Node)], reading: &Reading<'_>) -> Findings {
    let found = |(pointer, node): &(String, &Node)| {
        let taken = match &node.form {
            Form::Flag => flags::flag(node, reading),
            Form::Choice(values) => flags::choice(node, values, reading),
            _ => None,
        }?;
        Some((pointer.clone(), taken))
    };
    leaves.iter().filter_map(found).collect()
}

/// The items of a list with their pointers from the list on.
fn list(
    node: &Node,
    item: &Node,
    reading: &Reading<'_>,
    candidates: &[find::Candidate],
    used: &[Range<usize>],
) -> Findings {
    let most = node.schema.get("maxItems").and_then(Value::as_u64).and_then(|most| usize::try_from(most).ok());
    match &item.form {
        Form::Object(_) => {
            let mut found = records::records(node, item, reading);
            if let Some(most) = most {
                found.retain(|pointer, _| index(pointer).is_some_and(|index| index < most));
            }
            found
        }
        Form::List(_) | Form::Other | Form::Flag => Findings::new(),
        _ => {
            let mut items = lists::items(node, item, reading, candidates, used);
            if node.schema.get("uniqueItems").is_some_and(|unique| unique == true) {
                let mut seen = Vec::new();
                items.retain(|taken| {
                    !seen.contains(&taken.value) && {
                        seen.push(taken.value.clone());
                        true
                    }
                });
            }
            items.truncate(most.unwrap_or(usize::MAX));
            items.into_iter().enumerate().map(|(index, taken)| (format!("/{index}"), taken)).collect()
        }
    }
}

fn index(pointer: &str) -> Option<usize> {
    pointer.split('/').nth(1)?.parse().ok()
}
