//! What `lla serve` would use: configuration, models, the port, the backends.

use std::time::Duration;

use lla_inference::{Backend as _, HttpBackendConfig, OpenAiBackend};

use super::Finding;
use crate::args::ConfigArgs;
use crate::config::{Config, process};
use crate::models::Store;
use crate::places::Places;
use crate::serve::{listen, models::Want};

/// Looks at all of it; without a configuration that can be read there is nothing more to look at.
pub async fn look(args: &ConfigArgs) -> Vec<Finding> {
    let loaded = match process::load_for(args, Vec::new()) {
        Ok(loaded) => loaded,
        Err(failure) => {
            return vec![Finding::fail("configuration", format!("{:#}", failure.error), "lla config check")];
        }
    };
    let file = loaded.file.as_ref().map_or("none: the defaults".to_owned(), |file| file.display().to_string());
    let mut findings = vec![Finding::ok("configuration", file)];
    findings.extend(models(&loaded.config));
    findings.push(port(&loaded.config).await);
    for (name, backend) in &loaded.config.backends {
        findings.push(reach(name, backend).await);
    }
    findings
}

fn models(config: &Config) -> Vec<Finding> {
    let store = match Places::from_environment().map(|places| Store::new(crate::serve::models::folder(config, &places)))
    {
        Ok(store) => store,
        Err(failure) => return vec![Finding::fail("store", format!("{:#}", failure.error), "set LLA_HOME")],
    };
    let mut findings = Vec::new();
    for (name, model) in &config.models {
        let subject = format!("model {name}");
        findings.push(match Want::of(name, model) {
            Want::File(path) if path.is_file() => Finding::ok(subject, path.display().to_string()),
            Want::File(path) => {
                Finding::fail(subject, format!("there is no file {}", path.display()), "correct `path`")
            }
            Want::Stored(source) => match store.resolve(&source) {
                Ok(installed) => Finding::ok(subject, installed.best_path().display().to_string()),
                Err(_) => Finding::warn(
                    subject,
                    "is not in the store yet; `lla serve` gets it at the first start",
                    format!("to get it now: lla models pull {source}"),
                ),
            },
        });
    }
    findings
}

async fn port(config: &Config) -> Finding {
    let address = &config.server.listen;
    match listen::bind(address).await {
        Ok(_) => Finding::ok("port", format!("{address} is free")),
        Err(failure) if gateway_answers(address).await => {
            drop(failure);
            Finding::ok("port", format!("a gateway runs on {address} already"))
        }
        Err(failure) => Finding::fail("port", format!("{:#}", failure.error), failure.hint.unwrap_or_default()),
    }
}

async fn gateway_answers(address: &str) -> bool {
    let client = reqwest::Client::builder().no_proxy().timeout(Duration::from_secs(3)).build();
    let Ok(client) = client else { return false };
    let answer = client.get(format!("http://{address}/health/live")).send().await;
    answer.is_ok_and(|answer| answer.status().is_success())
}

async fn reach(name: &str, config: &HttpBackendConfig) -> Finding {
    let subject = format!("backend {name}");
    let place = match (&config.url, &config.socket) {
        (Some(url), _) => url.clone(),
        (None, Some(socket)) => socket.display().to_string(),
        (None, None) => String::new(),
    };
    let backend = match OpenAiBackend::new(name, config) {
        Ok(backend) => backend,
        Err(error) => return Finding::fail(subject, error.to_string(), "correct its section of the configuration"),
    };
    let health = backend.health().await;
    if !health.reachable {
        let why = health.message.unwrap_or_else(|| "no answer".to_owned());
        return Finding::warn(subject, format!("{place} does not answer: {why}"), "start it, or correct `url`");
    }
    match backend.models().await {
        Ok(models) => {
            let names: Vec<String> = models.into_iter().map(|model| model.id).collect();
            Finding::ok(subject, format!("{place} has {}", names.join(", ")))
        }
        Err(error) => {
            Finding::warn(subject, format!("{place} answers, but not which models it has: {error}"), "check `api_key`")
        }
    }
}
