//! Where a server is and how it is to be spoken to.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use serde::{Deserialize, Deserializer, Serialize};

use super::ollama::OllamaConfig;
use crate::duration_text;
use crate::route::Tier;

/// A server that is called over HTTP.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct HttpBackendConfig {
    /// Base address, with or without `/v1` at its end. Either this or `socket`.
    pub url: Option<String>,
    /// Unix socket of a server on this machine.
    pub socket: Option<PathBuf>,
    /// What kind of server it is; `auto`: found out.
    pub dialect: Dialect,
    /// Sent as a bearer token. Never written out.
    #[serde(skip_serializing, deserialize_with = "secret")]
    pub api_key: Option<SecretString>,
    /// The models to use, by the server's names; empty: all that it lists.
    pub models: Vec<String>,
    /// What its models are for.
    pub tier: Option<Tier>,
    /// How long it may take.
    pub timeouts: Timeouts,
    /// Only with the dialect `ollama`.
    #[serde(skip_serializing_if = "OllamaConfig::is_default")]
    pub ollama: OllamaConfig,
}

fn secret<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<SecretString>, D::Error> {
    Ok(Option::<String>::deserialize(deserializer)?.map(SecretString::from))
}

/// What kind of server it is, and with it what it does differently from others of the OpenAI API.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Dialect {
    /// `lla engine`.
    LlaEngine,
    /// vLLM.
    Vllm,
    /// llama.cpp's `llama-server`.
    LlamaServer,
    /// OpenAI itself.
    #[serde(rename = "openai")]
    OpenAi,
    /// LM Studio.
    LmStudio,
    /// Ollama, by its native API.
    Ollama,
    /// Anything else: only what everybody has is used.
    Generic,
    /// Found out from the server's list of models; until then, and when it can not be told, like
    /// [`Dialect::Generic`].
    #[default]
    Auto,
}

impl Dialect {
    /// The word in configuration and status.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::LlaEngine => "engine",
            Self::Vllm => "vllm",
            Self::LlamaServer => "llama-server",
            Self::OpenAi => "openai",
            Self::LmStudio => "lm-studio",
            Self::Ollama => "ollama",
            Self::Generic => "generic",
            Self::Auto => "auto",
        }
    }

    /// It has vLLM's `/tokenize`, `/health` and `/version` beside `/v1`.
    pub(super) fn has_vllm_routes(self) -> bool {
        matches!(self, Self::LlaEngine | Self::Vllm)
    }

    /// It has `GET /health` beside `/v1`.
    pub(super) fn has_health(self) -> bool {
        self.has_vllm_routes() || self == Self::LlamaServer
    }

    /// It may have `POST /v1/systemone`; `llama-server` only for models that are made for decisions.
    pub(super) fn has_decisions(self) -> bool {
        matches!(self, Self::Vllm | Self::LlamaServer)
    }

    /// Connections may be used again. `llama-server` closes them after a stream although it has
    /// announced to keep them, so that a pooled client sometimes writes into a closed one.
    pub(super) fn pools(self) -> bool {
        self != Self::LlamaServer
    }

    /// The newer models of OpenAI refuse `max_tokens`; others do not know the newer name.
    pub(super) fn wants_max_completion_tokens(self) -> bool {
        self == Self::OpenAi
    }
}

/// How long each phase of a request may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Timeouts {
    /// To open a connection.
    #[serde(with = "duration_text")]
    pub connect: Duration,
    /// From the request to the first byte of the answer's body. Prefill and queueing are in here.
    #[serde(with = "duration_text")]
    pub first_byte: Duration,
    /// Between two pieces of the answer. A server's keep-alive comments count as pieces.
    #[serde(with = "duration_text")]
    pub between_chunks: Duration,
    /// The whole answer.
    #[serde(with = "duration_text")]
    pub total: Duration,
    /// To load a model into memory, where the server does that on demand and says so (Ollama); the
    /// other limits begin behind it.
    #[serde(with = "duration_text")]
    pub load: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            first_byte: Duration::from_secs(300),
            between_chunks: Duration::from_secs(120),
            total: Duration::from_secs(3600),
            load: Duration::from_secs(600),
        }
    }
}

/// A backend that can not be built from its configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BuildError {
    /// A value is wrong.
    #[error("{field}: {message}")]
    Field {
        /// Path of the field (`backends.gpu.url`).
        field: String,
        /// What is wrong and how to fix it.
        message: String,
    },
    /// The folder for sockets can not be used.
    #[error("the folder for sockets {} can not be used: {message}", .path.display())]
    RunDir {
        /// The folder.
        path: PathBuf,
        /// Why.
        message: String,
    },
    /// The fleet was built outside of a runtime.
    #[error("the fleet has to be built within a Tokio runtime")]
    NoRuntime,
    /// The HTTP client can not be made.
    #[error("the HTTP client of '{backend}' can not be made: {message}")]
    Client {
        /// Which backend.
        backend: String,
        /// Why.
        message: String,
    },
}

#[cfg(test)]
mod tests {
    use secrecy::ExposeSecret;

    use super::*;

    #[test]
    fn a_key_is_read_and_neither_printed_nor_written() {
        let text = r#"{"url":"http://x/v1","dialect":"vllm","api_key":"s3cret","timeouts":{"connect":"1s"}}"#;
        let config: HttpBackendConfig = serde_json::from_str(text).expect("valid");
        assert_eq!(config.api_key.as_ref().map(ExposeSecret::expose_secret), Some("s3cret"));
        assert_eq!((config.dialect, config.timeouts.connect), (Dialect::Vllm, Duration::from_secs(1)));
        assert_eq!(config.timeouts.total, Timeouts::default().total);
        assert!(!format!("{config:?}").contains("s3cret"));
        assert!(!serde_json::to_string(&config).expect("json").contains("s3cret"));
        assert!(serde_json::from_str::<HttpBackendConfig>(r#"{"urll":"x"}"#).is_err());
    }

    #[test]
    fn dialects_are_read_by_the_words_that_people_use() {
        for (word, dialect) in [
            ("lla-engine", Dialect::LlaEngine),
            ("vllm", Dialect::Vllm),
            ("llama-server", Dialect::LlamaServer),
            ("openai", Dialect::OpenAi),
            ("lm-studio", Dialect::LmStudio),
            ("ollama", Dialect::Ollama),
            ("generic", Dialect::Generic),
            ("auto", Dialect::Auto),
        ] {
            assert_eq!(serde_json::from_value::<Dialect>(word.into()).expect(word), dialect);
        }
    }
}
