//! The models of the configuration in engines of this process, started when the first call needs them.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::{self, Body};
use axum::http::{Request, header};
use lla_gateway::AppState;
use lla_inference::{Fleet, FleetConfig, StartPolicy};
use lla_tools::{FleetModels, Models, ToolError};
use serde_json::Value;
use tower::ServiceExt as _;

use super::gateway;
use crate::config::Config;
use crate::failure::{Exit, Failure, OrFail as _};
use crate::places::Places;
use crate::serve::{self, launcher, models, run_dir};

/// How long servers may take to say which models they have.
const FIRST_LOOK: Duration = Duration::from_secs(3);
/// How long engines may take to end by themselves.
const GRACE: Duration = Duration::from_secs(2);
/// A client keeps `lla mcp` for as long as it runs: an engine that nobody asks gives its memory back.
const IDLE: Duration = Duration::from_mins(10);

/// Longest answer, in bytes: 400 questions with 255 labels each.
const ANSWER_LIMIT: usize = 64 << 20;

/// The engines.
#[derive(Debug)]
pub(super) struct Embedded {
    fleet: Arc<Fleet>,
    /// The routes of a gateway, asked without a network.
    api: Router,
    _run_dir: run_dir::RunDir,
}

impl Embedded {
    /// Finds or pulls the models and makes ready to start them. Nothing listens on the network.
    pub(super) async fn start(config: &Config) -> Result<Self, Failure> {
        let places = Places::from_environment()?;
        let mut config = config.clone();
        models::resolve_all(&mut config, &places).await?;
        for model in config.models.values_mut() {
            model.start = StartPolicy::OnFirstUse;
            model.idle_timeout = model.idle_timeout.or(Some(IDLE));
        }
        let run_dir = run_dir::RunDir::create(&places.run())?;
        let launcher = Arc::new(launcher::EngineLauncher::new(&config.log)?);
        let fleet_config = FleetConfig {
            models: config.models,
            backends: config.backends,
            routes: config.routes,
            resilience: config.resilience,
            run_dir: run_dir.path().to_owned(),
        };
        let fleet = Fleet::new(fleet_config, launcher).or_fail(Exit::Usage)?;
        // A server that is slow to answer is asked again by the fleet itself.
        drop(tokio::time::timeout(FIRST_LOOK, fleet.refresh()).await);
        let state = AppState::with_tools(config.server, &config.tools, Arc::clone(&fleet), serve::build());
        Ok(Self { fleet, api: lla_gateway::app(state.or_fail(Exit::Usage)?), _run_dir: run_dir })
    }

    pub(super) fn models(&self) -> Arc<dyn Models> {
        Arc::new(FleetModels(Arc::clone(&self.fleet)))
    }

    /// Posts JSON to a route as a client of a gateway would. Dropping the future ends the work.
    pub(super) async fn post(&self, path: &str, body: &Value) -> Result<Value, ToolError> {
        let strange = |what: &str| lla_inference::Error::upstream("engine", format!("{path}: {what}"));
        let request = Request::post(path)
            .header(header::CONTENT_TYPE, "application/json")
            .body(Body::from(body.to_string()))
            .map_err(|error| strange(&error.to_string()))?;
        let Ok(response) = self.api.clone().oneshot(request).await;
        let good = response.status().is_success();
        let read = body::to_bytes(response.into_body(), ANSWER_LIMIT).await;
        let read = read.map_err(|error| strange(&error.to_string()))?;
        let answer: Value = serde_json::from_slice(&read).map_err(|error| strange(&error.to_string()))?;
        match gateway::refused(&answer["error"]) {
            Some(error) if !good => Err(error),
            _ if !good => Err(strange("an error without words").into()),
            _ => Ok(answer),
        }
    }

    pub(super) async fn stop(self) {
        self.fleet.shutdown(GRACE).await;
    }
}
