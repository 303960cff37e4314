//! Where servers write an answer's parts in another shape than the API's, they are put into it. Pure.

use lla_protocol::openai::{ChatLogprobs, CompletionLogprobs};
use serde_json::{Map, Value};

/// Gives what the model thought both names that clients look for, as our own engine does: vLLM (0.10 and later)
/// says `reasoning` alone, most others `reasoning_content`.
pub(super) fn name_reasoning(parts: &mut Map<String, Value>) {
    for (name, other) in [("reasoning", "reasoning_content"), ("reasoning_content", "reasoning")] {
        let Some(Value::String(text)) = parts.get(name) else { continue };
        if !parts.contains_key(other) {
            let text = Value::from(text.clone());
            parts.insert(other.to_owned(), text);
        }
    }
}

/// Log-probabilities of a completion in the shape of that API: `llama-server` sends them in that of chats. `offset`
/// is where the text begins, in characters of the choice's text; anything else is left as it is.
pub(super) fn completion_logprobs(logprobs: Value, offset: usize) -> Value {
    if !logprobs.get("content").is_some_and(Value::is_array) {
        return logprobs;
    }
    let Ok(ChatLogprobs { content: Some(tokens), .. }) = serde_json::from_value(logprobs.clone()) else {
        return logprobs;
    };
    let (mut found, mut offset) = (CompletionLogprobs::default(), offset);
    for token in tokens {
        found.text_offset.push(offset);
        offset += token.token.chars().count();
        let likeliest = token.top_logprobs.into_iter().map(|top| (top.token, Value::from(top.logprob)));
        found.top_logprobs.push(Some(likeliest.collect()));
        found.token_logprobs.push(Some(token.logprob));
        found.tokens.push(token.token);
    }
    serde_json::to_value(found).unwrap_or(logprobs)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn reasoning_has_both_its_names() {
        let both = || json!({"reasoning": "a", "reasoning_content": "a"});
        for (sent, read) in [
            (json!({"reasoning": "a"}), both()),
            (json!({"reasoning_content": "a"}), both()),
            (json!({"reasoning": "a", "reasoning_content": "b"}), json!({"reasoning": "a", "reasoning_content": "b"})),
            (json!({"reasoning": {"id": 1}}), json!({"reasoning": {"id": 1}})),
            (json!({"tool_calls": [1]}), json!({"tool_calls": [1]})),
        ] {
            let mut parts = sent.as_object().expect("an object").clone();
            name_reasoning(&mut parts);
            assert_eq!(Value::Object(parts), read);
        }
    }

    #[test]
    fn a_completion_gets_the_shape_of_completions() {
        let sent = json!({"content": [
            {"id": 1, "token": " fünf", "bytes": [1], "logprob": -0.5, "top_logprobs": [{"id": 1, "token": " fünf", "bytes": [1], "logprob": -0.5}]},
            {"id": 2, "token": ",", "bytes": [44], "logprob": -1.5, "top_logprobs": []},
        ]});
        let read = json!({
            "tokens": [" fünf", ","], "token_logprobs": [-0.5, -1.5], "top_logprobs": [{" fünf": -0.5}, {}],
            "text_offset": [3, 8],
        });
        assert_eq!(completion_logprobs(sent, 3), read);
        for other in [read, json!({"content": 5}), json!({"content": [5]}), json!(1)] {
            assert_eq!(completion_logprobs(other.clone(), 3), other);
        }
    }
}
