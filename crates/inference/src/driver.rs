//! Drivers: how a kind of server is spoken to.
//!
//! [`OpenAiBackend`] is the one for everything that speaks the OpenAI API, our own engine included;
//! [`Dialect`] is the little that differs between those servers. `connection` opens and
//! times requests, `answer` reads streams, `failure` types errors; `learned` holds what is known of a server, and
//! `probe` finds it out. No retries here: the caller knows
//! whether anything was already handed on.

mod adapters;
mod answer;
mod config;
mod connection;
mod failure;
mod learned;
mod openai;
mod probe;

pub use config::{BuildError, Dialect, HttpBackendConfig, Timeouts};
pub use openai::OpenAiBackend;
