//! What a backend can do, as far as that is known without trying.
//!
//! Read from the server itself by its driver, shown in `GET /health`. What nobody has told is
//! [`Support::Unknown`], which is not a no: a request that needs it is sent, and the server decides.

use serde::Serialize;

/// Whether a backend can do something.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Support {
    /// It can.
    Yes,
    /// It can not, or not as it was started.
    No,
    /// Nobody has told.
    #[default]
    Unknown,
}

impl Support {
    /// The word in answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::Unknown => "unknown",
        }
    }
}

impl From<bool> for Support {
    fn from(can: bool) -> Self {
        if can { Self::Yes } else { Self::No }
    }
}

impl From<Option<bool>> for Support {
    fn from(can: Option<bool>) -> Self {
        can.map_or(Self::Unknown, Self::from)
    }
}

/// Powers of a backend beside plain answers.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct Capabilities {
    /// What kind of server it was found to be: a word of `dialect` in the configuration.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub server: Option<&'static str>,
    /// Smallest context window of its models, in tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub window: Option<u32>,
    /// An answer can be held to a JSON Schema.
    pub structured_output: Support,
    /// The model may choose to call tools.
    pub tools: Support,
    /// Log-probabilities of tokens.
    pub logprobs: Support,
    /// A route of its own for typed decisions; without it they are made in other ways.
    pub decisions: Support,
    /// Vectors.
    pub embeddings: Support,
    /// LoRA adapters are loaded.
    pub adapters: Support,
    /// Prompt tokens are counted without answering.
    pub token_counts: Support,
    /// Metrics in Prometheus' form.
    pub metrics: Support,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_known_is_written_as_unknown() {
        let found =
            Capabilities { server: Some("vllm"), tools: true.into(), logprobs: false.into(), ..Default::default() };
        let written = serde_json::to_value(found).expect("json");
        let words = [("server", "vllm"), ("tools", "yes"), ("logprobs", "no"), ("decisions", "unknown")];
        for (name, word) in words {
            assert_eq!(written[name], word, "{name}");
        }
        assert!(written.get("window").is_none());
        for support in [Support::Yes, Support::No, Support::Unknown] {
            assert_eq!(serde_json::to_value(support).expect("json"), support.as_str());
        }
    }
}
