//! What a server's refusal means: status and error envelope -> [`Error`]. Pure.

use std::time::Duration;

use lla_protocol::openai::{ErrorBody, ErrorObject};

use crate::Error;

/// Longest text of a server that is handed on.
const MAX_MESSAGE: usize = 600;

/// What servers without an error code say of a prompt that is too long.
const CONTEXT_LENGTH_WORDS: [&str; 5] = [
    "maximum context length",
    "exceeds the available context size",
    "exceeds the context length",
    "exceeds maximum context length",
    "longer than the context length",
];

/// An answer with another status than 200.
#[derive(Debug)]
pub(super) struct Refusal<'a> {
    pub(super) status: u16,
    pub(super) retry_after: Option<Duration>,
    /// As far as it was read.
    pub(super) body: &'a [u8],
    /// The model that was asked for.
    pub(super) model: &'a str,
}

/// Types a refusal.
pub(super) fn from_response(backend: &str, refusal: &Refusal<'_>) -> Error {
    let object = read_envelope(refusal.body);
    typed(backend, refusal.status, refusal.retry_after, refusal.model, object)
}

/// Types an error event of a stream. Its status is told by a number in `code` (vLLM, llama-server),
/// or by the words in `code` and `type`.
pub(super) fn from_event(backend: &str, object: ErrorObject, model: &str) -> Error {
    let code = object.code.as_deref().unwrap_or_default();
    let status = code.parse().ok().unwrap_or(match (code, object.kind.as_str()) {
        ("context_length_exceeded", _) | (_, "invalid_request_error" | "BadRequestError") => 400,
        ("model_not_found", _) | (_, "NotFoundError") => 404,
        ("rate_limit_exceeded", _) | (_, "rate_limit_error" | "rate_limit_exceeded") => 429,
        ("overloaded" | "shutting_down" | "queue_full", _)
        | (_, "overloaded_error" | "unavailable_error" | "service_unavailable" | "service_unavailable_error") => 503,
        _ => 500,
    });
    typed(backend, status, None, model, object)
}

fn typed(backend: &str, status: u16, retry_after: Option<Duration>, model: &str, object: ErrorObject) -> Error {
    let message = shorten(&object.message);
    let backend_name = backend.to_owned();
    match status {
        _ if is_context_length(&object) => Error::ContextLength { message },
        400 | 413 | 422 => {
            // vLLM says where in the request: `body.temperature`.
            let param = object.param.map(|param| param.strip_prefix("body.").unwrap_or(&param).to_owned());
            Error::InvalidRequest { message, param, code: object.code.filter(|code| !is_number(code)) }
        }
        401 | 403 => Error::Unauthenticated { backend: backend_name },
        404 if is_unknown_model(&object) => Error::ModelNotFound { model: model.to_owned(), nearest: Vec::new() },
        404 | 405 => {
            let hint = "it does not know this route; check its url and dialect in the configuration";
            Error::upstream(backend, format!("{hint} (status {status})"))
        }
        429 => Error::RateLimited { backend: backend_name, message, retry_after },
        503 | 529 => Error::Overloaded { message: format!("the backend '{backend}' is busy: {message}"), retry_after },
        300..=399 => {
            Error::upstream(backend, "it answers with a redirect; check its url in the configuration".to_owned())
        }
        _ => Error::upstream(backend, format!("{message} (status {status})")),
    }
}

/// Seconds, as servers of this kind send them; the form with a date is not used by any.
pub(super) fn parse_retry_after(text: &str) -> Option<Duration> {
    let seconds: f64 = text.trim().parse().ok()?;
    Duration::try_from_secs_f64(seconds).ok()
}

/// An error object out of any body: the envelope, vLLM's older bare object, FastAPI's `detail`, a
/// text under `error`, or nothing usable.
pub(super) fn read_envelope(body: &[u8]) -> ErrorObject {
    if let Ok(ErrorBody { error }) = serde_json::from_slice(body) {
        return error;
    }
    let value: serde_json::Value = serde_json::from_slice(body).unwrap_or_default();
    let text = |key: &str| value.get(key).and_then(serde_json::Value::as_str);
    // Ollama hands on what its runner said, as text.
    let inner = text("error").and_then(|inner| serde_json::from_str(inner).ok());
    if let Some(ErrorBody { error }) = inner {
        return error;
    }
    let message = text("message").or_else(|| text("error")).or_else(|| text("detail"));
    ErrorObject {
        message: message.unwrap_or("it gave no usable reason").to_owned(),
        kind: text("type").unwrap_or_default().to_owned(),
        param: text("param").map(str::to_owned),
        code: text("code").map(str::to_owned),
    }
}

fn is_context_length(object: &ErrorObject) -> bool {
    object.code.as_deref() == Some("context_length_exceeded")
        || object.kind == "exceed_context_size_error"
        // vLLM and Ollama have no code for it, only these words.
        || CONTEXT_LENGTH_WORDS.iter().any(|words| object.message.contains(words))
}

