//! `POST /scores`.

use axum::extract::State as Shared;
use axum::http::StatusCode;
use axum::response::Response;
use lla_protocol::engine::{ItemScores, ScoreItem, ScorePrompt, ScoreRequest, ScoreResponse, ScoreUsage};
use serde_json::Map;

use super::State;
use super::error::Failure;
use super::request::{check_generates, check_model, check_text_only};
use super::routes::{RawBody, SharedState, json, read};
use crate::error::EngineError;
use crate::score::ScoreTokens;
use crate::score::join::join;
use crate::template::TemplateOptions;

/// The handler.
pub(super) async fn create(Shared(state): SharedState, body: RawBody) -> Result<Response, Failure> {
    let body = read(body)?;
    let items = state.beside(move |state| items(state, &body)).await?;
    let prompt_tokens = items.iter().map(|item| item.prompt.len()).sum::<usize>();
    let scored = state.engine.score(items).await?;
    let usage = ScoreUsage {
        prompt_tokens: u32::try_from(prompt_tokens).unwrap_or(u32::MAX),
        computed_tokens: scored.computed_tokens,
        cached_tokens: scored.cached_tokens,
    };
    let items =
        scored.logprobs.into_iter().zip(scored.best).map(|(logprobs, best)| ItemScores { logprobs, best }).collect();
    Ok(json(StatusCode::OK, &ScoreResponse { model: state.engine.card().name.clone(), items, usage }))
}

fn items(state: &State, body: &[u8]) -> Result<Vec<ScoreTokens>, EngineError> {
    let engine = state.engine.as_ref();
    let request = ScoreRequest::parse(body)?;
    check_model(engine.card(), Some(&request.model))?;
    check_generates(engine)?;
    let tokens = |(index, item): (usize, &ScoreItem)| {
        // Text of callers never becomes a control token.
        let tokenize = |text: &str, special: bool| engine.tokenize(text, special, false);
        let (base, text) = match &item.prompt {
            ScorePrompt::Text { prompt } => (Vec::new(), prompt),
            ScorePrompt::Chat { messages, prefix } => {
                check_text_only(messages).map_err(|error| error.inside(&format!("items[{index}]")))?;
                let options = TemplateOptions { add_generation_prompt: true, tools: None, kwargs: &Map::new() };
                (engine.render_chat(messages, &options)?, prefix)
            }
        };
        Ok(join(&tokenize, &base, text, &item.continuations))
    };
    request.items.iter().enumerate().map(tokens).collect()
}
