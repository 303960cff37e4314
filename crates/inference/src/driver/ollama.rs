//! The driver for Ollama, by its native API.
//!
//! Its OpenAI route can not set the window, and what does not fit the window is cut in silence; so the
//! window (`num_ctx`) is set here with every request (`window.rs`, from `estimate.rs` and the model's
//! `card.rs`), cutting is switched off, and the counts at the end of an answer are checked. It
//! can not be made to call a tool: [`Forced`] asks for the call as an answer of a schema. `draft.rs`
//! turns requests into Ollama's (`messages.rs`, `fields.rs`), `core.rs` sends them, `load.rs` waits for
//! models that are not in memory, `reading.rs` and `answer.rs` make events of the lines that come back.

mod answer;
mod card;
mod config;
mod core;
mod draft;
mod estimate;
mod fields;
mod load;
mod messages;
mod names;
mod reading;
mod window;

use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use futures_util::stream::{self, StreamExt as _};
use lla_protocol::FieldError;
use lla_protocol::ollama::{EmbedRequest as WireEmbedRequest, EmbedResponse, ListedModel, ModelList, Options, Version};
use lla_protocol::openai::Prompt;
use lla_protocol::systemone::{SystemOneAnswer, SystemOneRequest};
use tokio::time::timeout;

pub use self::config::OllamaConfig;
use self::core::Core;
use self::estimate::Tokens;
use self::names::{same, short};
use self::window::Need;
use super::config::{BuildError, Dialect, HttpBackendConfig};
use super::connection::Connection;
use super::forced::Forced;
use crate::backend::unsupported;
use crate::{
    Backend, BackendHealth, Capabilities, ChatRequest, CompletionRequest, EmbedRequest, Embeddings, Error, EventStream,
    ModelInfo, Support,
};

/// A health check gives up after this.
const HEALTH_LIMIT: Duration = Duration::from_secs(3);
/// So many models are asked about at the same time.
const ASKED_AT_ONCE: usize = 4;

/// An Ollama.
#[derive(Debug)]
pub struct OllamaBackend {
    core: Arc<Core>,
    /// The models to use, as the configuration writes them; empty: all that are there.
    models: Vec<String>,
}

impl OllamaBackend {
    /// A backend called `name`. The address may end with `/v1` or `/api`. Nothing is sent yet.
    ///
    /// # Errors
    /// When the configuration names no place, a wrong one, or the client can not be made.
    pub fn new(name: &str, config: &HttpBackendConfig) -> Result<Self, BuildError> {
        if config.ollama.max_context.is_some_and(|most| most < window::SMALLEST_LIMIT) {
            let message = format!("must be at least {} tokens", window::SMALLEST_LIMIT);
            return Err(BuildError::Field { field: format!("backends.{name}.ollama.max_context"), message });
        }
        let mut config = config.clone();
        config.url = config.url.map(|url| {
            let url = url.trim_end_matches('/');
            url.strip_suffix("/api").unwrap_or(url).to_owned()
        });
        let core = Core::new(Connection::new(name, &config)?, config.ollama);
        Ok(Self { core: Arc::new(core), models: config.models })
    }

    /// Whether the server is an Ollama: it has a version and a list of models where no other server has both.
    ///
    /// # Errors
    /// When it does not answer at all.
    pub(super) async fn is_one(&self) -> Result<bool, Error> {
        let answers = |asked: Result<(), Error>| match asked {
            Ok(()) => Ok(true),
            Err(error @ (Error::Unavailable { .. } | Error::Timeout { .. } | Error::Overloaded { .. })) => Err(error),
            Err(_) => Ok(false),
        };
        let connection = &self.core.connection;
        Ok(answers(self.version().await.map(drop))?
            && answers(connection.get_root::<ModelList>("api/tags").await.map(drop))?)
    }

    /// What is told of a listed model; its window is asked for once.
    async fn info(&self, model: ListedModel) -> ModelInfo {
        self.core.note_digest(&model.name, &model.digest);
        let told = model.details.context_length.filter(|window| *window > 0);
        let window = match told {
            Some(window) => Some(window),
            // Older versions only tell of one model at a time. Without it the model still works.
            None => self.core.card(&model.name).await.ok().and_then(|card| card.window),
        };
        let window = [window, self.core.config.max_context].into_iter().flatten().min();
        let created = model.modified_at.parse::<jiff::Timestamp>().map_or(0, jiff::Timestamp::as_second);
        ModelInfo { id: short(&model.name).to_owned(), window, created, parent: None }
    }

    async fn version(&self) -> Result<String, Error> {
        self.core.connection.get_root::<Version>("api/version").await.map(|found| found.version)
    }
}

#[async_trait]
impl Backend for OllamaBackend {
    fn name(&self) -> &str {
        self.core.name()
    }

