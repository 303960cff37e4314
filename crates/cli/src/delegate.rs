//! Who does text work for `lla mcp` and the shell commands: the running gateway when there is one, else
//! this process with engines of its own, which nothing listens for.
//!
//! Files are always read here, with this user's rights and inside the folders that were allowed here; a
//! gateway is sent their text.

mod embedded;
mod gateway;

use std::path::PathBuf;
use std::time::Instant;

use async_trait::async_trait;
use embedded::Embedded;
use gateway::Gateway;
use lla_gateway::mcp::{Ask, Host};
use lla_inference::Tier;
use lla_tools::{FileRead, Files, Registry, ToolError};
use serde_json::{Value, json};
use tokio::sync::OnceCell;

use crate::args::WorkerArgs;
use crate::config::Config;
use crate::failure::{Exit, Failure};

/// The route of decisions.
const DECISIONS: &str = "/v1/decisions";

/// Has tools run.
pub struct Worker {
    tools: Registry,
    config: Config,
    roots: Vec<PathBuf>,
    gateway: Gateway,
    /// Whether only the gateway may do it, because it was named.
    gateway_only: bool,
    /// Started at the first call that no gateway takes.
    embedded: OnceCell<Embedded>,
}

impl Worker {
    /// A worker for `config`. Files may be read inside `roots` and the folders of the configuration.
    ///
    /// # Errors
    /// When `--url` is no URL.
    pub fn new(config: Config, args: &WorkerArgs, roots: Vec<PathBuf>) -> Result<Self, Failure> {
        let gateway = Gateway::new(args.url.as_deref(), &config.server.listen, args.api_key.clone())?;
        let roots = roots.into_iter().chain(config.tools.roots.iter().cloned()).collect();
        let gateway_only = args.url.is_some();
        Ok(Self { tools: Registry::standard(), config, roots, gateway, gateway_only, embedded: OnceCell::new() })
    }

    /// Runs a tool; see [`Host::call`].
    ///
    /// # Errors
    /// The tool's, or that nobody can do the work.
    async fn work(&self, ask: Ask) -> Result<Value, ToolError> {
        let files = Files::new(self.roots.iter().cloned().chain(ask.roots.iter().cloned()), self.config.tools.limits());
        if self.gateway_only || self.gateway.is_there().await {
            return self.send(ask, &files).await;
        }
        let embedded = self.embedded.get_or_try_init(|| Embedded::start(&self.config)).await.map_err(no_engine)?;
        let mut context = self.config.tools.context(embedded.models());
        context.files = files;
        context.progress = ask.progress;
        context.tier = ask.tier.unwrap_or(Tier::Small);
        self.tools.call(&ask.name, ask.arguments, context).await
    }

    /// Asks for decisions: `request` and the answer are those of `POST /v1/decisions`.
    ///
    /// # Errors
    /// What the API says, or that nobody can do the work.
    pub async fn decide(&self, request: &Value) -> Result<Value, ToolError> {
        if self.gateway_only || self.gateway.is_there().await {
            return self.gateway.post(DECISIONS, request).await;
        }
        let embedded = self.embedded.get_or_try_init(|| Embedded::start(&self.config)).await.map_err(no_engine)?;
        embedded.post(DECISIONS, request).await
    }

    /// Sends the work to the gateway, with the text of files in place of their path.
    async fn send(&self, ask: Ask, files: &Files) -> Result<Value, ToolError> {
        let begun = Instant::now();
        let mut ask = Ask { arguments: self.tools.checked(&ask.name, ask.arguments)?, ..ask };
        let mut read: Vec<FileRead> = Vec::new();
        let path = ask.arguments["path"].as_str().filter(|_| ask.arguments["text"].is_null()).map(str::to_owned);
        if let (Some(path), Some(arguments)) = (path, ask.arguments.as_object_mut()) {
            let (text, found) = lla_tools::source::read(files, &path).await?;
            arguments.shift_remove("path");
            arguments.insert("text".to_owned(), json!(text));
            read = found;
        }
        let mut result = self.gateway.call(&ask).await?;
        if !read.is_empty() {
            result["files_read"] = json!(read);
        }
        result["latency_ms"] = json!((begun.elapsed().as_secs_f64() * 1e6).round() / 1e3);
        Ok(result)
    }

    /// Ends the engines of this process.
    pub async fn stop(self) {
        if let Some(embedded) = self.embedded.into_inner() {
            embedded.stop().await;
        }
    }
}

#[async_trait]
impl Host for Worker {
    fn tools(&self) -> &Registry {
        &self.tools
    }

    async fn call(&self, ask: Ask) -> Result<Value, ToolError> {
        self.work(ask).await
    }
}

fn no_engine(failure: Failure) -> ToolError {
    let hint = failure.hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
    lla_inference::Error::Unavailable {
        backend: "engine".to_owned(),
        message: format!("{:#}{hint}", failure.error),
        retry_after: None,
    }
    .into()
}

/// A tool's error as the failure of a command.
#[must_use]
pub fn failure(error: &ToolError) -> Failure {
    use lla_inference::ErrorKind as Kind;
    let exit = match error.kind() {
        None | Some(Kind::InvalidRequest | Kind::ContextLength | Kind::ModelNotFound) => Exit::Usage,
        Some(Kind::Internal) => Exit::Bug,
        Some(_) => Exit::Unavailable,
    };
    Failure { exit, error: anyhow::anyhow!("{error}"), hint: None }
}
