//! The `[server]` and `[tools]` sections of the configuration: what the gateway itself can be told.
//!
//! Every field has a default, unknown keys are errors. Sizes and durations may be written as text
//! (`"8MiB"`, `"30s"`); see `config/units.rs`.

mod tools;
mod units;

use std::time::Duration;

use axum::http::HeaderValue;
use lla_inference::duration_text;
use serde::{Deserialize, Serialize};
pub use tools::ToolsConfig;
pub use units::{ByteSize, ParseSizeError};

use crate::guard;
pub use crate::stabilise::PrefixStabiliserConfig;

/// How the gateway listens, and what it lets in.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ServerConfig {
    /// `address:port` to listen on. Default `127.0.0.1:7117`: only this machine.
    pub listen: String,
    /// Largest request body. Default 8 MiB.
    pub max_body: ByteSize,
    /// Requests that are generated for at the same time; more are refused with 503. Default 256.
    pub max_in_flight: u32,
    /// Silence after which a stream carries a comment, so that no proxy cuts it. Default 10 s.
    #[serde(with = "duration_text")]
    pub keep_alive: Duration,
    /// How long a client may take to send its body. Default 30 s.
    #[serde(with = "duration_text")]
    pub body_timeout: Duration,
    /// How long running requests may go on after a shutdown signal. Default 30 s.
    #[serde(with = "duration_text")]
    pub drain_timeout: Duration,
    /// Names, with or without port, by which the gateway may be called besides `localhost`, addresses and
    /// the name in `listen`; `"*"` alone: all. Others are refused where `listen` is an address of this
    /// machine alone, where names are given here, and always under `/mcp`: a web page could otherwise reach
    /// the gateway by a name that it makes point here. Default: none.
    pub allowed_hosts: Vec<String>,
    /// Which web pages may call the gateway. Default: none.
    pub cors: CorsConfig,
    /// Which lines of a system prompt change with every request. Default: none.
    pub prefix_stabiliser: PrefixStabiliserConfig,
}

/// Which web pages may call the gateway from a browser.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CorsConfig {
    /// Origins as a browser sends them (`http://localhost:3000`), or `"*"` alone for all.
    pub allowed_origins: Vec<String>,
}

impl Default for ServerConfig {
    fn default() -> Self {
        Self {
            listen: "127.0.0.1:7117".to_owned(),
            max_body: ByteSize(8 << 20),
            max_in_flight: 256,
            keep_alive: Duration::from_secs(10),
            body_timeout: Duration::from_secs(30),
            drain_timeout: Duration::from_secs(30),
            allowed_hosts: Vec::new(),
            cors: CorsConfig::default(),
            prefix_stabiliser: PrefixStabiliserConfig::default(),
        }
    }
}

/// A value of the configuration that can not work.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field}: {message}")]
pub struct ConfigError {
    /// Path of the key within the file (`server.cors.allowed_origins`).
    pub field: &'static str,
    /// What is wrong and what would be right.
    pub message: String,
}

impl ServerConfig {
    /// Checks what types alone can not say.
    ///
    /// # Errors
    /// Names the first key with a value that can not work.
    pub fn check(&self) -> Result<(), ConfigError> {
        let wrong = |field, message: &str| Err(ConfigError { field, message: message.to_owned() });
        if self.max_in_flight == 0 {
            return wrong("server.max_in_flight", "must be at least 1");
        }
        if self.max_body.0 == 0 {
            return wrong("server.max_body", "must be at least one byte, for example \"8MiB\"");
        }
        for (field, value) in [("server.keep_alive", self.keep_alive), ("server.body_timeout", self.body_timeout)] {
            if value.is_zero() {
                return wrong(field, "must be longer than nothing, for example \"10s\"");
            }
        }
        if self.allowed_hosts.len() > 1 && self.allowed_hosts.iter().any(|name| name == "*") {
            return wrong("server.allowed_hosts", "\"*\" allows every name and must stand alone");
        }
        if !self.allowed_hosts.iter().all(|name| guard::is_name(name)) {
            let message = "write names or name:port, as in \"llm.example.com\" or \"llm.example.com:7117\"";
            return wrong("server.allowed_hosts", message);
        }
        self.cors.origins()?;
        self.prefix_stabiliser.compile().map(|_| ())
    }
}

