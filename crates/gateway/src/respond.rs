//! Events -> an answer. Here: the whole answer as JSON; `respond/stream.rs`: server-sent events.
//!
//! Both read the same [`EventStream`], check the same contract, and hold the request's [`Admitted`]
//! inside the body, so that its place is free exactly when the answer has ended. Dropping the body
//! (or, before there is one, the handler's future) drops the event stream, which cancels the work.

mod answer;
mod chunk;
mod contract;
mod merge;
mod stream;

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::{SystemTime, UNIX_EPOCH};

use axum::body::{Body, HttpBody};
use axum::http::StatusCode;
use axum::response::Response;
use bytes::Bytes;
use futures_util::StreamExt;
use hyper::body::{Frame, SizeHint};
use lla_inference::{Event, EventStream};
use uuid::Uuid;

use self::answer::Answer;
use self::contract::Contract;
use crate::admission::Admitted;
use crate::error::{self, ApiError, PromptField};
use crate::state::AppState;

/// Which API's shapes an answer has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Api {
    /// `POST /v1/chat/completions`.
    Chat,
    /// `POST /v1/completions`.
    Completion,
}

impl Api {
    /// What errors about the prompt call it.
    pub(crate) fn prompt_field(self) -> PromptField {
        match self {
            Self::Chat => PromptField::Messages,
            Self::Completion => PromptField::Prompt,
        }
    }
}

/// What the caller wants, as far as the shape of the answer goes.
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    pub(crate) api: Api,
    /// The model by the name the caller may use.
    pub(crate) model: String,
    /// Named in errors about a broken answer.
    pub(crate) backend: String,
    /// How many choices the answer has.
    pub(crate) choices: usize,
    pub(crate) stream: bool,
    /// Only with `stream`.
    pub(crate) include_usage: bool,
}

/// What is the same in every part of one answer.
#[derive(Debug, Clone)]
struct Identity {
    id: String,
    created: i64,
    model: String,
}

impl Identity {
    fn new(plan: &Plan) -> Self {
        let prefix = match plan.api {
            Api::Chat => "chatcmpl",
            Api::Completion => "cmpl",
        };
        Self { id: format!("{prefix}-{}", Uuid::now_v7().simple()), created: unix_now(), model: plan.model.clone() }
    }
}

pub(crate) fn unix_now() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
}

/// Answers with `events`, which the backend has begun to send.
pub(crate) async fn respond(
    app: &AppState,
    plan: Plan,
    admitted: Admitted,
    events: EventStream,
) -> Result<Response, ApiError> {
    if plan.stream {
        return Ok(stream::response(&plan, admitted, events, app.config().keep_alive));
    }
    let whole = admitted.unless_cut(collect(&plan, &admitted, events)).await??;
    let response = error::json(StatusCode::OK, &whole);
    Ok(response.map(|inner| Body::new(Held { inner, _admitted: admitted })))
}

/// Reads the events to their end.
async fn collect(plan: &Plan, admitted: &Admitted, mut events: EventStream) -> Result<Answer, ApiError> {
    let field = plan.api.prompt_field();
    let to_api = |error| ApiError::from_domain(&error, field);
    let mut contract = Contract::new(&plan.backend, plan.choices);
    let mut answer = Answer::new(plan.api, Identity::new(plan), plan.choices);
    while let Some(event) = events.next().await {
        let event = event.map_err(to_api)?;
        contract.check(&event).map_err(to_api)?;
        note(admitted, &event);
        answer.add(event);
    }
    contract.check_end().map_err(to_api)?;
    Ok(answer)
}

/// Notes what the log line wants to know about an event.
fn note(admitted: &Admitted, event: &Event) {
    match event {
        Event::Delta(_) => admitted.trace.note_first_token(admitted.since.elapsed()),
        Event::Usage(usage) => admitted.trace.note_usage(*usage),
        Event::Finish { .. } | Event::Progress(_) => {}
    }
}

/// A body that keeps the request admitted until it has been sent.
struct Held {
    inner: Body,
    _admitted: Admitted,
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        Pin::new(&mut self.inner).poll_frame(context)
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}
