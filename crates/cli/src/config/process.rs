//! The configuration of this process: its folders, its environment, its flags.

use super::find::Wanted;
use super::layer::{self, Override};
use super::{Loaded, Place, load};
use crate::args::ConfigArgs;
use crate::failure::{Exit, Failure};
use crate::places::Places;

/// Loads what `--config`, the environment and the working folder say, with `flags` on top.
///
/// # Errors
/// Everything that is wrong with it, as wrong usage.
pub fn load_for(args: &ConfigArgs, flags: Vec<Override>) -> Result<Loaded, Failure> {
    let wanted = Wanted {
        flag: args.config.clone(),
        variable: std::env::var_os("LLA_CONFIG").filter(|value| !value.is_empty()).map(Into::into),
        working_dir: std::env::current_dir().ok(),
        user_dir: Places::from_environment().ok().map(|places| places.config_dir),
    };
    let text =
        std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let mut overrides = layer::from_environment(text);
    if let Some(level) = std::env::var("LLA_LOG").ok().filter(|level| !level.is_empty()) {
        let path = vec!["log".to_owned(), "level".to_owned()];
        overrides.push(Override { place: Place::Variable("LLA_LOG".to_owned()), path, text: level });
    }
    overrides.extend(flags);
    load(&wanted, overrides).map_err(|error| {
        let failure = Failure { exit: Exit::Usage, error: error.into(), hint: None };
        failure.hint("every key is described in lla.example.toml and docs/configuration.md")
    })
}
