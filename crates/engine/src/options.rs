//! How an engine is started: plain values, filled in by whoever starts it (`lla engine`).
//!
//! Numbers left out are chosen from the model and the machine in `capacity.rs`.

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::error::EngineError;

/// Everything that can be said about one engine.
#[derive(Debug, Clone, PartialEq)]
pub struct EngineOptions {
    /// The model, a GGUF file.
    pub model: PathBuf,
    /// The name that callers use; `None`: the file's name without its ending.
    pub name: Option<String>,
    /// Where to listen.
    pub listen: Listen,
    /// Most tokens of prompt and answer together; `None`: from the model and the memory.
    pub context: Option<u32>,
    /// Tokens that the KV cache holds for all sequences together; `None`: from the memory.
    pub kv_tokens: Option<u32>,
    /// Sequences that run at the same time.
    pub slots: u32,
    /// Generations that may wait for a slot; more are refused with 503.
    pub queue: u32,
    /// Most prompt tokens per step beside running streams; `None`: from the machine.
    pub prefill_chunk: Option<u32>,
    /// Threads; `None`: the cores that this process may use.
    pub threads: Option<u32>,
    /// Layers on the GPU; `None`: all, when there is one.
    pub gpu_layers: Option<u32>,
    /// A Jinja chat template to use instead of the model's own.
    pub chat_template: Option<PathBuf>,
    /// What holds for requests that do not say.
    pub defaults: SamplingDefaults,
    /// End when standard input closes (a supervisor holds it open).
    pub exit_with_stdin: bool,
    /// Name of the CPU code to run; `None`: the best that works.
    pub cpu: Option<String>,
    /// Keep what ended sequences computed, and use it for prompts that begin alike.
    pub prefix_cache: bool,
    /// Guess tokens that repeat earlier ones, and check several in one step.
    pub drafts: bool,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            model: PathBuf::new(),
            name: None,
            listen: Listen::Tcp(SocketAddr::from(([127, 0, 0, 1], 0))),
            context: None,
            kv_tokens: None,
            slots: 32,
            queue: 256,
            prefill_chunk: None,
            threads: None,
            gpu_layers: None,
            chat_template: None,
            defaults: SamplingDefaults::default(),
            exit_with_stdin: false,
            cpu: None,
            prefix_cache: true,
            drafts: true,
        }
    }
}

impl EngineOptions {
    /// The name that callers use.
    #[must_use]
    pub fn model_name(&self) -> String {
        match &self.name {
            Some(name) => name.clone(),
            None => self.model.file_stem().unwrap_or(self.model.as_os_str()).to_string_lossy().into_owned(),
        }
    }

    /// The CPU code asked for; `None`: the best that works.
    ///
    /// # Errors
    /// When the name is of no variant.
    pub fn cpu_variant(&self) -> Result<Option<crate::cpu::Variant>, EngineError> {
        let parse = |name: &String| {
            name.parse::<crate::cpu::Variant>()
                .map_err(|error| EngineError::Unsupported { param: "cpu".to_owned(), message: error.to_string() })
        };
        self.cpu.as_ref().map(parse).transpose()
    }
}

/// Sampling for requests that do not say; `None`: the OpenAI API's own default.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
pub struct SamplingDefaults {
    /// 0 to 2; OpenAI's default is 1.
    pub temperature: Option<f64>,
    /// Above 0 up to 1; OpenAI's default is 1.
    pub top_p: Option<f64>,
    /// Off by default.
    pub top_k: Option<u32>,
    /// Off by default.
    pub min_p: Option<f64>,
}

/// An address to listen on, written `unix:PATH` or `tcp:ADDRESS:PORT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listen {
    /// A Unix socket, for callers on this machine and of this user.
    Unix(PathBuf),
    /// A TCP address; port 0 takes a free one.
    Tcp(SocketAddr),
}

/// A text that is no address to listen on.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("\"{text}\" is not an address: write unix:PATH or tcp:ADDRESS:PORT, for example tcp:127.0.0.1:8000")]
pub struct ParseListenError {
    /// What was written.
    pub text: String,
}

impl FromStr for Listen {
    type Err = ParseListenError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let wrong = || ParseListenError { text: text.to_owned() };
        match text.split_once(':').ok_or_else(wrong)? {
            ("unix", path) if !path.is_empty() => Ok(Self::Unix(Path::new(path).to_owned())),
            ("tcp", address) => {
                let address =
                    address.strip_prefix("localhost:").map_or(address.to_owned(), |port| format!("127.0.0.1:{port}"));
                address.parse().map(Self::Tcp).map_err(|_| wrong())
            }
            _ => Err(wrong()),
        }
    }
}

impl fmt::Display for Listen {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Unix(path) => write!(f, "unix:{}", path.display()),
            Self::Tcp(address) => write!(f, "tcp:{address}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_read_and_written() {
        for text in ["unix:/run/lla/a.sock", "unix:relative.sock", "tcp:127.0.0.1:8000", "tcp:[::1]:0"] {
            assert_eq!(text.parse::<Listen>().expect(text).to_string(), text);
        }
        assert_eq!("tcp:localhost:80".parse::<Listen>().expect("localhost").to_string(), "tcp:127.0.0.1:80");
        for text in ["", "unix:", "tcp:", "tcp:8000", "tcp:127.0.0.1", "http://x", "/run/a.sock", "127.0.0.1:8000"] {
            assert_eq!(text.parse::<Listen>().expect_err(text).text, text);
        }
    }

    #[test]
    fn a_model_without_a_name_is_called_like_its_file() {
        let mut options = EngineOptions { model: "/models/SmolLM2.Q4_1.gguf".into(), ..EngineOptions::default() };
        assert_eq!(options.model_name(), "SmolLM2.Q4_1");
        options.name = Some("small".to_owned());
        assert_eq!(options.model_name(), "small");
    }
}
