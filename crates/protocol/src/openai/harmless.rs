//! Fields of the OpenAI API that change nothing in an answer: notes about the caller, hints to a
//! cache or a billing plan. They ride along; only their types are checked, so that a typing error
//! is found before it reaches an upstream.

use serde_json::Value;

use crate::fields::{FieldError, Fields};

/// Most entries of `metadata`, and most characters of a name and of a text in it.
const METADATA: (usize, usize, usize) = (16, 64, 512);

/// Texts that say who asks or where to keep something.
const TEXTS: &[&str] = &["user", "safety_identifier", "prompt_cache_key", "prompt_cache_retention", "service_tier"];
/// How long answers are wished to be.
const VERBOSITY: &[&str] = &["low", "medium", "high"];

/// Checks the types of those that are there; they stay where they are.
///
/// # Errors
/// Names the first one with a wrong type.
pub(super) fn check(fields: &Fields) -> Result<(), FieldError> {
    for name in TEXTS {
        fields.look(name, Fields::string)?;
    }
    fields.look("store", Fields::boolean)?;
    fields.look("prompt_cache_options", Fields::object)?;
    check_metadata(fields)?;
    match fields.look("verbosity", Fields::string)? {
        Some(word) if !VERBOSITY.contains(&word.as_str()) => {
            let message = format!("must be one of {}", VERBOSITY.join(", "));
            Err(FieldError::new(&fields.path("verbosity"), "invalid_value", &message))
        }
        _ => Ok(()),
    }
}

fn check_metadata(fields: &Fields) -> Result<(), FieldError> {
    let Some(inner) = fields.look("metadata", Fields::object)? else { return Ok(()) };
    let (most_entries, most_name, most_text) = METADATA;
    let entries = inner.rest();
    if entries.len() > most_entries {
        let message = format!("at most {most_entries} entries are allowed, got {}", entries.len());
        return Err(FieldError::new("metadata", "out_of_range", &message));
    }
    for (name, value) in &entries {
        if name.chars().count() > most_name {
            let message = format!("a name may have at most {most_name} characters");
            return Err(FieldError::new("metadata", "out_of_range", &message));
        }
        let path = format!("metadata.{name}");
        match value {
            Value::String(text) if text.chars().count() <= most_text => {}
            Value::String(_) => {
                let message = format!("may have at most {most_text} characters");
                return Err(FieldError::new(&path, "out_of_range", &message));
            }
            _ => return Err(FieldError::new(&path, "invalid_type", "expected a string")),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn types_are_checked_and_nothing_is_taken() {
        let good = r#"{"user":"u","metadata":{"a":"b"},"store":true,"verbosity":"low","service_tier":"auto"}"#;
        let fields = Fields::from_body(good.as_bytes()).expect("object");
        assert_eq!(check(&fields), Ok(()));
        assert_eq!(Value::Object(fields.rest()).to_string(), good);
        for (json, param) in [
            (r#"{"user":1}"#, "user"),
            (r#"{"store":"yes"}"#, "store"),
            (r#"{"metadata":[]}"#, "metadata"),
            (r#"{"metadata":{"a":1}}"#, "metadata.a"),
            (r#"{"verbosity":"loud"}"#, "verbosity"),
            (r#"{"prompt_cache_options":1}"#, "prompt_cache_options"),
        ] {
            let fields = Fields::from_body(json.as_bytes()).expect("object");
            assert_eq!(check(&fields).expect_err(json).param.as_deref(), Some(param), "{json}");
        }
    }
}
