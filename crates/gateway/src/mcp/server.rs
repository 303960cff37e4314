//! The MCP server: what it says of itself, its list of tools, and a call from begin to end.

use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Duration;

use axum::http::request::Parts;
use futures_util::FutureExt as _;
use lla_tools::{Progress, Registry, Spec, Step, ToolError};
use rmcp::model::{
    CacheScope, CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, Implementation, ListToolsResult,
    PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool, ToolAnnotations,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer, ServerHandler};
use serde_json::Value;
use tokio::sync::mpsc;
use tokio::time::{Instant, interval_at};

use super::host::{Ask, Host};
use super::progress::Reporter;
use super::roots::{self, Found};
use crate::access_log::Trace;
use crate::{extract, routes};

/// A client that asked for progress hears at least this often that the call goes on: some give a silent
/// call up after a minute.
const BEAT: Duration = Duration::from_secs(5);
/// How long a client may keep the list of tools, in milliseconds: it changes with our version only.
const LIST_TTL: u64 = 3_600_000;

/// Where the folders come from that a call may read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RootsFrom {
    /// The configuration alone: the client may be anybody.
    Configuration,
    /// The client too: it runs on this machine, as this user, and started us.
    Client,
}

/// See the module. Cheap to clone: over HTTP every request has one.
#[derive(Clone)]
pub struct Server {
    host: Arc<dyn Host>,
    roots: RootsFrom,
    version: Arc<str>,
}

impl Server {
    /// A server of `version` that has its tools run by `host`.
    pub fn new(host: Arc<dyn Host>, roots: RootsFrom, version: &str) -> Self {
        Self { host, roots, version: version.into() }
    }

    /// Runs the tool, tells progress, and stops when the client cancels or leaves.
    async fn run(&self, ask: Ask, context: &RequestContext<RoleServer>) -> Result<Value, ToolError> {
        let (tell, mut steps) = mpsc::unbounded_channel();
        // Nobody listens any more only when the work is being dropped too.
        let ask = Ask { progress: Progress::to(move |step| drop(tell.send(step))), ..ask };
        let mut work = Box::pin(AssertUnwindSafe(self.host.call(ask)).catch_unwind());
        let mut reporter = context.meta.get_progress_token().map(Reporter::new);
        let mut beat = interval_at(Instant::now() + BEAT, BEAT);
        loop {
            tokio::select! {
                biased;
                () = context.ct.cancelled() => return Err(lla_inference::Error::Cancelled.into()),
                Some(step) = steps.recv() => tell_client(&mut reporter, Some(step), context).await,
                done = &mut work => {
                    while let Ok(step) = steps.try_recv() {
                        tell_client(&mut reporter, Some(step), context).await;
                    }
                    return done.unwrap_or_else(|_| {
                        tracing::error!("a tool panicked");
                        Err(ToolError::Internal)
                    });
                }
                _ = beat.tick() => tell_client(&mut reporter, None, context).await,
            }
        }
    }
}

/// Tells a step, or that the work goes on. Whether the client is gone is for `ct` to say: a lost
/// notification is no reason to stop.
async fn tell_client(reporter: &mut Option<Reporter>, step: Option<Step>, context: &RequestContext<RoleServer>) {
    let Some(telling) = reporter else { return };
    let notification = match step {
        Some(step) => telling.step(step),
        None => telling.beat(),
    };
    if let Err(error) = context.peer.notify_progress(notification).await {
        tracing::debug!(%error, "progress could not be told");
        *reporter = None;
    }
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        let mut info = ServerConfig::new(ServerCapabilities::builder().enable_tools().build());
        info.server_info = Implementation::new("lla", self.version.to_string());
        info.server_info.title = Some("Local LLM Agent".to_owned());
        info.server_info.description = Some("Text work on a local language model".to_owned());
        info.instructions = Some(
            "Hand over cheap text work: classify, extract data, summarize, rewrite. Give `path` instead of `text` to \
             have a file read without reading it yourself. Everything runs on this machine."
                .to_owned(),
        );
        info
    }

    fn list_tools(
        &self,
        request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> impl Future<Output = Result<ListToolsResult, ErrorData>> + Send + '_ {
        let has_cursor = request.is_some_and(|request| request.cursor.is_some());
        std::future::ready(if has_cursor {
            Err(ErrorData::invalid_params("'cursor' is unknown: the list has one page", None))
        } else {
            let tools = published(self.host.tools());
            Ok(ListToolsResult::with_all_items(tools).with_ttl_ms(LIST_TTL).with_cache_scope(CacheScope::Public))
        })
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let name = request.name.to_string();
        if let Err(error) = self.host.tools().spec(&name) {
            return Err(ErrorData::invalid_params(error.to_string(), None));
        }
        let roots = match self.roots {
            RootsFrom::Configuration => Vec::new(),
            RootsFrom::Client => match roots::of(&request, &context).await {
                Found::Roots(roots) => roots,
                Found::Ask(question) => return Ok(question.into()),
            },
        };
        let parts = context.extensions.get::<Parts>();
        let tier = match parts.map(|parts| extract::tier(&parts.headers)) {
            Some(Err(error)) => return Err(ErrorData::invalid_params(error.body().error.message, None)),
            Some(Ok(tier)) => tier,
            None => None,
        };
        let trace = parts.and_then(|parts| parts.extensions.get::<Trace>()).cloned();
        let arguments = Value::Object(request.arguments.unwrap_or_default());
        let ask = Ask { name: name.clone(), arguments, roots, tier, progress: Progress::default() };
        let result = match self.run(ask, &context).await {
            Ok(output) => {
                if let Some(trace) = trace {
                    routes::tools::note(&trace, &output);
                }
                CallToolResult::structured(output)
            }
            Err(error) => {
                tracing::debug!(tool = name, %error, "a tool call has no result");
                if let Some(trace) = trace {
                    trace.note_error(error.kind().map_or("unknown_tool", lla_inference::ErrorKind::as_str));
                }
                failed(&error)
            }
        };
        Ok(result.into())
    }

    fn get_tool(&self, name: &str) -> Option<Tool> {
        self.host.tools().spec(name).ok().map(to_wire)
    }
}

/// For the model that called: it sees the text, and can correct its arguments. No structured content:
/// it would have to fit the output schema.
fn failed(error: &ToolError) -> CallToolResult {
    let code = error.code().or_else(|| error.kind().map(lla_inference::ErrorKind::as_str));
    CallToolResult::error(vec![ContentBlock::text(format!("{}: {error}", code.unwrap_or("error")))])
}

fn published(tools: &Registry) -> Vec<Tool> {
    tools.specs().map(to_wire).collect()
}

fn to_wire(spec: &Spec) -> Tool {
    // Tools read and answer; they change nothing, and reach nothing but the models and allowed files.
    let annotations =
        ToolAnnotations::with_title(spec.title).read_only(true).destructive(false).idempotent(true).open_world(false);
    Tool::new(spec.name, spec.description, spec.input_schema.clone())
        .with_title(spec.title)
        .with_raw_output_schema(Arc::new(spec.output_schema.clone()))
        .with_annotations(annotations)
}
