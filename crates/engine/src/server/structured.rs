//! What a request says about the form of its answer: OpenAI's `response_format`, vLLM's
//! `structured_outputs`, and the older `guided_*` fields of vLLM.
//!
//! `strict` of a JSON Schema changes nothing: a schema always holds in full, or is refused. Unlike in
//! OpenAI's API the messages of a `json_object` request need not name JSON: the grammar does not depend
//! on what the model was told.

use lla_protocol::FieldError;
use serde_json::{Map, Value};

use crate::constraint::Grammar;
use crate::error::EngineError;

/// Older field -> its name in `structured_outputs`.
const OLDER: &[(&str, &str)] =
    &[("guided_json", "json"), ("guided_regex", "regex"), ("guided_choice", "choice"), ("guided_grammar", "grammar")];
const KINDS: &[&str] = &["json", "regex", "choice", "grammar", "json_object"];

/// A grammar, and the field that holds it, for errors.
type Found = (Grammar, String);

/// Takes the fields that restrict the answer out of `rest`.
///
/// # Errors
/// When a field is wrong, or more than one restricts the answer.
pub(super) fn take(rest: &mut Map<String, Value>) -> Result<Option<Found>, EngineError> {
    let mut found = Vec::new();
    if let Some(format) = take_value(rest, "response_format") {
        found.extend(response_format(&format)?);
    }
    if let Some(outputs) = take_value(rest, "structured_outputs") {
        found.extend(structured_outputs(outputs)?);
    }
    for (name, kind) in OLDER {
        if let Some(value) = take_value(rest, name) {
            found.extend(grammar(kind, value, name)?.map(|grammar| (grammar, (*name).to_owned())));
        }
    }
    if let [(_, first), (_, second), ..] = found.as_slice() {
        let message = format!("'{first}' restricts the answer already: give one of them");
        return Err(FieldError::new(second, "conflicting_fields", &message).into());
    }
    Ok(found.pop())
}

/// `null` counts as absent.
fn take_value(rest: &mut Map<String, Value>, name: &str) -> Option<Value> {
    rest.shift_remove(name).filter(|value| !value.is_null())
}

fn response_format(format: &Value) -> Result<Option<Found>, EngineError> {
    let kind = format.get("type").and_then(Value::as_str);
    match kind {
        Some("text") => Ok(None),
        Some("json_object") => Ok(Some((Grammar::JsonObject, "response_format".to_owned()))),
        Some("json_schema") => {
            let wrapper = format.get("json_schema").unwrap_or(&Value::Null);
            if wrapper.get("strict").is_some_and(|strict| !strict.is_null() && !strict.is_boolean()) {
                return Err(wrong_type("response_format.json_schema.strict", "a boolean"));
            }
            let param = "response_format.json_schema.schema";
            match wrapper.get("schema") {
                Some(schema @ Value::Object(_)) => Ok(Some((Grammar::JsonSchema(schema.clone()), param.to_owned()))),
                _ => Err(wrong_type(param, "a JSON Schema object")),
            }
        }
        Some("structural_tag") => Err(structural_tag("response_format.type")),
        _ => {
            let message = "must be text, json_object or json_schema";
            Err(FieldError::new("response_format.type", "invalid_value", message).into())
        }
    }
}

fn structured_outputs(outputs: Value) -> Result<Option<Found>, EngineError> {
    let param = "structured_outputs";
    let Value::Object(mut outputs) = outputs else {
        return Err(wrong_type(param, "an object"));
    };
    let mut found = Vec::new();
    for kind in KINDS {
        if let Some(value) = take_value(&mut outputs, kind) {
            let name = format!("{param}.{kind}");
            found.extend(grammar(kind, value, &name)?.map(|grammar| (grammar, name)));
        }
    }
    // No white space is written anyway.
    match take_value(&mut outputs, "disable_any_whitespace") {
        None | Some(Value::Bool(_)) => {}
        Some(_) => return Err(wrong_type("structured_outputs.disable_any_whitespace", "a boolean")),
    }
    let off = |value: &Value| value.is_null() || value == &Value::Bool(false);
    if let Some((name, _)) = outputs.iter().find(|(_, value)| !off(value)) {
        let name = format!("{param}.{}", name.chars().take(60).collect::<String>());
        return Err(if name.ends_with(".structural_tag") {
            structural_tag(&name)
        } else {
            let message = format!("this engine does not support it; these are: {}", KINDS.join(", "));
            EngineError::Unsupported { param: name, message }
        });
    }
    match found.len() {
        0 => Ok(None),
        1 => Ok(found.pop()),
        _ => Err(FieldError::new(param, "conflicting_fields", "must hold exactly one kind of restriction").into()),
    }
}

/// One of vLLM's kinds; `None` when it asks for nothing.
fn grammar(kind: &str, value: Value, param: &str) -> Result<Option<Grammar>, EngineError> {
    Ok(Some(match (kind, value) {
        // vLLM takes a schema as a text, too.
        ("json", Value::String(text)) => {
            let schema = serde_json::from_str(&text).map_err(|_| wrong_type(param, "a JSON Schema"))?;
            Grammar::JsonSchema(schema)
        }
        ("json", schema @ (Value::Object(_) | Value::Bool(_))) => Grammar::JsonSchema(schema),
        ("json", _) => return Err(wrong_type(param, "a JSON Schema")),
        ("regex", Value::String(text)) => Grammar::Regex(text),
        ("grammar", Value::String(text)) => Grammar::Lark(text),
        ("choice", Value::Array(items)) => {
            let text = |item: Value| match item {
                Value::String(text) => Ok(text),
                _ => Err(wrong_type(param, "an array of strings")),
            };
            Grammar::Choice(items.into_iter().map(text).collect::<Result<_, _>>()?)
        }
        ("choice", _) => return Err(wrong_type(param, "an array of strings")),
        ("json_object", Value::Bool(false)) => return Ok(None),
        ("json_object", Value::Bool(true)) => Grammar::JsonObject,
        ("json_object", _) => return Err(wrong_type(param, "a boolean")),
        _ => return Err(wrong_type(param, "a string")),
    }))
}

