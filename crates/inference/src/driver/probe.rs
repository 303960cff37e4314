//! Finds out what a server can do: from what it says of itself where it does, from its documentation where asking
//! would cost money or load a model, and by the smallest requests there are where nothing else tells.
//!
//! Asked once per server and change of it (see `learned`), never before a request. What no answer tells stays
//! [`Support::Unknown`].

use std::collections::BTreeMap;

use lla_protocol::openai::{Model, ModelList};
use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::{Value, json};

use super::config::Dialect;
use super::connection::Connection;
use crate::{Capabilities, Support};

/// What kind of server lists its models like this; `None`: nothing known. Its names for itself stand in
/// `owned_by`: vLLM's and `llama-server`'s by their source, LM Studio's by what it sends.
pub(super) fn recognise(list: &ModelList) -> Option<Dialect> {
    let owner = list.data.first().map(|model| model.owned_by.as_str())?;
    match owner {
        "vllm" => Some(Dialect::Vllm),
        "llamacpp" => Some(Dialect::LlamaServer),
        "lla" => Some(Dialect::LlaEngine),
        "organization_owner" | "organization-owner" => Some(Dialect::LmStudio),
        _ => None,
    }
}

/// What `llama-server` tells of itself in `GET /props`.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
pub(super) struct Props {
    #[serde(default)]
    pub(super) build_info: Option<String>,
    #[serde(default)]
    endpoint_metrics: Option<bool>,
    #[serde(default)]
    chat_template_caps: Option<TemplateCaps>,
}

#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
struct TemplateCaps {
    #[serde(default)]
    supports_tools: Option<bool>,
}

/// What a server of this kind can do. `models`: what it lists.
pub(super) async fn capabilities(
    connection: &Connection,
    dialect: Dialect,
    models: &[Model],
    props: &Props,
) -> Capabilities {
    match dialect {
        Dialect::LlaEngine => Capabilities { adapters: Support::No, ..engine() },
        Dialect::Vllm => vllm(connection, models).await,
        Dialect::LlamaServer => llama_server(connection, props).await,
        Dialect::OpenAi | Dialect::LmStudio => documented(),
        // Ollama has a driver of its own.
        Dialect::Ollama | Dialect::Generic | Dialect::Auto => Capabilities::default(),
    }
}

/// Our own: what its routes are. Whether a model is one for vectors or for texts its file decides.
fn engine() -> Capabilities {
    Capabilities {
        structured_output: Support::Yes,
        tools: Support::Yes,
        logprobs: Support::Yes,
        // Better than a route for decisions: it scores any text.
        decisions: Support::No,
        token_counts: Support::Yes,
        metrics: Support::Yes,
        ..Capabilities::default()
    }
}

/// By their documentation: asking OpenAI costs money, and log-probabilities depend on the model; asking LM Studio
/// would load a model, and it answers 200 to routes that it does not have.
fn documented() -> Capabilities {
    Capabilities {
        structured_output: Support::Yes,
        tools: Support::Yes,
        embeddings: Support::Yes,
        adapters: Support::No,
        token_counts: Support::No,
        metrics: Support::No,
        ..Capabilities::default()
    }
}

#[derive(Deserialize)]
struct OpenApi {
    paths: BTreeMap<String, IgnoredAny>,
}

/// vLLM publishes its routes, which depend on the model and its flags (unless they are hidden).
async fn vllm(connection: &Connection, models: &[Model]) -> Capabilities {
    let routes = connection.get_root::<OpenApi>("openapi.json").await.ok().map(|api| api.paths);
    let has = |path: &str| -> Support { routes.as_ref().map(|paths| paths.contains_key(path)).into() };
    let metrics = connection.probe_get("metrics").await.map(|status| status == 200);
    let chats = has("/v1/chat/completions");
    let base = models.iter().find(|model| is_base(model));
    let (tools, logprobs) = match base {
        Some(model) if chats != Support::No => vllm_chat(connection, &model.id).await,
        _ => (Support::Unknown, Support::Unknown),
    };
    Capabilities {
        structured_output: if chats == Support::No { Support::No } else { Support::Yes },
        tools,
        logprobs,
        decisions: match base {
            Some(model) if has("/v1/systemone") != Support::No => vllm_decisions(connection, &model.id).await,
            _ => has("/v1/systemone"),
        },
        embeddings: has("/v1/embeddings"),
        adapters: models.iter().any(|model| !is_base(model)).into(),
        token_counts: has("/tokenize"),
        metrics: metrics.into(),
        ..Capabilities::default()
    }
}

