//! How long to wait before an engine is started again. Pure.
//!
//! An engine that died in service is replaced at once; one that dies again and again, or does not
//! even start, is tried ever more rarely.

use std::time::Duration;

const FIRST: Duration = Duration::from_millis(250);
const LONGEST: Duration = Duration::from_secs(30);
/// An engine that was ready for this long has proved itself: what was before is forgotten.
const PROVEN: Duration = Duration::from_secs(60);

/// The failures so far.
#[derive(Debug, Default)]
pub(super) struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The pause after a failure. `ready_for`: how long the engine had been ready; `None` when it
    /// never was.
    pub(super) fn after(&mut self, ready_for: Option<Duration>) -> Duration {
        if ready_for.is_some_and(|time| time >= PROVEN) {
            self.failures = 0;
        }
        let step = self.failures + u32::from(ready_for.is_none());
        self.failures = self.failures.saturating_add(1).min(32);
        match step.checked_sub(1) {
            None => Duration::ZERO,
            Some(doublings) => FIRST.saturating_mul(1 << doublings.min(16)).min(LONGEST),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEVER: Option<Duration> = None;

    fn pauses(ready_for: &[Option<Duration>]) -> Vec<u128> {
        let mut backoff = Backoff::default();
        ready_for.iter().map(|time| backoff.after(*time).as_millis()).collect()
    }

    #[test]
    fn pauses_double_up_to_the_longest_and_are_forgotten_after_a_minute() {
        let second = Some(Duration::from_secs(1));
        assert_eq!(pauses(&[second; 5]), [0, 250, 500, 1000, 2000]);
        assert_eq!(pauses(&[NEVER; 9]), [250, 500, 1000, 2000, 4000, 8000, 16000, 30000, 30000]);
        assert_eq!(pauses(&[NEVER, NEVER, Some(PROVEN), second]), [250, 500, 0, 250]);
        assert_eq!(pauses(&[NEVER; 100]).last(), Some(&30000));
    }
}
