//! Puts the JSON parts of streamed deltas together, by the rules that the official clients use:
//! texts are joined, lists of indexed entries (`tool_calls`) merge entry by entry, other lists grow.

use serde_json::{Map, Value};

/// Adds the fields of `delta` to `whole`.
pub(super) fn merge(whole: &mut Map<String, Value>, delta: Map<String, Value>) {
    for (name, value) in delta {
        match whole.get_mut(&name) {
            // These say what an entry is; they are not text to be joined.
            Some(old) if matches!(name.as_str(), "index" | "type" | "id") => *old = value,
            Some(old) => merge_value(old, value),
            None => {
                whole.insert(name, first(value));
            }
        }
    }
}

fn merge_value(old: &mut Value, new: Value) {
    match (old, new) {
        (_, Value::Null) => {}
        (Value::String(text), Value::String(more)) => text.push_str(&more),
        (Value::Object(fields), Value::Object(more)) => merge(fields, more),
        (Value::Array(items), Value::Array(more)) => more.into_iter().for_each(|item| add_item(items, item)),
        (old, new) => *old = new,
    }
}

/// A first list may hold several parts of one entry as well.
fn first(value: Value) -> Value {
    match value {
        Value::Array(parts) => {
            let mut items = Vec::with_capacity(parts.len());
            parts.into_iter().for_each(|item| add_item(&mut items, item));
            Value::Array(items)
        }
        other => other,
    }
}

fn add_item(items: &mut Vec<Value>, item: Value) {
    let place = item
        .get("index")
        .and_then(Value::as_u64)
        .and_then(|index| items.iter().position(|old| old.get("index").and_then(Value::as_u64) == Some(index)));
    match place.and_then(|place| items.get_mut(place)) {
        Some(old) => merge_value(old, item),
        None => items.push(item),
    }
}

/// Adds the log-probabilities of a part to those before: every list grows, whatever its entries are.
/// (An entry is a token or a table of tokens, and a token may well be called `index`.)
pub(super) fn grow(whole: &mut Map<String, Value>, part: Map<String, Value>) {
    for (name, value) in part {
        match (whole.get_mut(&name), value) {
            (Some(Value::Array(items)), Value::Array(more)) => items.extend(more),
            (Some(_), Value::Null) => {}
            (_, value) => {
                whole.insert(name, value);
            }
        }
    }
}

/// Takes the `index` out of the entries of `tool_calls`: a whole message has none.
pub(super) fn drop_indexes(message: &mut Map<String, Value>) {
    let Some(Value::Array(calls)) = message.get_mut("tool_calls") else { return };
    for call in calls {
        if let Value::Object(call) = call {
            call.shift_remove("index");
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn merged(deltas: &[Value]) -> Value {
        let mut whole = Map::new();
        for delta in deltas {
            merge(&mut whole, delta.as_object().expect("object").clone());
        }
        drop_indexes(&mut whole);
        Value::Object(whole)
    }

    #[test]
    fn tool_calls_are_put_together() {
        let deltas = [
            json!({"tool_calls": [{"index": 0, "id": "a", "type": "function", "function": {"name": "f", "arguments": ""}}]}),
            json!({"tool_calls": [{"index": 0, "function": {"arguments": "{\"x\""}}]}),
            json!({"tool_calls": [{"index": 1, "id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}},
                                  {"index": 0, "type": "function", "function": {"arguments": ":1}"}}]}),
        ];
        assert_eq!(
            merged(&deltas),
            json!({"tool_calls": [
                {"id": "a", "type": "function", "function": {"name": "f", "arguments": "{\"x\":1}"}},
                {"id": "b", "type": "function", "function": {"name": "g", "arguments": "{}"}}
            ]})
        );
    }

    #[test]
    fn lists_of_log_probabilities_grow_in_both_shapes() {
        for (parts, whole) in [
            (
                [
                    json!({"content": [{"token": "a"}], "refusal": null}),
                    json!({"content": [{"token": "b"}], "refusal": null}),
                ],
                json!({"content": [{"token": "a"}, {"token": "b"}], "refusal": null}),
            ),
            (
                [
                    json!({"tokens": ["a"], "token_logprobs": [null], "top_logprobs": [null], "text_offset": [0]}),
                    json!({"tokens": ["index"], "token_logprobs": [0], "top_logprobs": [{"index": 0}], "text_offset": [1]}),
                ],
                json!({"tokens": ["a", "index"], "token_logprobs": [null, 0], "top_logprobs": [null, {"index": 0}],
                       "text_offset": [0, 1]}),
            ),
            ([json!({"content": null}), json!({"content": [1]})], json!({"content": [1]})),
            (
                [json!({"top_logprobs": [{"index": 0}]}), json!({"top_logprobs": [{"index": 0}]})],
                json!({"top_logprobs": [{"index": 0}, {"index": 0}]}),
            ),
        ] {
            let mut grown = Map::new();
            for part in parts {
                grow(&mut grown, part.as_object().expect("object").clone());
            }
            assert_eq!(Value::Object(grown), whole);
        }
    }

    #[test]
    fn texts_join_and_plain_lists_grow() {
        let deltas = [
            json!({"reasoning_content": "a", "tokens": [1]}),
            json!({"reasoning_content": "b", "tokens": [2], "x": null}),
        ];
        assert_eq!(merged(&deltas), json!({"reasoning_content": "ab", "tokens": [1, 2], "x": null}));
    }
}