/// vLLM lists adapters with the model that they are for, and models with `null` there.
fn is_base(model: &Model) -> bool {
    model.rest.get("parent").is_none_or(Value::is_null)
}

/// Tools and log-probabilities of a vLLM, by one token (two where it has no tools).
async fn vllm_chat(connection: &Connection, model: &str) -> (Support, Support) {
    let mut body = json!({
        "model": model,
        "messages": [{"role": "user", "content": "Hi"}],
        "max_tokens": 1,
        "logprobs": true,
        "top_logprobs": 1,
        "tools": [{"type": "function", "function": {"name": "noop", "parameters": {"type": "object", "properties": {}}}}],
        "tool_choice": "auto",
    });
    let Some((status, answer)) = connection.probe_post("chat/completions", &body).await else {
        return (Support::Unknown, Support::Unknown);
    };
    if status == 200 {
        return (Support::Yes, has_logprobs(&answer).into());
    }
    let words = String::from_utf8_lossy(&answer);
    // Its own words when it was started without `--enable-auto-tool-choice`.
    if status != 400 || !words.contains("tool choice") {
        return (Support::Unknown, Support::Unknown);
    }
    if let Some(fields) = body.as_object_mut() {
        fields.retain(|name, _| !name.starts_with("tool"));
    }
    let logprobs = match connection.probe_post("chat/completions", &body).await {
        Some((200, answer)) => has_logprobs(&answer).into(),
        Some((400, _)) => Support::No,
        _ => Support::Unknown,
    };
    (Support::No, logprobs)
}

/// vLLM has the route whatever the model is, and then says 501: so it is asked the shortest question.
async fn vllm_decisions(connection: &Connection, model: &str) -> Support {
    let body = json!({"model": model, "state": "a", "questions": {"q": {"type": "noul", "instructions": "?"}}});
    match connection.probe_post("systemone", &body).await {
        Some((200, _)) => Support::Yes,
        Some((404 | 405 | 501, _)) => Support::No,
        _ => Support::Unknown,
    }
}

fn has_logprobs(answer: &[u8]) -> bool {
    let answer: Value = serde_json::from_slice(answer).unwrap_or_default();
    !answer["choices"][0]["logprobs"].is_null()
}

/// `llama-server` says much of itself; the rest by requests that compute nothing or next to nothing. None of
/// them names a model, so that one that manages several loads none.
async fn llama_server(connection: &Connection, props: &Props) -> Capabilities {
    let status = async |path: &str, body: Value| connection.probe_post(path, &body).await.map(|(status, _)| status);
    let count = json!({"messages": [{"role": "user", "content": "Hi"}]});
    let token_counts = match status("chat/completions/input_tokens", count).await {
        Some(200) => Support::Yes,
        Some(404) => Support::No,
        _ => Support::Unknown,
    };
    let embeddings = match status("embeddings", json!({"input": "a"})).await {
        Some(200) => Support::Yes,
        Some(501) => Support::No,
        _ => Support::Unknown,
    };
    // No questions: whoever has the route refuses them before computing.
    let decisions = match status("systemone", json!({})).await {
        Some(404 | 501) => Support::No,
        _ => Support::Unknown,
    };
    Capabilities {
        structured_output: Support::Yes,
        tools: props.chat_template_caps.as_ref().and_then(|caps| caps.supports_tools).into(),
        logprobs: Support::Yes,
        decisions,
        embeddings,
        token_counts,
        metrics: props.endpoint_metrics.into(),
        ..Capabilities::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_recognised_by_what_they_call_themselves() {
        for (owner, dialect) in [
            ("vllm", Some(Dialect::Vllm)),
            ("llamacpp", Some(Dialect::LlamaServer)),
            ("lla", Some(Dialect::LlaEngine)),
            ("organization_owner", Some(Dialect::LmStudio)),
            ("openai", None),
            ("", None),
        ] {
            assert_eq!(recognise(&ModelList::new(vec![Model::new("m", 0, owner)])), dialect, "{owner}");
        }
        assert_eq!(recognise(&ModelList::new(Vec::new())), None);
    }
}
