//! `GET /v1/models` and `GET /v1/models/{id}`.

use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::response::Response;
use lla_inference::fleet::{FleetModel, Snapshot};
use lla_inference::route::route;
use lla_protocol::openai::{Model, ModelList};
use serde::Serialize;
use serde_json::Value;

use crate::error::{ApiError, PromptField, json};
use crate::state::AppState;

/// Lists every model that a request may name, with its state.
pub(crate) async fn list(State(app): State<AppState>) -> Response {
    let snapshot = app.fleet().snapshot();
    json(StatusCode::OK, &ModelList::new(snapshot.listed().map(to_wire).collect()))
}

/// Shows one model. Names such as `small` show the model that they stand for now.
pub(crate) async fn retrieve(State(app): State<AppState>, Path(id): Path<String>) -> Result<Response, ApiError> {
    let snapshot = app.fleet().snapshot();
    let model = find(&snapshot, &id)?;
    Ok(json(StatusCode::OK, &to_wire(model)))
}

fn find<'a>(snapshot: &'a Snapshot, id: &str) -> Result<&'a FleetModel, ApiError> {
    let named = |name: &str| snapshot.listed().find(|model| model.id == name);
    if let Some(model) = named(id) {
        return Ok(model);
    }
    // Only a request's name decides whether a name exists, so it is asked in the same way.
    let to_api = |error| ApiError::from_domain(&error, PromptField::Messages);
    let route = route(id, None, snapshot).map_err(to_api)?;
    named(&route.first().public_name).ok_or_else(|| {
        tracing::error!(model = route.first().public_name, "a route leads to a model that is not listed");
        ApiError::internal()
    })
}

fn to_wire(model: &FleetModel) -> Model {
    let mut wire = Model::new(&model.id, model.created, &model.owned_by);
    wire.max_model_len = model.window;
    let backends: Vec<&str> = model.replicas.iter().map(|replica| replica.backend.as_str()).collect();
    let fields = [
        ("parent", field(&model.parent)),
        ("tier", field(&model.tier)),
        ("state", field(&model.state)),
        ("backends", field(&backends)),
    ];
    for (name, value) in fields {
        if !value.is_null() {
            wire.rest.insert(name.to_owned(), value);
        }
    }
    wire
}

fn field(value: &impl Serialize) -> Value {
    serde_json::to_value(value).unwrap_or_default()
}
