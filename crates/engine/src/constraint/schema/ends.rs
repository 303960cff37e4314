//! Refuses a schema whose values never end: a reference that comes back to itself by required parts.

use std::collections::HashSet;

use serde_json::{Map, Value};

use super::super::error::GrammarError;
use super::{Target, definition_name, invalid};

/// Checks the schema and all definitions that it uses.
///
/// # Errors
/// Names the first place whose values could never be written to an end.
pub(super) fn check(
    root: &Map<String, Value>,
    definitions: &Map<String, Value>,
    targets: &[Target<'_>],
) -> Result<(), GrammarError> {
    let mut ending = HashSet::new();
    // Each round learns of at least one more definition, or is the last.
    loop {
        let before = ending.len();
        if members_end(root, &ending) {
            ending.insert("#".to_owned());
        }
        for (name, schema) in definitions {
            if ends(schema, &ending) {
                ending.insert(format!("#/$defs/{name}"));
            }
        }
        if ending.len() == before {
            break;
        }
    }
    let message = "no value of it ever ends: it needs itself";
    if !ending.contains("#") {
        return Err(invalid("", message));
    }
    let endless = (0..targets.len()).find(|&index| !ending.contains(&format!("#/$defs/{}", definition_name(index))));
    match endless.and_then(|index| targets.get(index)) {
        None => Ok(()),
        Some(target) => Err(invalid(&target.path, message)),
    }
}

fn ends(schema: &Value, ending: &HashSet<String>) -> bool {
    match schema {
        Value::Object(map) => members_end(map, ending),
        // `false` has no values, which is llguidance's to tell.
        _ => true,
    }
}

fn members_end(schema: &Map<String, Value>, ending: &HashSet<String>) -> bool {
    let list = |name: &str| schema.get(name).and_then(Value::as_array);
    let reference = schema.get("$ref").and_then(Value::as_str).is_none_or(|target| ending.contains(target));
    let all = list("allOf").is_none_or(|parts| parts.iter().all(|part| ends(part, ending)));
    let any =
        |name: &str| list(name).is_none_or(|parts| parts.is_empty() || parts.iter().any(|part| ends(part, ending)));
    reference && all && any("anyOf") && any("oneOf") && own_ends(schema, ending)
}

/// Whether some type that the schema allows has a value that ends.
fn own_ends(schema: &Map<String, Value>, ending: &HashSet<String>) -> bool {
    let type_ends = |name: &str| match name {
        "object" => required_end(schema, ending),
        "array" => items_end(schema, ending),
        _ => true,
    };
    match schema.get("type") {
        Some(Value::String(name)) => type_ends(name),
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).any(type_ends),
        _ => true,
    }
}

fn required_end(schema: &Map<String, Value>, ending: &HashSet<String>) -> bool {
    let required = schema.get("required").and_then(Value::as_array);
    let properties = schema.get("properties").and_then(Value::as_object);
    required.into_iter().flatten().filter_map(Value::as_str).all(|name| {
        let property = properties.and_then(|properties| properties.get(name));
        property.or_else(|| schema.get("additionalProperties")).is_none_or(|property| ends(property, ending))
    })
}

fn items_end(schema: &Map<String, Value>, ending: &HashSet<String>) -> bool {
    let least = schema.get("minItems").and_then(Value::as_u64).unwrap_or(0);
    let least = usize::try_from(least).unwrap_or(usize::MAX);
    let items = schema.get("items");
    let prefix = schema.get("prefixItems").or(items).and_then(Value::as_array).map_or(&[][..], Vec::as_slice);
    let rest = if items.is_some_and(Value::is_array) { schema.get("additionalItems") } else { items };
    prefix.iter().take(least).all(|item| ends(item, ending))
        && (least <= prefix.len() || rest.is_none_or(|item| ends(item, ending)))
}
