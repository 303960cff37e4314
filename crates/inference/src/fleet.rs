//! The backends: who they are, which of their models work now, and who gets a request.
//!
//! A model of the configuration runs in an engine process of its own: `engine` decides when it
//! starts, restarts and stops, `engine_process` does it. Servers that run by themselves are asked
//! for their models from time to time (`server`). [`Fleet::snapshot`] shows both to
//! [`route`](crate::route::route).
//!
//! A request goes to the targets of its route (`dispatch`): to the one that suits best, and to the next one when
//! that fails before anything was handed out. `vitals` is what is known of a backend for that.
//!
//! What it does not: choose a model for a request, limit callers, know HTTP.

mod answer;
mod backoff;
mod config;
mod dispatch;
mod engine;
mod engine_process;
mod in_flight;
mod listing;
mod load;
mod member;
mod routed;
mod server;
mod socket;
mod status;
mod vitals;

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

use futures_util::future::join_all;
use lla_protocol::systemone::{SystemOneAnswer, SystemOneRequest};
use tokio::process::Command;
use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

pub use answer::Answer;
pub use config::{DefaultSampling, EngineModelConfig, FleetConfig, StartPolicy};
use dispatch::Dispatch;
use engine::Engine;
use listing::Listing;
use member::{Member, Request};
pub use routed::RoutedBackend;
use server::Server;
pub use status::{BackendStatus, FleetModel, ModelState, Replica, Snapshot};
pub use vitals::Strain;

use crate::driver::{self, BuildError};
use crate::resilience::ResilienceConfig;
use crate::resilience::budget::Budget;
use crate::route::{RouteConfig, Target};
use crate::{
    Backend, ChatRequest, CompletionRequest, EmbedRequest, Embeddings, Error, EventStream, Route, ScoreRequest, Scores,
};

