//! The gateway through its real router, over backends that follow a script.
//!
//! `harness` puts it together; `answers` has what callers get, `errors` what they get instead,
//! `sockets` what only shows on real connections, `log` what operators see,
//! `tools` and `mcp` the tools over REST and MCP, `properties` what must hold for any body.

#![expect(clippy::expect_used, clippy::panic, reason = "helpers of tests fail as tests do")]

mod answers;
mod decisions;
mod embeddings;
mod errors;
mod harness;
mod log;
mod mcp;
mod properties;
mod sockets;
mod tools;
