//! What `bench/gateway` measures with: a server that answers at once, and a client that costs little.
//!
//! ```sh
//! overhead mock --pauses 0,10,2000                 # prints its address
//! overhead load --url URL --model pause-0 --connections 64 --requests 20000
//! overhead hold --url URL --model pause-2000 --streams 1000
//! ```
//!
//! Both run on one thread, so that on two cores the gateway between them has one to itself. Every piece of
//! text that the server writes is the time of writing, which the client compares with its own clock.

mod client;
mod hold;
mod load;
mod mock;

use std::error::Error;
use std::io::Write as _;
use std::net::SocketAddr;
use std::time::{SystemTime, UNIX_EPOCH};

use clap::{Args, Parser, Subcommand};
use tokio::io::AsyncReadExt as _;

#[derive(Parser)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Serves chats without a model.
    Mock {
        /// Milliseconds between two chunks; each is a model `pause-N`.
        #[arg(long, value_delimiter = ',', default_value = "0,10,2000")]
        pauses: Vec<u64>,
        /// Where to listen.
        #[arg(long, default_value = "127.0.0.1:0")]
        listen: SocketAddr,
    },
    /// Sends requests as fast as they are answered, and prints how long that took as JSON.
    Load {
        #[command(flatten)]
        target: Target,
        /// Requests at the same time, each on a connection of its own.
        #[arg(long, default_value_t = 1)]
        connections: usize,
        /// Requests in all.
        #[arg(long, default_value_t = 1000)]
        requests: u64,
        /// Ask for streams.
        #[arg(long)]
        stream: bool,
    },
    /// Opens streams, prints a line once all of them have begun, and reads them until standard input ends.
    Hold {
        #[command(flatten)]
        target: Target,
        /// How many.
        #[arg(long, default_value_t = 1000)]
        streams: usize,
    },
}

/// Whom to ask what.
#[derive(Args, Clone)]
struct Target {
    /// `http://ADDRESS:PORT`; the path is ours.
    #[arg(long)]
    url: String,
    /// `pause-N`.
    #[arg(long)]
    model: String,
    /// Chunks of text in each answer (`max_tokens`).
    #[arg(long, default_value_t = 1)]
    tokens: u32,
    /// Sent as a bearer token: LiteLLM does not start without a key.
    #[arg(long, env = "OVERHEAD_KEY", default_value = "sk-bench", hide_env_values = true)]
    key: String,
    /// Length of the user's message in bytes.
    #[arg(long, default_value_t = 200)]
    prompt_bytes: usize,
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Box<dyn Error>> {
    match Cli::parse().command {
        Command::Mock { pauses, listen } => mock::serve(listen, pauses).await,
        Command::Load { target, connections, requests, stream } => {
            print(&load::run(&target, connections, requests, stream).await?)
        }
        Command::Hold { target, streams } => print(&hold::run(&target, streams).await?),
    }
}

fn print(line: &impl std::fmt::Display) -> Result<(), Box<dyn Error>> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")?;
    Ok(out.flush()?)
}

/// Ends when standard input does.
async fn input_closed() {
    let mut ignored = Vec::new();
    drop(tokio::io::stdin().read_to_end(&mut ignored).await);
}

/// Nanoseconds that both processes count alike: they are on one machine.
fn now_ns() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_nanos()).unwrap_or(u64::MAX)
}
