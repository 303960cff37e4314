//! The models of the configuration in engines of this process, started when the first call needs them.

use std::sync::Arc;
use std::time::Duration;

use lla_inference::{Fleet, FleetConfig, StartPolicy};
use lla_tools::{FleetModels, Models};

use crate::config::Config;
use crate::failure::{Exit, Failure, OrFail as _};
use crate::places::Places;
use crate::serve::{launcher, models, run_dir};

/// How long servers may take to say which models they have.
const FIRST_LOOK: Duration = Duration::from_secs(3);
/// How long engines may take to end by themselves.
const GRACE: Duration = Duration::from_secs(2);
/// A client keeps `lla mcp` for as long as it runs: an engine that nobody asks gives its memory back.
const IDLE: Duration = Duration::from_mins(10);

/// The engines.
#[derive(Debug)]
pub(super) struct Embedded {
    fleet: Arc<Fleet>,
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
        let fleet_config =
            FleetConfig { models: config.models, backends: config.backends, run_dir: run_dir.path().to_owned() };
        let fleet = Fleet::new(fleet_config, launcher).or_fail(Exit::Usage)?;
        // A server that is slow to answer is asked again by the fleet itself.
        drop(tokio::time::timeout(FIRST_LOOK, fleet.refresh()).await);
        Ok(Self { fleet, _run_dir: run_dir })
    }

    pub(super) fn models(&self) -> Arc<dyn Models> {
        Arc::new(FleetModels(Arc::clone(&self.fleet)))
    }

    pub(super) async fn stop(self) {
        self.fleet.shutdown(GRACE).await;
    }
}
