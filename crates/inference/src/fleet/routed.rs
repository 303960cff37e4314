//! One model of the fleet as a [`Backend`]: what works on `dyn Backend` (the tools) runs on any model
//! that a caller may name, and its engine is started when it does not run.

use std::sync::Arc;

use async_trait::async_trait;
use lla_protocol::systemone::{SystemOneAnswer, SystemOneRequest};

use super::Fleet;
use crate::{
    Backend, BackendHealth, ChatRequest, CompletionRequest, EmbedRequest, Embeddings, Error, EventStream, ModelInfo,
    Route, ScoreRequest, Scores,
};

/// See the module. The model's name in requests is that of the route, whatever the request says.
#[derive(Debug, Clone)]
pub struct RoutedBackend {
    fleet: Arc<Fleet>,
    route: Route,
}

impl RoutedBackend {
    /// The model that `route` leads to.
    #[must_use]
    pub fn new(fleet: Arc<Fleet>, route: Route) -> Self {
        Self { fleet, route }
    }
}

#[async_trait]
impl Backend for RoutedBackend {
    fn name(&self) -> &str {
        &self.route.backend
    }

    async fn models(&self) -> Result<Vec<ModelInfo>, Error> {
        let snapshot = self.fleet.snapshot();
        let ours = snapshot.models.into_iter().filter(|model| model.id == self.route.public_name);
        Ok(ours
            .map(|model| ModelInfo { id: model.backend_model, window: model.window, created: model.created })
            .collect())
    }

    async fn chat(&self, request: ChatRequest) -> Result<EventStream, Error> {
        let model = self.route.model.clone();
        self.fleet.chat(&self.route, ChatRequest { model, ..request }).await
    }

    async fn complete(&self, request: CompletionRequest) -> Result<EventStream, Error> {
        let model = self.route.model.clone();
        self.fleet.complete(&self.route, CompletionRequest { model, ..request }).await
    }

    async fn embed(&self, request: EmbedRequest) -> Result<Embeddings, Error> {
        let model = self.route.model.clone();
        self.fleet.embed(&self.route, EmbedRequest { model, ..request }).await
    }

    async fn score(&self, request: ScoreRequest) -> Result<Scores, Error> {
        let model = self.route.model.clone();
        self.fleet.score(&self.route, ScoreRequest { model, ..request }).await
    }

    async fn decide(&self, request: SystemOneRequest) -> Result<SystemOneAnswer, Error> {
        self.fleet.decide(&self.route, request).await
    }

    async fn count_tokens(&self, request: &ChatRequest) -> Result<u32, Error> {
        let request = ChatRequest { model: self.route.model.clone(), ..request.clone() };
        self.fleet.count_tokens(&self.route, &request).await
    }

    async fn health(&self) -> BackendHealth {
        let all = self.fleet.health().await;
        let ours = all.into_iter().find(|status| status.name == self.route.backend);
        ours.map_or_else(|| BackendHealth::unreachable("no such backend"), |status| status.health)
    }
}
