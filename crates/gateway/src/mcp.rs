//! The tools over the Model Context Protocol, by `rmcp`: revision 2026-07-28 and those before it.
//!
//! [`Server`] answers `tools/list` and `tools/call` for any [`Host`] (whoever runs the tools). `http`
//! is the endpoint `/mcp` of the gateway; [`stdio`] serves a client that started us as its child.
//!
//! What `rmcp` leaves to its user is done here: a panic is an answer and no hang, a cancelled call stops
//! working, progress is told every few seconds, an unknown cursor is an error, errors below JSON-RPC
//! come as JSON-RPC all the same. `Origin` and `Host` are checked for all routes (`guard.rs`).

pub(crate) mod cancel;
pub mod host;
pub(crate) mod http;
mod message;
mod progress;
mod roots;
pub mod server;
pub mod stdio;

/// The endpoint over HTTP; the tools without MCP are below it.
pub(crate) const PATH: &str = "/mcp";

pub use host::{Ask, Host};
pub use server::{RootsFrom, Server};
