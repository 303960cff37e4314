//! Requests in flight on one engine, and the decision to stop an engine that nobody uses.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::EventStream;

/// Counts requests; shared by an engine and the guards of its requests.
#[derive(Debug, Clone)]
pub(super) struct InFlight(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    usage: Mutex<Usage>,
    ended: Notify,
}

/// How an engine is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Usage {
    /// Requests now.
    pub(super) running: usize,
    /// When the last one ended, or the engine became ready.
    pub(super) last: Instant,
}

/// What to do about an engine with an idle limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum IdleDecision {
    /// Ask again when a request has ended.
    Busy,
    /// Ask again then.
    At(Instant),
    /// Stop it.
    Stop,
}

impl Usage {
    /// Decides by time alone, so that it can be tested without waiting.
    pub(super) fn decide(self, limit: Duration, now: Instant) -> IdleDecision {
        if self.running > 0 {
            return IdleDecision::Busy;
        }
        let due = self.last + limit;
        if now >= due { IdleDecision::Stop } else { IdleDecision::At(due) }
    }
}

impl InFlight {
    pub(super) fn new() -> Self {
        let usage = Mutex::new(Usage { running: 0, last: Instant::now() });
        Self(Arc::new(Inner { usage, ended: Notify::new() }))
    }

    /// A request has come; it is in flight until the guard is dropped.
    pub(super) fn begin(&self) -> InFlightGuard {
        self.lock().running += 1;
        InFlightGuard(self.clone())
    }

    /// Idle time is counted from now.
    pub(super) fn touch(&self) {
        self.lock().last = Instant::now();
    }

    pub(super) fn usage(&self) -> Usage {
        *self.lock()
    }

    /// Waits until a request ends.
    pub(super) async fn one_ended(&self) {
        self.0.ended.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, Usage> {
        self.0.usage.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// One request in flight.
#[derive(Debug)]
pub(super) struct InFlightGuard(InFlight);

impl InFlightGuard {
    /// Keeps the request in flight until its answer ends or is dropped.
    pub(super) fn hold_in(self, events: EventStream) -> EventStream {
        Box::pin(events.map(move |event| {
            // Moves the guard into the closure, and so into the stream.
            let _held = &self;
            event
        }))
    }
}

impl Drop for InFlightGuard {
    fn drop(&mut self) {
        let mut usage = self.0.lock();
        usage.running = usage.running.saturating_sub(1);
        usage.last = Instant::now();
        drop(usage);
        self.0.0.ended.notify_one();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_unused_engine_stops_and_only_after_its_time() {
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        let limit = Duration::from_secs(10);
        let idle = Usage { running: 0, last: start };
        assert_eq!(idle.decide(limit, after(0)), IdleDecision::At(after(10)));
        assert_eq!(idle.decide(limit, after(9)), IdleDecision::At(after(10)));
        assert_eq!(idle.decide(limit, after(10)), IdleDecision::Stop);
        assert_eq!(Usage { running: 1, ..idle }.decide(limit, after(99)), IdleDecision::Busy);
    }

    #[tokio::test]
    async fn a_request_is_in_flight_as_long_as_its_answer_lives() {
        let in_flight = InFlight::new();
        let events = in_flight.begin().hold_in(Box::pin(futures_util::stream::pending()));
        assert_eq!(in_flight.usage().running, 1);
        drop(events);
        assert_eq!(in_flight.usage().running, 0);
        in_flight.one_ended().await;
    }
}
