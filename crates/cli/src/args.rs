//! What can be typed: every command and flag, with its help.

pub mod backends;
pub mod bench;
pub mod decide;
pub mod models;
pub mod tools;

use std::path::PathBuf;

pub use backends::{BackendTestArgs, BackendsCommand, InitArgs};
pub use bench::BenchArgs;
use clap::{Args, Parser, Subcommand, ValueHint};
pub use decide::{Asked, DecideArgs, Questions};
pub use models::ModelsCommand;
pub use tools::{
    ClassifyArgs, ExtractArgs, InputArgs, McpArgs, McpClient, McpCommand, RewriteArgs, SummarizeArgs, WorkerArgs,
};

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "lla",
    version = crate::version::line(),
    about = "Local LLM Agent: one local gateway for language models, with a model inside",
    after_help = "Start here:\n  lla serve          run the gateway (pulls a small model the first time)\n  lla chat           talk to it\n  lla doctor         what is there, what is missing, what to do\n\nExit codes: 0 fine, 1 the answer is no, 64 wrong usage or configuration, 69 something needed is not there, 70 our bug.",
    disable_help_subcommand = true,
    max_term_width = 100
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the gateway and the models of the configuration
    #[command(
        after_help = "Examples:\n  lla serve\n  lla serve --listen 127.0.0.1:0 --address-file ./address\n  lla serve --config ./lla.toml --log debug\n\nStop it with Ctrl-C (or SIGTERM): running answers finish first. A second one ends it at once."
    )]
    Serve(ServeArgs),
    /// Run one model as a process of its own, with an HTTP API like vLLM's
    #[command(
        after_help = "Examples:\n  lla engine --model ./model.gguf --listen tcp:127.0.0.1:8000\n  lla engine --model ./model.gguf --listen unix:/run/user/1000/lla.sock --context 8192\n\n`lla serve` starts its engines itself; run one by hand to serve a model to another machine's\ngateway, or to measure it."
    )]
    Engine(Box<EngineArgs>),
    /// Get, list and remove models
    #[command(subcommand)]
    Models(ModelsCommand),
    /// Talk to a model in the terminal
    #[command(
        after_help = "Examples:\n  lla chat\n  lla chat --model smollm2-135m-instruct --system 'Answer in one sentence.'\n  echo 'What is a socket?' | lla chat\n\nIn the chat: /clear forgets the conversation, /exit (or Ctrl-D) leaves, Ctrl-C stops an answer."
    )]
    Chat(ChatArgs),
    /// Choose which label fits a text
    #[command(
        after_help = "Examples:\n  git log -1 --format=%B | lla classify --label feature --label bugfix --label docs\n  lla classify --label spam='unwanted advertising' --label ham='a real message' mail.txt\n  lla classify --label urgent --label normal --expect urgent < mail.txt && notify\n\nExit code 1: no label reaches --threshold, or it is not the one that --expect names."
    )]
    Classify(ClassifyArgs),
    /// Take data out of a text, in the form of a JSON Schema
    #[command(
        after_help = "Examples:\n  lla extract --schema invoice.schema.json invoice.txt\n  lla extract --schema '{\"type\":\"object\",\"properties\":{\"total\":{\"type\":\"number\"}}}' < invoice.txt\n\nExit code 1: with --strict, a value does not stand in the text."
    )]
    Extract(ExtractArgs),
    /// Summarize a text of any length
    #[command(
        after_help = "Examples:\n  lla summarize report.md\n  git diff main | lla summarize --style bullets --max-words 60"
    )]
    Summarize(SummarizeArgs),
    /// Rewrite a text, keeping what must stay
    #[command(
        after_help = "Examples:\n  lla rewrite --style formal < mail.txt\n  lla rewrite -i 'Make this friendlier.' --keep 'Acme Ltd' mail.txt\n\nExit code 1: a string of --keep is not in the new text. No file is changed."
    )]
    Rewrite(RewriteArgs),
    /// Answer typed questions about a text: yes or no, a choice, a place on a scale
    #[command(
        after_help = "Examples:\n  lla decide --predicate 'The customer wants money back.' mail.txt\n  lla decide --choice billing,login,other 'Which team is this for?' < mail.txt\n  lla decide --score 1..5 'How upset is the writer?' --expect 4.. mail.txt && escalate\n  git diff --cached | lla decide -p 'The text contains a password.' --expect no\n\nSeveral questions share one reading of the text. Exit code 1: an answer is not the one that --expect\nnames, or is below --threshold."
    )]
    Decide(DecideArgs),
    /// Serve the tools to an MCP client over standard input and output
    #[command(
        args_conflicts_with_subcommands = true,
        after_help = "Examples:\n  lla mcp install claude-code --write\n  lla mcp --root ~/notes\n\nA running gateway does the work when there is one; else a model is started here, and nothing listens."
    )]
    Mcp(McpArgs),
    /// Find the servers of this machine and write a first configuration
    #[command(
        after_help = "Examples:\n  lla init\n  lla init --write\n  lla init --write ~/.config/lla/lla.toml --force\n\nAsks 127.0.0.1 only, on the usual ports of Ollama, llama-server, LM Studio and vLLM."
    )]
    Init(InitArgs),
    /// Show and try the servers of the configuration
    #[command(subcommand)]
    Backends(BackendsCommand),
    /// Measure a server of the OpenAI API under load: times to tokens, throughput, errors
    #[command(
        after_help = "Examples:\n  lla bench\n  lla bench --url http://127.0.0.1:11434 --model qwen3:8b --concurrency 1,4,16\n  lla bench --url https://api.example.com/v1 --api-key env:EXAMPLE_KEY --duration 30s --json\n\nCtrl-C ends it with what is there. Exit code 1: not one request was answered."
    )]
    Bench(BenchArgs),
    /// Check or show the configuration
    #[command(subcommand)]
    Config(ConfigCommand),
    /// Look at this build, this machine, the models and the backends, and say what to do
    #[command(after_help = "Exit code 0 when everything needed is there, 69 when something is marked FAIL.")]
    Doctor(DoctorArgs),
    /// Print a script that completes `lla` commands in a shell
    #[command(
        after_help = "Examples:\n  lla completions bash > ~/.local/share/bash-completion/completions/lla\n  lla completions zsh > \"${fpath[1]}/_lla\"\n  lla completions fish > ~/.config/fish/completions/lla.fish"
    )]
    Completions {
        /// The shell
        shell: clap_complete::Shell,
    },
}

