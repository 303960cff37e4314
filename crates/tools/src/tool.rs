//! What a tool is.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::call::Call;
use crate::error::ToolError;

/// One tool. Its file holds its parameters, its result, its prompts and how it reads answers.
///
/// A tool only reads: it changes nothing, reaches nothing but the models and the files of its
/// [`Call`], and gives the same result for the same arguments. It is cancelled by dropping the future.
#[async_trait]
pub trait Tool: Send + Sync + 'static {
    /// The name in routes, in MCP and on the command line.
    const NAME: &'static str;
    /// The name for people.
    const TITLE: &'static str;
    /// What it does and when to use it, for the model that chooses among tools.
    const DESCRIPTION: &'static str;
    /// The arguments. Bounds and descriptions of its schema are what callers see, and are checked
    /// before the tool runs; what a schema can not say, the tool checks.
    type Params: DeserializeOwned + JsonSchema + Send;
    /// The result.
    type Result: Serialize + JsonSchema + Send;

    /// Does the work.
    ///
    /// # Errors
    /// When the arguments are wrong, a file can not be read, or the model fails.
    async fn run(&self, params: Self::Params, call: &Call) -> Result<Self::Result, ToolError>;
}

/// A tool as it is published.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Spec {
    /// The name in routes, in MCP and on the command line.
    pub name: &'static str,
    /// The name for people.
    pub title: &'static str,
    /// What it does and when to use it.
    pub description: &'static str,
    /// JSON Schema (2020-12) of the arguments, an object.
    pub input_schema: Map<String, Value>,
    /// JSON Schema (2020-12) of the result, an object.
    pub output_schema: Map<String, Value>,
}
