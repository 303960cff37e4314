//! Reads a JSON Schema keyword by keyword, so that nothing of it is ignored in silence.
//!
//! The result is a smaller schema for llguidance: without annotations, and with every target of a
//! `$ref` under `$defs`, so that only what is used is compiled and every part of that has been checked
//! here. What is supported is written down in `docs/structured-output.md`.

use serde_json::{Map, Value};

use super::error::GrammarError;

mod ends;
mod keywords;
mod one_of;
mod patterns;
mod references;
#[cfg(test)]
mod tests;
mod values;

/// Largest schema in bytes, as compact JSON.
const LARGEST: usize = 256 << 10;
/// Most schemas inside one another.
const DEEPEST: usize = 48;
/// Most schemas in a schema.
const MOST: usize = 2000;

/// Checks a schema and makes it ready for llguidance.
///
/// # Errors
/// Names the first keyword that is not supported, wrong, or beyond a limit, with its path.
pub(crate) fn prepare(schema: &Value) -> Result<Value, GrammarError> {
    let bytes = schema.to_string().len();
    if bytes > LARGEST {
        let message = format!("a schema may have {LARGEST} bytes, got {bytes}");
        return Err(GrammarError::new("", "grammar_too_complex", message));
    }
    let mut walk = Walk { root: schema, targets: Vec::new(), one_ofs: Vec::new(), count: 0 };
    let root = walk.schema(schema, "", 0)?;
    let mut definitions = Map::new();
    while let Some(target) = walk.targets.get(definitions.len()).cloned() {
        let checked = walk.schema(target.value, &target.path, 1)?;
        definitions.insert(definition_name(definitions.len()), checked);
    }
    let mut root = match root {
        Value::Object(map) => map,
        Value::Bool(true) => Map::new(),
        _ => return Err(invalid("", "no value fits the schema 'false'")),
    };
    ends::check(&root, &definitions, &walk.targets)?;
    one_of::check(&walk.one_ofs, &root, &definitions)?;
    if !definitions.is_empty() {
        root.insert("$defs".to_owned(), Value::Object(definitions));
    }
    Ok(Value::Object(root))
}

fn definition_name(index: usize) -> String {
    format!("d{index}")
}

/// A schema that a `$ref` points at.
#[derive(Clone)]
struct Target<'a> {
    /// As the caller wrote it, without `#`, decoded.
    pointer: String,
    /// The same in the way of error messages.
    path: String,
    value: &'a Value,
}

/// Goes through a schema.
struct Walk<'a> {
    root: &'a Value,
    /// Targets of references so far; the n-th is defined as `dn`.
    targets: Vec<Target<'a>>,
    /// Every `oneOf` with its path, to be checked when all definitions are known.
    one_ofs: Vec<(String, Vec<Value>)>,
    count: usize,
}

impl<'a> Walk<'a> {
    /// One schema, at a place and a depth.
    fn schema(&mut self, schema: &'a Value, path: &str, depth: usize) -> Result<Value, GrammarError> {
        self.count += 1;
        if depth > DEEPEST || self.count > MOST {
            let message = format!("a schema may hold {MOST} schemas, {DEEPEST} deep");
            return Err(GrammarError::new(path, "grammar_too_complex", message));
        }
        let map = match schema {
            Value::Bool(_) => return Ok(schema.clone()),
            Value::Object(map) => map,
            _ => return Err(invalid(path, "a schema must be an object or a boolean")),
        };
        let mut checked = Map::new();
        for (keyword, value) in map {
            let at = join(path, keyword);
            if let Some(value) = self.keyword(keyword, value, &at, depth)? {
                checked.insert(keyword.clone(), value);
            }
        }
        keywords::check_together(&mut checked, path)?;
        Ok(Value::Object(checked))
    }

    fn list(&mut self, value: &'a Value, path: &str, depth: usize) -> Result<Value, GrammarError> {
        let items = value.as_array().ok_or_else(|| invalid(path, "expected an array of schemas"))?;
        let checked = items.iter().enumerate().map(|(index, item)| {
            let at = format!("{path}[{index}]");
            self.schema(item, &at, depth + 1)
        });
        Ok(Value::Array(checked.collect::<Result<_, _>>()?))
    }

    fn map(&mut self, value: &'a Value, path: &str, depth: usize) -> Result<Value, GrammarError> {
        let members = value.as_object().ok_or_else(|| invalid(path, "expected an object of schemas"))?;
        let checked = members.iter().map(|(name, member)| {
            let at = join(path, name);
            Ok((name.clone(), self.schema(member, &at, depth + 1)?))
        });
        Ok(Value::Object(checked.collect::<Result<_, GrammarError>>()?))
    }
}

fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

fn invalid(path: &str, message: &str) -> GrammarError {
    GrammarError::new(path, "invalid_schema", message)
}

fn unsupported(path: &str, message: impl Into<String>) -> GrammarError {
    GrammarError::new(path, "unsupported_schema", message)
}
