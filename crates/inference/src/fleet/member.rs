//! A backend of the fleet, whatever it is.

use std::sync::Arc;

use lla_protocol::systemone::{SystemOneAnswer, SystemOneRequest};

use super::engine::Engine;
use super::server::Server;
use super::vitals::Vitals;
use crate::backend::unsupported;
use crate::resilience::retry::{self, Verdict};
use crate::route::Target;
use crate::{ChatRequest, CompletionRequest, EmbedRequest, Embeddings, Error, EventStream, ScoreRequest, Scores};

/// See the module.
#[derive(Debug, Clone)]
pub(super) enum Member {
    /// A process of ours.
    Engine(Arc<Engine>),
    /// A server that runs by itself.
    Server(Arc<Server>),
}

/// What is answered by a stream of events; kept so that it can be sent again.
#[derive(Debug)]
pub(super) enum Request {
    Chat(ChatRequest),
    Complete(CompletionRequest),
}

impl Request {
    /// The same for a model that is called `model` where it goes.
    pub(super) fn for_model(&self, model: &str) -> Self {
        let model = model.to_owned();
        match self {
            Self::Chat(request) => Self::Chat(ChatRequest { model, ..request.clone() }),
            Self::Complete(request) => Self::Complete(CompletionRequest { model, ..request.clone() }),
        }
    }
}

impl Member {
    pub(super) fn name(&self) -> &str {
        match self {
            Self::Engine(engine) => engine.name(),
            Self::Server(server) => server.name(),
        }
    }

    pub(super) fn vitals(&self) -> &Vitals {
        match self {
            Self::Engine(engine) => engine.vitals(),
            Self::Server(server) => server.vitals(),
        }
    }

    /// Whether it is known not to work.
    pub(super) fn is_failed(&self) -> bool {
        match self {
            Self::Engine(engine) => engine.is_failed(),
            Self::Server(server) => server.state().is_failed(),
        }
    }

    /// Where a request may go that this backend did not answer.
    pub(super) fn verdict(&self, error: &Error) -> Verdict {
        match (self, retry::verdict(error)) {
            // Perhaps it was this request that the process died of: no other one is to die of it.
            (Self::Engine(_), _) if matches!(error, Error::Upstream { .. }) => Verdict::Final,
            // Its supervisor has started it again already, or says when it will.
            (Self::Engine(_), Verdict::Again) => Verdict::Elsewhere,
            (_, verdict) => verdict,
        }
    }

    pub(super) async fn stream(&self, request: &Request, target: &Target) -> Result<EventStream, Error> {
        let request = request.for_model(&target.model);
        match (self, request) {
            (Self::Engine(engine), request) => engine.answer(request).await,
            (Self::Server(server), Request::Chat(request)) => server.chat(request).await,
            (Self::Server(server), Request::Complete(request)) => server.complete(request).await,
        }
    }

    pub(super) async fn embed(&self, request: &EmbedRequest, target: &Target) -> Result<Embeddings, Error> {
        let request = EmbedRequest { model: target.model.clone(), ..request.clone() };
        match self {
            Self::Engine(engine) => engine.embed(&request).await,
            Self::Server(server) => server.embed(request).await,
        }
    }

    pub(super) async fn score(&self, request: &ScoreRequest, target: &Target) -> Result<Scores, Error> {
        let request = ScoreRequest { model: target.model.clone(), ..request.clone() };
        match self {
            Self::Engine(engine) => engine.score(&request).await,
            Self::Server(server) => server.score(request).await,
        }
    }

    pub(super) async fn decide(&self, request: &SystemOneRequest, target: &Target) -> Result<SystemOneAnswer, Error> {
        let request = SystemOneRequest { model: target.model.clone(), ..request.clone() };
        match self {
            // Our engines score: see `Member::score`.
            Self::Engine(engine) => Err(unsupported(engine.name(), &request.model, "decides nothing by itself")),
            Self::Server(server) => server.decide(request).await,
        }
    }

    pub(super) async fn count_tokens(&self, request: &ChatRequest, target: &Target) -> Result<u32, Error> {
        let request = ChatRequest { model: target.model.clone(), ..request.clone() };
        match self {
            Self::Engine(engine) => engine.count_tokens(&request).await,
            Self::Server(server) => server.count_tokens(&request).await,
        }
    }
}
