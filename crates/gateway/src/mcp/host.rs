//! Who runs the tools for an MCP server.

use std::path::PathBuf;

use async_trait::async_trait;
use lla_inference::Tier;
use lla_tools::{Context, Progress, Registry, ToolError};
use serde_json::Value;

/// One call, as a client asked for it.
#[derive(Debug)]
pub struct Ask {
    /// The tool.
    pub name: String,
    /// Its arguments; nothing about them has been checked.
    pub arguments: Value,
    /// Folders that the client itself lets its server read.
    pub roots: Vec<PathBuf>,
    /// The tier that the client wishes.
    pub tier: Option<Tier>,
    /// Where progress is told.
    pub progress: Progress,
}

/// Runs tools: the gateway itself, or a process that hands the work on to one.
#[async_trait]
pub trait Host: Send + Sync + 'static {
    /// The tools that there are.
    fn tools(&self) -> &Registry;

    /// Runs one. Dropping the future ends the work.
    ///
    /// # Errors
    /// When there is no such tool, the arguments are wrong, or the tool fails.
    async fn call(&self, ask: Ask) -> Result<Value, ToolError>;
}

/// Runs tools in this process. Roots of clients do not count: over HTTP a client could name any folder.
pub(crate) struct Local {
    tools: Registry,
    context: Context,
}

impl Local {
    pub(crate) fn new(tools: Registry, context: Context) -> Self {
        Self { tools, context }
    }
}

#[async_trait]
impl Host for Local {
    fn tools(&self) -> &Registry {
        &self.tools
    }

    async fn call(&self, ask: Ask) -> Result<Value, ToolError> {
        let tier = ask.tier.unwrap_or(self.context.tier);
        let context = Context { progress: ask.progress, tier, ..self.context.clone() };
        self.tools.call(&ask.name, ask.arguments, context).await
    }
}
