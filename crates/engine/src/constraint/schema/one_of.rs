//! `oneOf` as a choice: only where no value fits two branches.
//!
//! A grammar can say "this or that", not "this or that but not both". Where two branches can be seen
//! to have nothing in common (another type, another constant, a property that tells them apart) it is
//! the same.

use serde_json::{Map, Value};

use super::super::error::GrammarError;
use super::unsupported;

/// How far references and properties are followed.
const DEPTH: usize = 8;

/// Checks every `oneOf`.
///
/// # Errors
/// Names the first one with two branches that may have a value in common.
pub(super) fn check(
    one_ofs: &[(String, Vec<Value>)],
    root: &Map<String, Value>,
    definitions: &Map<String, Value>,
) -> Result<(), GrammarError> {
    let known = Known { root, definitions };
    for (path, branches) in one_ofs {
        for (index, branch) in branches.iter().enumerate() {
            let others = branches.iter().enumerate().skip(index + 1);
            if let Some((other, _)) = others.into_iter().find(|(_, other)| !known.disjoint(branch, other, DEPTH)) {
                let message = format!(
                    "a value may fit branch {index} as well as branch {other}: use anyOf, or a required property \
                     with another constant in each branch"
                );
                return Err(unsupported(path, message));
            }
        }
    }
    Ok(())
}

struct Known<'a> {
    root: &'a Map<String, Value>,
    definitions: &'a Map<String, Value>,
}

impl Known<'_> {
    /// Whether it is sure that no value fits both.
    fn disjoint(&self, one: &Value, two: &Value, depth: usize) -> bool {
        if depth == 0 {
            return false;
        }
        let (one, two) = match (one, two) {
            (Value::Bool(false), _) | (_, Value::Bool(false)) => return true,
            (Value::Object(one), Value::Object(two)) => (one, two),
            _ => return false,
        };
        self.own_disjoint(one, two, depth)
            || self.parts_disjoint(one, two, depth)
            || self.parts_disjoint(two, one, depth)
    }

    /// Whether a part of `one` that must hold as well already rules `two` out.
    fn parts_disjoint(&self, one: &Map<String, Value>, two: &Map<String, Value>, depth: usize) -> bool {
        let list = |name: &str| one.get(name).and_then(Value::as_array).filter(|list| !list.is_empty());
        let target = one.get("$ref").and_then(Value::as_str);
        let by_reference = target.is_some_and(|target| match target.strip_prefix("#/$defs/") {
            Some(name) => {
                self.definitions.get(name).is_some_and(|one| self.disjoint(one, &Value::Object(two.clone()), depth - 1))
            }
            None => self.own_disjoint(self.root, two, depth),
        });
        let two = Value::Object(two.clone());
        by_reference
            || list("allOf").is_some_and(|parts| parts.iter().any(|one| self.disjoint(one, &two, depth - 1)))
            || ["anyOf", "oneOf"]
                .iter()
                .any(|name| list(name).is_some_and(|parts| parts.iter().all(|one| self.disjoint(one, &two, depth - 1))))
    }

    fn own_disjoint(&self, one: &Map<String, Value>, two: &Map<String, Value>, depth: usize) -> bool {
        let (one_types, two_types) = (types(one), types(two));
        if one_types.iter().all(|one| two_types.iter().all(|two| !overlap(one, two))) {
            return true;
        }
        if let (Some(one), Some(two)) = (constants(one), constants(two)) {
            return one.iter().all(|one| two.iter().all(|two| !same(one, two)));
        }
        let objects = one_types == ["object"] && two_types == ["object"];
        objects && (self.told_apart(one, two, depth) || self.told_apart(two, one, depth))
    }

    /// Whether a required property of `one` can not be what `two` says about it.
    fn told_apart(&self, one: &Map<String, Value>, two: &Map<String, Value>, depth: usize) -> bool {
        let property = |schema: &Map<String, Value>, name: &str| {
            schema.get("properties").and_then(|properties| properties.get(name)).cloned()
        };
        let closed =
            two.get("additionalProperties") == Some(&Value::Bool(false)) && !two.contains_key("patternProperties");
        let required = one.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        required.into_iter().any(|name| match (property(one, name), property(two, name)) {
            (Some(one), Some(two)) => self.disjoint(&one, &two, depth - 1),
            (_, None) => closed,
            (None, Some(_)) => false,
        })
    }
}

