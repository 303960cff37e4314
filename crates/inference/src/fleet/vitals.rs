//! How one backend does: what is under way on it, its breaker, its record among its replicas. What requests
//! learn of it is noted here, and here is asked whether it should get another one.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use serde::Serialize;

use super::now;
use crate::resilience::BreakerConfig;
use crate::resilience::breaker::{Breaker, BreakerState, Permit};
use crate::resilience::outlier::Record;
use crate::{Error, ErrorKind};

/// A server that asks for a longer pause (`Retry-After`) gets this one: it may have been wrong.
const LONGEST_PAUSE: Duration = Duration::from_secs(60);

/// See the module. Cheap to clone.
#[derive(Debug, Clone)]
pub(super) struct Vitals(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    /// Tokens of the requests under way.
    load: AtomicU64,
    in_flight: AtomicUsize,
    known: Mutex<Known>,
}

#[derive(Debug)]
struct Known {
    breaker: Breaker,
    record: Record,
    /// It asked to be left alone until then.
    pause_until: Option<Instant>,
    /// It does worse than the others and is left out until then.
    ejected_until: Option<Instant>,
}

/// What `GET /health` shows of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Strain {
    /// The state of its circuit breaker.
    pub breaker: BreakerState,
    /// Requests under way.
    pub in_flight: usize,
    /// Estimated tokens of these requests, prompts and answers.
    pub outstanding_tokens: u64,
    /// It is left out because the other replicas do clearly better.
    pub ejected: bool,
}

impl Vitals {
    pub(super) fn new(breaker: BreakerConfig) -> Self {
        let now = now();
        let known =
            Known { breaker: Breaker::new(breaker), record: Record::new(now), pause_until: None, ejected_until: None };
        Self(Arc::new(Inner { load: AtomicU64::new(0), in_flight: AtomicUsize::new(0), known: Mutex::new(known) }))
    }

    /// Tokens under way.
    pub(super) fn load(&self) -> u64 {
        self.0.load.load(Ordering::Relaxed)
    }

    /// For how long it gets no request, when it failed again and again.
    pub(super) fn shut_for(&self, now: Instant) -> Option<Duration> {
        let known = self.known();
        // While a probe is under way nobody knows for how long.
        (!known.breaker.lets_through(now)).then(|| known.breaker.opens_in(now).max(Duration::from_secs(1)))
    }

    /// Whether others should rather get the request: it does worse than they do, or has asked for a pause.
    pub(super) fn is_spared(&self, now: Instant) -> bool {
        let known = self.known();
        known.is_ejected(now) || known.pause_until.is_some_and(|until| until > now)
    }

    pub(super) fn is_ejected(&self, now: Instant) -> bool {
        self.known().is_ejected(now)
    }

    pub(super) fn record(&self) -> Record {
        self.known().record
    }

    /// Leaves it out for a while; it comes back with a clean record.
    pub(super) fn eject(&self, now: Instant, time: Duration) {
        let mut known = self.known();
        known.ejected_until = Some(now + time);
        known.record = Record::new(now);
    }

    /// A request goes there, with about `load` tokens; `None` when its breaker says no.
    pub(super) fn begin(&self, load: u64, now: Instant) -> Option<Ticket> {
        let permit = self.known().breaker.enter(now)?;
        self.0.load.fetch_add(load, Ordering::Relaxed);
        self.0.in_flight.fetch_add(1, Ordering::Relaxed);
        Some(Ticket { vitals: self.clone(), load, begun: now, permit: Some(permit) })
    }

    /// It was away and answers again: what it did before it went counts no more, and the next request may find
    /// out whether it is well.
    pub(super) fn came_back(&self, now: Instant) {
        let mut known = self.known();
        known.breaker.answers_again(now);
        (known.record, known.ejected_until, known.pause_until) = (Record::new(now), None, None);
    }

    pub(super) fn strain(&self, now: Instant) -> Strain {
        let load = self.load();
        let known = self.known();
        Strain {
            breaker: known.breaker.state(now),
            in_flight: self.0.in_flight.load(Ordering::Relaxed),
            outstanding_tokens: load,
            ejected: known.is_ejected(now),
        }
    }

