//! The fields of a request that are not part of its domain value: what Ollama has another name for is
//! taken, what changes no answer passes, and everything else is refused by name. Pure.

use lla_protocol::ollama::Think;
use lla_protocol::openai::Sampling;
use lla_protocol::{FieldError, Fields};
use serde_json::{Map, Value, json};

/// They change no answer anywhere: who asks, where to keep something, hints to a cache or a queue.
const HARMLESS: [&str; 14] = [
    "user",
    "safety_identifier",
    "prompt_cache_key",
    "prompt_cache_retention",
    "prompt_cache_options",
    "service_tier",
    "store",
    "metadata",
    "verbosity",
    "cache_salt",
    "priority",
    "length_penalty",
    "add_special_tokens",
    "request_id",
];

/// What is left over has to ask for nothing.
///
/// # Errors
/// Names the first field that does.
pub(super) fn nothing_else(rest: &Map<String, Value>, n: Option<u32>) -> Result<(), FieldError> {
    let asks = |name: &str, value: &Value| match name {
        _ if HARMLESS.contains(&name) => false,
        "modalities" => *value != json!(["text"]),
        "skip_special_tokens" | "add_generation_prompt" => *value != json!(true),
        "best_of" => value.as_u64() != Some(u64::from(n.unwrap_or(1))),
        "min_tokens" => *value != json!(0),
        _ => true,
    };
    match rest.iter().find(|(name, value)| !is_empty(value) && asks(name, value)) {
        None => Ok(()),
        Some((name, _)) => Err(unsupported(name)),
    }
}