/// The types that a schema may have, from its own keywords.
fn types(schema: &Map<String, Value>) -> Vec<&str> {
    match (schema.get("type"), constants(schema)) {
        (Some(Value::String(name)), _) => vec![name],
        (Some(Value::Array(names)), _) => names.iter().filter_map(Value::as_str).collect(),
        (_, Some(values)) => values.iter().map(|value| type_of(value)).collect(),
        _ => vec!["null", "boolean", "number", "string", "array", "object"],
    }
}

fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn overlap(one: &str, two: &str) -> bool {
    let number = |name: &str| matches!(name, "number" | "integer");
    one == two || (number(one) && number(two))
}

fn constants(schema: &Map<String, Value>) -> Option<Vec<&Value>> {
    match (schema.get("const"), schema.get("enum")) {
        (Some(value), _) => Some(vec![value]),
        (None, Some(Value::Array(values))) => Some(values.iter().collect()),
        _ => None,
    }
}

/// Equality of JSON Schema, where 1 is 1.0. Arrays and objects count as equal when they may be.
fn same(one: &Value, two: &Value) -> bool {
    match (one, two) {
        (Value::Number(one), Value::Number(two)) => one.as_f64() == two.as_f64(),
        (Value::Array(_), Value::Array(_)) | (Value::Object(_), Value::Object(_)) => true,
        _ => one == two,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn branches_are_told_apart_by_type_constant_or_property() {
        let kind =
            |name: &str| json!({"type": "object", "properties": {"kind": {"const": name}}, "required": ["kind"]});
        let closed = |name: &str| json!({"type": "object", "properties": {name: {}}, "required": [name], "additionalProperties": false});
        let definitions = json!({"d0": kind("a"), "d1": kind("b")});
        for (branches, disjoint) in [
            (json!([{"type": "string"}, {"type": "integer"}]), true),
            (json!([{"type": "number"}, {"type": "integer"}]), false),
            (json!([{"type": ["string", "null"]}, {"type": "null"}]), false),
            (json!([{"const": 1}, {"const": 2}]), true),
            (json!([{"const": 1}, {"const": 1.0}]), false),
            (json!([{"enum": ["a", "b"]}, {"enum": ["c"]}]), true),
            (json!([{"enum": ["a", 1]}, {"type": "boolean"}]), true),
            (json!([kind("a"), kind("b")]), true),
            (json!([kind("a"), kind("a")]), false),
            (json!([closed("a"), closed("b")]), true),
            (json!([{"$ref": "#/$defs/d0"}, {"$ref": "#/$defs/d1"}]), true),
            (json!([{"$ref": "#/$defs/d0"}, {"$ref": "#/$defs/d0"}]), false),
            (json!([{"anyOf": [{"const": 1}, {"const": 2}]}, {"const": 3}]), true),
            (json!([{"allOf": [{"type": "string"}]}, {"type": "object"}]), true),
            (json!([true, {"const": 3}]), false),
            (json!([false, {"const": 3}]), true),
            (json!([{"minLength": 2}, {"type": "string"}]), false),
        ] {
            let one_ofs = [("oneOf".to_owned(), branches.as_array().cloned().expect("array"))];
            let found = check(&one_ofs, &Map::new(), definitions.as_object().expect("object"));
            assert_eq!(found.is_ok(), disjoint, "{branches}");
            assert!(found.err().is_none_or(|error| error.path.as_deref() == Some("oneOf")));
        }
    }
}
