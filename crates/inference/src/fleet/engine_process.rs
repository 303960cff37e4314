//! One engine process: spawn, wait until it answers, see its end, stop it. No decisions here.

use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use tokio::process::{Child, ChildStdin, Command};
use tokio::time::{sleep, timeout};

use crate::{Backend as _, OpenAiBackend};

/// How often a starting engine is asked whether it is ready.
const POLL: Duration = Duration::from_millis(20);

/// A running process. Dropping it kills the process.
#[derive(Debug)]
pub(super) struct EngineProcess {
    child: Child,
    /// The engine ends when this closes: by [`EngineProcess::stop`], or by our own death.
    stdin: Option<ChildStdin>,
}

impl EngineProcess {
    pub(super) fn spawn(mut command: Command) -> io::Result<Self> {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::inherit())
            // Ctrl-C in a terminal is for the gateway alone: it lets answers finish first.
            .process_group(0)
            .kill_on_drop(true);
        let mut child = command.spawn()?;
        // `Child::wait` would close it.
        let stdin = child.stdin.take();
        Ok(Self { child, stdin })
    }

    /// `None` when the process has ended already.
    pub(super) fn pid(&self) -> Option<u32> {
        self.child.id()
    }

    /// Waits until the engine answers that it is well.
    ///
    /// # Errors
    /// Why it will not: it ended, or took longer than `limit`.
    pub(super) async fn wait_ready(&mut self, backend: &OpenAiBackend, limit: Duration) -> Result<(), String> {
        let answers = async {
            while !backend.health().await.reachable {
                sleep(POLL).await;
            }
        };
        tokio::select! {
            () = answers => Ok(()),
            how = self.ended() => Err(format!("its engine ended while it was loading ({how}); the log says why")),
            () = sleep(limit) => Err(format!("its engine was not ready within {}", humantime::format_duration(limit))),
        }
    }

    /// Waits for the end of the process and describes it. May be dropped and called again.
    pub(super) async fn ended(&mut self) -> String {
        describe(self.child.wait().await)
    }

    /// Asks the process to end, and kills it after `grace`.
    pub(super) async fn stop(mut self, grace: Duration) {
        drop(self.stdin.take());
        if timeout(grace, self.child.wait()).await.is_ok() {
            return;
        }
        tracing::warn!(pid = self.pid(), "the engine did not end in time and is killed");
        if let Err(error) = self.child.kill().await {
            tracing::error!(%error, "the engine can not be killed");
        }
    }
}

fn describe(end: io::Result<ExitStatus>) -> String {
    match end {
        Ok(status) => status.to_string(),
        Err(error) => format!("its end can not be seen: {error}"),
    }
}
