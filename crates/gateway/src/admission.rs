//! Who may come in: a bound on requests in flight, and the door that closes at shutdown.
//!
//! An [`Admitted`] is handed out per request and moved into the body of its answer. It is released
//! when that body ends, however it ends, so that a stream counts for as long as it runs.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::{CancellationToken, WaitForCancellationFutureOwned};

use crate::access_log::Trace;
use crate::error::{ApiError, Reason};

/// What a full gateway tells a client to wait.
const RETRY_WHEN_FULL: Duration = Duration::from_secs(1);
/// How long ended requests have to write their last bytes.
const LAST_WORDS: Duration = Duration::from_secs(1);

/// The door of the gateway.
#[derive(Debug)]
pub(crate) struct Admission {
    places: Arc<Semaphore>,
    limit: u32,
    /// No new work.
    draining: CancellationToken,
    /// Work that still runs must end now.
    cut: CancellationToken,
}

/// One admitted request: its place, and where its facts are noted.
#[derive(Debug)]
pub(crate) struct Admitted {
    _place: OwnedSemaphorePermit,
    /// When the request was let in.
    pub(crate) since: Instant,
    /// Facts for the request's log line.
    pub(crate) trace: Trace,
    cut: CancellationToken,
}

impl Admission {
    pub(crate) fn new(limit: u32) -> Self {
        Self {
            places: Arc::new(Semaphore::new(limit as usize)),
            limit,
            draining: CancellationToken::new(),
            cut: CancellationToken::new(),
        }
    }

    /// Lets a request in, or says why not.
    pub(crate) fn admit(&self, trace: &Trace) -> Result<Admitted, ApiError> {
        if self.is_draining() {
            return Err(Reason::Draining.error("the server is shutting down; send the request to another one"));
        }
        let place = Arc::clone(&self.places).try_acquire_owned().map_err(|_| {
            let message = format!("{} requests are in flight, which is the limit of this server", self.limit);
            Reason::TooBusy.error(message).retry_after(RETRY_WHEN_FULL)
        })?;
        Ok(Admitted { _place: place, since: Instant::now(), trace: trace.clone(), cut: self.cut.clone() })
    }

    /// Requests that are being served now.
    pub(crate) fn in_flight(&self) -> usize {
        (self.limit as usize).saturating_sub(self.places.available_permits())
    }

    /// How many requests may be in flight.
    pub(crate) fn limit(&self) -> u32 {
        self.limit
    }

    /// Whether the door is closed for good.
    pub(crate) fn is_draining(&self) -> bool {
        self.draining.is_cancelled()
    }

    /// Closes the door, waits up to `limit` for what runs, then ends what still runs.
    pub(crate) async fn drain(&self, limit: Duration) {
        self.draining.cancel();
        tracing::info!(in_flight = self.in_flight(), "draining: no new requests, running ones may finish");
        if tokio::time::timeout(limit, self.idle()).await.is_ok() {
            return;
        }
        tracing::warn!(in_flight = self.in_flight(), "drain_timeout is over: ending the requests that still run");
        self.cut.cancel();
        if tokio::time::timeout(LAST_WORDS, self.idle()).await.is_err() {
            tracing::warn!(in_flight = self.in_flight(), "leaving requests behind whose clients do not read");
        }
    }

    /// Waits until nothing is in flight. Holding all places at once is exactly that.
    async fn idle(&self) {
        // The semaphore is never closed, so the only outcome is success.
        drop(self.places.acquire_many(self.limit).await);
    }
}

impl Admitted {
    /// Resolves when the request must end because the gateway shuts down.
    pub(crate) fn cut(&self) -> WaitForCancellationFutureOwned {
        self.cut.clone().cancelled_owned()
    }

    /// Runs `work`, unless the request must end before.
    pub(crate) async fn unless_cut<T>(&self, work: impl Future<Output = T>) -> Result<T, ApiError> {
        tokio::select! {
            done = work => Ok(done),
            () = self.cut() => Err(cut_short()),
        }
    }
}

/// The error of a request that did not end within `server.drain_timeout`.
pub(crate) fn cut_short() -> ApiError {
    Reason::Draining.error("the server is shutting down and the answer took too long to finish; send the request again")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn places_are_given_back_on_drop() {
        let admission = Admission::new(2);
        let first = admission.admit(&Trace::default()).expect("first");
        let second = admission.admit(&Trace::default()).expect("second");
        assert_eq!(admission.in_flight(), 2);
        let refused = admission.admit(&Trace::default()).expect_err("full");
        assert_eq!(refused.outcome(), "overloaded");
        drop(first);
        drop(second);
        assert_eq!(admission.in_flight(), 0);
    }

    #[tokio::test(start_paused = true)]
    async fn draining_waits_then_cuts() {
        let admission = Admission::new(2);
        let admitted = admission.admit(&Trace::default()).expect("open");
        let cut = admitted.cut();
        let guard = tokio::spawn(async move {
            cut.await;
            drop(admitted);
        });
        let begun = tokio::time::Instant::now();
        admission.drain(Duration::from_secs(30)).await;
        assert_eq!(begun.elapsed().as_secs(), 30);
        assert_eq!(admission.in_flight(), 0);
        assert!(admission.admit(&Trace::default()).is_err());
        guard.await.expect("no panic");
    }
}
