//! `POST /v1/embeddings`.

use axum::extract::State as Shared;
use axum::http::StatusCode;
use axum::response::Response;
use lla_protocol::FieldError;
use lla_protocol::openai::{EmbeddingList, EmbeddingRequest, EncodingFormat, Prompt};

use super::State;
use super::error::Failure;
use super::generate::no_embeddings;
use super::request::{check_ids, check_model};
use super::routes::{RawBody, SharedState, json, read};
use crate::embed::{EmbeddingCard, check_inputs, shortened};
use crate::error::EngineError;

/// What a request asks for, as tokens.
struct Job {
    inputs: Vec<Vec<u32>>,
    dimensions: Option<usize>,
    format: EncodingFormat,
}

/// The handler.
pub(super) async fn create(Shared(state): SharedState, body: RawBody) -> Result<Response, Failure> {
    let body = read(body)?;
    let Job { inputs, dimensions, format } = state.beside(move |state| job(state, &body)).await?;
    let tokens = inputs.iter().map(Vec::len).sum::<usize>();
    let mut vectors = state.engine.embed(inputs).await?;
    if let Some(dimensions) = dimensions {
        vectors = vectors.into_iter().map(|vector| shortened(vector, dimensions)).collect();
    }
    let tokens = u32::try_from(tokens).unwrap_or(u32::MAX);
    Ok(json(StatusCode::OK, &EmbeddingList::new(&state.engine.card().name, vectors, tokens, format)))
}

fn job(state: &State, body: &[u8]) -> Result<Job, EngineError> {
    let engine = state.engine.as_ref();
    let request = EmbeddingRequest::parse(body)?;
    check_model(engine.card(), Some(&request.model))?;
    let vectors = engine.vectors().ok_or_else(|| no_embeddings(engine.card()))?;
    let dimensions = request.dimensions.map(|wanted| check_dimensions(wanted, vectors)).transpose()?;
    let inputs = match request.input {
        // Text of callers never becomes a control token.
        Prompt::Texts(texts) => texts.iter().map(|text| engine.tokenize(text, true, false)).collect(),
        Prompt::Tokens(lists) => {
            check_ids("input", lists.iter().flatten(), engine.card().n_vocab)?;
            lists
        }
    };
    check_inputs(&inputs, engine.card().window)?;
    Ok(Job { inputs, dimensions, format: request.encoding_format })
}

fn check_dimensions(wanted: u32, vectors: EmbeddingCard) -> Result<usize, FieldError> {
    let EmbeddingCard { width, shortens } = vectors;
    if wanted > width || (wanted < width && !shortens) {
        let only = if shortens { "at most " } else { "only " };
        let message = format!("the vectors of this model have {only}{width} dimensions, {wanted} were asked for");
        return Err(FieldError::new("dimensions", "out_of_range", &message));
    }
    Ok(wanted as usize)
}
