//! Which model does the work: the small one, or the main one when the input does not fit.

use std::fmt;
use std::sync::Arc;

use lla_inference::route::route;
use lla_inference::{Backend, ChatRequest, Error, Fleet, RoutedBackend, Tier};
use lla_protocol::openai::Message;

/// A model that a tool may use.
#[derive(Clone)]
pub struct Model {
    /// Who runs it.
    pub backend: Arc<dyn Backend>,
    /// Its name there: what requests to `backend` carry.
    pub name: String,
    /// The name that callers know.
    pub public_name: String,
    /// Its tier, where it has one.
    pub tier: Option<Tier>,
    /// Prompt and answer together, in tokens, once that is known.
    pub window: Option<u32>,
}

/// Bytes per token where nobody counts: fewer than in most texts, so that what is estimated to fit does.
const BYTES_PER_TOKEN: usize = 3;
/// Tokens that a template puts around a message.
const MARKUP: usize = 16;

impl Model {
    /// Tokens of a prompt as the model would see it; an estimate from above where its backend can not count.
    ///
    /// # Errors
    /// When the backend fails.
    pub async fn count_tokens(&self, request: &ChatRequest) -> Result<u32, Error> {
        match self.backend.count_tokens(request).await {
            Err(error) if error.is_unsupported() => Ok(estimate(request)),
            counted => counted,
        }
    }
}

fn estimate(request: &ChatRequest) -> u32 {
    let of_message =
        |message: &Message| message.text_content().map_or(0, |text| text.len()).div_ceil(BYTES_PER_TOKEN) + MARKUP;
    u32::try_from(request.messages.iter().map(of_message).sum::<usize>()).unwrap_or(u32::MAX)
}

impl fmt::Debug for Model {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Model").field("name", &self.public_name).field("window", &self.window).finish()
    }
}

/// Finds the model of a tier.
pub trait Models: Send + Sync {
    /// The model that serves `tier` now; another tier's when that one has none.
    ///
    /// # Errors
    /// When there is no model at all.
    fn of(&self, tier: Tier) -> Result<Model, Error>;
}

/// The models of a fleet.
#[derive(Debug, Clone)]
pub struct FleetModels(pub Arc<Fleet>);

impl Models for FleetModels {
    fn of(&self, tier: Tier) -> Result<Model, Error> {
        let snapshot = self.0.snapshot();
        let route = route(tier.as_str(), None, &snapshot)?;
        let target = route.first();
        let window = snapshot.models.iter().find(|model| model.id == target.public_name).and_then(|model| model.window);
        Ok(Model {
            name: target.model.clone(),
            public_name: target.public_name.clone(),
            tier: target.tier,
            window,
            backend: Arc::new(RoutedBackend::new(Arc::clone(&self.0), route)),
        })
    }
}
