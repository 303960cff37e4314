//! What a server is, judged by what it says.

use lla_protocol::openai::ModelList;
use reqwest::StatusCode;
use serde_json::Value;

use super::tiers::{self, Candidate};

/// What kind of server it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Ollama.
    Ollama,
    /// vLLM.
    Vllm,
    /// llama.cpp's `llama-server`.
    LlamaServer,
    /// LM Studio.
    LmStudio,
    /// `lla engine`.
    Engine,
    /// A gateway of this kind, which is no backend.
    Gateway,
    /// Something that lists models as OpenAI does.
    Generic,
}

impl Kind {
    /// Its name for people.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Ollama => "Ollama",
            Self::Vllm => "vLLM",
            Self::LlamaServer => "llama-server",
            Self::LmStudio => "LM Studio",
            Self::Engine => "lla engine",
            Self::Gateway => "a gateway of this kind",
            Self::Generic => "a server of the OpenAI API",
        }
    }
}

/// A server that was found.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// On which port of 127.0.0.1.
    pub port: u16,
    /// What it is.
    pub kind: Kind,
    /// The version that it tells.
    pub version: Option<String>,
    /// Its models.
    pub models: Vec<Candidate>,
    /// It lists its models only to who has a key.
    pub needs_key: bool,
}

/// What a server said on each route; `null` where it said nothing that is JSON.
#[derive(Debug, Clone, Default)]
pub struct Said {
    /// `GET /v1/models`.
    pub models: Page,
    /// `GET /api/version`.
    pub ollama: Value,
    /// `GET /api/tags`.
    pub tags: Value,
    /// `GET /version`.
    pub vllm: Value,
    /// `GET /props`.
    pub props: Value,
    /// `GET /api/v0/models`.
    pub lm_studio: Value,
    /// `GET /health`.
    pub health: Value,
}

/// The answer to `GET /v1/models`.
#[derive(Debug, Clone, Default)]
pub struct Page {
    /// Its status.
    pub status: StatusCode,
    /// The `Server` header.
    pub server: String,
    /// Its body; `null` when that is no JSON.
    pub body: Value,
}

/// Judges what was said; `None`: nobody that runs models says so. Pure.
#[must_use]
pub fn read(port: u16, said: &Said) -> Option<Found> {
    let listed = serde_json::from_value::<ModelList>(said.models.body.clone()).map(|list| list.data);
    let needs_key = matches!(said.models.status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN);
    let owned_by = |name: &str| listed.iter().flatten().any(|model| model.owned_by == name);
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let lm_studio =
        said.lm_studio["data"].as_array().filter(|models| models.iter().any(|model| model["type"].is_string()));
    let openai = || listed.iter().flatten().map(candidate).collect();
    let (kind, version, models) = if said.health["gateway"].is_object() {
        (Kind::Gateway, text(&said.health["version"]), Vec::new())
    } else if said.models.server == "llama.cpp" || said.props["default_generation_settings"].is_object() {
        (Kind::LlamaServer, text(&said.props["build_info"]), openai())
    } else if let Some(models) = lm_studio {
        (Kind::LmStudio, None, models.iter().filter_map(lm_studio_model).collect())
    } else if let (Some(version), Some(tags)) = (text(&said.ollama["version"]), said.tags["models"].as_array()) {
        (Kind::Ollama, Some(version), tags.iter().filter_map(ollama_model).collect())
    } else if owned_by("lla") {
        (Kind::Engine, text(&said.vllm["version"]), openai())
    } else if owned_by("vllm") || (needs_key && said.vllm["version"].is_string()) {
        (Kind::Vllm, text(&said.vllm["version"]), openai())
    } else if listed.is_ok() || needs_key {
        (Kind::Generic, None, openai())
    } else {
        return None;
    };
    Some(Found { port, kind, version, models, needs_key })
}

/// An entry of `GET /v1/models`. `llama-server` tells sizes in `meta`; adapters of vLLM are no models to
/// choose from by size.
fn candidate(model: &lla_protocol::openai::Model) -> Candidate {
    let mut candidate = Candidate::named(&model.id);
    let meta = model.rest.get("meta").and_then(|meta| meta["n_params"].as_f64());
    candidate.parameters = meta.or(candidate.parameters);
    candidate.chats &= model.rest.get("parent").is_none_or(Value::is_null);
    candidate
}

fn ollama_model(model: &Value) -> Option<Candidate> {
    let mut candidate = Candidate::named(model["name"].as_str()?);
    let told = model["details"]["parameter_size"].as_str().and_then(tiers::parameters);
    candidate.parameters = told.or(candidate.parameters);
    let families =
        [&model["details"]["family"]].into_iter().chain(model["details"]["families"].as_array().into_iter().flatten());
    let makes_vectors = families.filter_map(Value::as_str).any(|family| family.contains("bert"));
    // Newer versions tell what a model can do; one with a remote host runs at Ollama's, not here.
    let can_chat = model["capabilities"].as_array().is_none_or(|can| can.iter().any(|word| word == "completion"));
    let remote = model["remote_host"].as_str().is_some_and(|host| !host.is_empty());
    candidate.chats &= !makes_vectors && can_chat && !remote;
    Some(candidate)
}

