//! Checks of keywords that hold plain values.

use serde_json::Value;

use super::super::error::GrammarError;
use super::patterns::is_control;
use super::{invalid, unsupported};

const TYPES: &[&str] = &["null", "boolean", "number", "integer", "string", "array", "object"];
/// Integers up to here are exact in the arithmetic of the grammar (and of most readers of JSON).
pub(super) const LARGEST_EXACT: i64 = 9_007_199_254_740_991;
const MOST_VALUES: usize = 5000;
/// Longest constant in bytes: it is tokenized anew at each step.
const LONGEST_TEXT: usize = 16 << 10;
/// Counts above this make grammars of a size that is never meant.
const MOST_COUNTED: u64 = 1_000_000;

pub(super) fn types(value: &Value, path: &str) -> Result<Value, GrammarError> {
    let known = |name: &Value| name.as_str().is_some_and(|name| TYPES.contains(&name));
    let right = match value {
        Value::String(_) => known(value),
        Value::Array(names) => !names.is_empty() && names.iter().all(known),
        _ => false,
    };
    let message = format!("expected one of {}, or an array of them", TYPES.join(", "));
    if right { Ok(value.clone()) } else { Err(invalid(path, &message)) }
}

pub(super) fn constant(value: &Value, path: &str) -> Result<Value, GrammarError> {
    check_value(value, path)?;
    Ok(value.clone())
}

pub(super) fn enumeration(value: &Value, path: &str) -> Result<Value, GrammarError> {
    let values = value.as_array().filter(|values| !values.is_empty());
    let values = values.ok_or_else(|| invalid(path, "expected an array of at least one value"))?;
    if values.len() > MOST_VALUES {
        let message = format!("at most {MOST_VALUES} values are possible, got {}", values.len());
        return Err(GrammarError::new(path, "grammar_too_complex", message));
    }
    for (index, value) in values.iter().enumerate() {
        check_value(value, &format!("{path}[{index}]"))?;
    }
    Ok(value.clone())
}

fn check_value(value: &Value, path: &str) -> Result<(), GrammarError> {
    match value {
        Value::Number(_) => bound(value, path).map(drop),
        Value::String(text) if text.len() > LONGEST_TEXT => {
            let message = format!("a text may have {LONGEST_TEXT} bytes, got {}", text.len());
            Err(GrammarError::new(path, "grammar_too_complex", message))
        }
        Value::String(text) if text.contains(is_control) => {
            Err(unsupported(path, "control characters other than line ends, tabs, \\b and \\f can not be written"))
        }
        Value::Array(items) => items.iter().try_for_each(|item| check_value(item, path)),
        Value::Object(members) => members.values().try_for_each(|member| check_value(member, path)),
        _ => Ok(()),
    }
}

pub(super) fn bound(value: &Value, path: &str) -> Result<Value, GrammarError> {
    let number = value.as_f64().ok_or_else(|| invalid(path, "expected a number"))?;
    if number.abs() > LARGEST_EXACT as f64 {
        return Err(unsupported(path, "numbers beyond 2^53 - 1 are not exact: none can be used here"));
    }
    Ok(value.clone())
}

pub(super) fn multiple(value: &Value, path: &str) -> Result<Value, GrammarError> {
    bound(value, path)?;
    let positive = value.as_f64().is_some_and(|number| number > 0.0);
    if positive { Ok(value.clone()) } else { Err(invalid(path, "expected a number above 0")) }
}

/// `2.0` counts as 2, as the specification says.
pub(super) fn count(value: &Value, path: &str) -> Result<Value, GrammarError> {
    let whole = value.as_f64().filter(|number| *number >= 0.0 && number.fract() == 0.0);
    let whole = whole.ok_or_else(|| invalid(path, "expected an integer of at least 0"))?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "whole, positive, and capped")]
    let count = whole.min(MOST_COUNTED as f64) as u64;
    if whole > MOST_COUNTED as f64 {
        return Err(GrammarError::new(path, "grammar_too_complex", format!("at most {MOST_COUNTED} can be counted")));
    }
    Ok(Value::from(count))
}

pub(super) fn required(value: &Value, path: &str) -> Result<Value, GrammarError> {
    let names = value.as_array().filter(|names| names.iter().all(Value::is_string));
    let names = names.ok_or_else(|| invalid(path, "expected an array of names"))?;
    let mut unique = Vec::with_capacity(names.len());
    let mut seen = std::collections::HashSet::new();
    for name in names {
        if seen.insert(name.as_str()) {
            unique.push(name.clone());
        }
    }
    Ok(Value::Array(unique))
}

pub(super) fn format(value: &Value, path: &str) -> Result<Value, GrammarError> {
    if value.is_string() { Ok(value.clone()) } else { Err(invalid(path, "expected a string")) }
}
