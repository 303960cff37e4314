//! `[resilience]`: how failures of backends are met.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::duration_text;

/// `[resilience]`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ResilienceConfig {
    /// How often servers are asked for their models. Default 60 s; one that failed is asked more often.
    #[serde(with = "duration_text")]
    pub models_refresh: Duration,
    /// How long a replica that does worse than the others gets no requests. Default 30 s.
    #[serde(with = "duration_text")]
    pub eject_for: Duration,
    /// Second tries.
    pub retry: RetryConfig,
    /// Leaving a server alone that fails again and again.
    pub breaker: BreakerConfig,
}

impl Default for ResilienceConfig {
    fn default() -> Self {
        Self {
            models_refresh: Duration::from_secs(60),
            eject_for: Duration::from_secs(30),
            retry: RetryConfig::default(),
            breaker: BreakerConfig::default(),
        }
    }
}

/// `[resilience.retry]`.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RetryConfig {
    /// How often a request is sent at most, the first time included. 1 switches retries off. Default 3.
    pub attempts: u32,
    /// Upper bound of the pause before the second try; it doubles with each further one, and the pause is
    /// drawn evenly below it. Default 100 ms.
    #[serde(with = "duration_text")]
    pub backoff: Duration,
    /// The bound grows no further than this. Default 2 s.
    #[serde(with = "duration_text")]
    pub longest_backoff: Duration,
    /// A server that wants to be left alone for longer than this (`Retry-After`) is not waited for: the caller
    /// is told. Default 5 s.
    #[serde(with = "duration_text")]
    pub longest_wait: Duration,
    /// Retries per request over time, beyond a small reserve: 0.2 is one for five requests. Default 0.2.
    pub share: f64,
}

impl Default for RetryConfig {
    fn default() -> Self {
        Self {
            attempts: 3,
            backoff: Duration::from_millis(100),
            longest_backoff: Duration::from_secs(2),
            longest_wait: Duration::from_secs(5),
            share: 0.2,
        }
    }
}

/// `[resilience.breaker]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BreakerConfig {
    /// So many failures in a row open it; 0 switches it off. Default 5.
    pub failures: u32,
    /// How long it stays open the first time; doubles as long as the probes fail. Default 5 s.
    #[serde(with = "duration_text")]
    pub open_for: Duration,
    /// It stays open no longer than this. Default 60 s.
    #[serde(with = "duration_text")]
    pub longest: Duration,
}

impl Default for BreakerConfig {
    fn default() -> Self {
        Self { failures: 5, open_for: Duration::from_secs(5), longest: Duration::from_secs(60) }
    }
}