/// The origins that a [`CorsConfig`] allows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Origins {
    None,
    Any,
    Listed(Vec<HeaderValue>),
}

impl CorsConfig {
    /// Reads the list of origins.
    pub(crate) fn origins(&self) -> Result<Origins, ConfigError> {
        let wrong = |message: String| ConfigError { field: "server.cors.allowed_origins", message };
        if self.allowed_origins.iter().any(|origin| origin == "*") {
            return match self.allowed_origins.len() {
                1 => Ok(Origins::Any),
                _ => Err(wrong("\"*\" allows every origin and must stand alone".to_owned())),
            };
        }
        if self.allowed_origins.is_empty() {
            return Ok(Origins::None);
        }
        let listed: Result<Vec<_>, _> = self
            .allowed_origins
            .iter()
            .map(|origin| {
                parse_origin(origin).ok_or_else(|| {
                    wrong(format!(
                        "\"{origin}\" is not an origin: write scheme, host and port as in \"http://localhost:3000\""
                    ))
                })
            })
            .collect();
        Ok(Origins::Listed(listed?))
    }
}

/// An origin has a scheme and a host and nothing after it: anything else never matches a browser's
/// `Origin` header, which would look like a broken server.
fn parse_origin(origin: &str) -> Option<HeaderValue> {
    let (scheme, host) = origin.split_once("://")?;
    let usable = !scheme.is_empty() && !host.is_empty() && !host.contains(['/', '?', '#', ' ']);
    usable.then(|| HeaderValue::from_str(origin).ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_empty_section_is_the_default_and_every_key_can_be_set() {
        assert_eq!(toml::from_str::<ServerConfig>("").expect("empty"), ServerConfig::default());
        let config: ServerConfig = toml::from_str(
            r#"
            listen = "0.0.0.0:80"
            max_body = "1 MiB"
            max_in_flight = 4
            keep_alive = "1s 500ms"
            body_timeout = "5s"
            drain_timeout = "0s"
            allowed_hosts = ["box:80"]
            cors.allowed_origins = ["http://localhost:3000"]
            "#,
        )
        .expect("all keys");
        assert_eq!(config.max_body, ByteSize(1 << 20));
        assert_eq!(config.keep_alive, Duration::from_millis(1500));
        assert_eq!(config.check(), Ok(()));
    }

    #[test]
    fn what_is_written_reads_back() {
        let text = toml::to_string(&ServerConfig::default()).expect("write");
        assert_eq!(toml::from_str::<ServerConfig>(&text).expect("read"), ServerConfig::default(), "{text}");
    }

    #[test]
    fn wrong_values_are_named() {
        for (toml, says) in [
            ("max_bodies = 1", "unknown field `max_bodies`"),
            ("max_body = \"8 parsecs\"", "8 parsecs"),
            ("keep_alive = \"soon\"", "soon"),
            ("keep_alive = 10", "expected a string"),
        ] {
            let error = toml::from_str::<ServerConfig>(toml).expect_err(toml).to_string();
            assert!(error.contains(says), "{toml}: {error}");
        }
        for (toml, field) in [
            ("max_in_flight = 0", "server.max_in_flight"),
            ("max_body = 0", "server.max_body"),
            ("keep_alive = \"0s\"", "server.keep_alive"),
            ("allowed_hosts = [\"*\", \"a\"]", "server.allowed_hosts"),
            ("allowed_hosts = [\"http://a\"]", "server.allowed_hosts"),
            ("allowed_hosts = [\"*.a\"]", "server.allowed_hosts"),
            ("allowed_hosts = [\"\"]", "server.allowed_hosts"),
            ("cors.allowed_origins = [\"localhost:3000\"]", "server.cors.allowed_origins"),
            ("cors.allowed_origins = [\"http://a/\"]", "server.cors.allowed_origins"),
            ("cors.allowed_origins = [\"*\", \"http://a\"]", "server.cors.allowed_origins"),
        ] {
            let config = toml::from_str::<ServerConfig>(toml).expect(toml);
            assert_eq!(config.check().expect_err(toml).field, field);
        }
    }
}
