//! The driver against fake servers, and the fleet with fake engine processes.

#![expect(clippy::expect_used, clippy::panic, reason = "what serves tests is not marked as a test itself")]

mod driver;
mod fake_engine;
mod fake_server;
mod fleet;
mod resilience;
mod replay;
mod servers;
mod transcripts;
