//! `POST /v1/embeddings`.

use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use lla_inference::route::route;
use lla_protocol::openai::{EmbeddingList, EmbeddingRequest, Usage};

use crate::access_log::Trace;
use crate::error::{ApiError, PromptField, json};
use crate::state::AppState;
use crate::{convert, extract};

/// Turns texts into vectors. When the caller leaves, the work is dropped with this future.
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
    let wire = EmbeddingRequest::parse(&body)?;

    let route = route(&wire.model, tier, &app.fleet().snapshot()).map_err(to_api)?;
    trace.note_route(route.first(), route.reason);
    let format = wire.encoding_format;
    let request = convert::embedding(wire, &route);

    let answer = admitted.unless_cut(app.fleet().embed(&route, request)).await?.map_err(to_api)?;
    trace.note_route(&answer.served_by, route.reason);
    let found = answer.value;
    trace.note_usage(Usage::new(found.prompt_tokens, 0));
    let list = EmbeddingList::new(&answer.served_by.public_name, found.vectors, found.prompt_tokens, format);
    Ok(json(StatusCode::OK, &list))
}
