//! The one table of HTTP status codes, and errors that exist only over HTTP.

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use lla_protocol::openai::{ErrorBody, ErrorObject};

use super::routes::json;
use crate::error::EngineError;

/// Seconds after which a caller should try again when there is no room.
const RETRY_AFTER: HeaderValue = HeaderValue::from_static("1");

/// Why a request got no answer.
#[derive(Debug)]
pub(super) enum Failure {
    /// The engine refused it or failed.
    Engine(EngineError),
    /// No such route.
    NoRoute,
    /// The route exists, not with this method.
    Method,
    /// The body is longer than this many bytes.
    TooLarge(usize),
    /// The body ended early.
    Unreadable,
}

impl<E: Into<EngineError>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self::Engine(error.into())
    }
}

impl Failure {
    fn status(&self) -> StatusCode {
        match self {
            Self::Engine(error) => status_of(error),
            Self::NoRoute => StatusCode::NOT_FOUND,
            Self::Method => StatusCode::METHOD_NOT_ALLOWED,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Unreadable => StatusCode::BAD_REQUEST,
        }
    }

    fn body(&self) -> ErrorBody {
        let (message, code) = match self {
            Self::Engine(error) => return error.body(),
            Self::NoRoute => ("there is no such route; see GET /v1/models".to_owned(), "route_not_found"),
            Self::Method => ("this route does not take this method".to_owned(), "method_not_allowed"),
            Self::TooLarge(limit) => (format!("the request body is longer than {limit} bytes"), "request_too_large"),
            Self::Unreadable => ("the request body could not be read to its end".to_owned(), "unreadable_body"),
        };
        let kind = "invalid_request_error".to_owned();
        ErrorBody { error: ErrorObject { message, kind, param: None, code: Some(code.to_owned()) } }
    }
}

/// Error -> status. 503 is for capacity; the caller's own limits (429) are the gateway's.
fn status_of(error: &EngineError) -> StatusCode {
    match error {
        EngineError::Field(_)
        | EngineError::Grammar(_)
        | EngineError::ContextLength { .. }
        | EngineError::InputTooLong { .. }
        | EngineError::WrongModel(_)
        | EngineError::NoChatTemplate
        | EngineError::Template(_)
        | EngineError::Unsupported { .. } => StatusCode::BAD_REQUEST,
        EngineError::ModelNotFound { .. } => StatusCode::NOT_FOUND,
        EngineError::QueueFull { .. } | EngineError::ShuttingDown => StatusCode::SERVICE_UNAVAILABLE,
        EngineError::ToolCall { .. }
        | EngineError::Native(_)
        | EngineError::ModelLoad { .. }
        | EngineError::Cpu(_)
        | EngineError::Listen { .. } => StatusCode::INTERNAL_SERVER_ERROR,
    }
}

/// Writes what the caller must not read to the log.
pub(super) fn log(error: &EngineError) {
    if let EngineError::ToolCall { length } = error {
        tracing::warn!(bytes = length, "a forced tool call could not be read");
    }
    if error.is_internal() {
        tracing::error!(%error, "a request failed");
    }
}

impl IntoResponse for Failure {
    fn into_response(self) -> Response {
        if let Self::Engine(error) = &self {
            log(error);
        }
        let status = self.status();
        let mut response = json(status, &self.body());
        if status == StatusCode::SERVICE_UNAVAILABLE {
            response.headers_mut().insert(header::RETRY_AFTER, RETRY_AFTER);
        }
        response
    }
}
