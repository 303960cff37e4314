//! The engine with the real small model, in this process.
//!
//! `LLA_TEST_MODEL` names the GGUF file (`make test` fetches it). Without it these tests say that
//! they were skipped; with `LLA_REQUIRE_MODEL=1` they fail.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "helpers of tests fail as tests do, and say what was skipped"
)]

mod constraint;
mod embeddings;
mod generation;
mod model;
mod restricted;
mod sandbox;
mod schemas;
mod scores;
mod tiny_bert;
