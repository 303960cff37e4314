//! What all requests share: the fleet, the configuration in force, admission, the build.

use std::sync::Arc;
use std::time::Instant;

use lla_inference::fleet::Fleet;
use lla_tools::decide::Calibration;

use crate::admission::Admission;
use crate::config::{ConfigError, Origins, ServerConfig};
use crate::stabilise::PrefixStabiliser;

/// Which program this is; shown by `GET /health`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Build {
    /// Version of the package.
    pub version: String,
    /// Commit it was built from, where known.
    pub commit: Option<String>,
    /// Cargo features that were on.
    pub features: Vec<String>,
}

/// Shared by all requests; cheap to clone.
#[derive(Clone)]
pub struct AppState {
    inner: Arc<Inner>,
}

struct Inner {
    fleet: Arc<Fleet>,
    config: ServerConfig,
    origins: Origins,
    stabiliser: PrefixStabiliser,
    admission: Admission,
    calibration: Calibration,
    build: Build,
    started: Instant,
}

impl AppState {
    /// Puts the parts together.
    ///
    /// # Errors
    /// When the configuration holds a value that can not work.
    pub fn new(config: ServerConfig, fleet: Arc<Fleet>, build: Build) -> Result<Self, ConfigError> {
        config.check()?;
        let origins = config.cors.origins()?;
        let stabiliser = config.prefix_stabiliser.compile()?;
        let admission = Admission::new(config.max_in_flight);
        let inner = Inner {
            fleet,
            config,
            origins,
            stabiliser,
            admission,
            calibration: Calibration::default(),
            build,
            started: Instant::now(),
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    pub(crate) fn fleet(&self) -> &Fleet {
        &self.inner.fleet
    }

    pub(crate) fn config(&self) -> &ServerConfig {
        &self.inner.config
    }

    pub(crate) fn origins(&self) -> &Origins {
        &self.inner.origins
    }

    pub(crate) fn stabiliser(&self) -> &PrefixStabiliser {
        &self.inner.stabiliser
    }

    pub(crate) fn admission(&self) -> &Admission {
        &self.inner.admission
    }

    /// What labels of decisions score anyway.
    pub(crate) fn calibration(&self) -> &Calibration {
        &self.inner.calibration
    }

    pub(crate) fn build(&self) -> &Build {
        &self.inner.build
    }

    /// When this gateway was put together.
    pub(crate) fn started(&self) -> Instant {
        self.inner.started
    }
}
