//! Keeps a number of requests running at the same time.

use std::pin::Pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::{FutureExt as _, StreamExt as _, stream};
use tokio_util::task::AbortOnDropHandle;

use super::measure::{Fault, Level, Recorder};
use super::prompt::Prompts;
use super::request::Asker;
use crate::failure::{Exit, Failure, OrFail as _};

/// How much one level measures.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Amount {
    /// So many requests.
    Requests(u32),
    /// New ones for so long.
    For(Duration),
}

/// Whether somebody has asked to stop.
pub struct Stop {
    signal: Pin<Box<dyn Future<Output = ()> + Send>>,
    asked: bool,
}

impl std::fmt::Debug for Stop {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Stop").field("asked", &self.asked).finish_non_exhaustive()
    }
}

impl Stop {
    /// Ctrl-C asks.
    #[must_use]
    pub fn on_ctrl_c() -> Self {
        // Where no signal can be waited for, none comes: the system then ends the process itself.
        let signal = async {
            if tokio::signal::ctrl_c().await.is_err() {
                std::future::pending::<()>().await;
            }
        };
        Self { signal: Box::pin(signal.fuse()), asked: false }
    }

    /// Whether it has been asked for.
    #[must_use]
    pub fn is_asked(&self) -> bool {
        self.asked
    }

    /// What `work` gives; `None`, with the work dropped, when stopping was asked for before its end.
    pub async fn unless<T>(&mut self, work: impl Future<Output = T>) -> Option<T> {
        if self.asked {
            return None;
        }
        tokio::select! {
            biased;
            () = &mut self.signal => {
                self.asked = true;
                None
            }
            done = work => Some(done),
        }
    }
}

/// Measures one level of concurrency. When it is stopped, requests that still run are given up and not
/// counted.
///
/// # Errors
/// Only a bug of ours.
pub async fn level(
    asker: &Arc<Asker>,
    prompts: &Arc<Prompts>,
    concurrency: u32,
    amount: Amount,
    stop: &mut Stop,
) -> Result<Level, Failure> {
    let mut recorder = Recorder::new().or_fail(Exit::Bug)?;
    let begin = Instant::now();
    let wanted = move |number: u64| match amount {
        Amount::Requests(count) => number < u64::from(count),
        Amount::For(time) => begin.elapsed() < time,
    };
    // The numbers of a level do not meet those of another: no prompt comes twice.
    let offset = 1 + (u64::from(concurrency) << 32);
    let numbers = stream::iter(0_u64..).take_while(move |&number| std::future::ready(wanted(number)));
    let one = |number: u64| {
        let (asker, prompts) = (Arc::clone(asker), Arc::clone(prompts));
        let task = tokio::spawn(async move { asker.ask(&prompts.at(offset + number)).await });
        AbortOnDropHandle::new(task)
            .map(|done| done.unwrap_or_else(|error| Err(Fault { kind: "bug".to_owned(), message: error.to_string() })))
    };
    let mut answers = numbers.map(one).buffer_unordered(concurrency as usize);
    while let Some(Some(answer)) = stop.unless(answers.next()).await {
        recorder.record(answer);
    }
    drop(answers);
    Ok(recorder.level(concurrency, begin.elapsed()))
}
