//! The binary `lla`: arguments, the root configuration, wiring, signals.
//!
//! What it does: reads what was typed ([`args`]) and configured ([`config`]), puts the parts of the
//! other crates together ([`serve`]), keeps models ([`models`]), has text work done ([`tool_command`],
//! [`mcp_command`], both through [`delegate`]), and talks to people: `lla chat`, `lla doctor`, errors
//! with a hint and an exit code ([`failure`]). It looks at servers from outside: [`init`], [`backends`],
//! [`bench`](mod@bench).
//!
//! What it does not: serve HTTP, know an API's wire format beyond what `lla chat` reads, run a model.
//!
//! Start reading at [`run`], then [`serve::run`]. It is a library so that tests reach the parts; it
//! promises no stable interface.

pub mod args;
pub mod backends;
pub mod bench;
pub mod chat;
pub mod config;
pub mod config_command;
pub mod delegate;
pub mod doctor;
pub mod endpoint;
pub mod engine_command;
pub mod failure;
pub mod init;
pub mod logging;
pub mod mcp_command;
pub mod models;
pub mod models_command;
pub mod output;
pub mod places;
pub mod serve;
pub mod table;
pub mod tool_command;
pub mod version;

use std::future::Future;
use std::process::ExitCode;

use clap::{CommandFactory as _, Parser as _};
use tokio::runtime::Builder;

use args::{Cli, Command};
use failure::{Exit, OrFail as _, Outcome};

/// Does what the command line says; the exit code says how it went.
#[must_use]
pub fn run() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let wrong = error.use_stderr();
            // Nothing is left to do when the terminal has gone.
            drop(error.print());
            return if wrong { ExitCode::from(Exit::Usage.code()) } else { ExitCode::SUCCESS };
        }
    };
    match dispatch(cli.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            output::note(&failure.to_string());
            ExitCode::from(failure.exit.code())
        }
    }
}

fn dispatch(command: Command) -> Outcome {
    match command {
        // The engine brings its own threads and runtime.
        Command::Engine(args) => engine_command::run(&args),
        Command::Completions { shell } => {
            let mut script = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), "lla", &mut script);
            output::print(&String::from_utf8_lossy(&script));
            Ok(())
        }
        Command::Config(command) => config_command::run(&command),
        Command::Serve(args) => block_on(serve::run(&args)),
        Command::Models(command) => block_on(models_command::run(&command)),
        Command::Chat(args) => block_on(chat::run(&args)),
        Command::Classify(args) => block_on(tool_command::classify(&args)),
        Command::Extract(args) => block_on(tool_command::extract(&args)),
        Command::Summarize(args) => block_on(tool_command::summarize(&args)),
        Command::Rewrite(args) => block_on(tool_command::rewrite(&args)),
        Command::Decide(args) => block_on(tool_command::decide(&args)),
        Command::Mcp(args) => block_on(mcp_command::run(&args)),
        Command::Init(args) => block_on(init::run(&args)),
        Command::Backends(command) => block_on(backends::run(&command)),
        Command::Bench(args) => block_on(bench::run(&args)),
        Command::Doctor(args) => block_on(doctor::run(&args)),
    }
}

/// Most threads that serve requests: each answers ten thousand a second and more.
const MOST_WORKERS: usize = 4;

/// Threads for requests: half of the cores. What is done here is moving bytes; the cores are for models.
/// Threads that have little to do wake each other at nearly every read, which costs more than the request.
fn workers() -> usize {
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    (cores / 2).clamp(1, MOST_WORKERS)
}

/// Runs a command that does I/O. The process's TLS provider is chosen here, once: `ring` needs no C
/// library and no build tools of its own.
fn block_on(command: impl Future<Output = Outcome>) -> Outcome {
    // An error means that one is installed already, which only a test can have done.
    drop(rustls::crypto::ring::default_provider().install_default());
    let runtime = Builder::new_multi_thread().worker_threads(workers()).enable_all().build().or_fail(Exit::Bug)?;
    let outcome = runtime.block_on(command);
    // A blocked read of standard input (`lla chat`) must not hold up the end.
    runtime.shutdown_background();
    outcome
}