/// Ollama has no place for the field.
pub(super) fn unsupported(name: &str) -> FieldError {
    FieldError::new(name, "unsupported_parameter", "Ollama, which serves this model, has no such option; leave it out")
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

/// Ways of sampling that Ollama does not have.
///
/// # Errors
/// Names the first one that is asked for.
pub(super) fn check_sampling(sampling: &Sampling) -> Result<(), FieldError> {
    if !sampling.logit_bias.is_empty() {
        return Err(unsupported("logit_bias"));
    }
    if sampling.ignore_eos {
        return Err(unsupported("ignore_eos"));
    }
    Ok(())
}

/// Takes the form of the answer: `response_format`, and vLLM's names for a schema.
///
/// # Errors
/// Names a form that Ollama does not have, or two at a time.
pub(super) fn take_format(rest: &mut Map<String, Value>) -> Result<Option<Value>, FieldError> {
    let format = rest.shift_remove("response_format").filter(|format| !format.is_null());
    let kind = format.as_ref().and_then(|format| format.get("type")).and_then(Value::as_str);
    let by_format = match kind {
        None | Some("text") => None,
        Some("json_object") => Some(Value::from("json")),
        Some("json_schema") => format.as_ref().and_then(|format| format.pointer("/json_schema/schema")).cloned(),
        Some(_) => return Err(unsupported("response_format.type")),
    };
    let by_vllm = take_vllm_schema(rest)?;
    match (by_format, by_vllm) {
        (Some(_), Some((name, _))) => {
            let message = "can not stand beside 'response_format': send one of them";
            Err(FieldError::new(name, "invalid_value", message))
        }
        (format, schema) => Ok(format.or(schema.map(|(_, schema)| schema))),
    }
}

/// `structured_outputs.json` or its older name `guided_json`.
fn take_vllm_schema(rest: &mut Map<String, Value>) -> Result<Option<(&'static str, Value)>, FieldError> {
    let guided = rest.shift_remove("guided_json").filter(|value| !value.is_null());
    if let Some(schema) = guided {
        return Ok(Some(("guided_json", schema_of(schema, "guided_json")?)));
    }
    let Some(Value::Object(mut outputs)) = rest.shift_remove("structured_outputs") else { return Ok(None) };
    let schema = outputs.shift_remove("json").filter(|value| !value.is_null());
    if let Some((name, _)) = outputs.iter().find(|(_, value)| !is_empty(value)) {
        return Err(unsupported(&format!("structured_outputs.{name}")));
    }
    let path = "structured_outputs.json";
    schema.map(|schema| Ok(("structured_outputs", schema_of(schema, path)?))).transpose()
}

/// A schema, or the text of one.
fn schema_of(schema: Value, path: &str) -> Result<Value, FieldError> {
    let schema = match schema {
        Value::String(text) => serde_json::from_str(&text).unwrap_or(Value::String(text)),
        other => other,
    };
    if schema.is_object() {
        return Ok(schema);
    }
    Err(FieldError::new(path, "invalid_type", "expected a JSON Schema object"))
}

/// Takes whether the model is to think: `chat_template_kwargs.enable_thinking` (or `thinking`), which
/// wins, or `reasoning_effort`.
///
/// # Errors
/// An unknown word, or other variables of a template: Ollama has templates of its own.
pub(super) fn take_think(rest: &mut Map<String, Value>) -> Result<Option<Think>, FieldError> {
    let mut fields = Fields::from_value(Value::Object(std::mem::take(rest)), "")?;
    let effort = fields.string("reasoning_effort")?;
    let mut switch = None;
    if let Some(mut variables) = fields.object("chat_template_kwargs")? {
        for name in ["enable_thinking", "thinking"] {
            switch = switch.or(variables.boolean(name)?);
        }
        if let Some((name, _)) = variables.rest().iter().find(|(_, value)| !is_empty(value)) {
            return Err(unsupported(&format!("chat_template_kwargs.{name}")));
        }
    }
    *rest = fields.rest();
    let by_effort = effort.as_deref().map(level).transpose()?;
    // With thinking on, the effort still says how much.
    Ok(match (switch, by_effort) {
        (Some(true), Some(level @ Think::Level(_))) => Some(level),
        (Some(on), _) => Some(Think::Switch(on)),
        (None, level) => level,
    })
}

/// The words, as Ollama's own OpenAI route reads them.
fn level(word: &str) -> Result<Think, FieldError> {
    Ok(match word {
        "none" => Think::Switch(false),
        "minimal" | "low" => Think::Level("low"),
        "medium" => Think::Level("medium"),
        "high" => Think::Level("high"),
        "xhigh" | "max" => Think::Level("max"),
        _ => {
            let message = "must be one of none, minimal, low, medium, high, xhigh, max";
            return Err(FieldError::new("reasoning_effort", "invalid_value", message));
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(value: Value) -> Map<String, Value> {
        let Value::Object(map) = value else { panic!("an object") };
        map
    }

    #[test]
    fn fields_that_ask_for_nothing_pass_and_others_are_named() {
        let good = json!({"user": "u", "metadata": {"a": "b"}, "echo": false, "suffix": null, "modalities": ["text"],
            "stop_token_ids": [], "best_of": 2, "skip_special_tokens": true, "min_tokens": 0, "audio": {}});
        assert_eq!(nothing_else(&map(good), Some(2)), Ok(()));
        for (field, value) in [
            ("echo", json!(true)),
            ("suffix", json!("x")),
            ("modalities", json!(["audio"])),
            ("best_of", json!(3)),
            ("min_tokens", json!(4)),
            ("stop_token_ids", json!([1])),
            ("no_such_field", json!(0)),
        ] {
            let error = nothing_else(&map(json!({"user": "u", field: value})), None).expect_err(field);
            assert_eq!((error.param.as_deref(), error.code), (Some(field), "unsupported_parameter"));
        }
    }

    #[test]
    fn forms_of_answers() {
        let schema = json!({"type": "object"});
        for (fields, format) in [
            (json!({}), Ok(None)),
            (json!({"response_format": {"type": "text"}}), Ok(None)),
            (json!({"response_format": {"type": "json_object"}}), Ok(Some(json!("json")))),
            (
                json!({"response_format": {"type": "json_schema", "json_schema": {"name": "n", "schema": schema}}}),
                Ok(Some(schema.clone())),
            ),
            (json!({"structured_outputs": {"json": schema, "regex": null}}), Ok(Some(schema.clone()))),
            (json!({"guided_json": "{\"type\":\"object\"}"}), Ok(Some(schema.clone()))),
            (json!({"guided_json": "no"}), Err("guided_json")),
            (json!({"structured_outputs": {"regex": "a"}}), Err("structured_outputs.regex")),
            (json!({"response_format": {"type": "structural_tag"}}), Err("response_format.type")),
            (json!({"response_format": {"type": "json_object"}, "guided_json": schema}), Err("guided_json")),
        ] {
            let found = take_format(&mut map(fields.clone()));
            let found = found.map_err(|error| error.param.unwrap_or_default());
            assert_eq!(found, format.map_err(str::to_owned), "{fields}");
        }
    }

    #[test]
    fn thinking() {
        for (fields, think) in [
            (json!({}), Ok(None)),
            (json!({"reasoning_effort": null}), Ok(None)),
            (json!({"reasoning_effort": "none"}), Ok(Some(Think::Switch(false)))),
            (json!({"reasoning_effort": "minimal"}), Ok(Some(Think::Level("low")))),
            (json!({"reasoning_effort": "xhigh"}), Ok(Some(Think::Level("max")))),
            (json!({"reasoning_effort": "a lot"}), Err("reasoning_effort")),
            (json!({"chat_template_kwargs": {"enable_thinking": false}}), Ok(Some(Think::Switch(false)))),
            (
                json!({"chat_template_kwargs": {"thinking": true}, "reasoning_effort": "high"}),
                Ok(Some(Think::Level("high"))),
            ),
            (
                json!({"chat_template_kwargs": {"thinking": true}, "reasoning_effort": "none"}),
                Ok(Some(Think::Switch(true))),
            ),
            (json!({"chat_template_kwargs": {"enable_thinking": 1}}), Err("chat_template_kwargs.enable_thinking")),
            (json!({"chat_template_kwargs": {"date": "x"}}), Err("chat_template_kwargs.date")),
        ] {
            let found = take_think(&mut map(fields.clone())).map_err(|error| error.param.unwrap_or_default());
            assert_eq!(found, think.map_err(str::to_owned), "{fields}");
        }
    }
}