fn is_unknown_model(object: &ErrorObject) -> bool {
    object.code.as_deref() == Some("model_not_found")
        || object.kind == "NotFoundError"
        || (object.message.contains("model") && object.message.contains("not"))
}

fn is_number(code: &str) -> bool {
    code.bytes().all(|byte| byte.is_ascii_digit())
}

fn shorten(message: &str) -> String {
    match message.char_indices().nth(MAX_MESSAGE) {
        Some((end, _)) => format!("{}…", &message[..end]),
        None => message.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    fn refused(status: u16, body: &str) -> Error {
        let retry_after = Some(Duration::from_secs(2));
        from_response("b", &Refusal { status, retry_after, body: body.as_bytes(), model: "m" })
    }

    #[test]
    fn every_refusal_has_its_kind() {
        use ErrorKind::{
            ContextLength, InvalidRequest, ModelNotFound, Overloaded, RateLimited, Unauthenticated, Upstream,
        };
        let table = [
            (400, r#"{"error":{"message":"no","type":"t","param":"top_p","code":"x"}}"#, InvalidRequest),
            (422, r#"{"detail":"no"}"#, InvalidRequest),
            (413, "", InvalidRequest),
            (400, r#"{"error":{"message":"long","code":"context_length_exceeded"}}"#, ContextLength),
            (
                400,
                r#"{"error":{"message":"This model's maximum context length is 8 tokens","code":400}}"#,
                ContextLength,
            ),
            (400, r#"{"error":{"message":"x","type":"exceed_context_size_error","code":400}}"#, ContextLength),
            // Ollama: a text, which may hold what its runner said.
            (
                400,
                r#"{"error":"{\"error\":{\"code\":400,\"message\":\"request (9 tokens) exceeds\",\"type\":\"exceed_context_size_error\",\"n_prompt_tokens\":9}}"}"#,
                ContextLength,
            ),
            (400, r#"{"error":"the input length exceeds the context length"}"#, ContextLength),
            (400, r#"{"error":"\"m\" does not support thinking"}"#, InvalidRequest),
            (404, r#"{"error":"model 'm' not found"}"#, ModelNotFound),
            (503, r#"{"error":"server busy, please try again.  maximum pending requests exceeded"}"#, Overloaded),
            (401, "", Unauthenticated),
            (403, "<html>", Unauthenticated),
            (
                404,
                r#"{"error":{"message":"The model `m` does not exist.","type":"NotFoundError","code":404}}"#,
                ModelNotFound,
            ),
            (404, r#"{"error":{"message":"x","code":"model_not_found"}}"#, ModelNotFound),
            (404, r#"{"detail":"Not Found"}"#, Upstream),
            (429, "slow", RateLimited),
            (503, r#"{"error":{"message":"queue full"}}"#, Overloaded),
            (529, "", Overloaded),
            (500, r#"{"message":"boom"}"#, Upstream),
            (502, "\u{0}", Upstream),
            (302, "", Upstream),
            (204, "", Upstream),
        ];
        for (status, body, kind) in table {
            assert_eq!(refused(status, body).kind(), kind, "{status} {body}");
        }
        assert_eq!(refused(429, "").retry_after(), Some(Duration::from_secs(2)));
        assert_eq!(refused(503, "").retry_after(), Some(Duration::from_secs(2)));
    }

    #[test]
    fn the_field_and_the_code_survive() {
        let error = refused(400, r#"{"error":{"message":"no","type":"t","param":"top_p","code":"out_of_range"}}"#);
        let (param, code) = (Some("top_p".to_owned()), Some("out_of_range".to_owned()));
        assert_eq!(error, Error::InvalidRequest { message: "no".to_owned(), param, code });
    }

    #[test]
    fn events_are_typed_by_number_or_word() {
        let typed = |body: &str| from_event("b", read_envelope(body.as_bytes()), "m").kind();
        assert_eq!(typed(r#"{"error":{"message":"x","code":400}}"#), ErrorKind::InvalidRequest);
        assert_eq!(
            typed(r#"{"error":{"message":"x","type":"server_error","code":"shutting_down"}}"#),
            ErrorKind::Overloaded
        );
        assert_eq!(typed(r#"{"error":{"message":"x","type":"server_error"}}"#), ErrorKind::Upstream);
        assert_eq!(typed(r#"{"error":"text"}"#), ErrorKind::Upstream);
    }

    #[test]
    fn odd_texts_do_no_harm() {
        assert_eq!(parse_retry_after(" 1.5 "), Some(Duration::from_millis(1500)));
        for odd in ["-1", "NaN", "inf", "1e400", "Wed, 21 Oct 2026 07:28:00 GMT", ""] {
            assert_eq!(parse_retry_after(odd), None, "{odd}");
        }
        assert_eq!(shorten(&"ä".repeat(1000)).chars().count(), MAX_MESSAGE + 1);
    }
}
