//! Which backend and model serve a request: a pure function of the name and of what works now.
//!
//! Names: a model's own (or `backend/model`, which is never ambiguous); `small` and `main`, which
//! mean a tier; `auto`, which takes the tier that the caller hints at, else the main one. A tier
//! without a model falls back to the other, so that one configured model answers to every name; the
//! answer carries the name of the model that was used. `[routes.NAME]` of the configuration gives a tier, or a
//! name of its own, a list of backends to be tried in order.
//!
//! A model that several backends serve is one model with several targets; [`Fleet`](crate::Fleet) chooses among
//! them and goes on to the next one when one fails.

use std::cmp::Reverse;

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::fleet::{FleetModel, Replica, Snapshot};

mod config;
#[cfg(test)]
mod tests;

pub use config::{Limits, Policy, RouteConfig};

/// How many similar names an error offers.
const MAX_NEAREST: usize = 3;
/// Names less alike than this are no help (Jaro-Winkler, 1 is equal).
const MIN_LIKENESS: f64 = 0.75;

/// What a model is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Tier {
    /// Fast and cheap.
    Small,
    /// The better answers.
    Main,
}

impl Tier {
    /// The word in configuration, requests and metric labels.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Small => "small",
            Self::Main => "main",
        }
    }

    /// Reads the word; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        [Self::Small, Self::Main].into_iter().find(|tier| tier.as_str() == text)
    }

    fn other(self) -> Self {
        match self {
            Self::Small => Self::Main,
            Self::Main => Self::Small,
        }
    }
}

/// Where a request goes, and why. `targets` is never empty.
#[derive(Debug, Clone, PartialEq)]
pub struct Route {
    /// Who may serve it, in the order of preference.
    pub targets: Vec<Target>,
    /// `named`, `tier`, `tier_fallback`, `auto` or `route`; for logs and headers.
    pub reason: &'static str,
    /// How long it may take, and when a second backend is asked.
    pub policy: Policy,
}

/// One backend's model that may serve a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Target {
    /// Name of the backend.
    pub backend: String,
    /// The model, by the backend's own name.
    pub model: String,
    /// The model, by the name of `GET /v1/models`.
    pub public_name: String,
    /// The model's tier.
    pub tier: Option<Tier>,
    /// Lower ones are preferred; those of the same rank share the requests.
    pub rank: usize,
}

impl Route {
    /// The one way to a backend's model that has no alternative.
    #[must_use]
    pub fn to(target: Target, reason: &'static str) -> Self {
        Self { targets: vec![target], reason, policy: Policy::default() }
    }

    /// The target that is preferred, when all are well.
    ///
    /// # Panics
    /// When there is no target, which [`route`] does not make.
    #[must_use]
    pub fn first(&self) -> &Target {
        &self.targets[0]
    }

    /// The same route without other models than the preferred one: for work whose parts must be done by one model.
    #[must_use]
    pub fn of_one_model(mut self) -> Self {
        let name = self.first().public_name.clone();
        self.targets.retain(|target| target.public_name == name);
        self
    }
}

/// Finds the model that `requested` means. `tier` is the caller's hint for `auto`.
///
/// A failed model is chosen only when nothing else of its kind is there: its backend then tells why.
///
/// # Errors
/// [`Error::ModelNotFound`] with the nearest names; [`Error::Unavailable`] for a configured route none of whose
/// backends has told its models yet.
pub fn route(requested: &str, tier: Option<Tier>, snapshot: &Snapshot) -> Result<Route, Error> {
    let wanted = match requested {
        "auto" => Some(tier.unwrap_or(Tier::Main)),
        name => Tier::parse(name),
    };
    let configured = snapshot.routes.get(wanted.map_or(requested, |tier| tier.as_str()));
    let policy = configured.map(RouteConfig::policy).unwrap_or_default();
    if let Some(config) = configured.filter(|config| !config.backends.is_empty()) {
        let targets = along(config, requested, wanted, snapshot);
        if targets.is_empty() {
            let message = format!("none of the backends of the route '{requested}' has told its models yet");
            return Err(Error::Unavailable { backend: config.backends[0].clone(), message, retry_after: None });
        }
        return Ok(Route { targets, reason: "route", policy });
    }
    // Ollama calls a model without a tag by either name.
    let by_other_name = || match requested.strip_suffix(":latest") {
        Some(name) => named(name, snapshot),
        None => named(&format!("{requested}:latest"), snapshot),
    };
    if let Some((targets, reason)) = named(requested, snapshot).or_else(by_other_name) {
        return Ok(Route { targets, reason, policy });
    }
    let found = wanted.and_then(|wanted| of_tier(snapshot, wanted));
    let (targets, reason) = found.ok_or_else(|| not_found(requested, snapshot))?;
    Ok(Route { targets, reason: if requested == "auto" { "auto" } else { reason }, policy })
}

