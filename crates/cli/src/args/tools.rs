//! What can be typed for the tools: `lla classify`, `extract`, `summarize`, `rewrite`, and `lla mcp`.

use std::path::PathBuf;

use clap::{Args, Subcommand, ValueEnum, ValueHint};

use super::ConfigArgs;

/// Who does the work.
#[derive(Debug, Clone, Default, Args)]
pub struct WorkerArgs {
    /// The gateway that does the work [default: that of the configuration when it runs, else this process]
    #[arg(long, value_name = "URL", env = "LLA_URL")]
    pub url: Option<String>,
    /// A key for that gateway
    #[arg(long, env = "LLA_API_KEY", hide_env_values = true, value_name = "KEY")]
    pub api_key: Option<String>,
    /// Which configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// Where the text is, and how the result is written.
#[derive(Debug, Clone, Default, Args)]
pub struct InputArgs {
    /// Files to read, in this order; `-` is standard input [default: standard input]
    #[arg(value_name = "FILE", value_hint = ValueHint::FilePath, conflicts_with = "text")]
    pub files: Vec<PathBuf>,
    /// The text itself
    #[arg(long, short, value_name = "TEXT")]
    pub text: Option<String>,
    /// Print the whole result as JSON: costs, scores and all
    #[arg(long)]
    pub json: bool,
    /// The tier to begin with; a text that does not fit goes to main
    #[arg(long, value_parser = ["small", "main"])]
    pub tier: Option<String>,
    /// Who does the work.
    #[command(flatten)]
    pub worker: WorkerArgs,
}

/// `lla classify`.
#[derive(Debug, Clone, Args)]
pub struct ClassifyArgs {
    /// A label, or LABEL=DESCRIPTION; give two or more
    #[arg(long = "label", short, value_name = "LABEL", required = true)]
    pub labels: Vec<String>,
    /// The text may have several labels, or none
    #[arg(long)]
    pub multi_label: bool,
    /// 0 to 1: below this confidence there is no answer (exit code 1)
    #[arg(long, value_name = "SHARE")]
    pub threshold: Option<f64>,
    /// Exit with 1 unless this is the label, or one of them
    #[arg(long, value_name = "LABEL")]
    pub expect: Option<String>,
    /// The text.
    #[command(flatten)]
    pub input: InputArgs,
}

/// `lla extract`.
#[derive(Debug, Clone, Args)]
pub struct ExtractArgs {
    /// The form of the data: a file with a JSON Schema, or the schema itself
    #[arg(long, short, value_name = "FILE|JSON", value_hint = ValueHint::FilePath)]
    pub schema: String,
    /// What to look for, in words
    #[arg(long, short, value_name = "TEXT")]
    pub instructions: Option<String>,
    /// Exit with 1 when a value does not stand in the text
    #[arg(long)]
    pub strict: bool,
    /// The text.
    #[command(flatten)]
    pub input: InputArgs,
}

/// `lla summarize`.
#[derive(Debug, Clone, Args)]
pub struct SummarizeArgs {
    /// Most words of the summary, 5 to 2000 [default: 120]
    #[arg(long, short = 'w', value_name = "N")]
    pub max_words: Option<u32>,
    /// The form [default: paragraph]
    #[arg(long, value_parser = ["paragraph", "bullets", "headline"])]
    pub style: Option<String>,
    /// What to look at above all
    #[arg(long, value_name = "TEXT")]
    pub focus: Option<String>,
    /// The text.
    #[command(flatten)]
    pub input: InputArgs,
}

/// `lla rewrite`.
#[derive(Debug, Clone, Args)]
pub struct RewriteArgs {
    /// How to rewrite, in words
    #[arg(long, short, value_name = "TEXT", required_unless_present = "style", conflicts_with = "style")]
    pub instruction: Option<String>,
    /// How to rewrite
    #[arg(long, value_parser = ["formal", "casual", "concise", "plain", "bullets", "grammar"])]
    pub style: Option<String>,
    /// A string that must stay as it is; may be given several times
    #[arg(long, value_name = "STRING")]
    pub keep: Vec<String>,
    /// The text.
    #[command(flatten)]
    pub input: InputArgs,
}

/// `lla mcp`.
#[derive(Debug, Clone, Args)]
pub struct McpArgs {
    /// Something else than serving.
    #[command(subcommand)]
    pub command: Option<McpCommand>,
    /// A folder whose files the client may name, besides those it allows itself; may be given several times
    #[arg(long = "root", value_name = "DIR", value_hint = ValueHint::DirPath)]
    pub roots: Vec<PathBuf>,
    /// Log level, to standard error (also LLA_LOG) [default: warn]
    #[arg(long, value_name = "LEVEL")]
    pub log: Option<String>,
    /// Who does the work.
    #[command(flatten)]
    pub worker: WorkerArgs,
}

/// `lla mcp …`.
#[derive(Debug, Clone, Subcommand)]
pub enum McpCommand {
    /// Show, or make, what a client needs to use `lla mcp`
    Install {
        /// The client
        client: McpClient,
        /// Put it into the client's configuration; everything else in there stays as it is
        #[arg(long)]
        write: bool,
        /// The client's configuration file, where it is not in its usual place
        #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
        file: Option<PathBuf>,
        /// A folder that the client may have read, for clients that do not tell theirs
        #[arg(long = "root", value_name = "DIR", value_hint = ValueHint::DirPath)]
        roots: Vec<PathBuf>,
    },
}

/// Clients whose configuration is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum McpClient {
    /// Claude Code: `.mcp.json` in the working folder
    ClaudeCode,
    /// Cursor: `~/.cursor/mcp.json`
    Cursor,
    /// Codex: `~/.codex/config.toml`
    Codex,
    /// VS Code: `.vscode/mcp.json` in the working folder
    Vscode,
    /// Zed: its `settings.json`
    Zed,
}
