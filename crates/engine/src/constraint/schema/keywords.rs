//! What each keyword of a JSON Schema may hold.

use serde_json::{Map, Value};

use super::super::error::GrammarError;
use super::{Walk, invalid, join, patterns, unsupported, values};

/// Keywords that say nothing about which values are right.
const ANNOTATIONS: &[&str] = &[
    "title",
    "description",
    "default",
    "examples",
    "example",
    "deprecated",
    "readOnly",
    "writeOnly",
    "$comment",
    "$schema",
    "$anchor",
    "$vocabulary",
    "discriminator",
    // Reached by `$ref` only.
    "$defs",
    "definitions",
    // The specification makes them annotations since 2019-09.
    "contentEncoding",
    "contentMediaType",
    "contentSchema",
];

impl<'a> Walk<'a> {
    /// A keyword as llguidance should see it; `None`: not at all.
    pub(super) fn keyword(
        &mut self,
        keyword: &str,
        value: &'a Value,
        path: &str,
        depth: usize,
    ) -> Result<Option<Value>, GrammarError> {
        match keyword {
            "type" => values::types(value, path).map(Some),
            "const" => values::constant(value, path).map(Some),
            "enum" => values::enumeration(value, path).map(Some),
            "properties" => self.map(value, path, depth).map(Some),
            "patternProperties" => {
                if let Some(names) = value.as_object() {
                    patterns::disjoint(names, path)?;
                }
                self.map(value, path, depth).map(Some)
            }
            "items" if value.is_array() => self.list(value, path, depth).map(Some),
            "items" | "additionalItems" | "additionalProperties" => self.schema(value, path, depth + 1).map(Some),
            "prefixItems" | "allOf" | "anyOf" => self.list(value, path, depth).map(Some),
            "oneOf" => {
                let branches = self.list(value, path, depth)?;
                self.one_ofs.push((path.to_owned(), branches.as_array().cloned().unwrap_or_default()));
                Ok(Some(branches))
            }
            "$ref" => self.reference(value, path).map(Some),
            "required" => values::required(value, path).map(Some),
            "minLength" | "maxLength" | "minItems" | "maxItems" | "minProperties" | "maxProperties" => {
                values::count(value, path).map(Some)
            }
            "minimum" | "maximum" => values::bound(value, path).map(Some),
            // A boolean is the form of draft 4.
            "exclusiveMinimum" | "exclusiveMaximum" if value.is_boolean() => Ok(Some(value.clone())),
            "exclusiveMinimum" | "exclusiveMaximum" => values::bound(value, path).map(Some),
            "multipleOf" => values::multiple(value, path).map(Some),
            "pattern" => {
                let pattern = value.as_str().ok_or_else(|| invalid(path, "expected a string"))?;
                patterns::pattern(pattern, path)?;
                Ok(Some(value.clone()))
            }
            "format" => values::format(value, path).map(Some),
            "uniqueItems" if value == &Value::Bool(false) => Ok(None),
            // Inside, an identifier changes what references mean.
            "$id" | "id" if depth == 0 => Ok(None),
            _ if ANNOTATIONS.contains(&keyword) || keyword.starts_with("x-") => Ok(None),
            _ => Err(unsupported(path, format!("the keyword '{}' is not supported", shortened(keyword)))),
        }
    }
}

/// Checks what only the keywords of one schema together can tell.
pub(super) fn check_together(schema: &mut Map<String, Value>, path: &str) -> Result<(), GrammarError> {
    patterns::check_format(schema, path)?;
    bound_integers(schema);
    check_property_counts(schema, path)
}

/// Integers without a bound get that of exact numbers: most readers of JSON can not hold others, and a
/// small model may write digits without end.
fn bound_integers(schema: &mut Map<String, Value>) {
    let integers = match schema.get("type") {
        Some(Value::String(name)) => name == "integer",
        Some(Value::Array(names)) => {
            names.iter().any(|name| name == "integer") && !names.iter().any(|name| name == "number")
        }
        _ => false,
    };
    if !integers || schema.contains_key("const") || schema.contains_key("enum") {
        return;
    }
    for (inclusive, exclusive, bound) in [
        ("minimum", "exclusiveMinimum", -values::LARGEST_EXACT),
        ("maximum", "exclusiveMaximum", values::LARGEST_EXACT),
    ] {
        if !schema.contains_key(inclusive) && !schema.contains_key(exclusive) {
            schema.insert(inclusive.to_owned(), Value::from(bound));
        }
    }
}

/// `minProperties` and `maxProperties` hold only where the grammar can count: repeated names of
/// further properties would count once.
fn check_property_counts(schema: &Map<String, Value>, path: &str) -> Result<(), GrammarError> {
    let count = |name: &str| schema.get(name).and_then(Value::as_u64);
    let (least, most) = (count("minProperties").unwrap_or(0), count("maxProperties"));
    let required: Vec<&str> =
        schema.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    if most.is_some_and(|most| most < required.len() as u64) {
        return Err(invalid(&join(path, "maxProperties"), "more properties are required"));
    }
    let properties = schema.get("properties").and_then(Value::as_object);
    let optional = properties.into_iter().flat_map(Map::keys).any(|name| !required.contains(&name.as_str()));
    let missing = least.saturating_sub(required.len() as u64);
    let room = most.map(|most| most.saturating_sub(required.len() as u64));
    let counted = if missing > 0 { "minProperties" } else { "maxProperties" };
    if missing > 1 {
        let message = "may be at most one more than there are required properties";
        return Err(unsupported(&join(path, counted), message));
    }
    let closed = schema.get("additionalProperties") == Some(&Value::Bool(false));
    let one = room.unwrap_or(1) == 1 && closed && !schema.contains_key("patternProperties");
    if optional && (missing > 0 || room.is_some()) && !one {
        let message = "is supported only when all properties are required, or for one of a closed object";
        return Err(unsupported(&join(path, counted), message));
    }
    Ok(())
}

/// Names come back in errors: not at any length.
fn shortened(name: &str) -> String {
    name.chars().take(60).collect()
}
