//! The log of the process: `tracing`, to standard error.

use tracing_subscriber::EnvFilter;

use crate::config::{LogConfig, LogFormat};
use crate::failure::{Exit, Failure, OrFail as _, Outcome};

/// The name under which llama.cpp's own lines are logged.
const NATIVE_LOG: &str = "llama-cpp-2";

/// Reads a level or filter directives.
///
/// # Errors
/// What is wrong with the text.
pub fn parse_level(text: &str) -> Result<EnvFilter, String> {
    let help = "write error, warn, info, debug, trace, or directives such as \"info,lla_inference=debug\"";
    // EnvFilter reads any bare word as the name of a part of the program: `inof` would silence all.
    let levels = ["off", "error", "warn", "info", "debug", "trace"];
    for directive in text.split(',').map(str::trim) {
        let level = directive.rsplit('=').next().unwrap_or_default();
        if !levels.contains(&level.to_lowercase().as_str()) {
            return Err(format!("\"{directive}\" has no known level: {help}"));
        }
    }
    EnvFilter::try_new(text).map_err(|error| format!("{error}: {help}"))
}

/// llama.cpp tells a hundred lines per model at `info`, and warns of what is meant so (a KV cache larger
/// than the window, which several sequences share): all of it is shown at `debug`, or when asked for.
fn quieter(level: &str) -> String {
    let decided = ["off", "error", "debug", "trace"].contains(&level.to_lowercase().as_str());
    if decided || level.contains(NATIVE_LOG) { level.to_owned() } else { format!("{level},{NATIVE_LOG}=error") }
}

/// Starts the log. `LLA_LOG` has been laid over the configuration before.
///
/// # Errors
/// When the level can not be read, or a log has been started already.
pub fn start(config: &LogConfig) -> Outcome {
    let filter = parse_level(&quieter(&config.level)).map_err(Failure::usage)?;
    let json = match config.format {
        LogFormat::Auto => !crate::output::is_terminal(),
        LogFormat::Human => false,
        LogFormat::Json => true,
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let started = if json {
        builder.json().flatten_event(true).with_current_span(false).with_span_list(false).try_init()
    } else {
        builder.with_ansi(crate::output::is_terminal()).with_target(false).compact().try_init()
    };
    started.map_err(|error| anyhow::anyhow!("the log can not be started: {error}")).or_fail(Exit::Bug)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn native_lines_are_quiet_unless_wanted() {
        for (level, wanted) in [
            ("info", "info,llama-cpp-2=error"),
            ("info,lla_engine=debug", "info,lla_engine=debug,llama-cpp-2=error"),
            ("error", "error"),
            ("off", "off"),
            ("debug", "debug"),
            ("warn,llama-cpp-2=info", "warn,llama-cpp-2=info"),
        ] {
            assert_eq!(quieter(level), wanted);
            assert!(parse_level(&quieter(level)).is_ok(), "{level}");
        }
    }

    #[test]
    fn levels_and_directives() {
        for good in ["info", "INFO", "info,lla_inference=debug", "warn,lla_gateway=trace", "off"] {
            assert!(parse_level(good).is_ok(), "{good}");
        }
        for bad in ["", "warn, lla_gateway=trace", "inof", "lla_gateway", "info,=", "lla_gateway=loud"] {
            assert!(parse_level(bad).is_err(), "{bad}");
        }
    }
}
