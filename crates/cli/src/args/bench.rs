//! What can be typed for `lla bench`.

use std::time::Duration;

use clap::Args;

use super::{ConfigArgs, positive};

/// `lla bench`.
#[derive(Debug, Clone, Args)]
pub struct BenchArgs {
    /// The API to measure, with or without its /v1 [default: the gateway of the configuration]
    #[arg(long, value_name = "URL", env = "LLA_URL")]
    pub url: Option<String>,
    /// The model [default: `small` at a gateway of this kind, else the first that the server lists]
    #[arg(long, short)]
    pub model: Option<String>,
    /// A key for that API: env:NAME, file:PATH, or the key itself
    #[arg(long, env = "LLA_API_KEY", hide_env_values = true, value_name = "KEY")]
    pub api_key: Option<String>,
    /// Requests at the same time, one measurement for each number
    #[arg(long, short, value_name = "N,N", value_delimiter = ',', default_value = "1,8",
        value_parser = clap::value_parser!(u32).range(1..=1024))]
    pub concurrency: Vec<u32>,
    /// Requests of each measurement [default: 4 for each at the same time, at least 8]
    #[arg(long, short = 'n', value_name = "N", value_parser = positive(), conflicts_with = "duration")]
    pub requests: Option<u32>,
    /// How long new requests are started in each measurement (`30s`); those that run then end
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration)]
    pub duration: Option<Duration>,
    /// Length of a prompt, about; the model's template comes on top
    #[arg(long, value_name = "TOKENS", value_parser = clap::value_parser!(u32).range(16..=1_000_000),
        default_value_t = 128)]
    pub prompt_tokens: u32,
    /// So many of them are the same in all prompts; the rest is new every time
    #[arg(long, value_name = "TOKENS", default_value_t = 0)]
    pub shared_prefix: u32,
    /// Most tokens of an answer
    #[arg(long, value_name = "TOKENS", value_parser = positive(), default_value_t = 64)]
    pub max_tokens: u32,
    /// Ask the server to write exactly so many (vLLM's `ignore_eos`; others may refuse it)
    #[arg(long)]
    pub ignore_eos: bool,
    /// Ask for streams (the default): without them there is no time to the first token
    #[arg(long, overrides_with = "no_stream")]
    pub stream: bool,
    /// Ask for whole answers
    #[arg(long, overrides_with = "stream")]
    pub no_stream: bool,
    /// How long one request may take
    #[arg(long, value_name = "TIME", value_parser = humantime::parse_duration, default_value = "5m")]
    pub timeout: Duration,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
    /// Which configuration.
    #[command(flatten)]
    pub config: ConfigArgs,
}
