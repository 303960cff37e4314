//! The backends: who they are, which of their models work now, and who gets a request.
//!
//! A model of the configuration runs in an engine process of its own: `engine` decides when it
//! starts, restarts and stops, `engine_process` does it. Servers that run by themselves are asked
//! for their models from time to time (`server`). [`Fleet::snapshot`] shows both to
//! [`route`](crate::route::route).
//!
//! What it does not: choose a model for a request, limit callers, know HTTP.

mod backoff;
mod config;
mod engine;
mod engine_process;
mod in_flight;
mod routed;
mod server;
mod socket;
mod status;

use std::path::Path;
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::future::join_all;
use tokio::process::Command;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use config::{DefaultSampling, EngineModelConfig, FleetConfig, StartPolicy};
use engine::{Engine, Request};
pub use routed::RoutedBackend;
use server::Server;
pub use status::{BackendStatus, FleetModel, ModelState, Snapshot};

use crate::driver::BuildError;
use crate::{
    Backend, ChatRequest, CompletionRequest, EmbedRequest, Embeddings, Error, EventStream, OpenAiBackend, Route,
};

/// Servers are asked this often for their models.
const REFRESH: Duration = Duration::from_secs(10);
/// As long as one of them fails, more often.
const REFRESH_FAILED: Duration = Duration::from_secs(3);

/// How an engine process is started: the one thing of an engine that this crate does not know.
pub trait Launch: Send + Sync {
    /// A command that serves `model` on `socket` (see [`EngineModelConfig::to_args`]) and ends when
    /// its standard input is closed. The fleet sets its standard streams.
    fn command(&self, model: &str, config: &EngineModelConfig, socket: &Path) -> Command;
}

/// See the module. Dropping it ends its engines without grace; [`Fleet::shutdown`] is kinder.
#[derive(Debug)]
pub struct Fleet {
    engines: Vec<Arc<Engine>>,
    servers: Vec<Server>,
    closing: CancellationToken,
    /// Supervisors of engines, and the refresher.
    tasks: TaskTracker,
}

impl Fleet {
    /// Builds the fleet and starts the engines that are to start at once, without waiting for them.
    /// To be called within a runtime.
    ///
    /// # Errors
    /// When a backend's configuration is wrong, or the folder for sockets can not be used.
    #[expect(clippy::needless_pass_by_value, reason = "handed over: each engine keeps a share of it")]
    pub fn new(config: FleetConfig, launcher: Arc<dyn Launch>) -> Result<Arc<Self>, BuildError> {
        if tokio::runtime::Handle::try_current().is_err() {
            return Err(BuildError::NoRuntime);
        }
        if !config.models.is_empty() {
            socket::prepare_folder(&config.run_dir)?;
        }
        let mut engines = Vec::with_capacity(config.models.len());
        for (index, (name, model)) in config.models.into_iter().enumerate() {
            let socket = socket::path(&config.run_dir, &name, index)?;
            engines.push(Arc::new(Engine::new(name, model, socket, Arc::clone(&launcher))?));
        }
        let mut servers = Vec::with_capacity(config.backends.len());
        for (name, server) in &config.backends {
            let backend = OpenAiBackend::new(name, server)?;
            servers.push(Server::new(Arc::new(backend), server.dialect.as_str(), server.tier, &server.models));
        }
        Ok(Self::start(engines, servers))
    }

    /// A fleet of ready-made backends, for tests. Models of a backend that answers at once (a mock)
    /// are there at once; others after [`Fleet::refresh`].
    #[must_use]
    pub fn from_backends(backends: Vec<Arc<dyn Backend>>) -> Arc<Self> {
        let servers: Vec<Server> =
            backends.into_iter().map(|backend| Server::new(backend, "custom", None, &[])).collect();
        for server in &servers {
            server.refresh_if_immediate();
        }
        let (closing, tasks) = (CancellationToken::new(), TaskTracker::new());
        Arc::new(Self { engines: Vec::new(), servers, closing, tasks })
    }

