//! `POST /v1/chat/completions`.

use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use lla_inference::route::route;
use lla_protocol::openai::ChatCompletionRequest;

use crate::access_log::Trace;
use crate::error::ApiError;
use crate::respond::{Api, Plan, respond};
use crate::state::AppState;
use crate::{convert, extract};

/// Continues a conversation.
pub(crate) async fn create(
    State(app): State<AppState>,
    trace: Trace,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let api = Api::Chat;
    let to_api = |error| ApiError::from_domain(&error, api.prompt_field());

    let admitted = app.admission().admit(&trace)?;
    let tier = extract::tier(&headers)?;
    let body = extract::json_body(app.config(), &headers, body).await?;
    let wire = ChatCompletionRequest::parse(&body)?;

    let route = route(&wire.model, tier, &app.fleet().snapshot()).map_err(to_api)?;
    trace.note_route(&route.public_name, &route.backend, route.reason);
    let plan = Plan {
        api,
        model: route.public_name.clone(),
        backend: route.backend.clone(),
        choices: wire.n.unwrap_or(1) as usize,
        stream: wire.stream,
        include_usage: wire.stream_options.include_usage,
    };
    let mut request = convert::chat(wire, &route);
    app.stabiliser().apply(&mut request.messages);

    let events = admitted.unless_cut(app.fleet().chat(&route, request)).await?.map_err(to_api)?;
    respond(&app, plan, admitted, events).await
}
