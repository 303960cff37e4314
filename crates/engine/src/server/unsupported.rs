//! Fields that would change the answer and that this engine does not honour: they are refused by
//! name, never ignored. What is not listed here (`user`, `metadata`, `store`, …) passes.

use serde_json::{Map, Value};

use crate::error::EngineError;

/// Tells a value that asks for nothing.
type Harmless = fn(&Value) -> bool;

/// Field -> the values that pass. `null` always does.
const FIELDS: &[(&str, Harmless)] = &[
    // OpenAI's. What a chat takes out before (`tools`) is refused for text completions.
    ("tools", is_empty),
    ("tool_choice", is_no_choice),
    ("functions", is_empty),
    ("function_call", is_no_choice),
    // Of chats, which take it out first.
    ("top_logprobs", is_zero),
    // Of completions, which take it out first.
    ("echo", is_false),
    ("suffix", is_empty),
    ("audio", never),
    ("modalities", |value| value.as_array().is_some_and(|items| items.iter().all(|item| item == "text"))),
    ("prediction", never),
    ("web_search_options", never),
    ("moderation", never),
    // vLLM's.
    ("structural_tag", never),
    ("guided_whitespace_pattern", never),
    ("thinking_token_budget", |value| value.as_i64() == Some(-1)),
    ("use_beam_search", is_false),
    ("min_tokens", is_zero),
    ("stop_token_ids", is_empty),
    ("bad_words", is_empty),
    ("allowed_token_ids", is_empty),
    ("logits_processors", is_empty),
    ("include_stop_str_in_output", is_false),
    ("skip_special_tokens", |value| value == &Value::Bool(true)),
    ("prompt_logprobs", never),
    ("prompt_embeds", never),
    ("truncate_prompt_tokens", never),
    ("return_token_ids", is_false),
    ("continue_final_message", is_false),
    ("chat_template", never),
    ("documents", is_empty),
    ("return_tokens_as_token_ids", is_false),
];

/// Refuses the first field of `rest` that asks for what this engine does not do.
///
/// `choices` is `n`: the older `best_of` passes when it asks for the same.
///
/// # Errors
/// [`EngineError::Unsupported`] with the name of the field.
pub(super) fn refuse(rest: &Map<String, Value>, choices: u32) -> Result<(), EngineError> {
    let asks = |name: &str, harmless: &dyn Fn(&Value) -> bool| {
        rest.get(name).is_some_and(|value| !value.is_null() && !harmless(value))
    };
    let found = FIELDS.iter().find(|(name, harmless)| asks(name, harmless)).map(|(name, _)| *name);
    let best_of = asks("best_of", &|value| value.as_u64() == Some(u64::from(choices))).then_some("best_of");
    match found.or(best_of) {
        None => Ok(()),
        Some(name) => {
            let message = "this engine does not support it yet: leave it out".to_owned();
            Err(EngineError::Unsupported { param: name.to_owned(), message })
        }
    }
}

fn never(_: &Value) -> bool {
    false
}

fn is_false(value: &Value) -> bool {
    value == &Value::Bool(false)
}

fn is_zero(value: &Value) -> bool {
    value.as_f64() == Some(0.0)
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(map) => map.is_empty(),
        _ => false,
    }
}

fn is_no_choice(value: &Value) -> bool {
    matches!(value.as_str(), Some("none" | "auto"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_that_change_the_answer_are_refused_and_the_rest_passes() {
        for (json, refused) in [
            (r#"{"tools":[{}]}"#, Some("tools")),
            (r#"{"tools":[]}"#, None),
            (r#"{"tools":null}"#, None),
            (r#"{"tool_choice":"required"}"#, Some("tool_choice")),
            (r#"{"tool_choice":"auto"}"#, None),
            (r#"{"top_logprobs":0}"#, None),
            (r#"{"top_logprobs":1}"#, Some("top_logprobs")),
            (r#"{"echo":true}"#, Some("echo")),
            (r#"{"suffix":""}"#, None),
            (r#"{"suffix":"x"}"#, Some("suffix")),
            (r#"{"best_of":2}"#, None),
            (r#"{"best_of":3}"#, Some("best_of")),
            (r#"{"modalities":["text"]}"#, None),
            (r#"{"modalities":["text","audio"]}"#, Some("modalities")),
            (r#"{"structural_tag":"{}"}"#, Some("structural_tag")),
            (r#"{"user":"u","metadata":{},"store":true,"verbosity":"low","parallel_tool_calls":true}"#, None),
            (r#"{"something_new":1}"#, None),
        ] {
            let rest: Map<String, Value> = serde_json::from_str(json).expect(json);
            let found = refuse(&rest, 2).err().and_then(|error| error.body().error.param);
            assert_eq!(found.as_deref(), refused, "{json}");
        }
    }
}