fn lm_studio_model(model: &Value) -> Option<Candidate> {
    let mut candidate = Candidate::named(model["id"].as_str()?);
    candidate.chats = matches!(model["type"].as_str(), Some("llm" | "vlm"));
    Some(candidate)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn listing(owner: &str, entry: &Value) -> Page {
        let mut model = json!({"id": "m-8b", "object": "model", "created": 1, "owned_by": owner});
        for (key, value) in entry.as_object().into_iter().flatten() {
            model[key] = value.clone();
        }
        Page { body: json!({"object": "list", "data": [model]}), ..Page::default() }
    }

    /// What each server says, cut to what is read.
    fn cases() -> Vec<(Kind, Said)> {
        let strange = json!({"error": "Unexpected endpoint or method. (GET /props). Returning 200 anyway"});
        vec![
            (
                Kind::Ollama,
                Said {
                    models: listing("library", &json!({})),
                    ollama: json!({"version": "0.40.0"}),
                    tags: json!({"models": [{"name": "m:latest", "details": {"family": "llama", "parameter_size": "8.0B"}}]}),
                    ..Said::default()
                },
            ),
            (
                Kind::Vllm,
                Said {
                    models: listing("vllm", &json!({"parent": null})),
                    vllm: json!({"version": "0.32.0"}),
                    ..Said::default()
                },
            ),
            (
                Kind::LlamaServer,
                Said {
                    models: listing("llamacpp", &json!({"meta": {"n_params": 8e9}})),
                    props: json!({"default_generation_settings": {}, "build_info": "b1-x"}),
                    ..Said::default()
                },
            ),
            (
                Kind::LlamaServer,
                Said {
                    models: Page {
                        server: "llama.cpp".to_owned(),
                        status: StatusCode::SERVICE_UNAVAILABLE,
                        ..Page::default()
                    },
                    ..Said::default()
                },
            ),
            (
                Kind::LmStudio,
                Said {
                    models: listing("organization_owner", &json!({})),
                    ollama: strange.clone(),
                    tags: strange.clone(),
                    vllm: strange.clone(),
                    props: strange.clone(),
                    health: strange,
                    lm_studio: json!({"data": [{"id": "m-8b", "type": "llm"}, {"id": "v", "type": "embeddings"}]}),
                },
            ),
            (
                Kind::Engine,
                Said { models: listing("lla", &json!({})), vllm: json!({"version": "0.1.0"}), ..Said::default() },
            ),
            (
                Kind::Gateway,
                Said {
                    models: listing("lla", &json!({"state": "ready"})),
                    health: json!({"gateway": {}}),
                    ..Said::default()
                },
            ),
            (Kind::Generic, Said { models: listing("me", &json!({})), ..Said::default() }),
        ]
    }

    #[test]
    fn servers_are_known_by_what_only_they_say() {
        for (kind, said) in cases() {
            let found = read(1, &said).expect("something");
            assert_eq!(found.kind, kind);
            for model in found.models.iter().filter(|model| model.chats) {
                assert_eq!(model.parameters, Some(8e9), "{kind:?} {model:?}");
            }
        }
        let page = Page { body: json!({"hello": "world"}), ..Page::default() };
        assert_eq!(read(1, &Said { models: page, ..Said::default() }), None);
        assert_eq!(read(1, &Said::default()), None);
    }

    #[test]
    fn a_server_behind_a_key_is_found_without_its_models() {
        let refusal =
            Page { status: StatusCode::UNAUTHORIZED, body: json!({"error": "Unauthorized"}), ..Page::default() };
        let vllm = Said { models: refusal.clone(), vllm: json!({"version": "0.32.0"}), ..Said::default() };
        let found = read(1, &vllm).expect("vllm");
        assert_eq!((found.kind, found.needs_key, found.models.len()), (Kind::Vllm, true, 0));
        assert_eq!(read(1, &Said { models: refusal, ..Said::default() }).map(|found| found.kind), Some(Kind::Generic));
    }

    #[test]
    fn models_that_do_not_chat_here_are_told_apart() {
        let chats = |entry: Value| ollama_model(&entry).expect("named").chats;
        assert!(chats(json!({"name": "qwen3:8b", "details": {"family": "qwen3"}})));
        assert!(chats(json!({"name": "q", "capabilities": ["completion", "tools"]})));
        assert!(!chats(json!({"name": "q", "capabilities": ["embedding"]})));
        assert!(!chats(json!({"name": "x", "details": {"family": "nomic-bert"}})));
        assert!(!chats(json!({"name": "gpt-oss:120b-cloud", "remote_host": "https://ollama.com"})));
        let adapter = listing("vllm", &json!({"parent": "base"}));
        let list: ModelList = serde_json::from_value(adapter.body).expect("list");
        assert!(!candidate(&list.data[0]).chats);
    }
}
