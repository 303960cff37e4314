//! The gateway through its real router, over backends that follow a script.
//!
//! `harness` puts it together; `answers` has what callers get, `errors` what they get instead,
//! `faults` what becomes of servers that fail (`faulty_server`), `replicas` what several share,
//! `sockets` what only shows on real connections, `log` what operators see,
//! `tools` and `mcp` the tools over REST and MCP, `upstream_routes` what may reach a backend, `properties` what must hold for any body.

#![expect(clippy::expect_used, clippy::panic, reason = "helpers of tests fail as tests do")]

mod answers;
mod decisions;
mod embeddings;
mod errors;
mod faults;
mod faulty_server;
mod harness;
mod log;
mod mcp;
mod properties;
mod replicas;
mod sockets;
mod tools;
mod upstream_routes;
