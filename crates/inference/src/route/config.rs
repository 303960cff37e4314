//! `[routes.NAME]`: who serves a tier or a name of your own, in which order, and how long it may take.

use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::duration_text;

/// `[routes.NAME]`. `NAME` is `small`, `main`, or a name that callers may then use as a model.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RouteConfig {
    /// Backends to be tried in this order: a name under `[backends]` or `[models]`, `backend/model`, or the name
    /// of a model (then all backends that have it share the requests). Empty (only for a tier): chosen by tier.
    pub backends: Vec<String>,
    /// A request that has no first event after this long is also sent to the next backend, and the first answer
    /// counts. Costs work; for small and quick models. Default: never.
    #[serde(with = "duration_text::optional", skip_serializing_if = "Option::is_none")]
    pub hedge_after: Option<Duration>,
    /// Limits of its requests, beside those of each backend.
    pub timeouts: Limits,
}

/// How long a request may take, all of its tries together. What is left out has no limit but the backend's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Limits {
    /// Until the first piece of the answer.
    #[serde(with = "duration_text::optional", skip_serializing_if = "Option::is_none")]
    pub first_byte: Option<Duration>,
    /// Between two pieces of the answer.
    #[serde(with = "duration_text::optional", skip_serializing_if = "Option::is_none")]
    pub between_chunks: Option<Duration>,
    /// The whole answer.
    #[serde(with = "duration_text::optional", skip_serializing_if = "Option::is_none")]
    pub total: Option<Duration>,
}

/// What a route says beside its targets.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Policy {
    /// See [`RouteConfig::hedge_after`].
    pub hedge_after: Option<Duration>,
    /// See [`RouteConfig::timeouts`].
    pub limits: Limits,
}

impl RouteConfig {
    pub(super) fn policy(&self) -> Policy {
        Policy { hedge_after: self.hedge_after, limits: self.timeouts }
    }
}

impl Limits {
    /// The limit that ends first: its phase, its length, and when it ends.
    pub(crate) fn next(
        &self,
        begun: Instant,
        now: Instant,
        has_begun: bool,
    ) -> Option<(&'static str, Duration, Instant)> {
        let phase = if has_begun {
            self.between_chunks.map(|limit| ("next chunk", limit, now + limit))
        } else {
            self.first_byte.map(|limit| ("first byte", limit, begun + limit))
        };
        let total = self.total.map(|limit| ("total", limit, begun + limit));
        phase.into_iter().chain(total).min_by_key(|(_, _, until)| *until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_that_ends_first_counts() {
        let (begun, second) = (Instant::now(), Duration::from_secs(1));
        let now = begun + 5 * second;
        let limits = Limits { first_byte: Some(8 * second), between_chunks: Some(second), total: Some(10 * second) };
        assert_eq!(limits.next(begun, now, false), Some(("first byte", 8 * second, begun + 8 * second)));
        assert_eq!(limits.next(begun, now, true), Some(("next chunk", second, begun + 6 * second)));
        let late = begun + 9 * second + second / 2;
        assert_eq!(limits.next(begun, late, true), Some(("total", 10 * second, begun + 10 * second)));
        assert_eq!(Limits::default().next(begun, now, false), None);
    }
}
