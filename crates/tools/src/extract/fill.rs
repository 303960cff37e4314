//! From what was found to data that the schema allows; and values that a schema allows, made from it alone.

use std::ops::Bound;

use jsonschema::Validator;
use regex_syntax::hir::{Hir, HirKind};
use serde_json::{Map, Value, json};

use super::choose::{Findings, inside};
use super::form::{Form, Node};

/// Schemas inside each other, at most, that a value is made for.
const DEEPEST: usize = 24;
/// Most items or characters that are made to fill a least length.
const MOST: u64 = 10_000;

/// Puts what was found in its place; what was not is `null`, absent, or made up where the schema wants a value.
/// The pointers of what was made up are added to `made_up`.
pub(super) fn data(node: &Node, pointer: &str, findings: &Findings, made_up: &mut Vec<String>) -> Option<Value> {
    match &node.form {
        Form::Object(fields) => {
            let start = made_up.len();
            let mut object = Map::new();
            for field in fields {
                if let Some(value) = data(field, &inside(pointer, &field.name), findings, made_up) {
                    object.insert(field.name.clone(), value);
                }
            }
            if !has_inside(findings, pointer) && !pointer.is_empty() && (node.nullable || !node.required) {
                made_up.truncate(start);
                return node.nullable.then_some(Value::Null);
            }
            Some(Value::Object(object))
        }
        Form::List(item) => {
            let mut items = Vec::new();
            loop {
                let place = format!("{pointer}/{}", items.len());
                let known = findings.contains_key(&place) || has_inside(findings, &place);
                let Some(value) = known.then(|| data(item, &place, findings, made_up)).flatten() else { break };
                items.push(value);
            }
            let least = node.schema.get("minItems").and_then(Value::as_u64).unwrap_or(0);
            if items.is_empty() && (node.nullable || !node.required) {
                return node.nullable.then_some(Value::Null);
            }
            while (items.len() as u64) < least.min(MOST) {
                made_up.push(format!("{pointer}/{}", items.len()));
                items.push(least_value(&item.schema, 0)?);
            }
            Some(Value::Array(items))
        }
        _ => match findings.get(pointer) {
            Some(taken) => Some(taken.value.clone()),
            None if node.nullable => Some(Value::Null),
            None if !node.required => None,
            None => {
                made_up.push(pointer.to_owned());
                least_value(&node.schema, 0)
            }
        },
    }
}

/// Whether something was found for a part of what `pointer` names.
fn has_inside(findings: &Findings, pointer: &str) -> bool {
    let inner = format!("{pointer}/");
    findings
        .range::<str, _>((Bound::Included(inner.as_str()), Bound::Unbounded))
        .next()
        .is_some_and(|(key, _)| key.starts_with(&inner))
}

/// Repairs data until it is valid: what is wrong becomes `null`, goes, or becomes the least value. The pointers
/// of what was changed are given. `None`: no valid data was found.
pub(super) fn repaired(mut data: Value, schema: &Value, validator: &Validator) -> Option<(Value, Vec<String>)> {
    let mut changed = Vec::new();
    for _ in 0..64 {
        let Some(error) = validator.iter_errors(&data).next() else { return Some((data, changed)) };
        let pointer = error.instance_path().as_str().to_owned();
        let made = schema_at(schema, &pointer).and_then(|part| least_value(&part, 0));
        drop(error);
        let seen = changed.contains(&pointer);
        changed.push(pointer.clone());
        let place = data.pointer_mut(&pointer)?;
        match made {
            Some(made) if !seen && *place != made => *place = made,
            _ => break,
        }
    }
    let least = least_value(schema, 0).filter(|value| validator.is_valid(value))?;
    Some((least, vec![String::new()]))
}

