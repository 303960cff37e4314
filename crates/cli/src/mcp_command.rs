//! `lla mcp`: the tools for an MCP client that starts us, over standard input and output.

pub mod install;

use std::path::PathBuf;
use std::sync::Arc;

use lla_gateway::mcp::{RootsFrom, Server, stdio};
use tokio_util::sync::CancellationToken;

use crate::args::{McpArgs, McpCommand};
use crate::config::layer::Override;
use crate::config::{LogConfig, process};
use crate::delegate::Worker;
use crate::failure::{Exit, Failure, OrFail as _, Outcome};
use crate::serve::stop::Stop;
use crate::{logging, version};

/// Serves until the client closes its end, or a signal.
///
/// # Errors
/// When the configuration is wrong, or the client does not speak MCP.
pub async fn run(args: &McpArgs) -> Outcome {
    if let Some(McpCommand::Install { client, write, file, roots }) = &args.command {
        return install::run(*client, *write, file.as_deref(), &absolute(roots)?);
    }
    let flags = args.log.iter().map(|text| Override::flag("--log", &["log", "level"], text)).collect();
    let mut config = process::load_for(&args.worker.config, flags)?.config;
    quieter(&mut config.log);
    logging::start(&config.log)?;
    let worker = Arc::new(Worker::new(config, &args.worker, absolute(&args.roots)?)?);
    let stopping = CancellationToken::new();
    let stop = Stop::listen()?;
    let (first, token) = (stop.first(), stopping.clone());
    tokio::spawn(async move {
        first.await;
        token.cancel();
    });
    let server = Server::new(Arc::clone(&worker) as _, RootsFrom::Client, version::VERSION);
    let served = tokio::select! {
        served = stdio::serve(server, tokio::io::stdin(), tokio::io::stdout(), stopping) => served,
        () = stop.at_once() => Ok(()),
    };
    // The server is gone, and with it every call that used the worker.
    if let Some(worker) = Arc::into_inner(worker) {
        worker.stop().await;
    }
    served.or_fail(Exit::Usage)
}

/// What `lla serve` tells at `info` is of no interest to someone who only wants an answer.
pub(crate) fn quieter(log: &mut LogConfig) {
    if log.level == LogConfig::default().level {
        "warn".clone_into(&mut log.level);
    }
}

/// Folders of the command line, as seen from the working folder.
fn absolute(roots: &[PathBuf]) -> Result<Vec<PathBuf>, Failure> {
    let one = |root: &PathBuf| {
        let path = crate::places::expand_home(root);
        let path = std::path::absolute(&path).or_fail(Exit::Usage)?;
        if path.is_dir() {
            Ok(path)
        } else {
            Err(Failure::usage(format!("--root: there is no folder {}", path.display())))
        }
    };
    roots.iter().map(one).collect()
}
