//! What types can not say: ranges, and keys that must or must not stand together.

use std::net::ToSocketAddrs as _;
use std::time::Duration;

use lla_inference::{EngineModelConfig, HttpBackendConfig, ResilienceConfig, RouteConfig, Tier};

use super::{Config, Problem};

/// Names that mean a choice between models, not a model.
const RESERVED: [&str; 3] = ["small", "main", "auto"];

/// Every problem of a configuration.
#[must_use]
pub fn config(config: &Config) -> Vec<Problem> {
    let mut problems = Vec::new();
    server(config, &mut problems);
    for (name, model) in &config.models {
        check_name("models", name, &mut problems);
        problems.extend(check_model(name, model));
    }
    for (name, backend) in &config.backends {
        check_name("backends", name, &mut problems);
        problems.extend(check_backend(name, backend));
        if config.models.contains_key(name) {
            let message = "there is a model of that name, and engines are backends too: choose another name";
            problems.push(Problem::new(format!("backends.{name}"), message));
        }
    }
    for (name, route) in &config.routes {
        problems.extend(check_route(name, route, config));
    }
    problems.extend(check_resilience(&config.resilience));
    problems
}

/// Entries must lead somewhere; which models a server has is only known when it runs.
fn check_route(name: &str, route: &RouteConfig, config: &Config) -> Vec<Problem> {
    let mut found = Found { prefix: format!("routes.{name}"), problems: Vec::new() };
    let is_tier = Tier::parse(name).is_some();
    if name == "auto" {
        found.add("backends", "`auto` takes the route of a tier: configure `small` or `main`");
    } else if route.backends.is_empty() && !is_tier {
        found.add("backends", "must not be empty: who serves it? (only `small` and `main` can do without)");
    }
    let names: Vec<&String> = config.backends.keys().chain(config.models.keys()).collect();
    let listed =
        |entry: &str| config.backends.values().any(|backend| backend.models.iter().any(|model| model == entry));
    // A server that may list any models makes every name possible.
    let is_open = config.backends.values().any(|backend| backend.models.is_empty());
    for entry in &route.backends {
        let backend = entry.split_once('/').map_or(entry.as_str(), |(backend, _)| backend);
        if entry.trim().is_empty() {
            found.add("backends", "a name is empty");
        } else if !names.iter().any(|name| name.as_str() == backend || *name == entry) && !listed(entry) && !is_open {
            found.add("backends", &format!("there is no backend and no model '{entry}'"));
        }
    }
    found.positive("hedge_after", route.hedge_after);
    found.positive("timeouts.first_byte", route.timeouts.first_byte);
    found.positive("timeouts.between_chunks", route.timeouts.between_chunks);
    found.positive("timeouts.total", route.timeouts.total);
    found.problems
}

fn check_resilience(resilience: &ResilienceConfig) -> Vec<Problem> {
    let mut found = Found { prefix: "resilience".to_owned(), problems: Vec::new() };
    found.positive("models_refresh", Some(resilience.models_refresh));
    let retry = &resilience.retry;
    if retry.attempts == 0 {
        found.add("retry.attempts", "must be > 0: 1 sends each request once");
    }
    found.at_most("retry.attempts", Some(retry.attempts), 10);
    found.range("retry.share", Some(retry.share), 0.0..=1.0);
    found.positive("breaker.open_for", Some(resilience.breaker.open_for));
    found.positive("breaker.longest", Some(resilience.breaker.longest));
    found.problems
}

fn server(config: &Config, problems: &mut Vec<Problem>) {
    for checked in [config.server.check(), config.tools.check()] {
        if let Err(error) = checked {
            problems.push(Problem::new(error.field, error.message));
        }
    }
    // Resolves names as well as it reads addresses; a name that is unknown now is unknown at start.
    if let Err(error) = config.server.listen.to_socket_addrs() {
        let message = format!(
            "\"{}\" is no address to listen on ({error}); write address:port, for example \"127.0.0.1:7117\"",
            config.server.listen
        );
        problems.push(Problem::new("server.listen", message));
    }
    if let Err(error) = crate::logging::parse_level(&config.log.level) {
        problems.push(Problem::new("log.level", error));
    }
}

