//! SIGTERM and SIGINT: the first asks for an orderly end, the second ends at once.

use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::watch;

use crate::failure::{Exit, Failure, OrFail as _};

/// The signals so far.
#[derive(Debug)]
pub struct Stop {
    count: watch::Receiver<u32>,
}

impl Stop {
    /// Begins to listen; from now on the signals no longer end the process by themselves.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn listen() -> Result<Self, Failure> {
        let mut terminate = signal(SignalKind::terminate()).or_fail(Exit::Bug)?;
        let mut interrupt = signal(SignalKind::interrupt()).or_fail(Exit::Bug)?;
        let (sender, count) = watch::channel(0);
        tokio::spawn(async move {
            loop {
                let name = tokio::select! {
                    _ = terminate.recv() => "SIGTERM",
                    _ = interrupt.recv() => "SIGINT",
                };
                sender.send_modify(|count| *count += 1);
                if *sender.borrow() == 1 {
                    tracing::info!("{name}: running answers may finish; a second signal ends at once");
                }
            }
        });
        Ok(Self { count })
    }

    /// Resolves at the first signal; at once when it has come already.
    pub fn first(&self) -> impl Future<Output = ()> + Send + use<> {
        self.at_least(1)
    }

    /// Resolves at the second signal.
    pub fn at_once(&self) -> impl Future<Output = ()> + Send + use<> {
        self.at_least(2)
    }

    fn at_least(&self, wanted: u32) -> impl Future<Output = ()> + Send + use<> {
        let mut count = self.count.clone();
        async move {
            // The sender lives as long as the process: an error can only mean the end.
            drop(count.wait_for(|&count| count >= wanted).await);
        }
    }
}
