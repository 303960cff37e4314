//! Every error answer: one table from reason to (status, OpenAI `type`, `code`), one envelope.
//!
//! The same [`ApiError`] becomes a JSON answer or, after the first byte of a stream, its last event.
//! `docs/errors.md` is this table for users.

use std::time::Duration;

use axum::http::{HeaderName, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use lla_inference::{Error, ErrorKind};
use lla_protocol::FieldError;
use lla_protocol::openai::{ErrorBody, ErrorObject};
use lla_tools::ToolError;

/// Why a request gets an error: what the domain says, or what the gateway itself refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reason {
    /// From `lla-inference`.
    Domain(ErrorKind),
    /// No route has this path.
    UnknownUrl,
    /// No tool has this name.
    UnknownTool,
    /// The request calls us by a name that is not ours.
    HostNotAllowed,
    /// It comes from a web page that may not call us.
    OriginNotAllowed,
    /// The route exists, not for this method.
    MethodNotAllowed,
    /// The body has another type than JSON.
    MediaType,
    /// The body is larger than `server.max_body`.
    BodyTooLarge,
    /// The body did not arrive in time.
    BodyTimeout,
    /// All places are taken.
    TooBusy,
    /// Shutting down.
    Draining,
}

/// One row of the table.
struct Row {
    status: StatusCode,
    /// OpenAI's `type`.
    kind: &'static str,
    /// OpenAI's `code`, unless the cause has a more precise one.
    code: Option<&'static str>,
    /// `Retry-After` when the cause does not say.
    retry_after: Option<u64>,
    /// The word for logs.
    outcome: &'static str,
}

impl Reason {
    /// The table.
    fn row(self) -> Row {
        use StatusCode as S;
        let caller = "invalid_request_error";
        let server = "server_error";
        let row = |status, kind, code, retry_after, outcome| Row { status, kind, code, retry_after, outcome };
        match self {
            Self::Domain(kind) => {
                let word = kind.as_str();
                match kind {
                    ErrorKind::InvalidRequest => row(S::BAD_REQUEST, caller, None, None, word),
                    ErrorKind::ContextLength => {
                        row(S::BAD_REQUEST, caller, Some("context_length_exceeded"), None, word)
                    }
                    ErrorKind::ModelNotFound => row(S::NOT_FOUND, caller, Some("model_not_found"), None, word),
                    // The key in *our* configuration is wrong: 401 would send callers after their own.
                    ErrorKind::Unauthenticated => {
                        row(S::BAD_GATEWAY, server, Some("backend_unauthenticated"), None, word)
                    }
                    ErrorKind::RateLimited => {
                        row(S::TOO_MANY_REQUESTS, "rate_limit_error", Some("rate_limit_exceeded"), Some(1), word)
                    }
                    ErrorKind::Overloaded => row(S::SERVICE_UNAVAILABLE, server, Some("overloaded"), Some(1), word),
                    ErrorKind::Unavailable => {
                        row(S::SERVICE_UNAVAILABLE, server, Some("backend_unavailable"), Some(2), word)
                    }
                    ErrorKind::Timeout => row(S::GATEWAY_TIMEOUT, server, Some("backend_timeout"), None, word),
                    ErrorKind::Upstream => row(S::BAD_GATEWAY, server, Some("backend_error"), None, word),
                    ErrorKind::Cancelled => row(S::SERVICE_UNAVAILABLE, server, Some("cancelled"), Some(1), word),
                    ErrorKind::Internal => row(S::INTERNAL_SERVER_ERROR, server, Some("internal_error"), None, word),
                }
            }
            Self::UnknownUrl => row(S::NOT_FOUND, caller, Some("unknown_url"), None, "unknown_url"),
            Self::UnknownTool => row(S::NOT_FOUND, caller, Some("unknown_tool"), None, "unknown_tool"),
            Self::HostNotAllowed => row(S::FORBIDDEN, caller, Some("host_not_allowed"), None, "host_not_allowed"),
            Self::OriginNotAllowed => row(S::FORBIDDEN, caller, Some("origin_not_allowed"), None, "origin_not_allowed"),
            Self::MethodNotAllowed => {
                row(S::METHOD_NOT_ALLOWED, caller, Some("method_not_allowed"), None, "method_not_allowed")
            }
            Self::MediaType => {
                row(S::UNSUPPORTED_MEDIA_TYPE, caller, Some("unsupported_media_type"), None, "invalid_request")
            }
            Self::BodyTooLarge => row(S::PAYLOAD_TOO_LARGE, caller, Some("request_too_large"), None, "invalid_request"),
            Self::BodyTimeout => row(S::REQUEST_TIMEOUT, caller, Some("request_timeout"), None, "body_timeout"),
            Self::TooBusy => row(S::SERVICE_UNAVAILABLE, server, Some("overloaded"), Some(1), "overloaded"),
            Self::Draining => row(S::SERVICE_UNAVAILABLE, server, Some("shutting_down"), Some(1), "shutting_down"),
        }
    }