/// A model by its name, on every backend that has it; or on one of them (`backend/model`).
fn named(requested: &str, snapshot: &Snapshot) -> Option<(Vec<Target>, &'static str)> {
    if let Some(model) = snapshot.models.iter().find(|model| model.id == requested) {
        return Some((targets(model, 0), "named"));
    }
    let qualified = |replica: &Replica| {
        requested.strip_prefix(&replica.backend).and_then(|rest| rest.strip_prefix('/')) == Some(&replica.model)
    };
    let all = snapshot.models.iter().flat_map(|model| model.replicas.iter().map(move |replica| (model, replica)));
    let (model, replica) = all.into_iter().find(|(_, replica)| qualified(replica))?;
    Some((vec![target(model, replica, 0)], "named"))
}

/// Every model, the wanted tier first, then the other, then models without a tier. Within each the healthiest; a
/// failed model of the right tier loses against any that works.
fn of_tier(snapshot: &Snapshot, wanted: Tier) -> Option<(Vec<Target>, &'static str)> {
    let ranked = |model: &&FleetModel| {
        let distance = match model.tier {
            Some(tier) if tier == wanted => 0_u8,
            Some(tier) if tier == wanted.other() => 1,
            _ => 2,
        };
        (model.state.is_failed(), distance, Reverse(model.state.readiness()))
    };
    let mut models: Vec<&FleetModel> = snapshot.models.iter().collect();
    models.sort_by_key(ranked);
    let reason = if models.first()?.tier == Some(wanted) { "tier" } else { "tier_fallback" };
    let targets = models.iter().enumerate().flat_map(|(rank, model)| targets(model, rank)).collect();
    Some((targets, reason))
}

/// The targets of a configured route, each entry a rank. An entry is a model, a backend (then its model of the
/// route's name, else of its tier, else its first), or `backend/model`.
fn along(config: &RouteConfig, requested: &str, wanted: Option<Tier>, snapshot: &Snapshot) -> Vec<Target> {
    let mut found: Vec<Target> = Vec::new();
    for (rank, entry) in config.backends.iter().enumerate() {
        let of_backend = || {
            let on = snapshot.models.iter().filter_map(|model| {
                let replica = model.replicas.iter().find(|replica| &replica.backend == entry)?;
                Some((model, replica))
            });
            let fit = |(model, _): &(&FleetModel, &Replica)| {
                (model.id != requested, wanted.is_some() && model.tier != wanted)
            };
            on.min_by_key(fit).map(|(model, replica)| vec![target(model, replica, rank)])
        };
        let mut next = match named(entry, snapshot) {
            Some((targets, _)) => targets,
            None => of_backend().unwrap_or_default(),
        };
        next.iter_mut().for_each(|target| target.rank = rank);
        next.retain(|new| !found.iter().any(|old| old.backend == new.backend && old.model == new.model));
        found.append(&mut next);
    }
    found
}

fn targets(model: &FleetModel, rank: usize) -> Vec<Target> {
    model.replicas.iter().map(|replica| target(model, replica, rank)).collect()
}

fn target(model: &FleetModel, replica: &Replica, rank: usize) -> Target {
    Target {
        backend: replica.backend.clone(),
        model: replica.model.clone(),
        public_name: model.id.clone(),
        tier: model.tier,
        rank,
    }
}

fn not_found(requested: &str, snapshot: &Snapshot) -> Error {
    let wanted = requested.to_lowercase();
    let mut alike: Vec<(f64, &str)> = snapshot
        .models
        .iter()
        .map(|model| (strsim::jaro_winkler(&wanted, &model.id.to_lowercase()), model.id.as_str()))
        .filter(|(likeness, _)| *likeness >= MIN_LIKENESS)
        .collect();
    alike.sort_by(|a, b| b.0.total_cmp(&a.0));
    alike.dedup_by(|a, b| a.1 == b.1);
    let nearest = alike.into_iter().take(MAX_NEAREST).map(|(_, id)| id.to_owned()).collect();
    Error::ModelNotFound { model: requested.to_owned(), nearest }
}
