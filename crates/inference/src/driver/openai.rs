//! The driver for every server that speaks the OpenAI API, over TCP or a Unix socket.

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use lla_protocol::engine;
use lla_protocol::openai::{self, EmbeddingList, EncodingFormat, Logprobs, ModelList, StreamOptions};
use lla_protocol::systemone::{SystemOneAnswer, SystemOneRequest};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokio::time::timeout;

use super::answer::{self, Expected};
use super::config::{BuildError, Dialect, HttpBackendConfig};
use super::connection::Connection;
use crate::backend::{no_scores, unsupported};
use crate::{
    Backend, BackendHealth, ChatRequest, CompletionRequest, EmbedRequest, Embeddings, Error, EventStream, ModelInfo,
    ScoreRequest, Scores,
};

/// A health check gives up after this.
const HEALTH_LIMIT: Duration = Duration::from_secs(3);

/// A server behind HTTP.
#[derive(Debug)]
pub struct OpenAiBackend {
    connection: Arc<Connection>,
    dialect: Dialect,
    /// The models to use; empty: those that the server lists.
    models: Vec<String>,
}

impl OpenAiBackend {
    /// A backend called `name`. Nothing is sent yet.
    ///
    /// # Errors
    /// When the configuration names no place, a wrong one, or the client can not be made.
    pub fn new(name: &str, config: &HttpBackendConfig) -> Result<Self, BuildError> {
        let connection = Arc::new(Connection::new(name, config)?);
        Ok(Self { connection, dialect: config.dialect, models: config.models.clone() })
    }

    async fn stream<T: Serialize + Sync>(
        &self,
        path: &str,
        body: &T,
        expected: Expected,
    ) -> Result<EventStream, Error> {
        let opened = self.connection.open(path, body, &expected.model).await?;
        answer::events(Arc::clone(&self.connection), opened, expected).await
    }

    /// Any answer below HTTP counts for servers without a health route.
    async fn sign_of_life(&self) -> Result<(), Error> {
        if self.dialect.has_health() {
            self.connection.is_well().await
        } else {
            self.connection.get::<Value>("models").await.map(drop)
        }
    }

    async fn version(&self) -> Option<String> {
        if !self.dialect.has_vllm_routes() {
            return None;
        }
        self.connection.get_root::<Version>("version").await.ok().map(|found| found.version)
    }

    fn moved_max_tokens(&self, max_tokens: Option<u32>, extra: &mut Map<String, Value>) -> Option<u32> {
        if self.dialect.wants_max_completion_tokens() {
            if let Some(limit) = max_tokens {
                extra.insert("max_completion_tokens".to_owned(), limit.into());
            }
            return None;
        }
        max_tokens
    }
}

#[derive(Deserialize)]
struct Version {
    version: String,
}

#[derive(Deserialize)]
struct TokenCount {
    count: u32,
}

#[async_trait]
impl Backend for OpenAiBackend {
    fn name(&self) -> &str {
        &self.connection.name
    }

    async fn models(&self) -> Result<Vec<ModelInfo>, Error> {
        let listed = match self.connection.get::<ModelList>("models").await {
            Ok(list) => list.data,
            // Not every server lists its models: then the configuration has to.
            Err(Error::Upstream { .. }) if !self.models.is_empty() => Vec::new(),
            Err(error) => return Err(error),
        };
        let found = listed.into_iter().map(|model| ModelInfo {
            window: model.max_model_len.or_else(|| llama_server_window(&model.rest)),
            id: model.id,
            created: model.created,
        });
        if self.models.is_empty() {
            return Ok(found.collect());
        }
        let found: Vec<ModelInfo> = found.collect();
        let named = |id: &String| found.iter().find(|model| &model.id == id).cloned();
        let unlisted = |id: &String| ModelInfo { id: id.clone(), window: None, created: 0 };
        Ok(self.models.iter().map(|id| named(id).unwrap_or_else(|| unlisted(id))).collect())
    }

    async fn chat(&self, request: ChatRequest) -> Result<EventStream, Error> {
        let choices = request.n.unwrap_or(1) as usize;
        let expected = Expected { choices, model: request.model.clone() };
        let mut rest = request.extra;
        let body = openai::ChatCompletionRequest {
            model: request.model,
            messages: request.messages,
            sampling: request.sampling,
            max_tokens: self.moved_max_tokens(request.max_tokens, &mut rest),
            n: request.n,
            stream: true,
            stream_options: StreamOptions { include_usage: true },
            logprobs: Logprobs::default(),
            rest,
        };
        self.stream("chat/completions", &body, expected).await
    }

    async fn complete(&self, request: CompletionRequest) -> Result<EventStream, Error> {
        let expected = Expected { choices: request.choices(), model: request.model.clone() };
        let body = openai::CompletionRequest {
            model: request.model,
            prompt: request.prompt,
            sampling: request.sampling,
            max_tokens: request.max_tokens,
            n: request.n,
            stream: true,
            stream_options: StreamOptions { include_usage: true },
            logprobs: Logprobs::default(),
            rest: request.extra,
        };
        self.stream("completions", &body, expected).await
    }

