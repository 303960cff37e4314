//! `lla config check` and `lla config show`.

use crate::args::ConfigCommand;
use crate::config::{process, show};
use crate::failure::Outcome;
use crate::output;

/// Runs the command.
///
/// # Errors
/// When the configuration can not be used; every problem is listed.
pub fn run(command: &ConfigCommand) -> Outcome {
    match command {
        ConfigCommand::Check(args) => {
            let loaded = process::load_for(args, Vec::new())?;
            let file = match &loaded.file {
                Some(file) => file.display().to_string(),
                None => "no file found: the defaults".to_owned(),
            };
            let config = &loaded.config;
            output::line(&format!(
                "ok: {file} ({} model(s), {} backend(s), listening on {})",
                config.models.len(),
                config.backends.len(),
                config.server.listen
            ));
        }
        ConfigCommand::Show(args) => {
            let loaded = process::load_for(args, Vec::new())?;
            output::print(&show::in_force(&loaded)?);
        }
    }
    Ok(())
}
