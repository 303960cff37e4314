//! `GET /mcp/tools` and `POST /mcp/tools/{name}`: the tools without MCP.

use std::time::Duration;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use futures_util::stream;
use lla_protocol::openai::Usage;
use lla_protocol::{Fields, sse};
use lla_tools::{Progress, Spec, Step, ToolError};
use serde::Serialize;
use serde_json::{Value, json};
use tokio::sync::mpsc;

use crate::access_log::Trace;
use crate::admission::{Admitted, cut_short};
use crate::error::{self, ApiError};
use crate::extract;
use crate::state::AppState;

#[derive(Serialize)]
struct ToolList<'a> {
    tools: Vec<&'a Spec>,
}

/// Names, descriptions, input and output schemas.
pub(crate) async fn list(State(app): State<AppState>) -> Response {
    error::json(StatusCode::OK, &ToolList { tools: app.tools().specs().collect() })
}

/// Runs a tool with the body as its arguments. With `accept: text/event-stream` the answer is a stream:
/// `{"type":"progress",…}` while the tool works, then `{"type":"result","result":{…}}` or an error.
pub(crate) async fn call(
    State(app): State<AppState>,
    Path(name): Path<String>,
    trace: Trace,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let to_api = |error| ApiError::from_tool(&error);

    let admitted = app.admission().admit(&trace)?;
    let mut context = app.tool_context();
    if let Some(tier) = extract::tier(&headers)? {
        context.tier = tier;
    }
    app.tools().spec(&name).map_err(to_api)?;
    let body = extract::json_body(app.config(), &headers, body).await?;
    let arguments = Value::Object(Fields::from_body(&body)?.rest());

    if !wants_events(&headers) {
        let work = app.tools().call(&name, arguments, context);
        let result = admitted.unless_cut(work).await?.map_err(to_api)?;
        note(&trace, &result);
        return Ok(error::json(StatusCode::OK, &result));
    }
    let (tell, steps) = mpsc::unbounded_channel();
    // Nobody listens any more only when the work is being dropped too.
    context.progress = Progress::to(move |step| drop(tell.send(step)));
    let tools = app.tools().clone();
    let work = Box::pin(async move { tools.call(&name, arguments, context).await });
    Ok(events(Running { work, steps, admitted, keep_alive: app.config().keep_alive }))
}

fn wants_events(headers: &HeaderMap) -> bool {
    let accepts = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepts.flat_map(|value| value.split(',')).any(|kind| kind.trim().starts_with("text/event-stream"))
}

/// Notes which model worked, and how much, for the log line.
pub(crate) fn note(trace: &Trace, result: &Value) {
    if let Some(model) = result["model"].as_str() {
        trace.note_tool_model(model);
    }
    let count = |name: &str| result["usage"][name].as_u64().and_then(|count| u32::try_from(count).ok()).unwrap_or(0);
    trace.note_usage(Usage::new(count("prompt_tokens"), count("completion_tokens")));
}

/// A call that is answered as a stream. Dropping it drops the work.
struct Running {
    work: BoxFuture<'static, Result<Value, ToolError>>,
    steps: mpsc::UnboundedReceiver<Step>,
    admitted: Admitted,
    keep_alive: Duration,
}

fn events(running: Running) -> Response {
    let frames = stream::unfold(Some(running), |running| async {
        let mut running = running?;
        let (frame, last) = running.next().await;
        Some((Ok::<_, std::convert::Infallible>(Bytes::from(frame)), (!last).then_some(running)))
    });
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream; charset=utf-8"),
        (header::CACHE_CONTROL, "no-cache"),
        // nginx and others hold streams back without this.
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    (headers, Body::from_stream(frames)).into_response()
}

impl Running {
    /// The next frame, and whether it is the last one.
    async fn next(&mut self) -> (Vec<u8>, bool) {
        tokio::select! {
            biased;
            Some(step) = self.steps.recv() => (event(&progress(&step)), false),
            done = &mut self.work => {
                let mut frame = Vec::new();
                while let Ok(step) = self.steps.try_recv() {
                    frame.extend(event(&progress(&step)));
                }
                frame.extend(self.end(done.map_err(|error| ApiError::from_tool(&error))));
                (frame, true)
            }
            () = self.admitted.cut() => (self.end(Err(cut_short())), true),
            () = tokio::time::sleep(self.keep_alive) => (sse::comment("keep-alive").into_bytes(), false),
        }
    }

    fn end(&self, done: Result<Value, ApiError>) -> Vec<u8> {
        match done {
            Ok(result) => {
                note(&self.admitted.trace, &result);
                event(&json!({"type": "result", "result": result}))
            }
            Err(error) => {
                self.admitted.trace.note_error(error.outcome());
                event(&error.body())
            }
        }
    }
}

fn progress(step: &Step) -> Value {
    json!({"type": "progress", "current": step.current, "total": step.total, "message": step.message})
}

fn event(payload: &impl Serialize) -> Vec<u8> {
    sse::event(payload).unwrap_or_else(|error| {
        tracing::error!(%error, "an event can not be written as JSON");
        Vec::new()
    })
}
