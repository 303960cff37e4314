//! Drivers: how a kind of server is spoken to.
//!
//! [`OpenAiBackend`] is the one for everything that speaks the OpenAI API, our own engine included;
//! [`Dialect`] is the little that differs between those servers. [`OllamaBackend`] speaks Ollama's
//! native API, because its OpenAI route can not set the window. [`open`] takes the right one. `connection` opens and
//! times requests, `answer` reads streams, `failure` types errors; `learned` holds what is known of a server, and
//! `probe` finds it out. No retries here: the caller knows
//! whether anything was already handed on.

mod adapters;
mod address;
mod answer;
mod auto;
mod config;
mod connection;
mod failure;
mod forced;
mod learned;
mod ollama;
mod openai;
mod probe;
mod transport;

use std::sync::Arc;

pub use config::{BuildError, Dialect, HttpBackendConfig, Timeouts};
pub use ollama::{OllamaBackend, OllamaConfig};
pub use openai::OpenAiBackend;

use crate::Backend;

/// The driver for a configured server. Nothing is sent yet.
///
/// # Errors
/// When the configuration names no place, a wrong one, options of another kind of server, or the
/// client can not be made.
pub fn open(name: &str, config: &HttpBackendConfig) -> Result<Arc<dyn Backend>, BuildError> {
    match config.dialect {
        Dialect::Ollama => return Ok(Arc::new(OllamaBackend::new(name, config)?)),
        // Options for Ollama say what it is.
        Dialect::Auto if !config.ollama.is_default() => return Ok(Arc::new(OllamaBackend::new(name, config)?)),
        Dialect::Auto => return Ok(Arc::new(auto::AutoBackend::new(name, config)?)),
        _ => {}
    }
    if !config.ollama.is_default() {
        let message = "is only for servers with dialect = \"ollama\"".to_owned();
        return Err(BuildError::Field { field: format!("backends.{name}.ollama"), message });
    }
    Ok(Arc::new(OpenAiBackend::new(name, config)?))
}