/// Which configuration.
#[derive(Debug, Clone, Default, Args)]
pub struct ConfigArgs {
    /// The configuration file [default: LLA_CONFIG, ./lla.toml, lla.toml in the user's folder]
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub config: Option<PathBuf>,
}

/// `lla serve`.
#[derive(Debug, Clone, Args)]
pub struct ServeArgs {
    /// Address and port to listen on; port 0 takes a free one [default: 127.0.0.1:7117]
    #[arg(long, value_name = "ADDRESS:PORT")]
    pub listen: Option<String>,
    /// Which configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
    /// Log level: error, warn, info, debug, trace, or directives (also LLA_LOG) [default: info]
    #[arg(long, value_name = "LEVEL")]
    pub log: Option<String>,
    /// Write `http://ADDRESS:PORT` to this file once requests are answered
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub address_file: Option<PathBuf>,
}

/// `lla engine`. Numbers left out are chosen from the model and the machine.
#[derive(Debug, Clone, Args)]
pub struct EngineArgs {
    /// The model, a GGUF file
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath, required_unless_present = "self_test")]
    pub model: Option<PathBuf>,
    /// Where to listen: unix:PATH or tcp:ADDRESS:PORT
    #[arg(long, value_name = "WHERE", required_unless_present_any = ["self_test", "prepare"])]
    pub listen: Option<String>,
    /// The name that callers use [default: the file's name]
    #[arg(long)]
    pub name: Option<String>,
    /// Longest prompt and answer together, in tokens [default: what the model was trained for]
    #[arg(long, value_name = "TOKENS", value_parser = positive())]
    pub context: Option<u32>,
    /// Tokens that the KV cache holds for all sequences together
    #[arg(long, value_name = "TOKENS", value_parser = positive())]
    pub kv_tokens: Option<u32>,
    /// Sequences that run at the same time [default: 32]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=256))]
    pub slots: Option<u32>,
    /// Requests that may wait for a slot; more are refused with 503 [default: 256]
    #[arg(long)]
    pub queue: Option<u32>,
    /// Threads, always so many [default: the cores this process may use, fewer while others use them]
    #[arg(long, value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub threads: Option<u32>,
    /// Most prompt tokens per step: smaller means smoother streams, larger faster prompts
    #[arg(long, value_name = "TOKENS", value_parser = positive())]
    pub prefill_chunk: Option<u32>,
    /// Layers to put on the GPU (builds with a GPU feature) [default: all]
    #[arg(long, value_name = "N")]
    pub gpu_layers: Option<u32>,
    /// A Jinja chat template to use instead of the model's own
    #[arg(long, value_name = "FILE", value_hint = ValueHint::FilePath)]
    pub chat_template: Option<PathBuf>,
    /// Default for requests that set none
    #[arg(long)]
    pub temperature: Option<f64>,
    /// Default for requests that set none
    #[arg(long)]
    pub top_p: Option<f64>,
    /// Default for requests that set none
    #[arg(long)]
    pub top_k: Option<u32>,
    /// Default for requests that set none
    #[arg(long)]
    pub min_p: Option<f64>,
    /// Compute every prompt from its start, also when another one began alike
    #[arg(long)]
    pub no_prefix_cache: bool,
    /// Do not guess tokens that repeat earlier ones (guessing never changes the text)
    #[arg(long)]
    pub no_drafts: bool,
    /// CPU code to run: `baseline` or `avx512` [default: the best that works here]
    #[arg(long, value_name = "VARIANT")]
    pub cpu: Option<String>,
    /// Log level (also LLA_LOG) [default: info]
    #[arg(long, value_name = "LEVEL")]
    pub log: Option<String>,
    /// End when standard input closes (the gateway holds it open)
    #[arg(long, hide = true)]
    pub exit_with_stdin: bool,
    /// Check one CPU variant and exit
    #[arg(long, hide = true, value_name = "VARIANT")]
    pub self_test: Option<String>,
    /// Convert the model to this form into --output and exit; without --output: print which form is best
    #[arg(long, hide = true, value_name = "FORM", num_args = 0..=1, default_missing_value = "best")]
    pub prepare: Option<String>,
    /// See --prepare
    #[arg(long, hide = true, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

