//! How many retries there may be: a share of the requests, so that a server in trouble does not get three times
//! the load. Pure.
//!
//! A bucket: every request puts `share` of a token in, every retry takes one out. A little comes back with time,
//! so that a request that comes alone may still be tried again.

use std::time::Instant;

/// Tokens in a bucket that nobody has used.
const RESERVE: f64 = 10.0;
/// How far requests can fill it.
const FULL: f64 = 100.0;
/// What comes back per second, up to the reserve.
const PER_SECOND: f64 = 1.0;

/// See the module.
#[derive(Debug)]
pub struct Budget {
    share: f64,
    tokens: f64,
    seen: Instant,
}

impl Budget {
    /// A bucket with its reserve.
    #[must_use]
    pub fn new(share: f64, now: Instant) -> Self {
        Self { share: share.max(0.0), tokens: RESERVE, seen: now }
    }

    /// A request came for the first time.
    pub fn request(&mut self, now: Instant) {
        self.flow(now);
        self.tokens = (self.tokens + self.share).min(FULL);
    }

    /// Takes a token for a retry; `false` when there is none.
    pub fn take(&mut self, now: Instant) -> bool {
        self.flow(now);
        let there = self.tokens >= 1.0;
        if there {
            self.tokens -= 1.0;
        }
        there
    }

    fn flow(&mut self, now: Instant) {
        let passed = now.saturating_duration_since(self.seen).as_secs_f64();
        self.seen = now;
        if self.tokens < RESERVE {
            self.tokens = (self.tokens + passed * PER_SECOND).min(RESERVE);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn a_burst_of_failures_uses_the_reserve_and_then_the_share() {
        let now = Instant::now();
        let mut budget = Budget::new(0.2, now);
        let taken = (0..1000).filter(|_| {
            budget.request(now);
            budget.take(now)
        });
        // The reserve of 10, and one for every five requests.
        assert!((208..=210).contains(&taken.count()), "rounding");
        assert!(budget.take(now + Duration::from_secs(2)), "a token came back");
    }

    proptest! {
        #[test]
        fn retries_stay_within_the_share(share in 0.0..1.0_f64, steps in prop::collection::vec(any::<bool>(), 1..2000)) {
            let now = Instant::now();
            let mut budget = Budget::new(share, now);
            let (mut requests, mut retries) = (0.0, 0.0);
            for is_request in steps {
                if is_request {
                    budget.request(now);
                    requests += 1.0;
                } else if budget.take(now) {
                    retries += 1.0;
                }
            }
            prop_assert!(retries <= RESERVE + share * requests + 1e-6);
        }
    }
}
