//! The one task that owns an engine's process: start, watch, restart after a pause, stop when unused.

use std::sync::atomic::Ordering;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};
use tokio_util::sync::CancellationToken;

use super::{Engine, Phase, Running};
use crate::driver::{Dialect, HttpBackendConfig, Timeouts};
use crate::fleet::backoff::Backoff;
use crate::fleet::engine_process::EngineProcess;
use crate::fleet::in_flight::IdleDecision;
use crate::fleet::{StartPolicy, socket};
use crate::{Backend as _, OpenAiBackend};

/// How long an unused engine may take to end.
const IDLE_GRACE: Duration = Duration::from_secs(10);

/// How a run of the process ended.
enum End {
    Unused,
    Closed,
    Failed { message: String, ready_for: Option<Duration> },
}

impl Engine {
    /// Owns the process until the fleet closes.
    pub(in crate::fleet) async fn supervise(self: Arc<Self>, closing: CancellationToken) {
        closing.run_until_cancelled(self.wait_until_wanted()).await;
        let mut backoff = Backoff::default();
        while !closing.is_cancelled() {
            match self.run_once(&closing).await {
                End::Closed => break,
                End::Unused => {
                    tracing::info!(model = self.name, "engine stopped: unused");
                    self.set_phase(Phase::Stopped);
                }
                End::Failed { message, ready_for } => {
                    let pause = backoff.after(ready_for);
                    tracing::error!(model = self.name, message, next_start_in = ?pause, "engine failed");
                    self.restarts.fetch_add(1, Ordering::Relaxed);
                    closing.run_until_cancelled(self.sit_out(message, pause)).await;
                }
            }
            closing.run_until_cancelled(self.wait_until_wanted()).await;
        }
        self.set_phase(Phase::Closed);
    }

    async fn wait_until_wanted(&self) {
        // An error means that there is no sender, and we are it.
        drop(self.phase.subscribe().wait_for(|phase| matches!(phase, Phase::Starting)).await);
    }

    /// The pause after a failure. Then an engine that is to run always is tried again; one that runs
    /// on use waits for its next user, unless it was in service.
    async fn sit_out(&self, message: String, pause: Duration) {
        if !pause.is_zero() {
            let next = Some(Instant::now() + pause);
            self.set_phase(Phase::Failed { message: message.clone(), next });
            sleep(pause).await;
        }
        self.set_phase(match self.config.start {
            StartPolicy::OnFirstUse if !pause.is_zero() => Phase::Failed { message, next: None },
            _ => Phase::Starting,
        });
    }

    /// From start to end of one process.
    async fn run_once(&self, closing: &CancellationToken) -> End {
        let started = closing.run_until_cancelled(self.start()).await;
        let (mut process, running) = match started {
            None => return End::Closed,
            Some(Err(message)) => return End::Failed { message, ready_for: None },
            Some(Ok(started)) => started,
        };
        let since = running.since;
        self.in_flight.touch();
        self.set_phase(Phase::Ready(running));
        tokio::select! {
            how = process.ended() => {
                let message = format!("its engine process ended ({how})");
                End::Failed { message, ready_for: Some(since.elapsed()) }
            }
            () = self.unused() => {
                process.stop(IDLE_GRACE).await;
                End::Unused
            }
            () = closing.cancelled() => {
                let grace = *self.grace.lock().unwrap_or_else(PoisonError::into_inner);
                self.set_phase(Phase::Closed);
                process.stop(grace).await;
                End::Closed
            }
        }
    }

    async fn start(&self) -> Result<(EngineProcess, Arc<Running>), String> {
        let begin = Instant::now();
        socket::remove(&self.socket)
            .map_err(|error| format!("the socket of a former engine is in the way: {error}"))?;
        let backend = OpenAiBackend::new(&self.name, &self.connection()).map_err(|error| error.to_string())?;
        let command = self.launcher.command(&self.name, &self.config, &self.socket);
        let mut process =
            EngineProcess::spawn(command).map_err(|error| format!("its engine can not be started: {error}"))?;
        process.wait_ready(&backend, self.config.load_timeout).await?;
        self.learn(&backend).await;
        let pid = process.pid();
        tracing::info!(model = self.name, pid, load_time = ?begin.elapsed(), "engine ready");
        Ok((process, Arc::new(Running { backend, pid, since: Instant::now() })))
    }

    /// The first engine tells the window.
    async fn learn(&self, backend: &OpenAiBackend) {
        match backend.models().await {
            Ok(models) => {
                if let Some(window) = models.iter().find_map(|model| model.window) {
                    // Said by an earlier process already: the same file has the same window.
                    self.window.get_or_init(|| window);
                    self.changed();
                }
            }
            Err(error) => tracing::warn!(model = self.name, %error, "the engine does not tell its window"),
        }
    }

    fn connection(&self) -> HttpBackendConfig {
        // Our engine sends a sign of life every few seconds, also while it prefills. An answer may
        // take as long as it takes: the caller's patience is the limit.
        let timeouts = Timeouts { total: Duration::from_secs(24 * 3600), ..Timeouts::default() };
        HttpBackendConfig {
            socket: Some(self.socket.clone()),
            dialect: Dialect::LlaEngine,
            timeouts,
            ..HttpBackendConfig::default()
        }
    }

    /// Waits until the engine has been unused for as long as its configuration allows. Returns in the
    /// phase `Stopping`, in which no request gets the process any more.
    async fn unused(&self) {
        let Some(limit) = self.config.idle_timeout else { return std::future::pending().await };
        loop {
            match self.in_flight.usage().decide(limit, Instant::now()) {
                IdleDecision::Busy => self.in_flight.one_ended().await,
                IdleDecision::At(due) => sleep_until(due).await,
                IdleDecision::Stop => {
                    let ready = self.set_phase(Phase::Stopping);
                    // A request that came in between has counted itself before it read the phase: it
                    // is either seen here, or it sees that the engine is stopping.
                    if self.in_flight.usage().running == 0 {
                        return;
                    }
                    self.set_phase(ready);
                }
            }
        }
    }
}
