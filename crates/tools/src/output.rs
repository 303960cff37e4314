//! What every tool's result carries beside the result itself.

use lla_protocol::openai::Usage;
use schemars::JsonSchema;
use serde::Serialize;

/// A tool's result with its costs. On the wire the fields of both stand side by side.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Output<R> {
    /// What the tool found.
    #[serde(flatten)]
    pub result: R,
    /// Files that were read for `path`, in the order in which their text was used.
    pub files_read: Vec<FileRead>,
    /// The model that did the work (the last one, when there were several).
    pub model: Option<String>,
    /// The tier that the model has.
    #[schemars(extend("enum" = ["small", "main", null]))]
    pub tier: Option<&'static str>,
    /// Tokens of all model calls together.
    pub usage: Tokens,
    /// Time from the call to the result, in milliseconds.
    pub latency_ms: f64,
}

/// A file whose text was used.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct FileRead {
    /// Its path.
    pub path: String,
    /// Its size in bytes.
    pub bytes: u64,
}

/// Tokens that were used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Tokens {
    /// Tokens that the model read.
    pub prompt_tokens: u32,
    /// Tokens that the model wrote.
    pub completion_tokens: u32,
    /// How many of the prompt tokens did not have to be computed.
    pub cached_tokens: u32,
}

impl Tokens {
    /// Adds what one model call used.
    pub fn add(&mut self, usage: &Usage) {
        let cached = usage.prompt_tokens_details.and_then(|details| details.cached_tokens).unwrap_or(0);
        self.prompt_tokens = self.prompt_tokens.saturating_add(usage.prompt_tokens);
        self.completion_tokens = self.completion_tokens.saturating_add(usage.completion_tokens);
        self.cached_tokens = self.cached_tokens.saturating_add(cached);
    }
}
