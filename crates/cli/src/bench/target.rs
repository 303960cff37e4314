//! Which server is measured, and which of its models.

use std::time::Duration;

use lla_protocol::openai::{ErrorBody, Model, ModelList};
use reqwest::{Method, StatusCode};

use crate::args::BenchArgs;
use crate::chat::default_url;
use crate::config::{process, secret};
use crate::endpoint::{Endpoint, innermost};
use crate::failure::Failure;
use crate::init::tiers;

/// How long a server may take to list its models.
const LISTING: Duration = Duration::from_secs(10);

/// The server that `--url` names, else the gateway of the configuration.
///
/// # Errors
/// When the address or the key can not be used, or the configuration can not be read.
pub fn endpoint(args: &BenchArgs) -> Result<Endpoint, Failure> {
    let key = match &args.api_key {
        Some(text) => Some(secret::read(text).map_err(|message| Failure::usage(format!("--api-key: {message}")))?),
        None => None,
    };
    let url = match &args.url {
        Some(url) => url.clone(),
        None => default_url(&process::load_for(&args.config, Vec::new())?.config.server.listen),
    };
    Endpoint::new("--url", &url, key.map(Into::into))
}

/// The model to ask: `named`, or what the server's own list suggests.
///
/// # Errors
/// When nobody answers, the key is refused, or there is no model to choose.
pub async fn model(endpoint: &Endpoint, named: Option<&str>) -> Result<String, Failure> {
    match (listed(endpoint).await?, named) {
        // Not every server lists its models, and not every name is listed: the server has the last word.
        (_, Some(named)) => Ok(named.to_owned()),
        (Ok(models), None) => choose(&models).ok_or_else(|| {
            Failure::unavailable(format!("the server at {} has no model that chats", endpoint.api()))
                .hint("load one there, or name it: --model NAME")
        }),
        (Err(status), None) => {
            Err(Failure::unavailable(format!("the server at {} does not list its models ({status})", endpoint.api()))
                .hint("is it a server of the OpenAI API?\nname a model of it: --model NAME"))
        }
    }
}

/// `small` at a gateway of ours, which tells the state of its models; else the first that chats.
fn choose(models: &[Model]) -> Option<String> {
    if models.iter().any(|model| model.rest.contains_key("state")) {
        return Some("small".to_owned());
    }
    models.iter().find(|model| !tiers::is_no_chat_model(&model.id)).map(|model| model.id.clone())
}

/// The server's list, or why it gave none.
async fn listed(endpoint: &Endpoint) -> Result<Result<Vec<Model>, String>, Failure> {
    let request = endpoint.api_request(Method::GET, "models").timeout(LISTING);
    let response = request.send().await.map_err(|error| {
        Failure::unavailable(format!("no server answers at {}: {}", endpoint.api(), innermost(&error)))
            .hint("start a gateway in another terminal: lla serve\nor name another server: --url http://HOST:PORT/v1")
    })?;
    let status = response.status();
    let text = response.text().await.unwrap_or_default();
    if matches!(status, StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN) {
        let message = serde_json::from_str::<ErrorBody>(&text).map_or(text, |body| body.error.message);
        return Err(Failure::unavailable(format!("the server at {} refuses: {message}", endpoint.api()))
            .hint("give a key: --api-key env:NAME"));
    }
    if !status.is_success() {
        return Ok(Err(format!("status {status}")));
    }
    Ok(serde_json::from_str::<ModelList>(&text).map(|list| list.data).map_err(|error| error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gateway_has_a_small_model_and_others_their_first_that_chats() {
        let plain = |id: &str| Model::new(id, 0, "x");
        let mut ours = plain("m");
        ours.rest.insert("state".to_owned(), "ready".into());
        assert_eq!(choose(&[ours]).as_deref(), Some("small"));
        assert_eq!(choose(&[plain("nomic-embed-text"), plain("qwen3:8b")]).as_deref(), Some("qwen3:8b"));
        assert_eq!(choose(&[plain("bge-m3")]), None);
        assert_eq!(choose(&[]), None);
    }
}
