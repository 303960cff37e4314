//! The one error envelope: `{"error": {"message", "type", "param", "code"}}`.

use serde::{Deserialize, Serialize};

/// The body of every error answer, and of the error event of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorBody {
    /// The error itself.
    pub error: ErrorObject,
}

/// What went wrong. All four fields are always written, as the official clients expect.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct ErrorObject {
    /// One sentence for a human.
    #[serde(default)]
    pub message: String,
    /// Class of the error (`invalid_request_error`, `server_error`, …).
    #[serde(default, rename = "type")]
    pub kind: String,
    /// The field at fault, as a path (`messages[0].content`).
    #[serde(default)]
    pub param: Option<String>,
    /// Stable machine-readable code (`model_not_found`, `context_length_exceeded`, …). Some servers
    /// send a number here; it is read as text.
    #[serde(default, deserialize_with = "text_or_number")]
    pub code: Option<String>,
}

fn text_or_number<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<String>, D::Error> {
    Ok(match Option::<serde_json::Value>::deserialize(deserializer)? {
        None | Some(serde_json::Value::Null) => None,
        Some(serde_json::Value::String(code)) => Some(code),
        Some(other) => Some(other.to_string()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_four_fields_are_written_and_foreign_shapes_are_read() {
        let body = ErrorBody { error: ErrorObject { message: "m".into(), kind: "t".into(), param: None, code: None } };
        let json = serde_json::to_string(&body).expect("json");
        assert_eq!(json, r#"{"error":{"message":"m","type":"t","param":null,"code":null}}"#);
        let llama: ErrorBody =
            serde_json::from_str(r#"{"error":{"code":400,"message":"x","type":"y"}}"#).expect("read");
        assert_eq!(llama.error.code.as_deref(), Some("400"));
    }
}
