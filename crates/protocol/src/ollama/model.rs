//! What there is, what is loaded, and how to get more: `/api/tags`, `/api/show`, `/api/ps`,
//! `/api/pull`, `/api/version`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// `GET /api/tags`: the models that are there.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct ModelList {
    /// The last changed first.
    #[serde(default)]
    pub models: Vec<ListedModel>,
}

/// One model of a [`ModelList`].
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct ListedModel {
    /// With its tag: `llama3.2:latest`.
    pub name: String,
    /// When it was pulled or made (RFC 3339).
    #[serde(default)]
    pub modified_at: String,
    /// Of its manifest: another digest is another model under the same name.
    #[serde(default)]
    pub digest: String,
    /// What is known of it.
    #[serde(default)]
    pub details: ModelDetails,
}

/// What a list tells of a model.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct ModelDetails {
    /// Most tokens of prompt and answer together; only newer versions tell.
    #[serde(default)]
    pub context_length: Option<u32>,
}

/// `POST /api/show`: which model.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ShowRequest {
    /// Its name.
    pub model: String,
}

/// All about one model.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct ShowResponse {
    /// Lines `name value` of the Modelfile.
    #[serde(default)]
    pub parameters: Option<String>,
    /// The file's metadata: `general.architecture`, `llama.context_length`, ...
    #[serde(default)]
    pub model_info: Option<Map<String, Value>>,
    /// `completion`, `tools`, `vision`, `thinking`, `embedding`, `insert`; older versions do not tell.
    #[serde(default)]
    pub capabilities: Option<Vec<String>>,
    /// It runs elsewhere, under this name.
    #[serde(default)]
    pub remote_model: Option<String>,
}

impl ShowResponse {
    /// Most tokens that the model takes.
    #[must_use]
    pub fn context_length(&self) -> Option<u32> {
        let info = self.model_info.as_ref()?;
        let of_architecture = info
            .get("general.architecture")
            .and_then(Value::as_str)
            .and_then(|architecture| info.get(&format!("{architecture}.context_length")));
        // A file may hold more than one model (a projector), whose length has a longer name.
        let any = || info.iter().find(|(name, _)| name.ends_with(".context_length")).map(|(_, value)| value);
        let length = of_architecture.or_else(any)?.as_u64()?;
        u32::try_from(length).ok().filter(|length| *length > 0)
    }

    /// `num_ctx` of the Modelfile: the window that its maker wants.
    #[must_use]
    pub fn num_ctx(&self) -> Option<u32> {
        let lines = self.parameters.as_deref().unwrap_or_default().lines();
        let mut words = lines.map(str::split_whitespace);
        words.find_map(|mut words| (words.next() == Some("num_ctx")).then(|| words.next()?.parse().ok()).flatten())
    }
}

/// `GET /api/ps`: the models that are loaded.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub struct ProcessList {
    /// Those that stay longest first.
    #[serde(default)]
    pub models: Vec<LoadedModel>,
}

/// One model of a [`ProcessList`].
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LoadedModel {
    /// With its tag.
    pub name: String,
    /// Bytes of it on a GPU.
    #[serde(default)]
    pub size_vram: u64,
    /// The window it was loaded with; older versions do not tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context_length: Option<u32>,
    /// When it will be unloaded (RFC 3339).
    #[serde(default)]
    pub expires_at: String,
}

/// `GET /api/version`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Version {
    /// `0.33.0`.
    pub version: String,
}

/// `POST /api/pull`: which model to get.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct PullRequest {
    /// Its name.
    pub model: String,
    /// Tell about it while it goes on.
    pub stream: bool,
}

/// One line of the answer; the last one has the status `success`.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
pub struct PullProgress {
    /// What it does: `pulling manifest`, `pulling 6a0746a1ec1a`, `success`.
    #[serde(default)]
    pub status: String,
    /// Bytes of the part that is being pulled.
    #[serde(default)]
    pub total: Option<u64>,
    /// Of these, how many are here.
    #[serde(default)]
    pub completed: Option<u64>,
    /// Why it went wrong; nothing follows.
    #[serde(default)]
    pub error: Option<String>,
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn show(value: Value) -> ShowResponse {
        serde_json::from_value(value).expect("a model")
    }

    #[test]
    fn the_window_is_that_of_the_architecture() {
        for (info, length) in [
            (json!({"general.architecture": "llama", "llama.context_length": 8192}), Some(8192)),
            (
                json!({"clip.vision.context_length": 7, "general.architecture": "gemma3", "gemma3.context_length": 131_072}),
                Some(131_072),
            ),
            (json!({"qwen3.context_length": 40960}), Some(40960)),
            (json!({"general.architecture": "llama"}), None),
            (json!({"llama.context_length": 0}), None),
            (json!({"llama.context_length": "many"}), None),
            (Value::Null, None),
        ] {
            assert_eq!(show(json!({"model_info": info})).context_length(), length, "{info}");
        }
    }

    #[test]
    fn the_window_of_the_modelfile_stands_among_its_parameters() {
        let parameters = "stop                           \"<|im_end|>\"\nnum_ctx                        16384";
        assert_eq!(show(json!({"parameters": parameters})).num_ctx(), Some(16384));
        for parameters in ["stop \"num_ctx 5\"", "num_ctx", "num_ctx x", ""] {
            assert_eq!(show(json!({"parameters": parameters})).num_ctx(), None, "{parameters}");
        }
        assert_eq!(show(json!({})).num_ctx(), None);
    }
}
