//! `GET /health` (everything), `/health/live` (the process runs) and `/health/ready` (send requests).

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;
use lla_inference::fleet::{BackendStatus, FleetModel, ModelState, Snapshot};
use lla_inference::route::Tier;
use serde::Serialize;

use crate::error::json;
use crate::state::{AppState, Build};

#[derive(Serialize)]
struct Health<'a> {
    /// `ok`, `unavailable` (no model can serve) or `draining`.
    status: &'static str,
    version: &'a str,
    commit: Option<&'a str>,
    features: &'a [String],
    uptime_seconds: u64,
    gateway: Gateway,
    backends: Vec<BackendStatus>,
    models: Vec<ModelHealth<'a>>,
}

#[derive(Serialize)]
struct Gateway {
    in_flight: usize,
    max_in_flight: u32,
    draining: bool,
}

#[derive(Serialize)]
struct ModelHealth<'a> {
    id: &'a str,
    backends: Vec<&'a str>,
    tier: Option<Tier>,
    state: &'a ModelState,
    context_window: Option<u32>,
}

#[derive(Serialize)]
struct Probe {
    status: &'static str,
}

/// The gateway, each backend, each model. 200 when at least one model can serve or be started.
pub(crate) async fn detailed(State(app): State<AppState>) -> Response {
    let backends = app.fleet().health().await;
    let snapshot = app.fleet().snapshot();
    let status = status(&app, &snapshot);
    let Build { version, commit, features } = app.build();
    let health = Health {
        status,
        version,
        commit: commit.as_deref(),
        features,
        uptime_seconds: app.started().elapsed().as_secs(),
        gateway: Gateway {
            in_flight: app.admission().in_flight(),
            max_in_flight: app.admission().limit(),
            draining: app.admission().is_draining(),
        },
        backends,
        models: snapshot.models.iter().map(to_wire).collect(),
    };
    json(code(status), &health)
}

/// The process runs; says nothing about models. For a supervisor that restarts what hangs.
pub(crate) async fn live() -> Response {
    json(StatusCode::OK, &Probe { status: "ok" })
}

/// Requests may be sent here. For a load balancer.
pub(crate) async fn ready(State(app): State<AppState>) -> Response {
    let status = status(&app, &app.fleet().snapshot());
    json(code(status), &Probe { status })
}

fn status(app: &AppState, snapshot: &Snapshot) -> &'static str {
    if app.admission().is_draining() {
        "draining"
    } else if snapshot.models.iter().any(|model| !model.state.is_failed()) {
        // A stopped model counts: its first request starts it.
        "ok"
    } else {
        "unavailable"
    }
}

fn code(status: &str) -> StatusCode {
    if status == "ok" { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE }
}

fn to_wire(model: &FleetModel) -> ModelHealth<'_> {
    ModelHealth {
        id: &model.id,
        backends: model.replicas.iter().map(|replica| replica.backend.as_str()).collect(),
        tier: model.tier,
        state: &model.state,
        context_window: model.window,
    }
}
