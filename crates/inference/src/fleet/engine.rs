//! One model with an engine process: when the process starts, restarts and stops.
//!
//! [`Engine::supervise`] is the one task that owns the process. Everybody else sees the [`Phase`]:
//! a request that needs the engine turns `Stopped` into `Starting` and waits for what comes of it,
//! so that however many requests come, there is one start at a time.

mod supervise;

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::{Duration, UNIX_EPOCH};

use tokio::sync::watch;
use tokio::time::{Instant, timeout};

use super::in_flight::{InFlight, InFlightGuard};
use super::member::Request;
use super::status::{BackendStatus, FleetModel, ModelState, Replica};
use super::vitals::Vitals;
use super::{EngineModelConfig, Launch, StartPolicy};
use crate::driver::{BuildError, Dialect};
use crate::resilience::BreakerConfig;
use crate::{
    Backend as _, BackendHealth, ChatRequest, EmbedRequest, Embeddings, Error, EventStream, OpenAiBackend,
    ScoreRequest, Scores,
};

/// A request waits this long for the next attempt to start; longer, and it is refused at once.
const SHORT_WAIT: Duration = Duration::from_secs(1);
/// A process that refuses connections is seen to have ended within this time.
const DEATH_SEEN: Duration = Duration::from_secs(1);

/// See the module.
pub(super) struct Engine {
    name: String,
    config: EngineModelConfig,
    socket: PathBuf,
    launcher: Arc<dyn Launch>,
    phase: watch::Sender<Phase>,
    in_flight: InFlight,
    restarts: AtomicU32,
    /// Context window, once an engine has told it.
    window: OnceLock<u32>,
    /// Unix seconds.
    created: i64,
    /// For a stop at shutdown.
    grace: Mutex<Duration>,
    /// Counts the changes of what [`Engine::model`] tells.
    version: AtomicU64,
    vitals: Vitals,
}

/// Where the process is in its life.
#[derive(Debug, Clone)]
enum Phase {
    Stopped,
    Starting,
    Ready(Arc<Running>),
    Stopping,
    /// Does not run. Is tried again at `next`, or (`None`) with the next request.
    Failed {
        message: String,
        next: Option<Instant>,
    },
    /// For ever.
    Closed,
}

/// A process that answers.
#[derive(Debug)]
struct Running {
    backend: OpenAiBackend,
    pid: Option<u32>,
    since: Instant,
}

impl std::fmt::Debug for Engine {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Engine").field("name", &self.name).field("phase", &self.phase.borrow()).finish_non_exhaustive()
    }
}

impl Engine {
    pub(super) fn new(
        name: String,
        config: EngineModelConfig,
        socket: PathBuf,
        launcher: Arc<dyn Launch>,
    ) -> Result<Self, BuildError> {
        let Some(path) = &config.path else {
            let message = "is missing: which file is the model?".to_owned();
            return Err(BuildError::Field { field: format!("models.{name}.path"), message });
        };
        let phase = match config.start {
            StartPolicy::AtStart => Phase::Starting,
            StartPolicy::OnFirstUse => Phase::Stopped,
        };
        Ok(Self {
            name,
            created: modified(path),
            config,
            socket,
            launcher,
            phase: watch::Sender::new(phase),
            in_flight: InFlight::new(),
            restarts: AtomicU32::new(0),
            window: OnceLock::new(),
            grace: Mutex::new(Duration::ZERO),
            version: AtomicU64::new(0),
            // Its supervisor does what a breaker would.
            vitals: Vitals::new(BreakerConfig { failures: 0, ..BreakerConfig::default() }),
        })
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) fn vitals(&self) -> &Vitals {
        &self.vitals
    }

    pub(super) fn is_failed(&self) -> bool {
        matches!(*self.phase.borrow(), Phase::Failed { .. })
    }

    /// Another number than before when [`Engine::model`] may tell something else.
    pub(super) fn version(&self) -> u64 {
        self.version.load(Ordering::Acquire)
    }

    pub(super) fn set_grace(&self, grace: Duration) {
        *self.grace.lock().unwrap_or_else(PoisonError::into_inner) = grace;
    }

    pub(super) fn model(&self) -> FleetModel {
        FleetModel {
            id: self.name.clone(),
            replicas: vec![Replica {
                backend: self.name.clone(),
                model: self.name.clone(),
                state: self.phase.borrow().state(),
            }],
            tier: self.config.tier,
            window: self.window.get().copied().or(self.config.context),
            created: self.created,
            owned_by: "lla".to_owned(),
            parent: None,
            state: self.phase.borrow().state(),
        }
    }

    pub(super) async fn status(&self) -> BackendStatus {
        let phase = self.phase.borrow().clone();
        let (running, health) = match &phase {
            Phase::Ready(running) => (Some(running), running.backend.health().await),
            Phase::Failed { message, .. } => (None, BackendHealth::unreachable(message)),
            phase => (None, BackendHealth::unreachable(format!("the engine is {}", phase.state().as_str()))),
        };
        BackendStatus {
            name: self.name.clone(),
            kind: Dialect::LlaEngine.as_str(),
            state: phase.state(),
            models: vec![self.name.clone()],
            pid: running.and_then(|running| running.pid),
            restarts: self.restarts.load(Ordering::Relaxed),
            uptime: running.map(|running| running.since.elapsed()),
            strain: self.vitals.strain(std::time::Instant::now()),
            health,
        }
    }

