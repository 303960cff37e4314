//! Tries of answers in a form: calls of tools, and JSON that fits a schema.

use lla_inference::Error;
use serde_json::{Value, json};

use super::finding::Finding;
use super::talk::{Call, Said, excerpt};

/// A question that a tool answers.
pub const WEATHER: &str = "What is the weather in Oslo now? Use the tool.";
/// One that is answered in the form of [`schema`].
pub const PAINT: &str = "Choose a colour for a garden door. Answer in JSON.";

/// What a call must hold. Only finite sets: a small model finds no end in free text.
fn parameters() -> Value {
    json!({
        "type": "object",
        "properties": {"city": {"type": "string", "enum": ["Paris", "Oslo", "Lima"]}},
        "required": ["city"],
        "additionalProperties": false,
    })
}

/// The fields of a request with a tool; `forced`: the model has to call it.
#[must_use]
pub fn tools(forced: bool) -> Value {
    let choice = if forced { json!({"type": "function", "function": {"name": "get_weather"}}) } else { json!("auto") };
    json!({
        "tools": [{
            "type": "function",
            "function": {"name": "get_weather", "description": "The weather in a city now.", "parameters": parameters()},
        }],
        "tool_choice": choice,
    })
}

fn schema() -> Value {
    json!({
        "type": "object",
        "properties": {
            "colour": {"type": "string", "enum": ["red", "green", "blue"]},
            "glossy": {"type": "boolean"},
        },
        "required": ["colour", "glossy"],
        "additionalProperties": false,
    })
}

/// The fields of a request for JSON that fits [`schema`].
#[must_use]
pub fn response_format() -> Value {
    json!({"response_format": {"type": "json_schema", "json_schema": {"name": "paint", "strict": true, "schema": schema()}}})
}

/// Whether the tool was called rightly. A model that is free to call may also write: then the server has
/// done its part.
#[must_use]
pub fn call(forced: bool, said: &Result<Said, Error>) -> Finding {
    let said = match said {
        Err(error) => return Finding::refused(error),
        Ok(said) => said,
    };
    match said.calls.as_slice() {
        [] if forced => Finding::no(format!("a call was asked for, and text came: \"{}\"", excerpt(&said.text))),
        [] => Finding::no(format!("taken, but this model wrote text instead: \"{}\"", excerpt(&said.text))),
        [first, ..] => right(first),
    }
}

fn right(call: &Call) -> Finding {
    let shown = excerpt(&format!("{}({})", call.name, call.arguments));
    if call.name != "get_weather" {
        return Finding::no(format!("a tool was called that there is not: {shown}"));
    }
    match fits(&call.arguments, &parameters()) {
        Ok(()) => Finding::yes(shown),
        Err(why) => Finding::no(format!("the arguments do not fit: {shown}: {why}")),
    }
}

/// Whether the answer is JSON that fits.
#[must_use]
pub fn json_schema(said: &Result<Said, Error>) -> Finding {
    match said {
        Err(error) => Finding::refused(error),
        Ok(said) => match fits(&said.text, &schema()) {
            Ok(()) => Finding::yes(excerpt(&said.text)),
            Err(why) => Finding::no(format!("\"{}\" does not fit: {why}", excerpt(&said.text))),
        },
    }
}

fn fits(text: &str, schema: &Value) -> Result<(), String> {
    let value: Value = serde_json::from_str(text).map_err(|error| format!("no JSON ({error})"))?;
    jsonschema::validate(schema, &value).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::super::finding::Works;
    use super::*;

    #[test]
    fn calls_are_checked_to_the_last_argument() {
        let judged = |forced, calls: &[(&str, &str)]| {
            let calls =
                calls.iter().map(|(name, arguments)| Call { name: (*name).into(), arguments: (*arguments).into() });
            call(forced, &Ok(Said { calls: calls.collect(), ..Said::default() })).works
        };
        assert_eq!(judged(true, &[("get_weather", r#"{"city":"Oslo"}"#)]), Works::Yes);
        for wrong in [("get_weather", r#"{"city":"Rome"}"#), ("get_weather", r#"{"city":"Os"#), ("get_time", "{}")] {
            assert_eq!(judged(true, &[wrong]), Works::No, "{wrong:?}");
        }
        assert_eq!((judged(true, &[]), judged(false, &[])), (Works::No, Works::No));
        let refusal = Error::InvalidRequest { message: "no tools".into(), param: Some("tools".into()), code: None };
        assert_eq!(call(true, &Err(refusal)).works, Works::NotOffered);
    }

    #[test]
    fn json_is_held_to_its_schema() {
        let judged = |text: &str| json_schema(&Ok(Said { text: text.to_owned(), ..Said::default() })).works;
        assert_eq!(judged(r#" {"colour": "red", "glossy": true} "#), Works::Yes);
        for wrong in ["red", r#"{"colour": "red"}"#, r#"{"colour": "pink", "glossy": true}"#, ""] {
            assert_eq!(judged(wrong), Works::No, "{wrong}");
        }
    }
}
