//! The driver for every server that speaks the OpenAI API, over TCP or a Unix socket.

use std::sync::{Arc, PoisonError, RwLock};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use lla_protocol::engine;
use lla_protocol::openai::{self, EmbeddingList, EncodingFormat, Logprobs, StreamOptions};
use lla_protocol::systemone::{SystemOneAnswer, SystemOneRequest};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};
use tokio::sync::Mutex;
use tokio::time::timeout;

use super::answer::{self, Expected};
use super::config::{BuildError, Dialect, HttpBackendConfig};
use super::connection::Connection;
use super::forced::Forced;
use super::learned::{self, Learned};
use crate::backend::{no_scores, unsupported};
use crate::{
    Backend, BackendHealth, Capabilities, ChatRequest, CompletionRequest, EmbedRequest, Embeddings, Error, EventStream,
    ModelInfo, ScoreRequest, Scores, Support,
};

/// A health check gives up after this.
const HEALTH_LIMIT: Duration = Duration::from_secs(3);

/// A server behind HTTP.
#[derive(Debug)]
pub struct OpenAiBackend {
    name: String,
    config: HttpBackendConfig,
    learned: RwLock<Arc<Learned>>,
    /// Held while the server is asked what it is, so that it is asked once.
    learning: Mutex<()>,
}

impl OpenAiBackend {
    /// A backend called `name`. Nothing is sent yet.
    ///
    /// # Errors
    /// When the configuration names no place, a wrong one, or the client can not be made.
    pub fn new(name: &str, config: &HttpBackendConfig) -> Result<Self, BuildError> {
        let connection = Arc::new(Connection::new(name, config)?);
        let learned = RwLock::new(Arc::new(Learned::configured(connection, config)));
        Ok(Self { name: name.to_owned(), config: config.clone(), learned, learning: Mutex::new(()) })
    }