    /// Has the engine answer; it is started for that when it does not run.
    pub(super) async fn answer(&self, request: Request) -> Result<EventStream, Error> {
        let (running, guard) = self.running().await?;
        let refused = match request.send(&running.backend).await {
            Ok(events) => return Ok(guard.hold_in(events)),
            Err(error) => error,
        };
        // The process may have died a moment ago: whoever got no answer has lost nothing and may go
        // to its successor. Once only: perhaps it was this request that the process died of.
        if matches!(refused, Error::Unavailable { .. }) && self.has_gone(&running).await {
            let (successor, guard) = self.running().await?;
            return request.send(&successor.backend).await.map(|events| guard.hold_in(events));
        }
        Err(refused)
    }

    /// Like [`Engine::answer`], for vectors.
    pub(super) async fn embed(&self, request: &EmbedRequest) -> Result<Embeddings, Error> {
        let (running, _guard) = self.running().await?;
        let outcome = running.backend.embed(request.clone()).await;
        if matches!(outcome, Err(Error::Unavailable { .. })) && self.has_gone(&running).await {
            let (successor, _guard) = self.running().await?;
            return successor.backend.embed(request.clone()).await;
        }
        outcome
    }

    /// Like [`Engine::answer`], for scores.
    pub(super) async fn score(&self, request: &ScoreRequest) -> Result<Scores, Error> {
        let (running, _guard) = self.running().await?;
        let outcome = running.backend.score(request.clone()).await;
        if matches!(outcome, Err(Error::Unavailable { .. })) && self.has_gone(&running).await {
            let (successor, _guard) = self.running().await?;
            return successor.backend.score(request.clone()).await;
        }
        outcome
    }

    pub(super) async fn count_tokens(&self, request: &ChatRequest) -> Result<u32, Error> {
        let (running, _guard) = self.running().await?;
        running.backend.count_tokens(request).await
    }

    /// The process that answers now, or will after its start. It is not stopped as unused while the
    /// guard lives.
    async fn running(&self) -> Result<(Arc<Running>, InFlightGuard), Error> {
        // Counted before the phase is read: see `unused`.
        let guard = self.in_flight.begin();
        let mut phases = self.phase.subscribe();
        let mut saw_start = false;
        loop {
            let phase = phases.borrow_and_update().clone();
            match phase {
                Phase::Ready(running) => return Ok((running, guard)),
                Phase::Starting => saw_start = true,
                Phase::Stopping => {}
                // The start that this request waited for has failed: another is another request's.
                Phase::Failed { message, next } if saw_start => return Err(self.unavailable(message, next)),
                Phase::Failed { message, next: Some(next) } if next > Instant::now() + SHORT_WAIT => {
                    return Err(self.unavailable(message, Some(next)));
                }
                Phase::Failed { next: Some(_), .. } => {}
                Phase::Stopped | Phase::Failed { next: None, .. } => self.ask_for_start(),
                Phase::Closed => return Err(self.unavailable("the gateway is shutting down".to_owned(), None)),
            }
            if phases.changed().await.is_err() {
                return Err(Error::Internal);
            }
        }
    }

    fn set_phase(&self, phase: Phase) -> Phase {
        let before = self.phase.send_replace(phase);
        self.changed();
        before
    }

    /// Tells that [`Engine::model`] may tell something else.
    fn changed(&self) {
        self.version.fetch_add(1, Ordering::Release);
    }

    fn ask_for_start(&self) {
        self.phase.send_if_modified(|phase| {
            let startable = matches!(phase, Phase::Stopped | Phase::Failed { next: None, .. });
            if startable {
                *phase = Phase::Starting;
            }
            startable
        });
        self.changed();
    }

    async fn has_gone(&self, running: &Arc<Running>) -> bool {
        let mut phases = self.phase.subscribe();
        let is_other = |phase: &Phase| !matches!(phase, Phase::Ready(current) if Arc::ptr_eq(current, running));
        matches!(timeout(DEATH_SEEN, phases.wait_for(is_other)).await, Ok(Ok(_)))
    }

    fn unavailable(&self, message: String, next: Option<Instant>) -> Error {
        let retry_after = next.map(|next| next.saturating_duration_since(Instant::now()));
        Error::Unavailable { backend: self.name.clone(), message, retry_after }
    }
}

impl Request {
    async fn send(&self, backend: &OpenAiBackend) -> Result<EventStream, Error> {
        match self {
            Self::Chat(request) => backend.chat(request.clone()).await,
            Self::Complete(request) => backend.complete(request.clone()).await,
        }
    }
}

impl Phase {
    fn state(&self) -> ModelState {
        match self {
            Self::Stopped | Self::Stopping | Self::Closed => ModelState::Stopped,
            Self::Starting => ModelState::Starting,
            Self::Ready(_) => ModelState::Ready,
            Self::Failed { message, .. } => ModelState::Failed { message: message.clone() },
        }
    }
}

/// When the file was last changed, in Unix seconds: stable from one start to the next.
fn modified(path: &Path) -> i64 {
    let time = std::fs::metadata(path).and_then(|metadata| metadata.modified());
    let since = time.ok().and_then(|time| time.duration_since(UNIX_EPOCH).ok());
    since.and_then(|since| i64::try_from(since.as_secs()).ok()).unwrap_or(0)
}
