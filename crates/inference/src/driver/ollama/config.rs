//! What only an Ollama can be told.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::duration_text;

/// `[backends.NAME.ollama]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct OllamaConfig {
    /// A model of `models` that Ollama does not have is pulled with the first request for it. Default:
    /// such a request gets a 404 that says how to pull it.
    pub pull: bool,
    /// How long a model stays in memory after a request; 0 unloads it at once. Default: what Ollama is
    /// set to.
    #[serde(with = "duration_text::optional", skip_serializing_if = "Option::is_none")]
    pub keep_alive: Option<Duration>,
    /// The largest window that a model is loaded with, in tokens. Default: the model's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_context: Option<u32>,
}

impl OllamaConfig {
    /// Nothing is set.
    #[must_use]
    pub fn is_default(&self) -> bool {
        *self == Self::default()
    }

    /// `keep_alive` as Go reads it.
    pub(super) fn keep_alive(&self) -> Option<String> {
        self.keep_alive.map(|duration| format!("{}ms", duration.as_millis()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_read_and_written_as_text() {
        let config: OllamaConfig = serde_json::from_str(r#"{"keep_alive":"10m","pull":true}"#).expect("valid");
        assert_eq!(config.keep_alive().as_deref(), Some("600000ms"));
        let written = serde_json::to_string(&config).expect("json");
        assert_eq!(serde_json::from_str::<OllamaConfig>(&written).expect("again"), config);
        assert!(serde_json::from_str::<OllamaConfig>(r#"{"keepalive":"1m"}"#).is_err());
        assert!(OllamaConfig::default().is_default() && !config.is_default());
    }
}
