//! The root configuration: one TOML file, `LLA_*` variables over it, a few flags over those.
//!
//! [`load`] finds the file ([`find`]), reads it ([`read`]), lays the overrides on it ([`layer`]),
//! puts secrets in ([`secret`]) and checks what types can not say ([`check`]). Every complaint is a
//! [`Problem`] that names the key by its full path and the place where it was set.
//!
//! What it does not: apply anything. The values belong to the crates that use them; this one only
//! gathers them. `lla.example.toml` and `docs/configuration.md` describe each key.

pub mod check;
pub mod find;
pub mod layer;
pub mod problem;
pub mod process;
pub mod read;
pub mod secret;
pub mod show;

use std::collections::BTreeMap;
use std::path::PathBuf;

use lla_gateway::{ServerConfig, ToolsConfig};
use lla_inference::{EngineModelConfig, HttpBackendConfig, ResilienceConfig, RouteConfig};
use serde::{Deserialize, Serialize};

pub use problem::{ConfigError, Place, Problem};
use read::Layers;

/// The name of the model that runs when the configuration names none.
pub const DEFAULT_MODEL: &str = "smollm2-135m-instruct";

/// Everything that can be configured.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Config {
    /// `[server]`: the address, limits and timeouts of the gateway.
    pub server: ServerConfig,
    /// `[log]`: what is logged, and how.
    pub log: LogConfig,
    /// `[models.NAME]`: models that run in engines of our own. Without any model and any backend:
    /// the default model.
    pub models: BTreeMap<String, EngineModelConfig>,
    /// `[backends.NAME]`: servers that others run.
    pub backends: BTreeMap<String, HttpBackendConfig>,
    /// `[routes.NAME]`: who serves a tier or a name of its own, in which order.
    pub routes: BTreeMap<String, RouteConfig>,
    /// `[resilience]`: how failures of backends are met.
    pub resilience: ResilienceConfig,
    /// `[tools]`: what classify, extract, summarize and rewrite may use.
    pub tools: ToolsConfig,
    /// `[store]`: where models are kept.
    pub store: StoreConfig,
}

/// `[log]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LogConfig {
    /// `error`, `warn`, `info` (default), `debug`, `trace`, or directives per part of the program
    /// (`info,lla_inference=debug`). The variable `LLA_LOG` and `--log` win over it.
    pub level: String,
    /// How a line looks.
    pub format: LogFormat,
}

impl Default for LogConfig {
    fn default() -> Self {
        Self { level: "info".to_owned(), format: LogFormat::Auto }
    }
}

/// How log lines look.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LogFormat {
    /// `human` on a terminal, `json` otherwise.
    #[default]
    Auto,
    /// Short lines for eyes.
    Human,
    /// One JSON object per line.
    Json,
}

/// `[store]`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct StoreConfig {
    /// The folder of the models; default: `models` in `LLA_HOME`.
    pub path: Option<PathBuf>,
    /// Whether a model is converted once into a form that this machine runs faster.
    pub prepare: Prepare,
}

/// `store.prepare`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Prepare {
    /// When measurements say that it pays: small models in a form without a fast path.
    #[default]
    Auto,
    /// Models run as they were shipped.
    Never,
}

/// A configuration and where it came from.
#[derive(Debug, Clone)]
pub struct Loaded {
    /// What is in force, secrets included.
    pub config: Config,
    /// The file it was read from.
    pub file: Option<PathBuf>,
    /// File and overrides as written: references to secrets are not resolved.
    pub written: toml::Table,
    /// What was laid over the file, in order.
    pub overrides: Vec<layer::Override>,
}

/// Finds, reads and checks the configuration.
///
/// # Errors
/// Every problem found, each with its path and place.
pub fn load(wanted: &find::Wanted, overrides: Vec<layer::Override>) -> Result<Loaded, ConfigError> {
    let file = find::file(wanted)?;
    let mut layers = match &file {
        Some(path) => Layers::from_file(path)?,
        None => Layers::empty(),
    };
    for wish in &overrides {
        layers.lay(wish)?;
    }
    let mut config = layers.config()?;
    if config.models.is_empty() && config.backends.is_empty() {
        config.models.insert(DEFAULT_MODEL.to_owned(), default_model());
    }
    let problems = check::config(&config);
    if problems.is_empty() {
        Ok(Loaded { config, file, written: layers.into_written(), overrides })
    } else {
        Err(ConfigError(problems.into_iter().map(|problem| layers.place(problem)).collect()))
    }
}

fn default_model() -> EngineModelConfig {
    EngineModelConfig {
        source: Some(DEFAULT_MODEL.to_owned()),
        tier: Some(lla_inference::Tier::Small),
        ..EngineModelConfig::default()
    }
}