fn positive() -> clap::builder::RangedI64ValueParser<u32> {
    clap::value_parser!(u32).range(1..)
}

/// `lla chat`.
#[derive(Debug, Clone, Args)]
pub struct ChatArgs {
    /// The model: a name from /v1/models, `small`, `main` or `auto`
    #[arg(long, short, default_value = "auto")]
    pub model: String,
    /// The API to talk to, with its /v1 [default: the address of the configuration]
    #[arg(long, value_name = "URL", env = "LLA_URL")]
    pub url: Option<String>,
    /// A key for that API
    #[arg(long, env = "LLA_API_KEY", hide_env_values = true, value_name = "KEY")]
    pub api_key: Option<String>,
    /// What the model is told first
    #[arg(long, short, value_name = "TEXT")]
    pub system: Option<String>,
    /// Most tokens of one answer: small models do not always find an end
    #[arg(long, value_name = "TOKENS", value_parser = positive(), default_value_t = 1024)]
    pub max_tokens: u32,
    /// Which configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
}

/// `lla config …`.
#[derive(Debug, Clone, Subcommand)]
pub enum ConfigCommand {
    /// Say whether the configuration can be used, and what is wrong where
    Check(ConfigArgs),
    /// Print what is in force, defaults included, secrets hidden
    Show(ConfigArgs),
}

/// `lla doctor`.
#[derive(Debug, Clone, Args)]
pub struct DoctorArgs {
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Which configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
}
