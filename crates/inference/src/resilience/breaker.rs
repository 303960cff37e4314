//! A circuit breaker: a server that failed several times in a row is left alone for a while, then one request
//! may find out whether it is well again. Pure.
//!
//! ```text
//! closed --failures in a row--> open --time--> half open --success--> closed
//!                                ^                |
//!                                +----failure-----+  (open for twice as long)
//! ```

use std::time::{Duration, Instant};

use serde::Serialize;

use super::BreakerConfig;

/// What a breaker lets through.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum BreakerState {
    /// Everything.
    Closed,
    /// One request at a time, to find out.
    HalfOpen,
    /// Nothing.
    Open,
}

/// See the module.
#[derive(Debug)]
pub struct Breaker {
    config: BreakerConfig,
    /// Failures since the last success.
    failures: u32,
    /// Until when it is open; half open after that.
    open_until: Option<Instant>,
    /// How often it opened since it was closed.
    opened: u32,
    /// A probe is under way.
    probing: bool,
}

/// A request that a breaker let through; to be given back with its outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[must_use]
pub struct Permit {
    probe: bool,
}

impl Breaker {
    /// A closed breaker.
    #[must_use]
    pub fn new(config: BreakerConfig) -> Self {
        Self { config, failures: 0, open_until: None, opened: 0, probing: false }
    }

    /// What it lets through now.
    #[must_use]
    pub fn state(&self, now: Instant) -> BreakerState {
        match self.open_until {
            None => BreakerState::Closed,
            Some(until) if until > now => BreakerState::Open,
            Some(_) => BreakerState::HalfOpen,
        }
    }

    /// Whether [`Breaker::enter`] would let a request through.
    #[must_use]
    pub fn lets_through(&self, now: Instant) -> bool {
        match self.state(now) {
            BreakerState::Closed => true,
            BreakerState::HalfOpen => !self.probing,
            BreakerState::Open => false,
        }
    }

    /// Lets a request through, or not.
    pub fn enter(&mut self, now: Instant) -> Option<Permit> {
        if !self.lets_through(now) {
            return None;
        }
        let probe = self.open_until.is_some();
        self.probing |= probe;
        Some(Permit { probe })
    }

    /// The request was answered, be it with a refusal: the server is there.
    pub fn succeeded(&mut self, permit: Permit) {
        // What began before the server failed says nothing about whether it is well again.
        if permit.probe || self.open_until.is_none() {
            self.close();
        }
    }

    /// The server failed. `chance` is even in 0 to 1: several gateways must not probe at the same moment.
    pub fn failed(&mut self, permit: Permit, now: Instant, chance: f64) {
        if self.config.failures == 0 {
            return;
        }
        self.failures = self.failures.saturating_add(1);
        let opens =
            if permit.probe { true } else { self.open_until.is_none() && self.failures >= self.config.failures };
        if permit.probe {
            self.probing = false;
        }
        if opens {
            let time = self.config.open_for.saturating_mul(1 << self.opened.min(16)).min(self.config.longest);
            self.open_until = Some(now + time.mul_f64(0.75 + 0.25 * chance.clamp(0.0, 1.0)));
            self.opened = self.opened.saturating_add(1);
        }
    }

    /// The request ended without telling anything about the server.
    pub fn abandoned(&mut self, permit: Permit) {
        if permit.probe {
            self.probing = false;
        }
    }

    /// A server that could not be reached answers again: the next request may find out.
    pub fn answers_again(&mut self, now: Instant) {
        if let Some(until) = &mut self.open_until {
            *until = (*until).min(now);
        }
    }

    /// How long it lets nothing through; zero when it does.
    #[must_use]
    pub fn opens_in(&self, now: Instant) -> Duration {
        self.open_until.map_or(Duration::ZERO, |until| until.saturating_duration_since(now))
    }

    fn close(&mut self) {
        (self.failures, self.open_until, self.opened, self.probing) = (0, None, 0, false);
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    fn fail(breaker: &mut Breaker, now: Instant) {
        let permit = breaker.enter(now).expect("let through");
        breaker.failed(permit, now, 1.0);
    }

    #[test]
    fn it_opens_after_failures_in_a_row_and_closes_with_a_probe() {
        let now = Instant::now();
        let mut breaker = Breaker::new(BreakerConfig::default());
        for _ in 0..4 {
            fail(&mut breaker, now);
        }
        let permit = breaker.enter(now).expect("closed");
        breaker.succeeded(permit);
        for _ in 0..5 {
            assert_eq!(breaker.state(now), BreakerState::Closed);
            fail(&mut breaker, now);
        }
        assert_eq!((breaker.state(now), breaker.enter(now)), (BreakerState::Open, None));
        assert_eq!(breaker.opens_in(now), 5 * SECOND);

        let later = now + 5 * SECOND;
        let probe = breaker.enter(later).expect("half open");
        assert_eq!(breaker.enter(later), None, "one at a time");
        breaker.failed(probe, later, 1.0);
        assert_eq!(breaker.opens_in(later), 10 * SECOND, "twice as long");

        let later = later + 10 * SECOND;
        let probe = breaker.enter(later).expect("half open");
        breaker.abandoned(probe);
        let probe = breaker.enter(later).expect("the place of a probe that was given up is free");
        breaker.succeeded(probe);
        assert_eq!(breaker.state(later), BreakerState::Closed);
    }

    #[test]
    fn what_began_before_does_not_close_it() {
        let now = Instant::now();
        let mut breaker = Breaker::new(BreakerConfig::default());
        let early = breaker.enter(now).expect("closed");
        for _ in 0..5 {
            fail(&mut breaker, now);
        }
        breaker.succeeded(early);
        assert_eq!(breaker.state(now), BreakerState::Open);
        breaker.answers_again(now);
        assert_eq!(breaker.state(now), BreakerState::HalfOpen);
    }

    proptest! {
        #[test]
        fn it_never_stays_shut_and_lets_one_probe_through(steps in prop::collection::vec((0_u8..4, 0_u64..20), 1..300)) {
            let mut now = Instant::now();
            let mut breaker = Breaker::new(BreakerConfig::default());
            let mut running: Vec<Permit> = Vec::new();
            for (step, seconds) in steps {
                now += Duration::from_secs(seconds);
                match (step, running.pop()) {
                    (0, Some(permit)) => breaker.succeeded(permit),
                    (1, Some(permit)) => breaker.failed(permit, now, 0.5),
                    (2, Some(permit)) => breaker.abandoned(permit),
                    (_, permit) => {
                        running.extend(permit);
                        running.extend(breaker.enter(now));
                    }
                }
                prop_assert!(breaker.opens_in(now) <= BreakerConfig::default().longest);
                prop_assert!(running.iter().filter(|permit| permit.probe).count() <= 1);
            }
            for permit in running {
                breaker.abandoned(permit);
            }
            prop_assert!(breaker.enter(now + Duration::from_secs(61)).is_some());
        }
    }
}
