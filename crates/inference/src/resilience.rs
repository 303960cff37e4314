//! What keeps a request alive when a backend is not: when to try again ([`retry`]), how much of that is too
//! much ([`budget`]), whom to leave alone ([`breaker`], [`outlier`]), and who of several takes a request
//! ([`balance`]).
//!
//! All of it is pure: time comes in as an argument, chance too. [`Fleet`](crate::Fleet) applies it, to every
//! kind of backend in the same way.

pub mod balance;
pub mod breaker;
pub mod budget;
mod config;
pub mod outlier;
pub mod retry;

pub use config::{BreakerConfig, ResilienceConfig, RetryConfig};
