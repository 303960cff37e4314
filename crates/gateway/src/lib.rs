//! The gateway: HTTP in front of the fleet.
//!
//! What it does: parses and checks requests, admits them within limits, routes them through
//! `lla-inference`, writes answers as JSON or as server-sent events, maps every error to one
//! envelope, logs one line per request, drains on shutdown.
//!
//! What it does not: run models, know engines, hold prompts of tools, read configuration files or
//! signals (the binary hands in a [`ServerConfig`], a listener and a shutdown future).
//!
//! Start reading at [`app()`] (every route is declared there), then `routes/chat.rs`, which is one
//! request's walk from top to bottom.

mod access_log;
mod admission;
mod app;
pub mod config;
mod convert;
mod error;
mod extract;
mod guard;
pub mod mcp;
mod request_id;
mod respond;
mod routes;
mod server;
mod stabilise;
mod state;

pub use app::app;
pub use config::{ByteSize, ConfigError, CorsConfig, PrefixStabiliserConfig, ServerConfig, ToolsConfig};
pub use server::{ServeError, serve};
pub use state::{AppState, Build};
