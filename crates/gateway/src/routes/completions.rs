//! `POST /v1/completions`.

use axum::body::Body;
use axum::extract::State;
use axum::http::HeaderMap;
use axum::response::Response;
use lla_inference::route::{Target, route};
use lla_protocol::openai::CompletionRequest;

use crate::access_log::Trace;
use crate::error::ApiError;
use crate::respond::{Api, Plan, respond};
use crate::state::AppState;
use crate::{convert, extract};

/// Continues raw text or tokens.
pub(crate) async fn create(
    State(app): State<AppState>,
    trace: Trace,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let api = Api::Completion;
    let to_api = |error| ApiError::from_domain(&error, api.prompt_field());

    let admitted = app.admission().admit(&trace)?;
    let tier = extract::tier(&headers)?;
    let body = extract::json_body(app.config(), &headers, body).await?;
    let wire = CompletionRequest::parse(&body)?;

    let route = route(&wire.model, tier, &app.fleet().snapshot()).map_err(to_api)?;
    trace.note_route(route.first(), route.reason);
    let (stream, include_usage) = (wire.stream, wire.stream_options.include_usage);
    let request = convert::completion(wire, &route)?;
    let choices = request.choices();

    let answer = admitted.unless_cut(app.fleet().complete(&route, request)).await?.map_err(to_api)?;
    trace.note_route(&answer.served_by, route.reason);
    let Target { public_name: model, backend, .. } = answer.served_by;
    let plan = Plan { api, model, backend, choices, stream, include_usage };
    respond(&app, plan, admitted, answer.value).await
}
