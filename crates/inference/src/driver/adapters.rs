//! LoRA adapters of a `llama-server`, offered as models of their own. Pure.
//!
//! That server applies every adapter it was started with, all at once, to a request whose `lora` list
//! is missing or empty. So each request gets an explicit list: the adapter that was asked for, or none.

use lla_protocol::openai::Model;
use serde::Deserialize;
use serde_json::{Map, Value, json};

use crate::ModelInfo;

/// An entry of `GET /lora-adapters`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub(super) struct Loaded {
    id: u32,
    path: String,
    /// What it was started with, or what somebody has set since.
    #[serde(default)]
    scale: f64,
}

/// The adapters of one server.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Adapters {
    /// The model that they are made for.
    base: String,
    adapters: Vec<Adapter>,
}

#[derive(Debug, Clone, PartialEq)]
struct Adapter {
    name: String,
    id: u32,
    scale: f64,
}

impl Adapters {
    /// Names them by their files; a name that is taken gets the adapter's number. `models` are those that the server
    /// lists: the first one is what the adapters are for.
    pub(super) fn new(loaded: Vec<Loaded>, models: &[Model]) -> Self {
        let Some(base) = models.first().map(|model| model.id.clone()) else { return Self::default() };
        let mut adapters: Vec<Adapter> = Vec::with_capacity(loaded.len());
        for Loaded { id, path, scale } in loaded {
            let stem = stem(&path);
            let taken = |name: &str| {
                adapters.iter().any(|other| other.name == name) || models.iter().any(|model| model.id == name)
            };
            let name = if stem.is_empty() || taken(stem) { format!("{base}:{id}") } else { stem.to_owned() };
            // Whoever has switched it off for those who ask without a list did not mean those who name it.
            let scale = if scale > 0.0 { scale } else { 1.0 };
            adapters.push(Adapter { name, id, scale });
        }
        Self { base, adapters }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.adapters.is_empty()
    }

    /// The adapters as models; window and age are those of the model that they are for.
    pub(super) fn models(&self, base: &ModelInfo) -> Vec<ModelInfo> {
        let model =
            |adapter: &Adapter| ModelInfo { id: adapter.name.clone(), parent: Some(self.base.clone()), ..base.clone() };
        self.adapters.iter().map(model).collect()
    }

    /// Makes a request for `model` one that this server understands. A list that the caller has written himself is
    /// left as it is, an empty one is not.
    pub(super) fn apply(&self, model: &mut String, fields: &mut Map<String, Value>) {
        if self.is_empty() {
            return;
        }
        let wanted = self.adapters.iter().find(|adapter| adapter.name == *model).map(|adapter| adapter.id);
        let is_named = fields.get("lora").and_then(Value::as_array).is_some_and(|list| !list.is_empty());
        if wanted.is_some() || !is_named {
            let scale = |adapter: &Adapter| if Some(adapter.id) == wanted { adapter.scale } else { 0.0 };
            let list = self.adapters.iter().map(|adapter| json!({"id": adapter.id, "scale": scale(adapter)}));
            fields.insert("lora".to_owned(), list.collect());
        }
        if wanted.is_some() {
            self.base.clone_into(model);
        }
    }
}

/// The name of a file without its ending, on whatever system the server runs.
fn stem(path: &str) -> &str {
    let name = path.rsplit(['/', '\\']).next().unwrap_or(path);
    name.rsplit_once('.').map_or(name, |(stem, _)| stem)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn adapters() -> Adapters {
        let loaded = json!([
            {"id": 0, "path": "/a/label.gguf", "scale": 1.0, "task_name": ""},
            {"id": 1, "path": "C:\\b\\upper.v2.gguf", "scale": 0.5},
            {"id": 2, "path": "/c/label.gguf", "scale": 0.0},
            {"id": 3, "path": "smol"},
        ]);
        Adapters::new(serde_json::from_value(loaded).expect("list"), &[Model::new("smol", 7, "llamacpp")])
    }

    #[test]
    fn adapters_are_models_with_names_of_their_own() {
        let base = ModelInfo { id: "smol".to_owned(), window: Some(64), created: 7, parent: None };
        let models = adapters().models(&base);
        let names: Vec<&str> = models.iter().map(|model| model.id.as_str()).collect();
        assert_eq!(names, ["label", "upper.v2", "smol:2", "smol:3"]);
        assert!(models.iter().all(|model| model.parent.as_deref() == Some("smol") && model.window == Some(64)));
        assert!(Adapters::new(Vec::new(), &[Model::new("smol", 7, "x")]).is_empty());
    }

    #[test]
    fn every_request_says_which_adapters_it_wants() {
        let list = |scales: [f64; 4]| -> Value {
            (0..4).zip(scales).map(|(id, scale)| json!({"id": id, "scale": scale})).collect()
        };
        let own = json!([{"id": 1, "scale": 2.0}]);
        for (asked, written, model, lora) in [
            ("smol", None, "smol", list([0.0; 4])),
            ("smol", Some(json!([])), "smol", list([0.0; 4])),
            ("smol", Some(own.clone()), "smol", own.clone()),
            ("label", None, "smol", list([1.0, 0.0, 0.0, 0.0])),
            ("label", Some(own), "smol", list([1.0, 0.0, 0.0, 0.0])),
            ("upper.v2", None, "smol", list([0.0, 0.5, 0.0, 0.0])),
            ("smol:2", None, "smol", list([0.0, 0.0, 1.0, 0.0])),
            ("unknown", None, "unknown", list([0.0; 4])),
        ] {
            let mut name = asked.to_owned();
            let mut fields = written.into_iter().map(|value| ("lora".to_owned(), value)).collect();
            adapters().apply(&mut name, &mut fields);
            assert_eq!((name.as_str(), &fields["lora"]), (model, &lora), "{asked}");
        }
        let (mut name, mut fields) = ("smol".to_owned(), Map::new());
        Adapters::default().apply(&mut name, &mut fields);
        assert!(fields.is_empty(), "a server without adapters is not told about any");
    }
}
