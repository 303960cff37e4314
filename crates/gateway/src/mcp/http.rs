//! The endpoint `/mcp`: streamable HTTP, without sessions.
//!
//! Without sessions a connection that closes cancels its call, nothing is kept between requests, and any
//! gateway of several can answer. (The session id of `cancel` is a name, not a session.)

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

use axum::body::{Body, HttpBody};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, HeaderValue, Method, StatusCode, header};
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use futures_util::future::BoxFuture;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Frame, SizeHint};
use lla_tools::Registry;
use rmcp::ServerHandler;
use rmcp::transport::streamable_http_server::session::never::NeverSessionManager;
use rmcp::transport::streamable_http_server::{StreamableHttpServerConfig, StreamableHttpService};
use serde_json::Value;

use super::cancel::{self, Running};
use super::host::Local;
use super::message;
use super::server::{RootsFrom, Server};
use crate::access_log::Trace;
use crate::admission::Admitted;
use crate::config::ServerConfig;
use crate::error::{ApiError, json};
use crate::extract;
use crate::state::AppState;

/// `rmcp`'s part of the endpoint, whatever server is behind it.
pub(crate) type Service = Box<dyn Fn(axum::http::Request<Full<Bytes>>) -> BoxFuture<'static, Response> + Send + Sync>;

/// Both forms of an answer, which a client has to accept.
const BOTH: &str = "application/json, text/event-stream";
/// Longest error text of `rmcp`.
const ERROR_TEXT: usize = 64 << 10;

/// The server of the tools; its callers may be anybody.
pub(crate) fn server(tools: Registry, context: lla_tools::Context, version: &str) -> Server {
    Server::new(Arc::new(Local::new(tools, context)), RootsFrom::Configuration, version)
}

/// Puts `rmcp`'s part together.
pub(crate) fn service(server: impl ServerHandler + Clone, config: &ServerConfig) -> Service {
    // `Host` and `Origin` are checked for every route, before the request comes here.
    let http = StreamableHttpServerConfig::default()
        .with_legacy_session_mode(false)
        .with_json_response(true)
        .with_sse_keep_alive(Some(config.keep_alive))
        .with_max_request_body_bytes(config.max_body.0)
        .disable_allowed_hosts()
        .disable_allowed_origins();
    let sessions = Arc::new(NeverSessionManager::default());
    let service = StreamableHttpService::new(move || Ok(server.clone()), sessions, http);
    Box::new(move |request| {
        let service = service.clone();
        Box::pin(async move { service.handle(request).await.map(Body::new) })
    })
}

/// An error of the gateway, as a client of this endpoint reads it.
pub(crate) fn refuse(error: &ApiError) -> Response {
    let problem = message::error(&Value::Null, message::INVALID_REQUEST, &error.body().error.message);
    error.in_other_words(&problem)
}

/// Answers one message.
pub(crate) async fn handle(State(app): State<AppState>, trace: Trace, request: Request) -> Result<Response, ApiError> {
    let admitted = app.admission().admit(&trace)?;
    let (mut parts, body) = request.into_parts();
    let (mut message, mut read) = (Bytes::new(), Value::Null);
    if parts.method == Method::POST {
        message = extract::json_body(app.config(), &parts.headers, body).await?;
        if let Some(problem) = message::problem(&message) {
            trace.note_error("invalid_request");
            return Ok(json(StatusCode::BAD_REQUEST, &problem));
        }
        accept_both(&mut parts.headers);
        read = serde_json::from_slice(&message).unwrap_or_default();
    }
    let running = app.mcp_calls().see(&parts.headers, &read);
    let request = axum::http::Request::from_parts(parts, Full::new(message));
    let response = tokio::select! {
        response = admitted.unless_cut(app.mcp()(request)) => response?,
        // The client does not wait for an answer any more, and MCP wants none.
        () = running.cancelled.cancelled() => return Ok(StatusCode::ACCEPTED.into_response()),
    };
    let mut response = explain(response).await;
    if response.status().is_success() {
        cancel::name_client(&read, response.headers_mut());
    }
    let cancelled = running.cancelled.clone().cancelled_owned();
    let cut = admitted.cut();
    let end = Box::pin(async move {
        tokio::select! {
            () = cut => {}
            () = cancelled => {}
        }
    });
    Ok(response.map(|inner| Body::new(Held { inner, end, _running: running, _admitted: admitted })))
}

/// A client that takes anything takes both forms; `rmcp` wants to see their names.
fn accept_both(headers: &mut HeaderMap) {
    let accepts = headers.get(header::ACCEPT).map(|value| value.to_str().unwrap_or_default().to_owned());
    if accepts.is_none_or(|accepts| accepts.split(',').any(|kind| kind.trim().starts_with("*/*"))) {
        headers.insert(header::ACCEPT, HeaderValue::from_static(BOTH));
    }
    headers.entry(header::CONTENT_TYPE).or_insert(HeaderValue::from_static("application/json"));
}

/// Errors below JSON-RPC come as bare text; clients read JSON.
async fn explain(response: Response) -> Response {
    let is_json = response.headers().get(header::CONTENT_TYPE).is_some_and(|kind| kind == "application/json");
    if !(response.status().is_client_error() || response.status().is_server_error()) || is_json {
        return response;
    }
    let (parts, body) = response.into_parts();
    let text =
        Limited::new(body, ERROR_TEXT).collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    let mut response = json(parts.status, &message::error(&Value::Null, message::INVALID_REQUEST, text.trim()));
    if let Some(allow) = parts.headers.get(header::ALLOW) {
        response.headers_mut().insert(header::ALLOW, allow.clone());
    }
    response
}

/// A body that keeps its request's place for as long as it runs, and ends when the client cancels the call or
/// the gateway shuts down.
struct Held {
    inner: Body,
    end: BoxFuture<'static, ()>,
    _running: Running,
    _admitted: Admitted,
}

impl HttpBody for Held {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let polled = Pin::new(&mut self.inner).poll_frame(context);
        if polled.is_pending() && self.end.as_mut().poll(context).is_ready() {
            // Dropped here, so that the work ends now and not when the connection does.
            self.inner = Body::empty();
            return Poll::Ready(None);
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