/// The part of a schema that a place in the data has to fit.
fn schema_at(schema: &Value, pointer: &str) -> Option<Value> {
    let mut part = schema.clone();
    for step in pointer.split('/').skip(1) {
        let step = step.replace("~1", "/").replace("~0", "~");
        let branches = ["anyOf", "oneOf", "allOf"].iter().filter_map(|key| part.get(key)?.as_array()).flatten();
        let found = std::iter::once(&part).chain(branches).find_map(|part| {
            part.get("properties").and_then(|fields| fields.get(&step)).or_else(|| part.get("items")).cloned()
        });
        part = found?;
    }
    Some(part)
}

/// A value that the schema allows and that says as little as possible.
pub(super) fn least_value(schema: &Value, depth: usize) -> Option<Value> {
    if depth > DEEPEST {
        return None;
    }
    if let Some(value) = schema.get("const") {
        return Some(value.clone());
    }
    if let Some(values) = schema.get("enum").and_then(Value::as_array) {
        return values.iter().find(|value| value.is_null()).or(values.first()).cloned();
    }
    for key in ["anyOf", "oneOf"] {
        if let Some(branches) = schema.get(key).and_then(Value::as_array) {
            let nulls = branches.iter().filter(|branch| branch.get("type").is_some_and(|kind| kind == "null"));
            return nulls.chain(branches).find_map(|branch| least_value(branch, depth + 1));
        }
    }
    let kinds: Vec<&str> = match schema.get("type") {
        Some(Value::String(kind)) => vec![kind],
        Some(Value::Array(kinds)) => kinds.iter().filter_map(Value::as_str).collect(),
        _ if schema.get("properties").is_some() => vec!["object"],
        _ => vec!["null"],
    };
    if kinds.contains(&"null") {
        return Some(Value::Null);
    }
    let number = |key: &str| schema.get(key).and_then(Value::as_f64);
    match *kinds.first()? {
        "boolean" => Some(Value::Bool(false)),
        "integer" => least_number(number, true),
        "number" => least_number(number, false),
        "string" => least_text(schema),
        "array" => {
            let least = schema.get("minItems").and_then(Value::as_u64).unwrap_or(0).min(MOST);
            let none = Value::Object(Map::new());
            let item = schema.get("items").unwrap_or(&none);
            (0..least).map(|_| least_value(item, depth + 1)).collect::<Option<Vec<_>>>().map(Value::Array)
        }
        "object" => {
            let names = schema.get("required").and_then(Value::as_array).cloned().unwrap_or_default();
            let empty = json!({});
            let fields = schema.get("properties").unwrap_or(&empty);
            let field = |name: &Value| {
                let name = name.as_str()?;
                Some((name.to_owned(), least_value(fields.get(name).unwrap_or(&empty), depth + 1)?))
            };
            names.iter().map(field).collect::<Option<Map<_, _>>>().map(Value::Object)
        }
        _ => None,
    }
}

fn least_number(bound: impl Fn(&str) -> Option<f64>, whole: bool) -> Option<Value> {
    let step = bound("multipleOf").filter(|step| *step > 0.0);
    let unit = step.unwrap_or(1.0);
    let low = match (bound("minimum"), bound("exclusiveMinimum")) {
        (Some(one), Some(other)) => Some(one.max(other)),
        (one, other) => one.or(other),
    };
    let high = match (bound("maximum"), bound("exclusiveMaximum")) {
        (Some(one), Some(other)) => Some(one.min(other)),
        (one, other) => one.or(other),
    };
    let fits = |value: &f64| {
        bound("minimum").is_none_or(|low| *value >= low)
            && bound("exclusiveMinimum").is_none_or(|low| *value > low)
            && bound("maximum").is_none_or(|high| *value <= high)
            && bound("exclusiveMaximum").is_none_or(|high| *value < high)
            && (!whole || value.fract() == 0.0)
    };
    let on_grid = |value: f64| {
        [
            (value / unit).floor() * unit,
            (value / unit).ceil() * unit,
            ((value / unit).floor() + 1.0) * unit,
            ((value / unit).ceil() - 1.0) * unit,
        ]
    };
    let between = low.zip(high).map(|(low, high)| f64::midpoint(low, high)).filter(|_| step.is_none() && !whole);
    let tried =
        std::iter::once(0.0).chain(low.into_iter().chain(high).flat_map(on_grid)).chain(low).chain(high).chain(between);
    let value = tried.into_iter().find(fits)?;
    #[expect(clippy::cast_possible_truncation, reason = "a whole number below 2^53")]
    if value.fract() == 0.0 && value.abs() < 9e15 { Some(Value::from(value as i64)) } else { Some(Value::from(value)) }
}

