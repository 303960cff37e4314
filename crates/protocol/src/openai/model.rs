//! `GET /v1/models`.

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

/// One entry of the list of models.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Model {
    /// The name a caller may put into `model`.
    pub id: String,
    /// Always `model`.
    #[serde(default = "object_model")]
    pub object: String,
    /// Unix seconds.
    #[serde(default)]
    pub created: i64,
    /// Who serves it (`lla`, or the name of a backend).
    #[serde(default)]
    pub owned_by: String,
    /// Context window in tokens, under the name that vLLM uses.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_model_len: Option<u32>,
    /// Further fields: of upstreams (vLLM's `parent`, `root`), or ours (`tier`, `state`).
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// The list of models.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct ModelList {
    /// Always `list`.
    #[serde(default = "object_list")]
    pub object: String,
    /// The models, in a stable order.
    pub data: Vec<Model>,
}

impl Model {
    /// An entry without further fields.
    #[must_use]
    pub fn new(id: impl Into<String>, created: i64, owned_by: impl Into<String>) -> Self {
        Self {
            id: id.into(),
            object: object_model(),
            created,
            owned_by: owned_by.into(),
            max_model_len: None,
            rest: Map::new(),
        }
    }
}

impl ModelList {
    /// A list in the order given.
    #[must_use]
    pub fn new(data: Vec<Model>) -> Self {
        Self { object: object_list(), data }
    }
}

fn object_model() -> String {
    "model".to_owned()
}

fn object_list() -> String {
    "list".to_owned()
}
