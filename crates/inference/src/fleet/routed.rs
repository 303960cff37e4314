//! One model of the fleet as a backend of its own: what tools work on.

use async_trait::async_trait;
use lla_protocol::systemone::{SystemOneAnswer, SystemOneRequest};

use super::Fleet;
use crate::{
    Backend, BackendHealth, ChatRequest, CompletionRequest, EmbedRequest, Embeddings, Error, EventStream, ModelInfo,
    Route, ScoreRequest, Scores,
};

/// The backend of a route, started when it does not run. The `model` of requests is [`Route::model`].
#[derive(Debug, Clone, Copy)]
pub struct RoutedBackend<'a> {
    fleet: &'a Fleet,
    route: &'a Route,
}

impl<'a> RoutedBackend<'a> {
    /// The backend that `route` leads to.
    #[must_use]
    pub fn new(fleet: &'a Fleet, route: &'a Route) -> Self {
        Self { fleet, route }
    }
}

#[async_trait]
impl Backend for RoutedBackend<'_> {
    fn name(&self) -> &str {
        &self.route.backend
    }

    async fn models(&self) -> Result<Vec<ModelInfo>, Error> {
        let models = self.fleet.snapshot().models.into_iter().filter(|model| model.backend == self.route.backend);
        let info = |model: super::FleetModel| ModelInfo {
            id: model.backend_model,
            window: model.window,
            created: model.created,
        };
        Ok(models.map(info).collect())
    }

    async fn chat(&self, request: ChatRequest) -> Result<EventStream, Error> {
        self.fleet.chat(self.route, request).await
    }

    async fn complete(&self, request: CompletionRequest) -> Result<EventStream, Error> {
        self.fleet.complete(self.route, request).await
    }

    async fn embed(&self, request: EmbedRequest) -> Result<Embeddings, Error> {
        self.fleet.embed(self.route, request).await
    }

    async fn score(&self, request: ScoreRequest) -> Result<Scores, Error> {
        self.fleet.score(self.route, request).await
    }

    async fn decide(&self, request: SystemOneRequest) -> Result<SystemOneAnswer, Error> {
        self.fleet.decide(self.route, request).await
    }

    async fn count_tokens(&self, request: &ChatRequest) -> Result<u32, Error> {
        self.fleet.count_tokens(self.route, request).await
    }

    /// Whether its model can be used now; the backend is not asked again.
    async fn health(&self) -> BackendHealth {
        let snapshot = self.fleet.snapshot();
        let model = snapshot
            .models
            .iter()
            .find(|model| (&model.backend, &model.backend_model) == (&self.route.backend, &self.route.model));
        match model.map(|model| &model.state) {
            Some(super::ModelState::Failed { message }) => BackendHealth::unreachable(message.clone()),
            Some(_) => BackendHealth { reachable: true, ..BackendHealth::default() },
            None => BackendHealth::unreachable("it lists this model no more"),
        }
    }
}
