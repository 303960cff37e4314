//! What the fleet shows of itself: models for routing and listing, backends for `/health`.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::vitals::Strain;
use crate::backend::BackendHealth;
use crate::route::{RouteConfig, Tier};

/// What can be used now, in a stable order: engine models first, then the models of each server.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Snapshot {
    /// The models; each `id` once.
    pub models: Vec<FleetModel>,
    /// What the configuration says of tiers and names of its own.
    pub routes: Arc<BTreeMap<String, RouteConfig>>,
    /// These names of its own that are no model's, each as the models that it leads to.
    pub named_routes: Vec<FleetModel>,
}

impl Snapshot {
    /// Every name that a request may give, as a model.
    pub fn listed(&self) -> impl Iterator<Item = &FleetModel> {
        self.models.iter().chain(&self.named_routes)
    }
}

/// One model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FleetModel {
    /// The name that callers use.
    pub id: String,
    /// Who serves it; never empty.
    pub replicas: Vec<Replica>,
    /// What it is for.
    pub tier: Option<Tier>,
    /// Context window in tokens, once it is known; the smallest of its replicas'.
    pub window: Option<u32>,
    /// Unix seconds.
    pub created: i64,
    /// `lla` for our own engines, else the name of the backend.
    pub owned_by: String,
    /// The model that it is an adapter (LoRA) of.
    pub parent: Option<String>,
    /// Whether it works: as its healthiest replica does.
    pub state: ModelState,
}

/// A backend that serves a model.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Replica {
    /// Name of the backend.
    pub backend: String,
    /// The model, by the backend's own name.
    pub model: String,
    /// Whether it works there.
    pub state: ModelState,
}

/// Whether a model, or a backend, works. Written as one word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ModelState {
    /// Not running; the next request starts it.
    Stopped,
    /// Being started.
    Starting,
    /// Answers.
    Ready,
    /// Does not work.
    Failed {
        /// Why.
        message: String,
    },
}

impl ModelState {
    /// The word for logs, answers and metric labels.
    #[must_use]
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Stopped => "stopped",
            Self::Starting => "starting",
            Self::Ready => "ready",
            Self::Failed { .. } => "failed",
        }
    }

    /// How near it is to an answer: more is better.
    pub(crate) fn readiness(&self) -> u8 {
        match self {
            Self::Ready => 3,
            Self::Starting => 2,
            Self::Stopped => 1,
            Self::Failed { .. } => 0,
        }
    }

    /// Whether it does not work.
    #[must_use]
    pub fn is_failed(&self) -> bool {
        matches!(self, Self::Failed { .. })
    }
}

impl Serialize for ModelState {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

/// One backend, for operators.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct BackendStatus {
    /// Its name.
    pub name: String,
    /// `engine` for our own processes, else the dialect of the server.
    pub kind: &'static str,
    /// Whether it works.
    pub state: ModelState,
    /// The models it serves, by its own names.
    pub models: Vec<String>,
    /// The process, when it is one of ours and runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pid: Option<u32>,
    /// How often its process was started again.
    pub restarts: u32,
    /// How long it has been ready.
    #[serde(rename = "uptime_seconds", serialize_with = "seconds", skip_serializing_if = "Option::is_none")]
    pub uptime: Option<Duration>,
    /// What is under way on it, and whether it gets requests.
    #[serde(flatten)]
    pub strain: Strain,
    /// What the last health check found.
    pub health: BackendHealth,
}

#[expect(clippy::ref_option, reason = "the signature that serde calls")]
fn seconds<S: Serializer>(uptime: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
    match uptime {
        Some(uptime) => serializer.serialize_u64(uptime.as_secs()),
        None => serializer.serialize_none(),
    }
}
