//! The drivers against fake servers, and the fleet with fake engine processes.

#![expect(clippy::expect_used, clippy::panic, reason = "what serves tests is not marked as a test itself")]

mod driver;
mod fake_engine;
mod fake_ollama;
mod fake_server;
mod fleet;
mod ollama;
mod replay;
mod resilience;
mod servers;
mod transcripts;