    fn start(engines: Vec<Arc<Engine>>, servers: Vec<Server>) -> Arc<Self> {
        let (closing, tasks) = (CancellationToken::new(), TaskTracker::new());
        for engine in &engines {
            tasks.spawn(Arc::clone(engine).supervise(closing.clone()));
        }
        let fleet = Arc::new(Self { engines, servers, closing: closing.clone(), tasks: tasks.clone() });
        if !fleet.servers.is_empty() {
            let refreshing = refresh_again_and_again(Arc::downgrade(&fleet));
            tasks.spawn(async move { closing.run_until_cancelled(refreshing).await });
        }
        fleet
    }

    /// Asks every server for its models. Engines need no asking.
    pub async fn refresh(&self) {
        join_all(self.servers.iter().map(Server::refresh)).await;
    }

    /// What works now; cheap, asks nobody.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let mut models: Vec<FleetModel> = self.engines.iter().map(|engine| engine.model()).collect();
        for mut model in self.servers.iter().flat_map(Server::models) {
            let taken = |id: &str| models.iter().any(|other| other.id == id);
            if taken(&model.id) {
                model.id = format!("{}/{}", model.backend, model.backend_model);
            }
            if !taken(&model.id) {
                models.push(model);
            }
        }
        Snapshot { models }
    }

    /// Asks every backend for a sign of life, all at the same time.
    pub async fn health(&self) -> Vec<BackendStatus> {
        let engines = join_all(self.engines.iter().map(|engine| engine.status()));
        let servers = join_all(self.servers.iter().map(Server::status));
        let (mut all, servers) = futures_util::future::join(engines, servers).await;
        all.extend(servers);
        all
    }

    /// Has the route's backend answer, starting its engine when it does not run.
    ///
    /// # Errors
    /// When the backend can not be started, is not there, or refuses the request.
    pub async fn chat(&self, route: &Route, request: ChatRequest) -> Result<EventStream, Error> {
        if let Some(engine) = self.engine(route) {
            return engine.answer(Request::Chat(request)).await;
        }
        self.server(route)?.chat(request).await
    }

    /// Like [`Fleet::chat`] for a text completion.
    ///
    /// # Errors
    /// Like [`Fleet::chat`].
    pub async fn complete(&self, route: &Route, request: CompletionRequest) -> Result<EventStream, Error> {
        if let Some(engine) = self.engine(route) {
            return engine.answer(Request::Complete(request)).await;
        }
        self.server(route)?.complete(request).await
    }

    /// Has the route's backend turn texts into vectors.
    ///
    /// # Errors
    /// Like [`Fleet::chat`].
    pub async fn embed(&self, route: &Route, request: EmbedRequest) -> Result<Embeddings, Error> {
        if let Some(engine) = self.engine(route) {
            return engine.embed(&request).await;
        }
        self.server(route)?.embed(request).await
    }

    /// Counts the prompt tokens of a chat request as the route's model would see it.
    ///
    /// # Errors
    /// When the backend can not be started, or can not count.
    pub async fn count_tokens(&self, route: &Route, request: &ChatRequest) -> Result<u32, Error> {
        if let Some(engine) = self.engine(route) {
            return engine.count_tokens(request).await;
        }
        self.server(route)?.count_tokens(request).await
    }

    /// Stops every engine: closes its standard input, waits up to `grace` for its end, then kills it.
    /// Nothing is started any more.
    pub async fn shutdown(&self, grace: Duration) {
        for engine in &self.engines {
            engine.set_grace(grace);
        }
        self.closing.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }

    fn engine(&self, route: &Route) -> Option<&Arc<Engine>> {
        self.engines.iter().find(|engine| engine.name() == route.backend)
    }

    fn server(&self, route: &Route) -> Result<&Server, Error> {
        self.servers.iter().find(|server| server.name() == route.backend).ok_or_else(|| {
            tracing::error!(backend = route.backend, "a route leads to a backend that does not exist");
            Error::Internal
        })
    }

    fn any_server_failed(&self) -> bool {
        self.servers.iter().any(|server| server.state().is_failed())
    }
}

impl Drop for Fleet {
    fn drop(&mut self) {
        self.closing.cancel();
    }
}

async fn refresh_again_and_again(fleet: Weak<Fleet>) {
    while let Some(fleet) = fleet.upgrade() {
        fleet.refresh().await;
        let pause = if fleet.any_server_failed() { REFRESH_FAILED } else { REFRESH };
        drop(fleet);
        tokio::time::sleep(pause).await;
    }
}