fn structural_tag(param: &str) -> EngineError {
    EngineError::Unsupported { param: param.to_owned(), message: "this engine does not support structural tags".into() }
}

fn wrong_type(param: &str, expected: &str) -> EngineError {
    FieldError::new(param, "invalid_type", &format!("expected {expected}")).into()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn taken(body: &Value) -> Result<Option<Found>, EngineError> {
        let mut rest = body.as_object().cloned().expect("an object");
        let found = take(&mut rest)?;
        assert!(rest.keys().all(|name| name == "user"), "{rest:?}");
        Ok(found)
    }

    #[test]
    fn every_way_to_say_it_is_understood() {
        let schema = json!({"type": "object"});
        let named = |strict: Value| json!({"type": "json_schema", "json_schema": {"name": "x", "schema": schema, "strict": strict}});
        let of_schema = |param: &str| Some((Grammar::JsonSchema(schema.clone()), param.to_owned()));
        let choice = Grammar::Choice(vec!["a".into(), "b".into()]);
        for (body, wanted) in [
            (json!({"user": "u"}), None),
            (json!({"response_format": null, "structured_outputs": {}, "guided_json": null}), None),
            (json!({"response_format": {"type": "text"}}), None),
            (
                json!({"response_format": {"type": "json_object"}}),
                Some((Grammar::JsonObject, "response_format".into())),
            ),
            (json!({"response_format": named(json!(true))}), of_schema("response_format.json_schema.schema")),
            (json!({"response_format": named(json!(false))}), of_schema("response_format.json_schema.schema")),
            (json!({"response_format": named(json!(null))}), of_schema("response_format.json_schema.schema")),
            (json!({"structured_outputs": {"json": schema, "regex": null}}), of_schema("structured_outputs.json")),
            (json!({"structured_outputs": {"json": schema.to_string()}}), of_schema("structured_outputs.json")),
            (json!({"guided_json": schema, "response_format": {"type": "text"}}), of_schema("guided_json")),
            (
                json!({"structured_outputs": {"regex": "a+", "disable_any_whitespace": true}}),
                Some((Grammar::Regex("a+".into()), "structured_outputs.regex".into())),
            ),
            (json!({"guided_regex": "a+"}), Some((Grammar::Regex("a+".into()), "guided_regex".into()))),
            (
                json!({"structured_outputs": {"choice": ["a", "b"], "json_object": false}}),
                Some((choice.clone(), "structured_outputs.choice".into())),
            ),
            (json!({"guided_choice": ["a", "b"]}), Some((choice, "guided_choice".into()))),
            (
                json!({"structured_outputs": {"grammar": "start: \"a\""}}),
                Some((Grammar::Lark("start: \"a\"".into()), "structured_outputs.grammar".into())),
            ),
            (
                json!({"structured_outputs": {"json_object": true}}),
                Some((Grammar::JsonObject, "structured_outputs.json_object".into())),
            ),
        ] {
            assert_eq!(taken(&body).expect("fits"), wanted, "{body}");
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (body, param, code) in [
            (json!({"response_format": 1}), "response_format.type", "invalid_value"),
            (json!({"response_format": {"type": "xml"}}), "response_format.type", "invalid_value"),
            (json!({"response_format": {"type": "structural_tag"}}), "response_format.type", "unsupported_parameter"),
            (json!({"response_format": {"type": "json_schema"}}), "response_format.json_schema.schema", "invalid_type"),
            (
                json!({"response_format": {"type": "json_schema", "json_schema": {"schema": {}, "strict": 1}}}),
                "response_format.json_schema.strict",
                "invalid_type",
            ),
            (json!({"structured_outputs": []}), "structured_outputs", "invalid_type"),
            (json!({"structured_outputs": {"json": "{"}}), "structured_outputs.json", "invalid_type"),
            (json!({"structured_outputs": {"json": 1}}), "structured_outputs.json", "invalid_type"),
            (json!({"structured_outputs": {"choice": "a"}}), "structured_outputs.choice", "invalid_type"),
            (json!({"guided_choice": [1]}), "guided_choice", "invalid_type"),
            (json!({"guided_regex": 1}), "guided_regex", "invalid_type"),
            (json!({"structured_outputs": {"json_object": 1}}), "structured_outputs.json_object", "invalid_type"),
            (json!({"structured_outputs": {"json": {}, "regex": "a"}}), "structured_outputs", "conflicting_fields"),
            (
                json!({"structured_outputs": {"structural_tag": "{}"}}),
                "structured_outputs.structural_tag",
                "unsupported_parameter",
            ),
            (
                json!({"structured_outputs": {"json": {}, "whitespace_pattern": " "}}),
                "structured_outputs.whitespace_pattern",
                "unsupported_parameter",
            ),
            (
                json!({"response_format": {"type": "json_object"}, "guided_regex": "a"}),
                "guided_regex",
                "conflicting_fields",
            ),
        ] {
            let error = taken(&body).expect_err(&body.to_string()).body().error;
            assert_eq!((error.param.as_deref(), error.code.as_deref()), (Some(param), Some(code)), "{body}");
        }
    }
}
