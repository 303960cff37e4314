//! One log line per request, written when the answer's body has ended, however it ended.
//!
//! [`track`] is the outermost layer: it gives the request its id and its [`Trace`], into which the
//! rest of the gateway notes facts, and wraps the body. No text of a prompt or an answer is noted.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use axum::body::{Body, HttpBody};
use axum::extract::{FromRequestParts, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderValue, Method, StatusCode, header};
use axum::middleware::Next;
use axum::response::Response;
use bytes::Bytes;
use hyper::body::{Frame, SizeHint};
use lla_inference::Target;
use lla_protocol::openai::Usage;

use crate::error::Outcome;
use crate::request_id;
use crate::state::AppState;

/// What is known about a request besides its first line; shared by all that work on it.
#[derive(Debug, Clone, Default)]
pub(crate) struct Trace {
    facts: Arc<Mutex<Facts>>,
}

#[derive(Debug, Default)]
struct Facts {
    model: Option<String>,
    backend: Option<String>,
    route: Option<&'static str>,
    first_token: Option<Duration>,
    usage: Option<Usage>,
    error: Option<&'static str>,
}

impl Trace {
    /// A `std` mutex: held for a few instructions, never across an await.
    fn facts(&self) -> MutexGuard<'_, Facts> {
        self.facts.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes where the request goes, and why; the last call counts, because another backend may take over.
    pub(crate) fn note_route(&self, target: &Target, reason: &'static str) {
        let mut facts = self.facts();
        facts.model = Some(target.public_name.clone());
        facts.backend = Some(target.backend.clone());
        facts.route = Some(reason);
    }

    /// Notes which model a tool used; who ran it is for the fleet to know.
    pub(crate) fn note_tool_model(&self, model: &str) {
        let mut facts = self.facts();
        facts.model = Some(model.to_owned());
        facts.route = Some("tool");
    }

    /// Notes the time to the first text; only the first call counts.
    pub(crate) fn note_first_token(&self, after: Duration) {
        self.facts().first_token.get_or_insert(after);
    }

    /// Notes the token counts.
    pub(crate) fn note_usage(&self, usage: Usage) {
        self.facts().usage = Some(usage);
    }

    /// Notes an error after the first byte, which the status no longer shows.
    pub(crate) fn note_error(&self, outcome: &'static str) {
        self.facts().error = Some(outcome);
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Trace {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _state: &S) -> Result<Self, Infallible> {
        Ok(parts.extensions.get::<Self>().cloned().unwrap_or_default())
    }
}

/// The outermost layer: request id in and out, and the log line.
pub(crate) async fn track(State(app): State<AppState>, mut request: Request, next: Next) -> Response {
    let id = request_id::of(request.headers());
    let trace = Trace::default();
    request.extensions_mut().insert(trace.clone());
    let mut entry = Entry {
        id: id.clone(),
        method: request.method().clone(),
        path: request.uri().path().to_owned(),
        begun: Instant::now(),
        trace,
        status: None,
        refused: None,
        ended: false,
    };

    let mut response = next.run(request).await;

    response.headers_mut().insert(request_id::HEADER, id);
    if app.admission().is_draining() {
        response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    }
    entry.status = Some(response.status());
    entry.refused = response.extensions().get::<Outcome>().map(|outcome| outcome.0);
    // The server never asks for the body of a HEAD answer.
    entry.ended = entry.method == Method::HEAD || response.body().is_end_stream();
    response.map(|inner| Body::new(Logged { inner, entry }))
}

/// A log line in the making; it is written on drop.
struct Entry {
    id: HeaderValue,
    method: Method,
    path: String,
    begun: Instant,
    trace: Trace,
    /// `None` while there is no answer.
    status: Option<StatusCode>,
    /// The outcome of an error answer.
    refused: Option<&'static str>,
    /// The whole body was handed to the connection.
    ended: bool,
}

impl Entry {
    fn outcome(&self, facts: &Facts) -> &'static str {
        match facts.error.or(self.refused) {
            Some(error) => error,
            None if self.ended => "ok",
            None => "client_gone",
        }
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        let facts = self.trace.facts();
        let outcome = self.outcome(&facts);
        let usage = facts.usage;
        macro_rules! line {
            ($level:ident) => {
                tracing::$level!(
                    target: "lla::access",
                    request_id = self.id.to_str().unwrap_or("-"),
                    method = self.method.as_str(),
                    path = self.path,
                    status = self.status.map(|status| status.as_u16()),
                    outcome,
                    latency_ms = millis(self.begun.elapsed()),
                    ttft_ms = facts.first_token.map(millis),
                    prompt_tokens = usage.map(|usage| usage.prompt_tokens),
                    completion_tokens = usage.map(|usage| usage.completion_tokens),
                    model = facts.model.as_deref(),
                    backend = facts.backend.as_deref(),
                    route = facts.route,
                    "request"
                )
            };
        }
        // Probes come every few seconds for ever: their lines would drown the others.
        if self.path.starts_with("/health") { line!(debug) } else { line!(info) }
    }
}

/// Milliseconds with three decimals.
fn millis(duration: Duration) -> f64 {
    (duration.as_secs_f64() * 1e6).round() / 1e3
}

/// A body that notices its end.
struct Logged {
    inner: Body,
    entry: Entry,
}

impl HttpBody for Logged {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(context);
        // A server stops polling at a body's known end, so waiting for `None` is not enough.
        if matches!(polled, Poll::Ready(None)) || (polled.is_ready() && self.inner.is_end_stream()) {
            self.entry.ended = true;
        }
        polled
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