    /// A `std` mutex: held for a few instructions, never across an await.
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.known.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Known {
    fn is_ejected(&self, now: Instant) -> bool {
        self.ejected_until.is_some_and(|until| until > now)
    }
}

/// A request that is under way on a backend. Dropping it ends the counting.
#[derive(Debug)]
pub(super) struct Ticket {
    vitals: Vitals,
    load: u64,
    begun: Instant,
    /// Until it is known how the request goes.
    permit: Option<Permit>,
}

impl Ticket {
    /// The backend has answered: the first event is there, or the whole.
    pub(super) fn answered(&mut self) {
        let Some(permit) = self.permit.take() else { return };
        let now = now();
        let mut known = self.vitals.known();
        known.breaker.succeeded(permit);
        known.record.good(now, now.saturating_duration_since(self.begun));
    }

    /// The backend did not answer, or broke off. `chance` is even in 0 to 1.
    pub(super) fn failed(&mut self, error: &Error, chance: f64) {
        let now = now();
        match error.kind() {
            ErrorKind::Unavailable | ErrorKind::Timeout | ErrorKind::Upstream => {
                let mut known = self.vitals.known();
                let permit = self.permit.take().or_else(|| known.breaker.enter(now));
                if let Some(permit) = permit {
                    known.breaker.failed(permit, now, chance);
                }
                known.record.bad(now);
            }
            ErrorKind::Cancelled => {}
            kind => {
                let busy = matches!(kind, ErrorKind::RateLimited | ErrorKind::Overloaded);
                if let (true, Some(time)) = (busy, error.retry_after()) {
                    self.vitals.known().pause_until = Some(now + time.min(LONGEST_PAUSE));
                }
                // A refusal is an answer too.
                self.answered();
            }
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.vitals.0.load.fetch_sub(self.load, Ordering::Relaxed);
        self.vitals.0.in_flight.fetch_sub(1, Ordering::Relaxed);
        if let Some(permit) = self.permit.take() {
            self.vitals.known().breaker.abandoned(permit);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unavailable() -> Error {
        Error::Unavailable { backend: "b".to_owned(), message: "gone".to_owned(), retry_after: None }
    }

    #[test]
    fn what_is_under_way_is_counted_and_given_back() {
        let vitals = Vitals::new(BreakerConfig::default());
        let begin = now();
        let ticket = vitals.begin(100, begin).expect("closed");
        let strain = vitals.strain(begin);
        assert_eq!((strain.in_flight, strain.outstanding_tokens, strain.breaker), (1, 100, BreakerState::Closed));
        drop(ticket);
        assert_eq!((vitals.load(), vitals.strain(begin).in_flight), (0, 0));
    }

    #[test]
    fn failures_shut_it_and_when_it_came_back_one_may_find_out() {
        let vitals = Vitals::new(BreakerConfig::default());
        let begin = now();
        for _ in 0..5 {
            vitals.begin(1, begin).expect("closed").failed(&unavailable(), 0.5);
        }
        assert!(vitals.shut_for(now()).is_some());
        vitals.came_back(now());
        let mut probe = vitals.begin(1, now()).expect("half open");
        assert!(vitals.begin(1, now()).is_none(), "one probe at a time");
        probe.answered();
        assert_eq!(vitals.shut_for(now()), None);
    }

    #[test]
    fn a_server_that_asks_for_a_pause_gets_it_and_refusals_are_no_failures() {
        let vitals = Vitals::new(BreakerConfig { failures: 1, ..BreakerConfig::default() });
        let begin = now();
        let refused = Error::InvalidRequest { message: "no".to_owned(), param: None, code: None };
        vitals.begin(1, begin).expect("closed").failed(&refused, 0.5);
        assert_eq!(vitals.shut_for(begin), None);
        let busy = Error::Overloaded { message: "full".to_owned(), retry_after: Some(Duration::from_secs(600)) };
        vitals.begin(1, begin).expect("closed").failed(&busy, 0.5);
        assert!(vitals.is_spared(now()) && vitals.shut_for(now()).is_none());
        assert!(!vitals.is_spared(now() + LONGEST_PAUSE));
    }

    #[test]
    fn a_caller_that_leaves_says_nothing_about_the_backend() {
        let vitals = Vitals::new(BreakerConfig { failures: 1, ..BreakerConfig::default() });
        let begin = now();
        vitals.begin(1, begin).expect("closed").failed(&unavailable(), 1.0);
        vitals.came_back(now());
        drop(vitals.begin(1, now()).expect("half open"));
        assert!(vitals.begin(1, now()).is_some(), "the probe's place is free again");
    }
}
