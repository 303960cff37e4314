//! The handlers. Each reads a body, asks the engine, and answers; what they refuse is in
//! `request.rs`.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::extract::rejection::{BytesRejection, PathRejection};
use axum::extract::{Path, State as Shared};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use lla_protocol::openai::{Model, ModelList};
use lla_protocol::vllm::{DetokenizeRequest, DetokenizeResponse, TokenizeInput, TokenizeRequest, TokenizeResponse};
use serde::Serialize;
use serde_json::Map;

use super::choices::Choices;
use super::error::Failure;
use super::request::{self, Job};
use super::wire::{Api, Heading};
use super::{MAX_BODY, State, answer};
use crate::error::EngineError;
use crate::metrics::CONTENT_TYPE;
use crate::template::TemplateOptions;

pub(super) type SharedState = Shared<Arc<State>>;
pub(super) type RawBody = Result<Bytes, BytesRejection>;

/// `POST /v1/chat/completions`.
pub(super) async fn chat(Shared(state): SharedState, body: RawBody) -> Result<Response, Failure> {
    let body = read(body)?;
    let job = state.beside(move |state| request::chat(state, &body)).await?;
    generate(&state, job, Api::Chat).await
}

/// `POST /v1/completions`.
pub(super) async fn completions(Shared(state): SharedState, body: RawBody) -> Result<Response, Failure> {
    let body = read(body)?;
    let job = state.beside(move |state| request::completion(state, &body)).await?;
    generate(&state, job, Api::Text).await
}

async fn generate(state: &State, job: Job, api: Api) -> Result<Response, Failure> {
    let heading = Heading::new(api, &state.engine.card().name, job.logprobs);
    let (stream, include_usage) = (job.stream, job.include_usage);
    let choices = Choices::submit(state.engine.as_ref(), job)?;
    if stream {
        return Ok(answer::stream(choices, heading, include_usage));
    }
    Ok(answer::whole(choices, heading).await?)
}

/// `GET /v1/models`.
pub(super) async fn models(Shared(state): SharedState) -> Response {
    json(StatusCode::OK, &ModelList::new(vec![model_entry(&state)]))
}

/// `GET /v1/models/{id}`.
pub(super) async fn model(
    Shared(state): SharedState,
    id: Result<Path<String>, PathRejection>,
) -> Result<Response, Failure> {
    // Only a path that is no UTF-8 is refused here.
    let Path(id) = id.map_err(|_| Failure::NoRoute)?;
    request::check_model(state.engine.card(), Some(&id))?;
    Ok(json(StatusCode::OK, &model_entry(&state)))
}

fn model_entry(state: &State) -> Model {
    let card = state.engine.card();
    let mut model = Model::new(&card.name, card.created, "lla");
    model.max_model_len = Some(card.window);
    model
}

/// `POST /tokenize`.
pub(super) async fn tokenize(Shared(state): SharedState, body: RawBody) -> Result<Response, Failure> {
    let body = read(body)?;
    let tokens = state.beside(move |state| tokens_of(state, &body)).await?;
    let count = u32::try_from(tokens.len()).unwrap_or(u32::MAX);
    let max_model_len = state.engine.card().window;
    Ok(json(StatusCode::OK, &TokenizeResponse { count, max_model_len, tokens }))
}

fn tokens_of(state: &State, body: &[u8]) -> Result<Vec<u32>, EngineError> {
    let engine = state.engine.as_ref();
    let request = TokenizeRequest::parse(body)?;
    request::check_model(engine.card(), request.model.as_deref())?;
    match request.input {
        TokenizeInput::Prompt { prompt, add_special_tokens } => Ok(engine.tokenize(&prompt, add_special_tokens, true)),
        TokenizeInput::Chat { messages, add_generation_prompt } => {
            request::check_text_only(&messages)?;
            let options = TemplateOptions { add_generation_prompt, tools: None, kwargs: &Map::new() };
            engine.render_chat(&messages, &options)
        }
    }
}

/// `POST /detokenize`.
pub(super) async fn detokenize(Shared(state): SharedState, body: RawBody) -> Result<Response, Failure> {
    let body = read(body)?;
    let prompt = state.beside(move |state| text_of(state, &body)).await?;
    Ok(json(StatusCode::OK, &DetokenizeResponse { prompt }))
}

fn text_of(state: &State, body: &[u8]) -> Result<String, EngineError> {
    let card = state.engine.card();
    let request = DetokenizeRequest::parse(body)?;
    request::check_model(card, request.model.as_deref())?;
    request::check_ids("tokens", &request.tokens, card.n_vocab)?;
    Ok(state.engine.detokenize(&request.tokens))
}

/// `GET /health`: 200 or 503, no body, as vLLM.
pub(super) async fn health(Shared(state): SharedState) -> StatusCode {
    if state.engine.is_alive() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

/// `GET /metrics`.
pub(super) async fn metrics(Shared(state): SharedState) -> Result<Response, Failure> {
    let text = state.engine.metrics().render().map_err(|error| EngineError::Native(error.to_string()))?;
    Ok(([(header::CONTENT_TYPE, CONTENT_TYPE)], text).into_response())
}

/// `GET /version`.
pub(super) async fn version() -> Response {
    #[derive(Serialize)]
    struct Version {
        version: &'static str,
    }
    json(StatusCode::OK, &Version { version: env!("CARGO_PKG_VERSION") })
}

/// Any path that is no route.
pub(super) async fn no_route() -> Failure {
    Failure::NoRoute
}

/// A route with a method that it does not take.
pub(super) async fn wrong_method() -> Failure {
    Failure::Method
}

/// The whole body.
pub(super) fn read(body: RawBody) -> Result<Bytes, Failure> {
    body.map_err(|rejection| match rejection.status() {
        StatusCode::PAYLOAD_TOO_LARGE => Failure::TooLarge(MAX_BODY),
        _ => Failure::Unreadable,
    })
}

/// A JSON answer.
pub(super) fn json(status: StatusCode, body: &impl Serialize) -> Response {
    let (status, bytes) = match serde_json::to_vec(body) {
        Ok(bytes) => (status, bytes),
        Err(error) => {
            tracing::error!(%error, "an answer could not be written as JSON");
            (StatusCode::INTERNAL_SERVER_ERROR, Vec::new())
        }
    };
    let mut response = Response::new(Body::from(bytes));
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
