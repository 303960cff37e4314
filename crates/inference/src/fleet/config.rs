//! What the fleet is told: models to run in engine processes, and servers that run elsewhere.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::driver::HttpBackendConfig;
use crate::duration_text;
use crate::resilience::ResilienceConfig;
use crate::route::{RouteConfig, Tier};

/// Everything that the fleet runs or calls.
#[derive(Debug, Clone, Default)]
pub struct FleetConfig {
    /// Models with an engine process each; the name is the model's and the backend's.
    pub models: BTreeMap<String, EngineModelConfig>,
    /// Servers that run by themselves.
    pub backends: BTreeMap<String, HttpBackendConfig>,
    /// Who serves a tier or a name of its own.
    pub routes: BTreeMap<String, RouteConfig>,
    /// How failures are met.
    pub resilience: ResilienceConfig,
    /// Folder of the engines' sockets; made with mode 0700 when it is not there.
    pub run_dir: PathBuf,
}

/// One model that runs in an engine process of ours. What is left out is chosen by the engine.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct EngineModelConfig {
    /// The GGUF file.
    pub path: Option<PathBuf>,
    /// A name in the model store, or where to pull the model from; becomes `path` before the fleet
    /// sees it.
    pub source: Option<String>,
    /// What the model is for.
    pub tier: Option<Tier>,
    /// Context window in tokens.
    pub context: Option<u32>,
    /// Tokens that the KV cache holds over all sequences.
    pub kv_tokens: Option<u32>,
    /// Sequences at a time.
    pub slots: Option<u32>,
    /// CPU threads.
    pub threads: Option<u32>,
    /// Prompt tokens per step.
    pub prefill_chunk: Option<u32>,
    /// Layers on the GPU.
    pub gpu_layers: Option<u32>,
    /// Whether what one prompt computed is used for others that begin alike.
    pub prefix_cache: bool,
    /// Whether tokens that repeat earlier ones are guessed and checked several at a time.
    pub drafts: bool,
    /// When the engine starts.
    pub start: StartPolicy,
    /// Stops an engine that has had no request for this long; `None`: never.
    #[serde(with = "duration_text::optional", skip_serializing_if = "Option::is_none")]
    pub idle_timeout: Option<Duration>,
    /// How long loading may take.
    #[serde(with = "duration_text")]
    pub load_timeout: Duration,
    /// Sampling for requests that do not say.
    pub sampling: DefaultSampling,
    /// A Jinja file in place of the model's own chat template.
    pub chat_template: Option<PathBuf>,
}

impl Default for EngineModelConfig {
    fn default() -> Self {
        Self {
            path: None,
            source: None,
            tier: None,
            context: None,
            kv_tokens: None,
            slots: None,
            threads: None,
            prefill_chunk: None,
            gpu_layers: None,
            prefix_cache: true,
            drafts: true,
            start: StartPolicy::default(),
            idle_timeout: None,
            load_timeout: Duration::from_secs(120),
            sampling: DefaultSampling::default(),
            chat_template: None,
        }
    }
}

/// When an engine process starts.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StartPolicy {
    /// With the gateway.
    #[default]
    AtStart,
    /// With the first request for the model.
    OnFirstUse,
}

/// How tokens are chosen when a request does not say.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct DefaultSampling {
    /// 0 to 2.
    pub temperature: Option<f32>,
    /// Above 0 up to 1.
    pub top_p: Option<f32>,
    /// 0 switches it off.
    pub top_k: Option<u32>,
    /// 0 to 1.
    pub min_p: Option<f32>,
}

impl EngineModelConfig {
    /// The arguments of `lla engine` that start this model under the name `name` on `socket`.
    #[must_use]
    pub fn to_args(&self, name: &str, socket: &Path) -> Vec<OsString> {
        let mut args = Vec::new();
        let mut option = |flag: &str, value: OsString| args.extend([OsString::from(flag), value]);
        option("--model", self.path.clone().unwrap_or_default().into());
        option("--name", name.into());
        let mut listen = OsString::from("unix:");
        listen.push(socket);
        option("--listen", listen);
        let numbers = [
            ("--context", self.context),
            ("--kv-tokens", self.kv_tokens),
            ("--slots", self.slots),
            ("--threads", self.threads),
            ("--prefill-chunk", self.prefill_chunk),
            ("--gpu-layers", self.gpu_layers),
            ("--top-k", self.sampling.top_k),
        ];
        for (flag, value) in numbers {
            if let Some(value) = value {
                option(flag, value.to_string().into());
            }
        }
        let decimals = [
            ("--temperature", self.sampling.temperature),
            ("--top-p", self.sampling.top_p),
            ("--min-p", self.sampling.min_p),
        ];
        for (flag, value) in decimals {
            if let Some(value) = value {
                option(flag, value.to_string().into());
            }
        }
        if let Some(template) = &self.chat_template {
            option("--chat-template", template.into());
        }
        let switches = [("--no-prefix-cache", !self.prefix_cache), ("--no-drafts", !self.drafts)];
        args.extend(switches.into_iter().filter(|(_, on)| *on).map(|(flag, _)| flag.into()));
        args.push("--exit-with-stdin".into());
        args
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_set_becomes_an_argument() {
        let config = EngineModelConfig {
            path: Some("/m/a.gguf".into()),
            slots: Some(8),
            drafts: false,
            sampling: DefaultSampling { temperature: Some(0.2), ..DefaultSampling::default() },
            ..EngineModelConfig::default()
        };
        let args = config.to_args("a", Path::new("/run/a.sock"));
        let expected = "--model /m/a.gguf --name a --listen unix:/run/a.sock --slots 8 --temperature 0.2 --no-drafts --exit-with-stdin";
        assert_eq!(args, expected.split(' ').map(OsString::from).collect::<Vec<_>>());
    }

    #[test]
    fn a_configuration_is_read_with_defaults_and_refuses_what_it_does_not_know() {
        let read = |text| serde_json::from_str::<EngineModelConfig>(text);
        let config = read(r#"{"path":"a","start":"on_first_use","idle_timeout":"10m"}"#).expect("valid");
        assert_eq!(config.idle_timeout, Some(Duration::from_secs(600)));
        assert_eq!((config.start, config.load_timeout), (StartPolicy::OnFirstUse, Duration::from_secs(120)));
        assert!(read(r#"{"pth":"a"}"#).is_err());
        let error = read(r#"{"load_timeout":"soon"}"#).expect_err("no duration");
        assert!(error.to_string().contains("for example \"30s\""), "{error}");
        let written = serde_json::to_string(&config).expect("json");
        assert_eq!(read(&written).expect("round trip"), config);
    }
}
