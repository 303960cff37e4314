//! Every model of the configuration becomes a file: found, pulled, or prepared.

use std::path::{Path, PathBuf};

use lla_inference::EngineModelConfig;

use crate::config::{Config, Prepare};
use crate::failure::{Failure, Outcome};
use crate::models::{Installed, Store};
use crate::places::{Places, expand_home};

/// What a model's section asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Want {
    /// This file.
    File(PathBuf),
    /// This name or source, from the store.
    Stored(String),
}

impl Want {
    /// `path`, else `source`, else the section's own name as a name of the store or catalogue.
    #[must_use]
    pub fn of(name: &str, model: &EngineModelConfig) -> Self {
        match (&model.path, &model.source) {
            (Some(path), _) => Self::File(expand_home(path)),
            (None, Some(source)) => Self::Stored(source.clone()),
            (None, None) => Self::Stored(name.to_owned()),
        }
    }
}

/// The folder of the store.
#[must_use]
pub fn folder(config: &Config, places: &Places) -> PathBuf {
    config.store.path.as_deref().map_or_else(|| places.models(), expand_home)
}

/// Gives every model its `path`, and the sampling that its makers advise where nothing else is
/// configured. What is missing is pulled now.
///
/// # Errors
/// When a file is not there, or a model can not be pulled.
pub async fn resolve_all(config: &mut Config, places: &Places) -> Outcome {
    if !cfg!(feature = "engine") && !config.models.is_empty() {
        let names: Vec<&str> = config.models.keys().map(String::as_str).collect();
        let message = format!("this build of lla has no engine to run {} with", names.join(", "));
        return Err(Failure::usage(message)
            .hint("build it with the default features, or configure [backends.NAME] with the url of a server"));
    }
    let store = Store::new(folder(config, places));
    let prepare = config.store.prepare;
    for (name, model) in &mut config.models {
        match Want::of(name, model) {
            Want::File(path) => model.path = Some(existing(name, path)?),
            Want::Stored(source) => {
                let installed = stored(&store, &source).await?;
                advise(model, &installed);
                model.path = Some(best_form(&store, installed, prepare).await);
            }
        }
        // The fleet takes a file; where it came from is settled.
        model.source = None;
        tracing::info!(model = name, path = %model.path.as_deref().unwrap_or(Path::new("")).display(), "model found");
    }
    Ok(())
}

fn existing(name: &str, path: PathBuf) -> Result<PathBuf, Failure> {
    if path.is_file() {
        return Ok(std::path::absolute(&path).unwrap_or(path));
    }
    Err(Failure::unavailable(format!("models.{name}.path: there is no file {}", path.display()))
        .hint("correct it, or use `source` to let lla get the model"))
}

async fn stored(store: &Store, source: &str) -> Result<Installed, Failure> {
    if let Ok(installed) = store.resolve(source) {
        return Ok(installed);
    }
    tracing::info!("the model {source} is not in the store yet: getting it");
    crate::models_command::pull(store, source).await
}

/// What the makers of a model advise, where the configuration says nothing.
fn advise(model: &mut EngineModelConfig, installed: &Installed) {
    let Some(advice) = &installed.manifest.sampling else { return };
    #[expect(clippy::cast_possible_truncation, reason = "0.2 as f32 is still 0.2 when it is written as text")]
    let narrow = |value: Option<f64>| value.map(|value| value as f32);
    let sampling = &mut model.sampling;
    sampling.temperature = sampling.temperature.or(narrow(advice.temperature));
    sampling.top_p = sampling.top_p.or(narrow(advice.top_p));
    sampling.top_k = sampling.top_k.or(advice.top_k);
    sampling.min_p = sampling.min_p.or(narrow(advice.min_p));
}

#[cfg(feature = "engine")]
async fn best_form(store: &Store, installed: Installed, prepare: Prepare) -> PathBuf {
    match prepare {
        Prepare::Auto => super::prepare::best(store, installed).await,
        Prepare::Never => installed.path,
    }
}

/// Without an engine there is nothing to prepare for (and `resolve_all` has said so).
#[cfg(not(feature = "engine"))]
#[expect(clippy::unused_async, reason = "the same shape as with an engine")]
async fn best_form(_store: &Store, installed: Installed, _prepare: Prepare) -> PathBuf {
    installed.path
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn path_then_source_then_the_sections_name() {
        let mut model = EngineModelConfig::default();
        assert_eq!(Want::of("a", &model), Want::Stored("a".to_owned()));
        model.source = Some("hf:o/r".to_owned());
        assert_eq!(Want::of("a", &model), Want::Stored("hf:o/r".to_owned()));
        model.path = Some("/m.gguf".into());
        assert_eq!(Want::of("a", &model), Want::File("/m.gguf".into()));
    }
}
