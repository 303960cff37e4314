//! What can be typed for `lla init` and `lla backends`.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Subcommand, ValueHint};

use super::ConfigArgs;

/// `lla init`.
#[derive(Debug, Clone, Default, Args)]
pub struct InitArgs {
    /// Write the file instead of printing it [default: ./lla.toml]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, num_args = 0..=1,
        default_missing_value = "lla.toml")]
    pub write: Option<PathBuf>,
    /// Replace a file that is there
    #[arg(long, requires = "write")]
    pub force: bool,
    /// Ports of 127.0.0.1 to look at [default: 11434,9931,8080,1234,8000]
    #[arg(long, value_name = "PORT,PORT", value_delimiter = ',', value_parser = clap::value_parser!(u16).range(1..))]
    pub ports: Vec<u16>,
}

/// `lla backends …`.
#[derive(Debug, Clone, Subcommand)]
pub enum BackendsCommand {
    /// Show the servers of the configuration: who answers, and with which models
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// Which configuration.
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// Try what a server can do, in the way the gateway would use it
    #[command(
        after_help = "Examples:\n  lla backends test ollama\n  lla backends test vllm --model Qwen/Qwen3-8B --json\n\nSends about fifteen short requests and one of more than 4,096 tokens. Exit code 1: chat does not work."
    )]
    Test(BackendTestArgs),
}

/// `lla backends test`.
#[derive(Debug, Clone, Args)]
pub struct BackendTestArgs {
    /// The server's name: NAME of [backends.NAME]
    pub name: String,
    /// The model [default: the first of the server that chats]
    #[arg(long, short)]
    pub model: Option<String>,
    /// How long one try may take; three times as long for the long prompt
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, default_value = "2m")]
    pub timeout: Duration,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Which configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
}
