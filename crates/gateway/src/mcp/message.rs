//! Messages that are no JSON-RPC, which `rmcp` answers with bare text or not at all.

use serde_json::{Value, json};

/// JSON-RPC's code for text that is no JSON.
const PARSE_ERROR: i32 = -32700;
/// JSON-RPC's code for JSON that is no message.
pub(super) const INVALID_REQUEST: i32 = -32600;

/// The error answer for a message that can not be read; `None` when it is one.
pub(super) fn problem(message: &[u8]) -> Option<Value> {
    let Ok(message) = serde_json::from_slice::<Value>(message) else {
        return Some(error(&Value::Null, PARSE_ERROR, "this is not valid JSON"));
    };
    let Some(fields) = message.as_object() else {
        let batch = if message.is_array() { "; batches are not part of MCP any more" } else { "" };
        return Some(error(&Value::Null, INVALID_REQUEST, &format!("a message is a JSON object{batch}")));
    };
    let id = fields.get("id").filter(|id| id.is_string() || id.is_number()).cloned().unwrap_or_default();
    if fields.get("jsonrpc").and_then(Value::as_str) != Some("2.0") {
        return Some(error(&id, INVALID_REQUEST, "'jsonrpc' must be \"2.0\""));
    }
    let is_request = fields.get("method").is_some_and(Value::is_string);
    let is_answer = fields.contains_key("result") || fields.contains_key("error");
    if !is_request && !is_answer {
        return Some(error(&id, INVALID_REQUEST, "'method' must be a string"));
    }
    None
}

/// An error answer.
pub(super) fn error(id: &Value, code: i32, message: &str) -> Value {
    json!({"jsonrpc": "2.0", "id": id, "error": {"code": code, "message": message}})
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_message_is_answered() {
        for (text, code, id) in [
            ("{", PARSE_ERROR, Value::Null),
            ("", PARSE_ERROR, Value::Null),
            ("\u{0}", PARSE_ERROR, Value::Null),
            ("[]", INVALID_REQUEST, Value::Null),
            ("3", INVALID_REQUEST, Value::Null),
            (r#"{"id":1,"method":"ping"}"#, INVALID_REQUEST, json!(1)),
            (r#"{"jsonrpc":"2.0","id":"a"}"#, INVALID_REQUEST, json!("a")),
            (r#"{"jsonrpc":"2.0","id":[],"method":3}"#, INVALID_REQUEST, Value::Null),
        ] {
            let problem = problem(text.as_bytes()).expect(text);
            assert_eq!((&problem["error"]["code"], &problem["id"]), (&json!(code), &id), "{text}");
        }
        for text in [r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#, r#"{"jsonrpc":"2.0","id":1,"result":{}}"#] {
            assert_eq!(problem(text.as_bytes()), None);
        }
    }
}
