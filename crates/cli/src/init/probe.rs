//! Looks who answers on a port of this machine, and asks what it is.
//!
//! The routes are those by which each kind of server tells of itself: Ollama `GET /api/version` and
//! `/api/tags` (<https://docs.ollama.com/api>), vLLM `/version`, llama-server `/props` and its `Server`
//! header, LM Studio `/api/v0/models` (<https://lmstudio.ai/docs/developer/rest/endpoints>). A status of 200
//! alone tells nothing: LM Studio answers so on every route.

use std::time::Duration;

use reqwest::{Client, header};
use serde_json::Value;

use super::judge::{Found, Page, Said, read};

/// How long a server of this machine may take to say what it is.
const PATIENCE: Duration = Duration::from_secs(2);
/// Longest answer that is read.
const LIMIT: usize = 4 << 20;

/// The server on a port of 127.0.0.1; `None` when nobody answers there, or nobody that runs models.
pub async fn look(port: u16) -> Option<Found> {
    // No proxy may be asked for an address of this machine, and no answer may lead away from it.
    let client = Client::builder().no_proxy().timeout(PATIENCE).redirect(reqwest::redirect::Policy::none());
    let port = Port { client: client.build().ok()?, port };
    // Whether anybody is there, before seven questions are asked.
    let models = port.get("/v1/models").await?;
    let (ollama, tags, vllm, props, lm_studio, health) = tokio::join!(
        port.json("/api/version"),
        port.json("/api/tags"),
        port.json("/version"),
        port.json("/props"),
        port.json("/api/v0/models"),
        port.json("/health"),
    );
    read(port.port, &Said { models, ollama, tags, vllm, props, lm_studio, health })
}

/// A port of this machine.
struct Port {
    client: Client,
    port: u16,
}

impl Port {
    /// The answer to a question; `None` when nobody answers in time.
    async fn get(&self, path: &str) -> Option<Page> {
        let mut response = self.client.get(format!("http://127.0.0.1:{}{path}", self.port)).send().await.ok()?;
        let header = |name| response.headers().get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let (status, server) = (response.status(), header(header::SERVER).to_owned());
        let mut body = Vec::new();
        while let Some(chunk) = response.chunk().await.ok()? {
            body.extend_from_slice(&chunk);
            if body.len() > LIMIT {
                return None;
            }
        }
        Some(Page { status, server, body: serde_json::from_slice(&body).unwrap_or_default() })
    }

    async fn json(&self, path: &str) -> Value {
        self.get(path).await.map(|page| page.body).unwrap_or_default()
    }
}
