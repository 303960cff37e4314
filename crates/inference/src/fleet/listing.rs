//! What the fleet shows: the models of all backends put together, made anew only when one of them changed.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::engine::Engine;
use super::server::Server;
use super::status::{FleetModel, Snapshot};
use crate::route::{RouteConfig, Tier, route};

/// See the module.
#[derive(Debug)]
pub(super) struct Listing {
    routes: Arc<BTreeMap<String, RouteConfig>>,
    last: Mutex<Option<Last>>,
}

#[derive(Debug)]
struct Last {
    /// What each backend's version was.
    versions: Vec<u64>,
    snapshot: Arc<Snapshot>,
}

impl Listing {
    pub(super) fn new(routes: BTreeMap<String, RouteConfig>) -> Self {
        Self { routes: Arc::new(routes), last: Mutex::new(None) }
    }

    pub(super) fn snapshot(&self, engines: &[Arc<Engine>], servers: &[Arc<Server>]) -> Arc<Snapshot> {
        let versions = || {
            let engines = engines.iter().map(|engine| engine.version());
            engines.chain(servers.iter().map(|server| server.version()))
        };
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(last) = &*last
            && versions().eq(last.versions.iter().copied())
        {
            return Arc::clone(&last.snapshot);
        }
        // Read before the models: what changes meanwhile is seen the next time.
        let versions: Vec<u64> = versions().collect();
        let models =
            engines.iter().map(|engine| engine.model()).chain(servers.iter().flat_map(|server| server.models()));
        let snapshot = Arc::new(self.put_together(models));
        *last = Some(Last { versions, snapshot: Arc::clone(&snapshot) });
        snapshot
    }

    fn put_together(&self, all: impl Iterator<Item = FleetModel>) -> Snapshot {
        let mut models: Vec<FleetModel> = Vec::new();
        for model in all {
            match models.iter_mut().find(|known| known.id == model.id) {
                Some(known) => merge(known, model),
                None => models.push(model),
            }
        }
        let mut snapshot = Snapshot { models, routes: Arc::clone(&self.routes), named_routes: Vec::new() };
        snapshot.named_routes = self.routes.keys().filter_map(|name| named(name, &snapshot)).collect();
        snapshot
    }
}

/// The same model on one more backend.
fn merge(known: &mut FleetModel, other: FleetModel) {
    if other.state.readiness() > known.state.readiness() {
        known.state = other.state;
    }
    known.window = match (known.window, other.window) {
        (Some(one), Some(two)) => Some(one.min(two)),
        (one, two) => one.or(two),
    };
    known.tier = known.tier.or(other.tier);
    known.replicas.extend(other.replicas);
}

/// A name of the configuration's own, as the model that it leads to first.
fn named(name: &str, snapshot: &Snapshot) -> Option<FleetModel> {
    if Tier::parse(name).is_some() || snapshot.models.iter().any(|model| model.id == name) {
        return None;
    }
    let route = route(name, None, snapshot).ok()?;
    let model_of = |public_name: &str| snapshot.models.iter().find(|model| model.id == public_name);
    let mut models = route.targets.iter().filter_map(|target| model_of(&target.public_name));
    let first = models.next()?.clone();
    let mut shown = FleetModel { id: name.to_owned(), owned_by: "lla".to_owned(), ..first };
    models.for_each(|model| merge(&mut shown, model.clone()));
    shown.replicas.dedup();
    Some(shown)
}