    fn learned(&self) -> Arc<Learned> {
        Arc::clone(&self.learned.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn learn(&self, learned: Learned) {
        *self.learned.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(learned);
    }

    /// Asks the server for its models, and what it is when that may have changed.
    async fn ask(&self) -> Result<Vec<ModelInfo>, Error> {
        let _alone = self.learning.lock().await;
        let before = self.learned();
        let asked = learned::ask(&before, &self.config).await;
        match asked {
            Ok((models, learned)) => {
                if let Some(learned) = learned {
                    let (server, version) = (learned.dialect.as_str(), learned.version.as_deref());
                    tracing::debug!(backend = self.name, server, version, "asked what the backend can do");
                    self.learn(learned);
                }
                Ok(models)
            }
            Err(error) => {
                self.learn(before.doubted());
                Err(error)
            }
        }
    }

    /// What a request has to know of the server.
    async fn server(&self) -> Result<Arc<Learned>, Error> {
        if self.learned().needs_asking() {
            self.ask().await?;
        }
        Ok(self.learned())
    }
}

impl Learned {
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
        if self.dialect.has_vllm_routes() { learned::version(&self.connection).await } else { self.version.clone() }
    }

    /// `llama-server` takes `tool_choice`, and where the model's template knows no tools it does not hold to it.
    fn forces_no_calls(&self) -> bool {
        self.dialect == Dialect::LlamaServer && self.capabilities.tools == Support::No
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
struct TokenCount {
    /// vLLM's name, then `llama-server`'s.
    #[serde(alias = "input_tokens")]
    count: u32,
}

#[async_trait]
impl Backend for OpenAiBackend {
    fn name(&self) -> &str {
        &self.name
    }

    async fn models(&self) -> Result<Vec<ModelInfo>, Error> {
        let found = self.ask().await?;
        let wanted = &self.config.models;
        if wanted.is_empty() {
            return Ok(found);
        }
        let named = |id: &String| found.iter().find(|model| &model.id == id).cloned();
        let unlisted = |id: &String| ModelInfo { id: id.clone(), ..ModelInfo::default() };
        Ok(wanted.iter().map(|id| named(id).unwrap_or_else(|| unlisted(id))).collect())
    }

    async fn chat(&self, mut request: ChatRequest) -> Result<EventStream, Error> {
        let server = self.server().await?;
        let forced = if server.forces_no_calls() { Forced::take(&mut request)? } else { None };
        let choices = request.n.unwrap_or(1) as usize;
        let expected = Expected { choices, model: request.model.clone() };
        let mut rest = request.extra;
        server.adapters.apply(&mut request.model, &mut rest);
        let body = openai::ChatCompletionRequest {
            model: request.model,
            messages: request.messages,
            sampling: request.sampling,
            max_tokens: server.moved_max_tokens(request.max_tokens, &mut rest),
            n: request.n,
            stream: true,
            stream_options: StreamOptions { include_usage: true },
            logprobs: Logprobs::default(),
            rest,
        };
        let events = server.stream("chat/completions", &body, expected).await?;
        Ok(match forced {
            Some(forced) => forced.calls(self.name(), events),
            None => events,
        })
    }

    async fn complete(&self, mut request: CompletionRequest) -> Result<EventStream, Error> {
        let server = self.server().await?;
        let expected = Expected { choices: request.choices(), model: request.model.clone() };
        server.adapters.apply(&mut request.model, &mut request.extra);
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
        server.stream("completions", &body, expected).await
    }

    async fn embed(&self, request: EmbedRequest) -> Result<Embeddings, Error> {
        let server = self.learned();
        let inputs = request.input.len();
        // Shorter, but not every server knows it.
        let encoding_format =
            if server.dialect.has_vllm_routes() { EncodingFormat::Base64 } else { EncodingFormat::Float };
        let body = openai::EmbeddingRequest {
            model: request.model,
            input: request.input,
            encoding_format,
            dimensions: request.dimensions,
            rest: request.extra,
        };
        let connection = &server.connection;
        let opened = connection.open("embeddings", &body, &body.model).await?;
        let answer = connection.read_all(opened.response, connection.timeouts.total).await?;
        embeddings(&answer, inputs).map_err(|message| Error::upstream(self.name(), message))
    }

    async fn score(&self, request: ScoreRequest) -> Result<Scores, Error> {
        let server = self.learned();
        if server.dialect != Dialect::LlaEngine {
            return Err(no_scores(self.name(), &request.model));
        }
        let body = engine::ScoreRequest { model: request.model, items: request.items };
        let answer = server.connection.post_long::<engine::ScoreResponse>("scores", &body, &body.model).await?;
        let (logprobs, best): (Vec<_>, _) = answer.items.into_iter().map(|item| (item.logprobs, item.best)).unzip();
        let request = ScoreRequest { model: body.model, items: body.items };
        if !request.is_answered_by(&logprobs) {
            return Err(Error::upstream(self.name(), "it sent scores for something else than was asked"));
        }
        Ok(Scores { logprobs, best, usage: answer.usage })
    }

    async fn decide(&self, request: SystemOneRequest) -> Result<SystemOneAnswer, Error> {
        let no_decisions = || unsupported(self.name(), &request.model, "decides nothing by itself");
        let server = self.learned();
        if !server.dialect.has_decisions() || server.capabilities.decisions == Support::No {
            return Err(no_decisions());
        }
        let connection = &server.connection;
        let Some(opened) = connection.open_if_there("systemone", &request, &request.model).await? else {
            return Err(no_decisions());
        };
        let answer = connection.read_all(opened.response, connection.timeouts.total).await?;
        serde_json::from_slice(&answer)
            .map_err(|error| Error::upstream(self.name(), format!("it sent something that is no decision: {error}")))
    }

    async fn count_tokens(&self, request: &ChatRequest) -> Result<u32, Error> {
        let server = self.server().await?;
        let mut body = Map::from_iter([
            ("model".to_owned(), Value::from(request.model.clone())),
            ("messages".to_owned(), json!(request.messages)),
        ]);
        let counted = match server.dialect {
            dialect if dialect.has_vllm_routes() => server.connection.post_root::<TokenCount>("tokenize", &body).await,
            Dialect::LlamaServer => {
                let mut model = request.model.clone();
                server.adapters.apply(&mut model, &mut body);
                body.insert("model".to_owned(), model.into());
                server.connection.post::<TokenCount>("chat/completions/input_tokens", &body).await
            }
            _ => Err(unsupported(self.name(), &request.model, "can not count tokens")),
        };
        counted.map(|answer| answer.count)
    }

    fn capabilities(&self) -> Capabilities {
        self.learned().capabilities
    }

    async fn health(&self) -> BackendHealth {
        let begin = Instant::now();
        let server = self.learned();
        let unreachable = match timeout(HEALTH_LIMIT, server.sign_of_life()).await {
            Err(_) => format!("no answer within {} s", HEALTH_LIMIT.as_secs()),
            Ok(Err(error)) => error.to_string(),
            Ok(Ok(())) => {
                let latency = Some(begin.elapsed());
                let version = timeout(HEALTH_LIMIT, server.version()).await.ok().flatten();
                // Asked again, because a server is well before anybody knows it.
                let capabilities = Some(self.capabilities()).filter(|found| found.server.is_some());
                return BackendHealth { reachable: true, latency, version, capabilities, ..BackendHealth::default() };
            }
        };
        BackendHealth::unreachable(unreachable)
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
