//! Which backend and model serve a request: a pure function of the name and of what works now.
//!
//! Names: a model's own (or `backend/model`, which is never ambiguous); `small` and `main`, which
//! mean a tier; `auto`, which takes the tier that the caller hints at, else the main one. A tier
//! without a model falls back to the other, so that one configured model answers to every name; the
//! answer carries the name of the model that was used.

use std::cmp::Reverse;

use serde::{Deserialize, Serialize};

use crate::Error;
use crate::fleet::{FleetModel, ModelState, Snapshot};

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

/// Where a request goes, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// Name of the backend.
    pub backend: String,
    /// The model, by the backend's own name.
    pub model: String,
    /// The model, by the name of `GET /v1/models`.
    pub public_name: String,
    /// The model's tier.
    pub tier: Option<Tier>,
    /// `named`, `tier`, `tier_fallback` or `auto`; for logs and headers.
    pub reason: &'static str,
}

/// Finds the model that `requested` means. `tier` is the caller's hint for `auto`.
///
/// A failed model is chosen only when nothing else of its kind is there: its backend then tells why.
///
/// # Errors
/// [`Error::ModelNotFound`] with the nearest names.
pub fn route(requested: &str, tier: Option<Tier>, snapshot: &Snapshot) -> Result<Route, Error> {
    if let Some(model) = best(snapshot.models.iter().filter(|model| is_named(model, requested))) {
        return Ok(to(model, "named"));
    }
    let found = match requested {
        "auto" => of_tier(snapshot, tier.unwrap_or(Tier::Main)).map(|(model, _)| to(model, "auto")),
        name => Tier::parse(name).and_then(|wanted| of_tier(snapshot, wanted)).map(|(model, reason)| to(model, reason)),
    };
    found.ok_or_else(|| not_found(requested, snapshot))
}

fn is_named(model: &FleetModel, requested: &str) -> bool {
    let qualified = || requested.strip_prefix(&model.backend).and_then(|rest| rest.strip_prefix('/'));
    model.id == requested || qualified() == Some(&model.backend_model)
}

/// The wanted tier, then the other, then models without a tier. Within each the healthiest; a
/// failed model of the right tier loses against any that works.
fn of_tier(snapshot: &Snapshot, wanted: Tier) -> Option<(&FleetModel, &'static str)> {
    let ranked = |model: &&FleetModel| {
        let distance = match model.tier {
            Some(tier) if tier == wanted => 0_u8,
            Some(tier) if tier == wanted.other() => 1,
            _ => 2,
        };
        (model.state.is_failed(), distance, Reverse(readiness(&model.state)))
    };
    let model = snapshot.models.iter().min_by_key(ranked)?;
    Some((model, if model.tier == Some(wanted) { "tier" } else { "tier_fallback" }))
}

/// The healthiest; the first one among equals.
fn best<'a>(models: impl Iterator<Item = &'a FleetModel>) -> Option<&'a FleetModel> {
    models.min_by_key(|model| Reverse(readiness(&model.state)))
}

fn readiness(state: &ModelState) -> u8 {
    match state {
        ModelState::Ready => 3,
        ModelState::Starting => 2,
        ModelState::Stopped => 1,
        ModelState::Failed { .. } => 0,
    }
}

fn to(model: &FleetModel, reason: &'static str) -> Route {
    Route {
        backend: model.backend.clone(),
        model: model.backend_model.clone(),
        public_name: model.id.clone(),
        tier: model.tier,
        reason,
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

#[cfg(test)]
mod tests {
    use super::*;

    fn model(id: &str, backend: &str, tier: Option<Tier>, state: ModelState) -> FleetModel {
        FleetModel {
            id: id.to_owned(),
            backend: backend.to_owned(),
            backend_model: id.rsplit('/').next().unwrap_or(id).to_owned(),
            tier,
            window: None,
            created: 0,
            owned_by: "lla".to_owned(),
            state,
        }
    }

    fn failed() -> ModelState {
        ModelState::Failed { message: "broken".to_owned() }
    }

    fn fleet() -> Snapshot {
        let models = vec![
            model("tiny", "tiny", Some(Tier::Small), ModelState::Stopped),
            model("quick", "quick", Some(Tier::Small), ModelState::Ready),
            model("big", "gpu", Some(Tier::Main), failed()),
            model("plain", "gpu", None, ModelState::Ready),
            model("other/plain", "other", None, ModelState::Ready),
        ];
        Snapshot { models }
    }

    #[test]
    fn names_lead_to_models() {
        let table: &[(&str, Option<Tier>, &str, &str)] = &[
            ("tiny", None, "tiny", "named"),
            ("tiny", Some(Tier::Main), "tiny", "named"),
            ("big", None, "big", "named"),
            ("gpu/plain", None, "plain", "named"),
            ("other/plain", None, "other/plain", "named"),
            ("small", None, "quick", "tier"),
            ("main", None, "quick", "tier_fallback"),
            ("auto", None, "quick", "auto"),
            ("auto", Some(Tier::Small), "quick", "auto"),
        ];
        for (requested, tier, public_name, reason) in table {
            let route = route(requested, *tier, &fleet()).expect(requested);
            assert_eq!((route.public_name.as_str(), route.reason), (*public_name, *reason), "{requested}");
        }
    }

    #[test]
    fn one_model_answers_to_every_tier_even_when_it_failed() {
        let only = Snapshot { models: vec![model("only", "only", None, failed())] };
        for name in ["only", "small", "main", "auto"] {
            assert_eq!(route(name, None, &only).expect(name).backend, "only");
        }
        assert!(route("auto", None, &Snapshot::default()).is_err());
    }

    #[test]
    fn a_model_may_be_called_like_a_tier() {
        let mut fleet = fleet();
        fleet.models.push(model("main", "x", None, ModelState::Ready));
        assert_eq!(route("main", None, &fleet).expect("main").backend, "x");
    }

    #[test]
    fn an_unknown_name_gets_the_nearest() {
        let error = route("Quikc", None, &fleet()).expect_err("unknown");
        assert_eq!(error, Error::ModelNotFound { model: "Quikc".to_owned(), nearest: vec!["quick".to_owned()] });
        let error = route("zzz", None, &fleet()).expect_err("unknown");
        assert_eq!(error, Error::ModelNotFound { model: "zzz".to_owned(), nearest: vec![] });
    }
}
