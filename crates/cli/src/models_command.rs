//! `lla models …`: the store's functions with a face.

use crate::args::{ConfigArgs, ModelsCommand};
use crate::config::process;
use crate::failure::{Exit, Failure, Outcome};
use crate::models::{self, Installed, Store, catalogue, print};
use crate::output;
use crate::places::Places;
use crate::serve::models::folder;

/// Runs the command.
///
/// # Errors
/// When a model is unknown or can not be had.
pub async fn run(command: &ModelsCommand) -> Outcome {
    match command {
        ModelsCommand::Pull { source, config } => {
            let installed = pull(&store(config)?, source).await?;
            output::line(&format!("{} is ready: {}", installed.name, installed.path.display()));
        }
        ModelsCommand::List { json, config } => {
            let models = store(config)?.list().map_err(|error| failure(&error))?;
            output::line(&if *json { serde_json::to_string_pretty(&models)? } else { print::list(&models) });
        }
        ModelsCommand::Remove { name, config } => {
            store(config)?.remove(name).map_err(|error| failure(&error))?;
            output::line(&format!("{name} is removed"));
        }
        ModelsCommand::Show { name, json, config } => {
            let model = store(config)?.show(name).map_err(|error| failure(&error))?;
            output::line(&if *json { serde_json::to_string_pretty(&model)? } else { print::show(&model) });
        }
        ModelsCommand::Recommend { json } => {
            let recommendation = catalogue::recommend_here();
            let text =
                if *json { serde_json::to_string_pretty(&recommendation)? } else { print::recommend(&recommendation) };
            output::line(&text);
        }
    }
    Ok(())
}

/// The store of the configuration.
fn store(args: &ConfigArgs) -> Result<Store, Failure> {
    let loaded = process::load_for(args, Vec::new())?;
    Ok(Store::new(folder(&loaded.config, &Places::from_environment()?)))
}

/// Gets a model, with progress on standard error.
///
/// # Errors
/// When it can not be had; says what to do.
pub async fn pull(store: &Store, source: &str) -> Result<Installed, Failure> {
    models::pull(store, source, &models::progress::Progress::to_stderr()).await.map_err(|error| failure(&error))
}

fn failure(error: &models::StoreError) -> Failure {
    use models::StoreError::{BadSource, UnknownModel};
    let exit = if matches!(error, BadSource { .. } | UnknownModel { .. }) { Exit::Usage } else { Exit::Unavailable };
    let failure = Failure { exit, error: anyhow::Error::msg(error.to_string()), hint: None };
    match error.hint() {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}