fn check_name(section: &str, name: &str, problems: &mut Vec<Problem>) {
    let path = format!("{section}.{name}");
    if name.is_empty() || name.chars().any(|c| c.is_whitespace() || c.is_control()) {
        problems.push(Problem::new(path, "a name is not empty and has no spaces"));
    } else if RESERVED.contains(&name) {
        let message = "this name means a tier, not a model: choose another one and set `tier`";
        problems.push(Problem::new(path, message));
    }
}

fn check_model(name: &str, model: &EngineModelConfig) -> Vec<Problem> {
    let mut found = Found { prefix: format!("models.{name}"), problems: Vec::new() };
    match (&model.path, &model.source) {
        (Some(_), Some(_)) => found.add("source", "can not stand beside `path`: one says which file it is"),
        (Some(path), None) if path.as_os_str().is_empty() => found.add("path", "must not be empty"),
        (None, Some(source)) if source.trim().is_empty() => found.add("source", "must not be empty"),
        _ => {}
    }
    for (key, value) in [
        ("context", model.context),
        ("kv_tokens", model.kv_tokens),
        ("slots", model.slots),
        ("threads", model.threads),
        ("prefill_chunk", model.prefill_chunk),
    ] {
        if value == Some(0) {
            found.add(key, "must be > 0; leave it out for the default");
        }
    }
    found.at_most("slots", model.slots, 256);
    found.at_most("threads", model.threads, 1024);
    found.positive("load_timeout", Some(model.load_timeout));
    found.positive("idle_timeout", model.idle_timeout);
    let sampling = &model.sampling;
    found.range("sampling.temperature", sampling.temperature.map(f64::from), 0.0..=2.0);
    found.range("sampling.top_p", sampling.top_p.map(f64::from), 0.0..=1.0);
    found.range("sampling.min_p", sampling.min_p.map(f64::from), 0.0..=1.0);
    found.problems
}

fn check_backend(name: &str, backend: &HttpBackendConfig) -> Vec<Problem> {
    let mut found = Found { prefix: format!("backends.{name}"), problems: Vec::new() };
    match (&backend.url, &backend.socket) {
        (None, None) => found.add("url", "is missing (or `socket`): where is the server?"),
        (Some(_), Some(_)) => found.add("socket", "can not stand beside `url`: a server is in one place"),
        (Some(url), None) => match reqwest::Url::parse(url) {
            Ok(url) if !matches!(url.scheme(), "http" | "https") => {
                found.add("url", "must begin with http:// or https://");
            }
            Ok(url) if !url.username().is_empty() || url.password().is_some() => {
                found.add("url", "must not hold a user or password: put the key into `api_key`");
            }
            Ok(_) => {}
            Err(error) => {
                found.add("url", &format!("is no URL ({error}); write it as in \"http://127.0.0.1:8000/v1\""));
            }
        },
        (None, Some(_)) => {}
    }
    if backend.models.iter().any(|model| model.trim().is_empty()) {
        found.add("models", "a name is empty");
    }
    let timeouts = &backend.timeouts;
    found.positive("timeouts.connect", Some(timeouts.connect));
    found.positive("timeouts.first_byte", Some(timeouts.first_byte));
    found.positive("timeouts.between_chunks", Some(timeouts.between_chunks));
    found.positive("timeouts.load", Some(timeouts.load));
    found.positive("timeouts.total", Some(timeouts.total));
    found.problems
}

/// Problems of one section.
struct Found {
    prefix: String,
    problems: Vec<Problem>,
}

impl Found {
    fn add(&mut self, key: &str, message: &str) {
        self.problems.push(Problem::new(format!("{}.{key}", self.prefix), message));
    }

    fn at_most(&mut self, key: &str, value: Option<u32>, limit: u32) {
        if let Some(value) = value.filter(|&value| value > limit) {
            self.add(key, &format!("{value} is too many: at most {limit}"));
        }
    }

    fn positive(&mut self, key: &str, value: Option<Duration>) {
        if value.is_some_and(|value| value.is_zero()) {
            self.add(key, "must be longer than nothing, for example \"30s\"");
        }
    }

    fn range(&mut self, key: &str, value: Option<f64>, range: std::ops::RangeInclusive<f64>) {
        if let Some(value) = value.filter(|value| !range.contains(value)) {
            self.add(key, &format!("{value} is outside {} to {}", range.start(), range.end()));
        }
    }
}
