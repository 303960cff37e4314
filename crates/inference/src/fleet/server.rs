//! A server that runs by itself: its backend, and what it said about its models when last asked.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use futures_util::FutureExt as _;
use lla_protocol::systemone::{SystemOneAnswer, SystemOneRequest};
use tokio::sync::Notify;

use super::now;
use super::status::{BackendStatus, FleetModel, ModelState, Replica};
use super::vitals::Vitals;
use crate::resilience::BreakerConfig;
use crate::route::Tier;
use crate::{
    Backend, ChatRequest, CompletionRequest, EmbedRequest, Embeddings, Error, EventStream, ModelInfo, ScoreRequest,
    Scores,
};

/// See the module.
pub(super) struct Server {
    backend: Arc<dyn Backend>,
    kind: &'static str,
    tier: Option<Tier>,
    view: Mutex<View>,
    /// Counts the changes of `view`.
    version: AtomicU64,
    vitals: Vitals,
    /// Told when it fails.
    failing: Arc<Notify>,
}

struct View {
    state: ModelState,
    /// Kept while the server is away: its models are then listed as failed.
    models: Vec<ModelInfo>,
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Server").field("name", &self.name()).field("kind", &self.kind).finish_non_exhaustive()
    }
}

impl Server {
    /// `configured`: the models that are known before the server was asked.
    pub(super) fn new(
        backend: Arc<dyn Backend>,
        kind: &'static str,
        tier: Option<Tier>,
        configured: &[String],
        breaker: BreakerConfig,
    ) -> Self {
        let unknown = |id: &String| ModelInfo { id: id.clone(), ..ModelInfo::default() };
        let view = View { state: ModelState::Starting, models: configured.iter().map(unknown).collect() };
        let (version, vitals) = (AtomicU64::new(0), Vitals::new(breaker));
        Self { backend, kind, tier, view: Mutex::new(view), version, vitals, failing: Arc::default() }
    }

    /// The same, and `failing` is told when it fails.
    pub(super) fn telling(self, failing: &Arc<Notify>) -> Self {
        Self { failing: Arc::clone(failing), ..self }
    }

    pub(super) fn name(&self) -> &str {
        self.backend.name()
    }

    pub(super) fn vitals(&self) -> &Vitals {
        &self.vitals
    }

    /// Another number than before when [`Server::models`] may tell something else.
    pub(super) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    pub(super) fn state(&self) -> ModelState {
        self.lock().state.clone()
    }

    pub(super) async fn refresh(&self) {
        self.take(self.backend.models().await);
    }

    /// Refreshes when that needs no waiting.
    pub(super) fn refresh_if_immediate(&self) {
        if let Some(models) = self.backend.models().now_or_never() {
            self.take(models);
        }
    }

    pub(super) fn models(&self) -> Vec<FleetModel> {
        let view = self.lock();
        let model = |info: &ModelInfo| FleetModel {
            id: info.id.clone(),
            replicas: vec![Replica {
                backend: self.name().to_owned(),
                model: info.id.clone(),
                state: view.state.clone(),
            }],
            tier: self.tier,
            window: info.window,
            created: info.created,
            owned_by: self.name().to_owned(),
            parent: info.parent.clone(),
            state: view.state.clone(),
        };
        view.models.iter().map(model).collect()
    }

    pub(super) async fn status(&self) -> BackendStatus {
        let health = self.backend.health().await;
        // A server that answers but whose models can not be had has not become ready by that.
        if let (false, Some(message)) = (health.reachable, &health.message) {
            self.set_state(ModelState::Failed { message: message.clone() });
        }
        let view = self.lock();
        let found = health.capabilities.and_then(|capabilities| capabilities.server);
        BackendStatus {
            name: self.name().to_owned(),
            kind: found.unwrap_or(self.kind),
            state: view.state.clone(),
            models: view.models.iter().map(|model| model.id.clone()).collect(),
            pid: None,
            restarts: 0,
            uptime: None,
            strain: self.vitals.strain(now()),
            health,
        }
    }

    pub(super) async fn chat(&self, request: ChatRequest) -> Result<EventStream, Error> {
        self.learn(self.backend.chat(request).await)
    }

    pub(super) async fn complete(&self, request: CompletionRequest) -> Result<EventStream, Error> {
        self.learn(self.backend.complete(request).await)
    }

    pub(super) async fn embed(&self, request: EmbedRequest) -> Result<Embeddings, Error> {
        self.learn(self.backend.embed(request).await)
    }

    pub(super) async fn score(&self, request: ScoreRequest) -> Result<Scores, Error> {
        self.learn(self.backend.score(request).await)
    }

    pub(super) async fn decide(&self, request: SystemOneRequest) -> Result<SystemOneAnswer, Error> {
        self.learn(self.backend.decide(request).await)
    }

    pub(super) async fn count_tokens(&self, request: &ChatRequest) -> Result<u32, Error> {
        self.backend.count_tokens(request).await
    }

    /// A request sees that a server is away, or back, before the next refresh does.
    fn learn<T>(&self, outcome: Result<T, Error>) -> Result<T, Error> {
        match &outcome {
            Ok(_) => self.set_state(ModelState::Ready),
            Err(error @ Error::Unavailable { .. }) => {
                self.set_state(ModelState::Failed { message: error.to_string() });
            }
            Err(_) => {}
        }
        outcome
    }

    fn take(&self, models: Result<Vec<ModelInfo>, Error>) {
        match models {
            Ok(models) => {
                let before = std::mem::replace(&mut self.lock().models, models);
                if before != self.lock().models {
                    self.version.fetch_add(1, Ordering::Release);
                }
                if self.state().is_failed() {
                    self.vitals.came_back(now());
                }
                self.set_state(ModelState::Ready);
            }
            Err(error) => self.set_state(ModelState::Failed { message: error.to_string() }),
        }
    }

    fn set_state(&self, state: ModelState) {
        let before = std::mem::replace(&mut self.lock().state, state.clone());
        if before.as_str() == state.as_str() {
            return;
        }
        self.version.fetch_add(1, Ordering::Release);
        match state {
            ModelState::Failed { message } => {
                tracing::warn!(backend = self.name(), message, "backend failed");
                self.failing.notify_one();
            }
            state => tracing::info!(backend = self.name(), state = state.as_str(), "backend changed"),
        }
    }

    fn lock(&self) -> MutexGuard<'_, View> {
        self.view.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
