//! Everything that can go wrong between a valid request and its answer.
//!
//! No HTTP here: the gateway maps [`ErrorKind`] to a status in one table. Texts are safe to show to
//! a caller; what only an operator should see goes to the log where the error arises.

use std::time::Duration;

use lla_protocol::FieldError;

/// Class of an error: decides the status, whether a retry makes sense, and the metric label.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorKind {
    /// The request itself is wrong.
    InvalidRequest,
    /// The prompt does not fit the window.
    ContextLength,
    /// No such model.
    ModelNotFound,
    /// The backend refused our key, or the caller's.
    Unauthenticated,
    /// The backend limits us.
    RateLimited,
    /// No room now: queue full, starting, draining.
    Overloaded,
    /// A backend can not be reached or is down.
    Unavailable,
    /// A backend did not answer in time.
    Timeout,
    /// A backend answered something that can not be used, or broke off.
    Upstream,
    /// The caller has left, or the gateway is shutting down.
    Cancelled,
    /// Our own bug.
    Internal,
}

impl ErrorKind {
    /// The word for logs and metric labels.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::InvalidRequest => "invalid_request",
            Self::ContextLength => "context_length",
            Self::ModelNotFound => "model_not_found",
            Self::Unauthenticated => "unauthenticated",
            Self::RateLimited => "rate_limited",
            Self::Overloaded => "overloaded",
            Self::Unavailable => "unavailable",
            Self::Timeout => "timeout",
            Self::Upstream => "upstream",
            Self::Cancelled => "cancelled",
            Self::Internal => "internal",
        }
    }
}

/// An error of the domain. `Clone` because one failed start answers many waiting requests.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// The request is wrong.
    #[error("{message}")]
    InvalidRequest {
        /// What is wrong and how to fix it.
        message: String,
        /// The field at fault.
        param: Option<String>,
        /// A more precise code than `invalid_request`, when there is one.
        code: Option<String>,
    },
    /// The prompt does not fit; the text has the numbers.
    #[error("{message}")]
    ContextLength {
        /// Prompt tokens, window, and what was asked for.
        message: String,
    },
    /// No backend has this model.
    #[error("the model '{model}' does not exist{}", did_you_mean(.nearest))]
    ModelNotFound {
        /// The name that was asked for.
        model: String,
        /// Names that look like it, nearest first.
        nearest: Vec<String>,
    },
    /// The backend would have this model if it were pulled.
    #[error("the backend '{backend}' does not have the model '{model}'; get it there with: ollama pull {model}")]
    ModelNotPulled {
        /// Which backend.
        backend: String,
        /// The model by the backend's name.
        model: String,
    },
    /// The backend refused the key that the configuration gives for it.
    #[error("the backend '{backend}' refused our credentials; check its api_key in the configuration")]
    Unauthenticated {
        /// Which backend.
        backend: String,
    },
    /// The backend limits us.
    #[error("the backend '{backend}' limits our requests: {message}")]
    RateLimited {
        /// Which backend.
        backend: String,
        /// Its own words.
        message: String,
        /// When it wants to be asked again.
        retry_after: Option<Duration>,
    },
    /// No room for the request now.
    #[error("{message}")]
    Overloaded {
        /// What is full.
        message: String,
        /// When to try again.
        retry_after: Option<Duration>,
    },
    /// The backend can not be reached, died, or could not be started.
    #[error("the backend '{backend}' is not available: {message}")]
    Unavailable {
        /// Which backend.
        backend: String,
        /// Why.
        message: String,
        /// When to try again.
        retry_after: Option<Duration>,
    },
    /// The backend did not answer in time.
    #[error("the backend '{backend}' did not answer within {} s ({phase})", .after.as_secs_f64())]
    Timeout {
        /// Which backend.
        backend: String,
        /// What was waited for: `connect`, `load`, `first byte`, `next chunk`, `total`.
        phase: &'static str,
        /// For how long.
        after: Duration,
    },
    /// The backend broke the protocol, broke off, or failed.
    #[error("the backend '{backend}' failed: {message}")]
    Upstream {
        /// Which backend.
        backend: String,
        /// Its own words, or what was wrong with its answer.
        message: String,
    },
    /// Nobody waits for the answer any more.
    #[error("the request was cancelled")]
    Cancelled,
    /// A bug of ours; the detail is in the log.
    #[error("internal error")]
    Internal,
}

impl Error {
    /// The class of the error.
    #[must_use]
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::InvalidRequest { .. } => ErrorKind::InvalidRequest,
            Self::ContextLength { .. } => ErrorKind::ContextLength,
            Self::ModelNotFound { .. } | Self::ModelNotPulled { .. } => ErrorKind::ModelNotFound,
            Self::Unauthenticated { .. } => ErrorKind::Unauthenticated,
            Self::RateLimited { .. } => ErrorKind::RateLimited,
            Self::Overloaded { .. } => ErrorKind::Overloaded,
            Self::Unavailable { .. } => ErrorKind::Unavailable,
            Self::Timeout { .. } => ErrorKind::Timeout,
            Self::Upstream { .. } => ErrorKind::Upstream,
            Self::Cancelled => ErrorKind::Cancelled,
            Self::Internal => ErrorKind::Internal,
        }
    }

    /// The backend does not do this at all with this model: another way may work.
    #[must_use]
    pub fn is_unsupported(&self) -> bool {
        matches!(self, Self::InvalidRequest { code: Some(code), .. } if code == "unsupported_model")
    }

    /// When the caller should try again, where that is known.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::RateLimited { retry_after, .. }
            | Self::Overloaded { retry_after, .. }
            | Self::Unavailable { retry_after, .. } => *retry_after,
            _ => None,
        }
    }

    /// An [`Error::Upstream`].
    #[must_use]
    pub fn upstream(backend: &str, message: impl Into<String>) -> Self {
        Self::Upstream { backend: backend.to_owned(), message: message.into() }
    }
}

impl From<FieldError> for Error {
    fn from(error: FieldError) -> Self {
        Self::InvalidRequest { message: error.message, param: error.param, code: Some(error.code.to_owned()) }
    }
}

fn did_you_mean(nearest: &[String]) -> String {
    if nearest.is_empty() {
        return "; GET /v1/models lists what does".to_owned();
    }
    let quoted: Vec<String> = nearest.iter().map(|name| format!("'{name}'")).collect();
    format!("; did you mean {}?", quoted.join(" or "))
}
