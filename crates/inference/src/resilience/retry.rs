//! Whether a request that failed may be sent again, where, and when. Pure.
//!
//! A request to a model changes nothing in the world, so sending it twice is safe; it must only not be answered
//! twice. Whoever calls asks here only as long as no event has been handed out.

use std::time::Duration;

use super::RetryConfig;
use crate::{Error, ErrorKind};

/// Where a request may go after an error.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Nowhere: the same would happen everywhere, or nobody waits any more.
    Final,
    /// To another backend, but not to this one again.
    Elsewhere,
    /// To another backend, else to this one after a pause.
    Again,
}

/// What an error of a server says about a second try.
#[must_use]
pub fn verdict(error: &Error) -> Verdict {
    match error {
        // Another replica may have the model, or a key that fits.
        Error::ModelNotFound { .. } | Error::ModelNotPulled { .. } | Error::Unauthenticated { .. } => {
            Verdict::Elsewhere
        }
        // It has not even been heard.
        Error::Timeout { phase: "connect", .. } => Verdict::Again,
        // It may still be at work: not twice on the same one.
        Error::Timeout { .. } => Verdict::Elsewhere,
        _ => match error.kind() {
            ErrorKind::RateLimited | ErrorKind::Overloaded | ErrorKind::Unavailable | ErrorKind::Upstream => {
                Verdict::Again
            }
            _ => Verdict::Final,
        },
    }
}

/// The pause before the same backend is tried again after `tried` attempts; `None` when that is longer than a
/// caller is kept waiting. `chance` is even in 0 to 1 (full jitter, so that those who failed together do not
/// come back together).
#[must_use]
pub fn pause(config: &RetryConfig, tried: u32, retry_after: Option<Duration>, chance: f64) -> Option<Duration> {
    let doublings = tried.saturating_sub(1).min(20);
    let bound = config.backoff.saturating_mul(1 << doublings).min(config.longest_backoff);
    let drawn = bound.mul_f64(chance.clamp(0.0, 1.0));
    let pause = retry_after.map_or(drawn, |asked| asked.saturating_add(drawn));
    (pause <= config.longest_wait.max(bound)).then_some(pause)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_tell_where_a_request_may_go() {
        let backend = || "b".to_owned();
        let message = || "m".to_owned();
        let after = Duration::from_secs(1);
        let table = [
            (Error::InvalidRequest { message: message(), param: None, code: None }, Verdict::Final),
            (Error::ContextLength { message: message() }, Verdict::Final),
            (Error::Cancelled, Verdict::Final),
            (Error::Internal, Verdict::Final),
            (Error::ModelNotFound { model: "x".to_owned(), nearest: Vec::new() }, Verdict::Elsewhere),
            (Error::ModelNotPulled { backend: backend(), model: "x".to_owned() }, Verdict::Elsewhere),
            (Error::Unauthenticated { backend: backend() }, Verdict::Elsewhere),
            (Error::Timeout { backend: backend(), phase: "first byte", after }, Verdict::Elsewhere),
            (Error::Timeout { backend: backend(), phase: "connect", after }, Verdict::Again),
            (Error::RateLimited { backend: backend(), message: message(), retry_after: None }, Verdict::Again),
            (Error::Overloaded { message: message(), retry_after: None }, Verdict::Again),
            (Error::Unavailable { backend: backend(), message: message(), retry_after: None }, Verdict::Again),
            (Error::upstream("b", "500"), Verdict::Again),
        ];
        for (error, expected) in table {
            assert_eq!(verdict(&error), expected, "{error}");
        }
    }

    #[test]
    fn pauses_double_below_a_bound_and_give_up_beyond_the_longest_wait() {
        let config = RetryConfig::default();
        let millis = |tried, after: Option<u64>, chance| {
            pause(&config, tried, after.map(Duration::from_millis), chance).map(|pause| pause.as_millis())
        };
        assert_eq!(millis(1, None, 1.0), Some(100));
        assert_eq!(millis(3, None, 1.0), Some(400));
        assert_eq!(millis(3, None, 0.25), Some(100));
        assert_eq!(millis(40, None, 1.0), Some(2000));
        assert_eq!(millis(1, None, 0.0), Some(0));
        assert_eq!(millis(1, Some(1000), 0.5), Some(1050));
        assert_eq!(millis(1, Some(60_000), 0.5), None);
    }
}