    /// An error with this reason; `message` is shown to the caller.
    pub(crate) fn error(self, message: impl Into<String>) -> ApiError {
        ApiError { reason: self, message: message.into(), param: None, code: None, retry_after: None }
    }
}

/// Where a prompt stands in the API that was called; `param` of "too long".
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PromptField {
    Messages,
    Prompt,
    Input,
    State,
    Text,
}

impl PromptField {
    fn as_str(self) -> &'static str {
        match self {
            Self::Messages => "messages",
            Self::Prompt => "prompt",
            Self::Input => "input",
            Self::State => "state",
            Self::Text => "text",
        }
    }
}

/// An error on its way to a caller. Everything in it may be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ApiError {
    reason: Reason,
    message: String,
    param: Option<String>,
    code: Option<String>,
    retry_after: Option<Duration>,
}

/// Marks an error answer for the access log.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Outcome(pub(crate) &'static str);

impl ApiError {
    /// An error of the domain, about a prompt in `field`.
    pub(crate) fn from_domain(error: &Error, field: PromptField) -> Self {
        let mut api = Reason::Domain(error.kind()).error(error.to_string());
        api.retry_after = error.retry_after();
        match error {
            Error::InvalidRequest { param, code, .. } => {
                api.param.clone_from(param);
                api.code.clone_from(code);
            }
            Error::ContextLength { .. } => api.param = Some(field.as_str().to_owned()),
            Error::ModelNotFound { .. } | Error::ModelNotPulled { .. } => api.param = Some("model".to_owned()),
            _ => {}
        }
        api
    }

    /// An error of a tool.
    pub(crate) fn from_tool(error: &ToolError) -> Self {
        if let ToolError::Answer(lla_tools::Error::Inference(error)) = error {
            return Self::from_domain(error, PromptField::Text);
        }
        match error.kind() {
            None => Reason::UnknownTool.error(error.to_string()),
            Some(ErrorKind::Internal) => Self::internal(),
            Some(kind) => {
                let mut api = Reason::Domain(kind).error(error.to_string());
                api.param = error.field().map(str::to_owned);
                api.code = error.code().map(str::to_owned);
                api
            }
        }
    }

    /// A bug of ours: nothing of it is shown. The caller of this logs the cause.
    pub(crate) fn internal() -> Self {
        Reason::Domain(ErrorKind::Internal)
            .error("internal error; the server's log has the details under this answer's x-request-id")
    }

    pub(crate) fn param(mut self, param: &str) -> Self {
        self.param = Some(param.to_owned());
        self
    }

    pub(crate) fn code(mut self, code: &str) -> Self {
        self.code = Some(code.to_owned());
        self
    }

    pub(crate) fn retry_after(mut self, after: Duration) -> Self {
        self.retry_after = Some(after);
        self
    }

    /// The word for logs.
    pub(crate) fn outcome(&self) -> &'static str {
        self.reason.row().outcome
    }

    /// The answer, with another body than the envelope.
    pub(crate) fn in_other_words(&self, words: &impl serde::Serialize) -> Response {
        let row = self.reason.row();
        let mut response = json(row.status, words);
        let headers = response.headers_mut();
        if let Some(seconds) = self.retry_after.map(whole_seconds).or(row.retry_after) {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        if matches!(self.reason, Reason::Draining) {
            headers.insert(header::CONNECTION, HeaderValue::from_static("close"));
        }
        // The official clients retry some statuses by themselves; a wrong key in our configuration
        // or a broken request does not get better by that.
        if matches!(self.reason, Reason::Domain(ErrorKind::Unauthenticated) | Reason::BodyTimeout) {
            headers.insert(HeaderName::from_static("x-should-retry"), HeaderValue::from_static("false"));
        }
        response.extensions_mut().insert(Outcome(row.outcome));
        response
    }

    /// The envelope; also the data of a stream's error event.
    pub(crate) fn body(&self) -> ErrorBody {
        let row = self.reason.row();
        ErrorBody {
            error: ErrorObject {
                message: self.message.clone(),
                kind: row.kind.to_owned(),
                param: self.param.clone(),
                code: self.code.clone().or(row.code.map(str::to_owned)),
            },
        }
    }
}

impl From<FieldError> for ApiError {
    fn from(error: FieldError) -> Self {
        // A field at fault never is a prompt that is too long, so the prompt field does not matter.
        Self::from_domain(&error.into(), PromptField::Messages)
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        self.in_other_words(&self.body())
    }
}

/// A JSON answer.
pub(crate) fn json(status: StatusCode, payload: &impl serde::Serialize) -> Response {
    match serde_json::to_vec(payload) {
        Ok(bytes) => (status, [(header::CONTENT_TYPE, "application/json")], bytes).into_response(),
        Err(error) => {
            tracing::error!(%error, "an answer can not be written as JSON");
            StatusCode::INTERNAL_SERVER_ERROR.into_response()
        }
    }
}

/// `Retry-After` has whole seconds; rounding up never sends a client back too early.
fn whole_seconds(after: Duration) -> u64 {
    after.as_secs() + u64::from(after.subsec_nanos() > 0)
}