fn least_text(schema: &Value) -> Option<Value> {
    let text = match schema.get("format").and_then(Value::as_str) {
        Some("date") => "1970-01-01",
        Some("date-time") => "1970-01-01T00:00:00Z",
        Some("time") => "00:00:00Z",
        Some("duration") => "PT0S",
        Some("email" | "idn-email") => "unknown@example.invalid",
        Some("uri" | "iri" | "url") => "about:blank",
        Some("hostname" | "idn-hostname") => "unknown.invalid",
        Some("ipv4") => "0.0.0.0",
        Some("ipv6") => "::",
        Some("uuid") => "00000000-0000-0000-0000-000000000000",
        _ => "",
    };
    let mut text = text.to_owned();
    if let Some(pattern) = schema.get("pattern").and_then(Value::as_str) {
        text.clear();
        least_match(&regex_syntax::parse(pattern).ok()?, &mut text)?;
    }
    let least = schema.get("minLength").and_then(Value::as_u64).unwrap_or(0);
    if least > MOST {
        return None;
    }
    let length = text.chars().count() as u64;
    let filler = if text.is_empty() { '-' } else { text.chars().next_back()? };
    text.extend((length..least).map(|_| filler));
    Some(Value::String(text))
}

/// The shortest text that a pattern matches, nearly.
fn least_match(pattern: &Hir, text: &mut String) -> Option<()> {
    if text.len() as u64 > MOST {
        return None;
    }
    match pattern.kind() {
        HirKind::Empty | HirKind::Look(_) => {}
        HirKind::Literal(literal) => text.push_str(std::str::from_utf8(&literal.0).ok()?),
        HirKind::Class(regex_syntax::hir::Class::Unicode(class)) => text.push(class.ranges().first()?.start()),
        HirKind::Class(regex_syntax::hir::Class::Bytes(class)) => {
            text.push(char::from(class.ranges().first()?.start()));
        }
        HirKind::Repetition(repeated) => {
            for _ in 0..repeated.min {
                least_match(&repeated.sub, text)?;
            }
        }
        HirKind::Capture(capture) => least_match(&capture.sub, text)?,
        HirKind::Concat(parts) => parts.iter().try_for_each(|part| least_match(part, text))?,
        HirKind::Alternation(branches) => least_match(branches.first()?, text)?,
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn least_values_are_valid() {
        for schema in [
            json!({"type": "string", "minLength": 3}),
            json!({"type": "string", "format": "date"}),
            json!({"type": "string", "pattern": "^[A-Z]{2,3}-\\d+$"}),
            json!({"type": "integer", "minimum": 5, "multipleOf": 3}),
            json!({"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1}),
            json!({"type": "array", "minItems": 2, "items": {"enum": ["a", "b"]}}),
            json!({"anyOf": [{"type": "integer"}, {"type": "string"}]}),
            json!({"type": "object", "required": ["a"], "properties": {"a": {"type": ["integer", "null"]}}}),
        ] {
            let value = least_value(&schema, 0).expect("a value");
            assert!(jsonschema::is_valid(&schema, &value), "{schema} {value}");
        }
    }

    #[test]
    fn wrong_parts_are_repaired_and_named() {
        let schema =
            json!({"type": "object", "properties": {"a": {"type": "integer", "maximum": 3}, "b": {"type": "string"}}});
        let validator = jsonschema::validator_for(&schema).expect("schema");
        let (data, changed) = repaired(json!({"a": 9, "b": "x"}), &schema, &validator).expect("repairable");
        assert_eq!((data, changed), (json!({"a": 0, "b": "x"}), vec!["/a".to_owned()]));
    }
}
