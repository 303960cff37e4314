//! What all requests share: the fleet, the configuration in force, admission, the build.

use std::sync::Arc;
use std::time::Instant;

use lla_inference::fleet::Fleet;
use lla_tools::decide::Calibration;
use lla_tools::{Context, FleetModels, Registry};
use rmcp::ServerHandler;

use crate::admission::Admission;
use crate::config::{ConfigError, Origins, ServerConfig, ToolsConfig};
use crate::guard::Guard;
use crate::mcp;
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
    guard: Guard,
    stabiliser: PrefixStabiliser,
    admission: Admission,
    calibration: Calibration,
    tools: Registry,
    tool_context: Context,
    mcp: mcp::http::Service,
    mcp_calls: Arc<mcp::cancel::Calls>,
    build: Build,
    started: Instant,
}

impl AppState {
    /// Puts the parts together, with the tools as they are by default.
    ///
    /// # Errors
    /// When the configuration holds a value that can not work.
    pub fn new(config: ServerConfig, fleet: Arc<Fleet>, build: Build) -> Result<Self, ConfigError> {
        Self::with_tools(config, &ToolsConfig::default(), fleet, build)
    }

    /// Puts the parts together.
    ///
    /// # Errors
    /// When the configuration holds a value that can not work.
    pub fn with_tools(
        config: ServerConfig,
        tools_config: &ToolsConfig,
        fleet: Arc<Fleet>,
        build: Build,
    ) -> Result<Self, ConfigError> {
        let context = tools_config.context(Arc::new(FleetModels(Arc::clone(&fleet))));
        let server = mcp::http::server(Registry::standard(), context, &build.version);
        Self::with_mcp(config, tools_config, fleet, build, server)
    }

    /// Puts the parts together, with another MCP server than that of the tools behind `/mcp`: how the
    /// endpoint itself is held against the specification (`examples/mcp_fixture`).
    ///
    /// # Errors
    /// When the configuration holds a value that can not work.
    pub fn with_mcp(
        config: ServerConfig,
        tools_config: &ToolsConfig,
        fleet: Arc<Fleet>,
        build: Build,
        server: impl ServerHandler + Clone,
    ) -> Result<Self, ConfigError> {
        config.check()?;
        tools_config.check()?;
        let origins = config.cors.origins()?;
        let inner = Inner {
            stabiliser: config.prefix_stabiliser.compile()?,
            admission: Admission::new(config.max_in_flight),
            calibration: Calibration::default(),
            tools: Registry::standard(),
            tool_context: tools_config.context(Arc::new(FleetModels(Arc::clone(&fleet)))),
            mcp: mcp::http::service(server, &config),
            mcp_calls: Arc::default(),
            guard: Guard::new(&config, origins.clone()),
            started: Instant::now(),
            fleet,
            config,
            origins,
            build,
        };
        Ok(Self { inner: Arc::new(inner) })
    }

    pub(crate) fn fleet(&self) -> &Arc<Fleet> {
        &self.inner.fleet
    }

    pub(crate) fn config(&self) -> &ServerConfig {
        &self.inner.config
    }

    pub(crate) fn origins(&self) -> &Origins {
        &self.inner.origins
    }

    /// Who is let in.
    pub(crate) fn guard(&self) -> &Guard {
        &self.inner.guard
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

    /// The tools.
    pub(crate) fn tools(&self) -> &Registry {
        &self.inner.tools
    }

    /// What a tool call may use: the fleet's models, and the folders of the configuration.
    pub(crate) fn tool_context(&self) -> Context {
        self.inner.tool_context.clone()
    }

    /// Calls over `/mcp` that their client can still cancel.
    pub(crate) fn mcp_calls(&self) -> &Arc<mcp::cancel::Calls> {
        &self.inner.mcp_calls
    }

    /// `rmcp`'s part of `/mcp`.
    pub(crate) fn mcp(&self) -> &mcp::http::Service {
        &self.inner.mcp
    }

    pub(crate) fn build(&self) -> &Build {
        &self.inner.build
    }

    /// When this gateway was put together.
    pub(crate) fn started(&self) -> Instant {
        self.inner.started
    }
}