    async fn embed(&self, request: EmbedRequest) -> Result<Embeddings, Error> {
        let inputs = request.input.len();
        // Shorter, but not every server knows it.
        let encoding_format =
            if self.dialect.has_vllm_routes() { EncodingFormat::Base64 } else { EncodingFormat::Float };
        let body = openai::EmbeddingRequest {
            model: request.model,
            input: request.input,
            encoding_format,
            dimensions: request.dimensions,
            rest: request.extra,
        };
        let opened = self.connection.open("embeddings", &body, &body.model).await?;
        let answer = self.connection.read_all(opened.response, self.connection.timeouts.total).await?;
        embeddings(&answer, inputs).map_err(|message| Error::upstream(self.name(), message))
    }

    async fn score(&self, request: ScoreRequest) -> Result<Scores, Error> {
        if self.dialect != Dialect::LlaEngine {
            return Err(no_scores(self.name(), &request.model));
        }
        let body = engine::ScoreRequest { model: request.model, items: request.items };
        let answer = self.connection.post_long::<engine::ScoreResponse>("scores", &body, &body.model).await?;
        let (logprobs, best): (Vec<_>, _) = answer.items.into_iter().map(|item| (item.logprobs, item.best)).unzip();
        let request = ScoreRequest { model: body.model, items: body.items };
        if !request.is_answered_by(&logprobs) {
            return Err(Error::upstream(self.name(), "it sent scores for something else than was asked"));
        }
        Ok(Scores { logprobs, best, usage: answer.usage })
    }

    async fn decide(&self, request: SystemOneRequest) -> Result<SystemOneAnswer, Error> {
        let no_decisions = || unsupported(self.name(), &request.model, "decides nothing by itself");
        if !self.dialect.has_decisions() {
            return Err(no_decisions());
        }
        let Some(opened) = self.connection.open_if_there("systemone", &request, &request.model).await? else {
            return Err(no_decisions());
        };
        let answer = self.connection.read_all(opened.response, self.connection.timeouts.total).await?;
        serde_json::from_slice(&answer)
            .map_err(|error| Error::upstream(self.name(), format!("it sent something that is no decision: {error}")))
    }

    async fn count_tokens(&self, request: &ChatRequest) -> Result<u32, Error> {
        if !self.dialect.has_vllm_routes() {
            let message = format!("servers of the kind '{}' have no route to count tokens", self.dialect.as_str());
            return Err(Error::upstream(self.name(), message));
        }
        let body = json!({"model": request.model, "messages": request.messages});
        self.connection.post_root::<TokenCount>("tokenize", &body).await.map(|answer| answer.count)
    }

    async fn health(&self) -> BackendHealth {
        let begin = Instant::now();
        match timeout(HEALTH_LIMIT, self.sign_of_life()).await {
            Err(_) => BackendHealth::unreachable(format!("no answer within {} s", HEALTH_LIMIT.as_secs())),
            Ok(Err(error)) => BackendHealth::unreachable(error.to_string()),
            Ok(Ok(())) => {
                let latency = Some(begin.elapsed());
                let version = timeout(HEALTH_LIMIT, self.version()).await.ok().flatten();
                BackendHealth { reachable: true, latency, version, ..BackendHealth::default() }
            }
        }
    }
}

/// Reads the vectors of an answer in the order of the inputs, whatever order they came in.
fn embeddings(answer: &[u8], inputs: usize) -> Result<Embeddings, String> {
    let mut list: EmbeddingList = serde_json::from_slice(answer)
        .map_err(|error| format!("it sent something that is no list of embeddings: {error}"))?;
    list.data.sort_by_key(|entry| entry.index);
    let in_order = (0..).zip(&list.data).all(|(index, entry)| entry.index == index);
    if list.data.len() != inputs || !in_order {
        return Err(format!("it sent {} embeddings for {inputs} inputs, or some of them twice", list.data.len()));
    }
    let vectors: Option<Vec<_>> = list.data.into_iter().map(|entry| entry.embedding.read()).collect();
    let vectors = vectors.ok_or("it sent an embedding that is no base64 of 32-bit floats")?;
    Ok(Embeddings { vectors, prompt_tokens: list.usage.prompt_tokens })
}

/// `llama-server` hides the window in `meta`.
fn llama_server_window(rest: &Map<String, Value>) -> Option<u32> {
    let meta = rest.get("meta")?;
    let window = meta.get("n_ctx").or_else(|| meta.get("n_ctx_train"))?;
    u32::try_from(window.as_u64()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn embeddings_are_read_in_either_form_and_put_in_order() {
        let answer = r#"{"data":[{"index":1,"embedding":[0.5]},{"index":0,"embedding":"AACAPw=="}],"usage":{"prompt_tokens":3,"total_tokens":3}}"#;
        let found = Embeddings { vectors: vec![vec![1.0], vec![0.5]], prompt_tokens: 3 };
        assert_eq!(embeddings(answer.as_bytes(), 2), Ok(found));
        for (answer, inputs) in [
            (answer, 3),
            (r#"{"data":[{"index":0,"embedding":[1]},{"index":0,"embedding":[1]}]}"#, 2),
            (r#"{"data":[{"index":0,"embedding":"AAA="}]}"#, 1),
            ("{}", 1),
        ] {
            assert!(embeddings(answer.as_bytes(), inputs).is_err(), "{answer}");
        }
    }
}
