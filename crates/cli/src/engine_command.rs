//! `lla engine`: flags to the engine's options.

use crate::args::EngineArgs;
use crate::failure::{Failure, Outcome};

/// Runs one model until it is told to stop.
///
/// # Errors
/// When the flags are wrong, or the model can not be served.
#[cfg(not(feature = "engine"))]
pub fn run(_args: &EngineArgs) -> Outcome {
    Err(Failure::usage("this build of lla has no engine")
        .hint("build it with the default features: cargo build --release -p lla-cli")
        .hint("or let `lla serve` use a server of yours: see [backends] in lla.example.toml"))
}

#[cfg(feature = "engine")]
pub use with_engine::run;

#[cfg(feature = "engine")]
mod with_engine {
    use std::path::{Path, PathBuf};

    use lla_engine::EngineOptions;
    use lla_engine::options::SamplingDefaults;
    use lla_engine::{cpu, forms};

    use super::{EngineArgs, Failure, Outcome};
    use crate::config::{LogConfig, LogFormat};
    use crate::failure::{Exit, OrFail as _};
    use crate::{logging, output};

    /// Runs one model until it is told to stop.
    ///
    /// # Errors
    /// When the flags are wrong, or the model can not be served.
    pub fn run(args: &EngineArgs) -> Outcome {
        if let Some(variant) = &args.self_test {
            return self_test(variant);
        }
        start_log(args)?;
        match (args.prepare.as_deref(), &args.output) {
            (None, _) => lla_engine::run(&options(args)?).or_fail(Exit::Unavailable),
            (Some(_), None) => recommend(&model(args)?),
            (Some(form), Some(output)) => prepare(&model(args)?, form, output),
        }
    }

    fn model(args: &EngineArgs) -> Result<PathBuf, Failure> {
        args.model.clone().ok_or_else(|| Failure::usage("--model is missing"))
    }

    fn options(args: &EngineArgs) -> Result<EngineOptions, Failure> {
        let listen = args.listen.as_deref().unwrap_or_default();
        let listen = listen.parse().map_err(|error| Failure::usage(format!("--listen: {error}")))?;
        let defaults = EngineOptions::default();
        Ok(EngineOptions {
            model: model(args)?,
            name: args.name.clone(),
            listen,
            context: args.context,
            kv_tokens: args.kv_tokens,
            slots: args.slots.unwrap_or(defaults.slots),
            queue: args.queue.unwrap_or(defaults.queue),
            prefill_chunk: args.prefill_chunk,
            threads: args.threads,
            gpu_layers: args.gpu_layers,
            chat_template: args.chat_template.clone(),
            defaults: SamplingDefaults {
                temperature: args.temperature,
                top_p: args.top_p,
                top_k: args.top_k,
                min_p: args.min_p,
            },
            exit_with_stdin: args.exit_with_stdin,
            cpu: args.cpu.clone(),
            prefix_cache: !args.no_prefix_cache,
            drafts: !args.no_drafts,
        })
    }

    /// The gateway hands its level down in `LLA_LOG`.
    fn start_log(args: &EngineArgs) -> Outcome {
        let default = LogConfig::default();
        let level = args.log.clone().or_else(|| std::env::var("LLA_LOG").ok().filter(|level| !level.is_empty()));
        logging::start(&LogConfig { level: level.unwrap_or(default.level), format: LogFormat::Auto })
    }

    /// Proves one CPU variant: the parent watches how this process ends.
    fn self_test(variant: &str) -> Outcome {
        let variant: cpu::Variant = variant.parse().map_err(Failure::usage)?;
        let report = cpu::self_test(variant).or_fail(Exit::Unavailable)?;
        output::line(&report.to_string());
        Ok(())
    }

    /// Prints the name of the form that this machine runs best.
    fn recommend(model: &Path) -> Outcome {
        let file = forms::inspect(model).or_fail(Exit::Unavailable)?;
        let form = forms::recommended(&cpu::CpuFeatures::detect(), file.size_bytes, file.file_type);
        output::line(form.name());
        Ok(())
    }

    fn prepare(source: &Path, form: &str, target: &Path) -> Outcome {
        let form: forms::Form = form.parse().map_err(Failure::usage)?;
        forms::convert(source, target, form, cpu::available_cores()).or_fail(Exit::Unavailable)?;
        Ok(())
    }
}