/// As long as a server fails it is asked for its models this often, if that is more often than configured.
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
    servers: Vec<Arc<Server>>,
    listing: Listing,
    resilience: ResilienceConfig,
    budget: Mutex<Budget>,
    /// A server that was well is not any more.
    failing: Arc<Notify>,
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
        let failing = Arc::new(Notify::new());
        let mut servers = Vec::with_capacity(config.backends.len());
        for (name, server) in &config.backends {
            let backend = driver::open(name, server)?;
            let (kind, breaker) = (server.dialect.as_str(), config.resilience.breaker);
            let server = Server::new(backend, kind, server.tier, &server.models, breaker);
            servers.push(Arc::new(server.telling(&failing)));
        }
        let fleet = Arc::new(Self::of(engines, servers, config.routes, config.resilience, failing));
        fleet.start();
        Ok(fleet)
    }

    /// A fleet of ready-made backends, for tests. Models of a backend that answers at once (a mock)
    /// are there at once; others after [`Fleet::refresh`].
    #[must_use]
    pub fn from_backends(backends: Vec<Arc<dyn Backend>>) -> Arc<Self> {
        Self::from_backends_with(backends, FleetConfig::default())
    }

    /// Like [`Fleet::from_backends`], with the routes and the resilience of a configuration.
    #[must_use]
    pub fn from_backends_with(backends: Vec<Arc<dyn Backend>>, config: FleetConfig) -> Arc<Self> {
        let breaker = config.resilience.breaker;
        let server = |backend| Arc::new(Server::new(backend, "custom", None, &[], breaker));
        let servers: Vec<Arc<Server>> = backends.into_iter().map(server).collect();
        for server in &servers {
            server.refresh_if_immediate();
        }
        Arc::new(Self::of(Vec::new(), servers, config.routes, config.resilience, Arc::default()))
    }

    fn of(
        engines: Vec<Arc<Engine>>,
        servers: Vec<Arc<Server>>,
        routes: BTreeMap<String, RouteConfig>,
        resilience: ResilienceConfig,
        failing: Arc<Notify>,
    ) -> Self {
        let listing = Listing::new(routes);
        let budget = Mutex::new(Budget::new(resilience.retry.share, now()));
        let (closing, tasks) = (CancellationToken::new(), TaskTracker::new());
        Self { engines, servers, listing, resilience, budget, failing, closing, tasks }
    }

    fn start(self: &Arc<Self>) {
        for engine in &self.engines {
            self.tasks.spawn(Arc::clone(engine).supervise(self.closing.clone()));
        }
        if !self.servers.is_empty() {
            let refreshing = refresh_again_and_again(Arc::downgrade(self));
            let closing = self.closing.clone();
            self.tasks.spawn(async move { closing.run_until_cancelled(refreshing).await });
        }
    }

    /// Asks every server for its models. Engines need no asking.
    pub async fn refresh(&self) {
        join_all(self.servers.iter().map(|server| server.refresh())).await;
    }

    /// What works now; cheap, asks nobody.
    #[must_use]
    pub fn snapshot(&self) -> Arc<Snapshot> {
        self.listing.snapshot(&self.engines, &self.servers)
    }

    /// Asks every backend for a sign of life, all at the same time.
    pub async fn health(&self) -> Vec<BackendStatus> {
        let engines = join_all(self.engines.iter().map(|engine| engine.status()));
        let servers = join_all(self.servers.iter().map(|server| server.status()));
        let (mut all, servers) = futures_util::future::join(engines, servers).await;
        all.extend(servers);
        all
    }

    /// Has one of the route's backends answer, starting its engine when it does not run. When one fails
    /// before its first event, the next one is asked: see [`crate::resilience`].
    ///
    /// # Errors
    /// When none of them can be started, is there, or accepts the request: what the last one said.
    pub async fn chat(self: &Arc<Self>, route: &Route, request: ChatRequest) -> Result<Answer<EventStream>, Error> {
        let (key, load) = (load::chat_key(&request), load::of_chat(&request));
        answer::stream(self, route, Request::Chat(request), Some(key), load).await
    }

    /// Like [`Fleet::chat`] for a text completion.
    ///
    /// # Errors
    /// Like [`Fleet::chat`].
    pub async fn complete(
        self: &Arc<Self>,
        route: &Route,
        request: CompletionRequest,
    ) -> Result<Answer<EventStream>, Error> {
        let (key, load) = (load::completion_key(&request), load::of_completion(&request));
        answer::stream(self, route, Request::Complete(request), key, load).await
    }

    /// Has one of the route's backends turn texts into vectors.
    ///
    /// # Errors
    /// Like [`Fleet::chat`].
    pub async fn embed(self: &Arc<Self>, route: &Route, request: EmbedRequest) -> Result<Answer<Embeddings>, Error> {
        let load = load::of_prompt(&request.input);
        let request = &request;
        self.whole(route, load, |member, target| async move { member.embed(request, &target).await }).await
    }

    /// Has one of the route's backends tell how likely texts are.
    ///
    /// # Errors
    /// Like [`Fleet::chat`].
    pub async fn score(self: &Arc<Self>, route: &Route, request: ScoreRequest) -> Result<Answer<Scores>, Error> {
        let request = &request;
        let load = load::of_scores(request);
        self.whole(route, load, |member, target| async move { member.score(request, &target).await }).await
    }

    /// Has one of the route's backends answer typed decisions by itself.
    ///
    /// # Errors
    /// Like [`Fleet::chat`]; engines always refuse: see [`Fleet::score`].
    pub async fn decide(
        self: &Arc<Self>,
        route: &Route,
        request: SystemOneRequest,
    ) -> Result<Answer<SystemOneAnswer>, Error> {
        let request = &request;
        self.whole(route, 0, |member, target| async move { member.decide(request, &target).await }).await
    }

    /// Counts the prompt tokens of a chat request as the route's model would see it.
    ///
    /// # Errors
    /// When the backend can not be started, or can not count.
    pub async fn count_tokens(self: &Arc<Self>, route: &Route, request: &ChatRequest) -> Result<u32, Error> {
        let counted =
            self.whole(route, 0, |member, target| async move { member.count_tokens(request, &target).await }).await?;
        Ok(counted.value)
    }

    /// An answer that comes in one piece.
    async fn whole<T, F>(
        self: &Arc<Self>,
        route: &Route,
        load: u64,
        send: impl Fn(Member, Target) -> F,
    ) -> Result<Answer<T>, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let mut dispatch = Dispatch::new(self, route, None, load);
        let (begun, limits) = (dispatch.begun, route.policy.limits);
        let (send, limits) = (&send, &limits);
        let within = |member: Member, target| async move {
            let name = member.name().to_owned();
            answer::within(limits, begun, false, &name, send(member, target)).await?
        };
        let mut answered = dispatch.run(within).await?;
        answered.ticket.answered();
        Ok(Answer { served_by: answered.target, value: answered.value })
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

    fn member(&self, name: &str) -> Option<Member> {
        let engine = self.engines.iter().find(|engine| engine.name() == name);
        let server = || self.servers.iter().find(|server| server.name() == name);
        engine.map(|engine| Member::Engine(Arc::clone(engine))).or_else(|| Some(Member::Server(Arc::clone(server()?))))
    }

    fn resilience(&self) -> &ResilienceConfig {
        &self.resilience
    }

    /// A `std` mutex: held for a few instructions, never across an await.
    fn budget(&self) -> MutexGuard<'_, Budget> {
        self.budget.lock().unwrap_or_else(PoisonError::into_inner)
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

/// The time of the runtime, which tests may stop and move.
fn now() -> Instant {
    tokio::time::Instant::now().into_std()
}

/// All servers as often as configured; those that failed more often, from the moment when a request sees it.
async fn refresh_again_and_again(fleet: Weak<Fleet>) {
    let mut all_due = now();
    while let Some(strong) = fleet.upgrade() {
        if now() >= all_due {
            strong.refresh().await;
            all_due = now() + strong.resilience.models_refresh;
        } else {
            let failed = strong.servers.iter().filter(|server| server.state().is_failed());
            join_all(failed.map(|server| server.refresh())).await;
        }
        let soon = now() + REFRESH_FAILED;
        let next = if strong.any_server_failed() { soon.min(all_due) } else { all_due };
        let failing = Arc::clone(&strong.failing);
        drop(strong);
        tokio::select! {
            () = tokio::time::sleep_until(next.into()) => {}
            () = failing.notified(), if next > soon => tokio::time::sleep(REFRESH_FAILED).await,
        }
    }
}
