//! What a human is told once the gateway listens: how to ask it, and which better model would fit.

use std::net::SocketAddr;

use crate::config::{Config, DEFAULT_MODEL};
use crate::models::catalogue;
use crate::output;

/// Three lines on a terminal; nothing in a log file.
pub fn show(config: &Config, address: SocketAddr) {
    if output::is_terminal() {
        output::note(&lines(config, address));
    }
}

fn lines(config: &Config, address: SocketAddr) -> String {
    let model = config.models.keys().next().map_or("auto", String::as_str);
    let body = format!(r#"{{"model":"{model}","messages":[{{"role":"user","content":"Hello"}}]}}"#);
    format!(
        "\n  try it:  curl http://{address}/v1/chat/completions -H 'content-type: application/json' -d '{body}'\n  \
         or:      lla chat --url http://{address}/v1\n  \
         stop it: Ctrl-C (running answers finish first)\n"
    )
}

/// One line on the model that would serve better, when only the default one is there.
pub fn better_model(config: &Config) {
    let only_default = config.backends.is_empty() && config.models.keys().all(|name| name == DEFAULT_MODEL);
    if !only_default {
        return;
    }
    let recommendation = catalogue::recommend_here();
    let better = recommendation.main.or(recommendation.small).filter(|entry| entry.name != DEFAULT_MODEL);
    if let Some(entry) = better {
        tracing::info!(
            "{DEFAULT_MODEL} starts anywhere and is too small for much; {} ({} parameters) would fit this machine: {} \
             (`lla models recommend` shows more)",
            entry.name,
            entry.parameters,
            entry.command()
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_asks_a_model_that_is_there() {
        let mut config = Config::default();
        let address = SocketAddr::from(([127, 0, 0, 1], 80));
        assert!(lines(&config, address).contains(r#""model":"auto""#));
        config.models.insert("big".to_owned(), lla_inference::EngineModelConfig::default());
        let text = lines(&config, address);
        assert!(text.contains(r#""model":"big""#) && text.contains("curl http://127.0.0.1:80/v1/chat"), "{text}");
    }
}
