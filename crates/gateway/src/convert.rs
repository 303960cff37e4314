//! Wire requests -> domain requests. Types and ranges were checked when the body was parsed; here
//! the caller's model name becomes the backend's, and what concerns only this server is dropped.

use lla_inference::route::Route;
use lla_inference::{ChatRequest, CompletionRequest, EmbedRequest};
use lla_protocol::{FieldError, openai};

pub(crate) mod decision;

/// Most choices in one answer (prompts times `n`), as the OpenAI API has it for prompts.
const MAX_CHOICES: usize = 2048;

/// A chat request for the model of `route`.
pub(crate) fn chat(wire: openai::ChatCompletionRequest, route: &Route) -> ChatRequest {
    ChatRequest {
        model: route.first().model.clone(),
        messages: wire.messages,
        sampling: wire.sampling,
        max_tokens: wire.max_tokens,
        n: wire.n,
        extra: wire.rest,
    }
}

/// A request for embeddings by the model of `route`.
pub(crate) fn embedding(wire: openai::EmbeddingRequest, route: &Route) -> EmbedRequest {
    EmbedRequest {
        model: route.first().model.clone(),
        input: wire.input,
        dimensions: wire.dimensions,
        extra: wire.rest,
    }
}

/// A completion request for the model of `route`.
///
/// # Errors
/// When it asks for more answers than one request may have.
pub(crate) fn completion(wire: openai::CompletionRequest, route: &Route) -> Result<CompletionRequest, FieldError> {
    let request = CompletionRequest {
        model: route.first().model.clone(),
        prompt: wire.prompt,
        sampling: wire.sampling,
        max_tokens: wire.max_tokens,
        n: wire.n,
        extra: wire.rest,
    };
    let choices = request.choices();
    if choices > MAX_CHOICES {
        let message = format!("prompts times 'n' must be at most {MAX_CHOICES}, got {choices}; send several requests");
        return Err(FieldError::new("prompt", "out_of_range", &message));
    }
    Ok(request)
}
