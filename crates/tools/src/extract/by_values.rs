//! Values taken from the text, for all fields of a schema.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::choose::{self, Findings, Row};
use super::form::{Form, Node};
use super::letters::Letters;
use super::likelihood::{self, OpenChoice};
use super::parts::{self, Part};
use super::places::Places;
use super::{Extracted, Span, by_prompt, fill, written};
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
    let parts = parts::read(text).await;
    let mut leaves = Vec::new();
    choose::leaves(root, "", &mut leaves);
    let mut findings = parts::plain(&leaves, &parts).await;
    let open = open_choices(&leaves, &findings);
    let mut rows = parts::rows(&leaves, &parts).await;
    let model = call.context().models.of(call.context().tier)?;
    let weighed = likelihood::weigh(call, &model, text, &parts, &mut rows, &open).await?;
    if weighed.is_none()
        && let Some(data) = by_prompt::ask(schema, instructions, text, call).await?
    {
        let (spans, not_found) = by_prompt::locate(&data, text);
        return Ok(Extracted { data, spans, not_found });
    }
    let weighed = weighed.unwrap_or_default();
    findings.extend(values(&leaves, &parts, &rows).await);
    let is_open = |pointer: &String, node: &Node| {
        let single = matches!(node.form, Form::Text | Form::Integer | Form::Number);
        single && weighed.agrees && !findings.contains_key(pointer)
    };
    let missing: Vec<&(String, &Node)> =
        leaves.iter().filter(|(pointer, node)| written::is_written(node) || is_open(pointer, node)).collect();
    let written = written::write(&missing, instructions, text, call).await?;
    findings.extend(written.found);
    Ok(result(root, text, &findings, weighed.chosen, written.other))
}

/// The enums of which a value must be chosen although none stands in the text.
fn open_choices<'a>(leaves: &[(String, &'a Node)], findings: &Findings) -> Vec<OpenChoice<'a>> {
    let open =
        leaves.iter().filter(|(pointer, node)| node.required && !node.nullable && !findings.contains_key(pointer));
    let choice = |(pointer, node): &(String, &'a Node)| match &node.form {
        Form::Choice(values) => Some(OpenChoice { pointer: pointer.clone(), node, values }),
        _ => None,
    };
    open.filter_map(choice).collect()
}

/// Lists that the text names, then single fields, then other lists: each takes from what is left.
async fn values(leaves: &[(String, &Node)], parts: &[Part<'_>], rows: &[Row<'_>]) -> Findings {
    let mut lists: Vec<(&String, &Node, &Node, bool)> = Vec::new();
    for (pointer, node) in leaves.iter().filter(|(_, node)| !written::is_written(node)) {
        if let Form::List(item) = &node.form {
            lists.push((pointer, node, item, parts::names_list(node, parts).await));
        }
    }
    let mut findings = Findings::new();
    let mut used = Places::default();
    for named in [true, false] {
        for (pointer, node, item, _) in lists.iter().filter(|list| list.3 == named) {
            let items = parts::list(node, item, named, parts, &used).await;
            used.extend(items.values().map(|taken| taken.at.clone()));
            findings.extend(items.into_iter().map(|(place, taken)| (format!("{pointer}{place}"), taken)));
        }
        if named {
            let found = choose::assign(rows, &used);
            used.extend(found.values().map(|taken| taken.at.clone()));
            findings.extend(found);
        }
    }
    findings
}

/// Puts everything in its place. `chosen` and `other` do not stand in the text.
fn result(
    root: &Node,
    text: &str,
    findings: &Findings,
    chosen: Vec<(String, Value)>,
    other: Vec<(String, Value)>,
) -> Extracted {
    let mut not_found = Vec::new();
    let mut data = fill::data(root, "", findings, &mut not_found).unwrap_or(Value::Null);
    let mut known: HashSet<String> = not_found.iter().cloned().collect();
    for (pointer, value) in chosen.into_iter().chain(other) {
        if let Some(place) = data.pointer_mut(&pointer) {
            *place = value;
        } else if let Some((outer, name)) = pointer.rsplit_once('/')
            && let Some(Value::Object(outer)) = data.pointer_mut(outer)
        {
            outer.insert(name.replace("~1", "/").replace("~0", "~"), value);
        } else {
            continue;
        }
        if known.insert(pointer.clone()) {
            not_found.push(pointer);
        }
    }
    let letters = Letters::of(text);
    let there = findings.iter().filter(|(pointer, _)| data.pointer(pointer).is_some());
    let spans = there.map(|(pointer, taken)| Span::of(pointer, taken.at.clone(), &letters)).collect();
    Extracted { data, spans, not_found }
}
