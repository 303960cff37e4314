//! `POST /v1/decisions`.

use std::sync::Arc;

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use lla_inference::RoutedBackend;
use lla_inference::route::route;
use lla_protocol::openai::{DecisionRequest, Usage};
use lla_tools::decide::decide;

use crate::access_log::Trace;
use crate::convert::decision;
use crate::error::{ApiError, PromptField, json};
use crate::extract;
use crate::state::AppState;

/// Answers typed questions about a text. When the caller leaves, the work is dropped with this future.
pub(crate) async fn create(
    State(app): State<AppState>,
    trace: Trace,
    headers: HeaderMap,
    body: Body,
) -> Result<Response, ApiError> {
    let to_api = |error| ApiError::from_domain(&error, PromptField::Input);

    let admitted = app.admission().admit(&trace)?;
    let tier = extract::tier(&headers)?;
    let body = extract::json_body(app.config(), &headers, body).await?;
    let wire = DecisionRequest::parse(&body)?;

    let route = route(&wire.model, tier, &app.fleet().snapshot()).map_err(to_api)?;
    trace.note_route(route.first(), route.reason);
    let request = decision::request(&wire, &route);
    let backend = RoutedBackend::new(Arc::clone(app.fleet()), route.clone());

    let found = admitted.unless_cut(decide(&backend, app.calibration(), &request)).await?.map_err(to_api)?;
    trace.note_usage(Usage::new(found.usage.input_tokens, found.usage.output_tokens));
    Ok(json(StatusCode::OK, &decision::answer(&wire, &found, &route.first().public_name)))
}
