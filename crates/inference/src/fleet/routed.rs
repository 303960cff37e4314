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
    /// The model that `route` prefers, on every backend that has it: what is done in several requests is done by
    /// one model.
    #[must_use]
    pub fn new(fleet: Arc<Fleet>, route: Route) -> Self {
        Self { fleet, route: route.of_one_model() }
    }
}

#[async_trait]
impl Backend for RoutedBackend {
    fn name(&self) -> &str {
        &self.route.first().backend
    }

    async fn models(&self) -> Result<Vec<ModelInfo>, Error> {
        let snapshot = self.fleet.snapshot();
        let target = self.route.first();
        let ours = snapshot.models.iter().filter(|model| model.id == target.public_name);
        Ok(ours
            .map(|model| ModelInfo {
                id: target.model.clone(),
                window: model.window,
                created: model.created,
                parent: model.parent.clone(),
            })
            .collect())
    }

    async fn chat(&self, request: ChatRequest) -> Result<EventStream, Error> {
        Ok(self.fleet.chat(&self.route, request).await?.value)
    }

    async fn complete(&self, request: CompletionRequest) -> Result<EventStream, Error> {
        Ok(self.fleet.complete(&self.route, request).await?.value)
    }

    async fn embed(&self, request: EmbedRequest) -> Result<Embeddings, Error> {
        Ok(self.fleet.embed(&self.route, request).await?.value)
    }

    async fn score(&self, request: ScoreRequest) -> Result<Scores, Error> {
        Ok(self.fleet.score(&self.route, request).await?.value)
    }

    async fn decide(&self, request: SystemOneRequest) -> Result<SystemOneAnswer, Error> {
        Ok(self.fleet.decide(&self.route, request).await?.value)
    }

    async fn count_tokens(&self, request: &ChatRequest) -> Result<u32, Error> {
        self.fleet.count_tokens(&self.route, request).await
    }

    async fn health(&self) -> BackendHealth {
        let all = self.fleet.health().await;
        let ours = all.into_iter().find(|status| status.name == self.route.first().backend);
        ours.map_or_else(|| BackendHealth::unreachable("no such backend"), |status| status.health)
    }
}