    async fn models(&self) -> Result<Vec<ModelInfo>, Error> {
        let listed = self.core.connection.get_root::<ModelList>("api/tags").await?.models;
        let wanted = |name: &str| self.models.is_empty() || self.models.iter().any(|model| same(model, name));
        let listed = listed.into_iter().filter(|model| wanted(&model.name));
        let asked: Vec<_> = listed.map(|model| self.info(model)).collect();
        let found: Vec<ModelInfo> = stream::iter(asked).buffered(ASKED_AT_ONCE).collect().await;
        if self.models.is_empty() {
            return Ok(found);
        }
        // Those that are not there are listed as well: asking for one says how to get it, or gets it.
        let by_name = |id: &String| found.iter().find(|model| same(&model.id, id)).cloned();
        let named = |id: &String| {
            let info = by_name(id).unwrap_or(ModelInfo::default());
            ModelInfo { id: id.clone(), ..info }
        };
        Ok(self.models.iter().map(named).collect())
    }

    async fn chat(&self, mut request: ChatRequest) -> Result<EventStream, Error> {
        let model = request.model.clone();
        let forced = Forced::take(&mut request)?;
        let events = Arc::clone(&self.core).answer(draft::chat(request)?, model).await?;
        Ok(match forced {
            Some(forced) => forced.calls(self.name(), events),
            None => events,
        })
    }

    async fn complete(&self, request: CompletionRequest) -> Result<EventStream, Error> {
        let model = request.model.clone();
        Arc::clone(&self.core).answer(draft::completion(request)?, model).await
    }

    async fn embed(&self, request: EmbedRequest) -> Result<Embeddings, Error> {
        let EmbedRequest { model, input, dimensions, extra } = request;
        fields::nothing_else(&extra, None)?;
        let Prompt::Texts(input) = input else {
            let message = "Ollama takes texts, no tokens: send the text";
            return Err(FieldError::new("input", "unsupported_content", message).into());
        };
        let card = self.core.card(&model).await?;
        let limits = self.core.limits(&model, &card).await?;
        let tokens = input.iter().map(|text| Tokens::of(text).message()).max_by_key(|tokens| tokens.likely);
        let window = self.core.window(&Need::new(tokens.unwrap_or_default(), Some(0)), limits, &model)?;
        let inputs = input.len();
        let body = WireEmbedRequest {
            model,
            input,
            truncate: false,
            dimensions,
            options: Options { num_ctx: Some(window.num_ctx), ..Options::default() },
            keep_alive: self.core.config.keep_alive(),
        };
        let timeouts = self.core.connection.timeouts;
        let limit = if window.is_loaded { timeouts.total } else { timeouts.total.saturating_add(timeouts.load) };
        let opened = self.core.connection.open_root("api/embed", &body, &body.model, ("total", limit)).await;
        let opened = opened.map_err(|error| match self.core.missing(error, &body.model) {
            Error::Upstream { message, .. } if message.contains("does not support embeddings") => {
                unsupported(self.name(), &body.model, "makes no embeddings with models that write")
            }
            other => other,
        })?;
        let answer = self.core.connection.read_all(opened.response, timeouts.total).await?;
        let answer: EmbedResponse = serde_json::from_slice(&answer).map_err(|error| {
            Error::upstream(self.name(), format!("it sent something that is no embeddings: {error}"))
        })?;
        if answer.embeddings.len() != inputs {
            let message = format!("it sent {} embeddings for {inputs} inputs", answer.embeddings.len());
            return Err(Error::upstream(self.name(), message));
        }
        Ok(Embeddings { vectors: answer.embeddings, prompt_tokens: answer.prompt_eval_count })
    }

    async fn decide(&self, request: SystemOneRequest) -> Result<SystemOneAnswer, Error> {
        let connection = &self.core.connection;
        // Since version 0.35; before, tools find another way.
        let Some(opened) = connection.open_if_there("systemone", &request, &request.model).await? else {
            return Err(unsupported(self.name(), &request.model, "decides nothing by itself"));
        };
        let answer = connection.read_all(opened.response, connection.timeouts.total).await?;
        serde_json::from_slice(&answer)
            .map_err(|error| Error::upstream(self.name(), format!("it sent something that is no decision: {error}")))
    }

    async fn count_tokens(&self, request: &ChatRequest) -> Result<u32, Error> {
        Err(unsupported(self.name(), &request.model, "can not count tokens"))
    }

    fn capabilities(&self) -> Capabilities {
        let server = Some(Dialect::Ollama.as_str());
        // The rest depends on the model and on the version.
        Capabilities { server, token_counts: Support::No, metrics: Support::No, ..Capabilities::default() }
    }

    async fn health(&self) -> BackendHealth {
        let begin = Instant::now();
        let version = match timeout(HEALTH_LIMIT, self.version()).await {
            Err(_) => return BackendHealth::unreachable(format!("no answer within {} s", HEALTH_LIMIT.as_secs())),
            Ok(Err(error)) => return BackendHealth::unreachable(error.to_string()),
            Ok(Ok(version)) => version,
        };
        let latency = Some(begin.elapsed());
        let loaded = timeout(HEALTH_LIMIT, self.core.loaded()).await.ok().and_then(Result::ok);
        BackendHealth {
            reachable: true,
            latency,
            version: Some(version),
            loaded,
            capabilities: Some(self.capabilities()),
            message: None,
        }
    }
}
