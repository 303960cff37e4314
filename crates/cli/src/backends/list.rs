//! All servers of the configuration at once: who answers, and with what.

use futures_util::future::join_all;
use lla_inference::driver::open;
use lla_inference::{BackendHealth, HttpBackendConfig};
use serde::Serialize;

use super::place;
use crate::config::Config;
use crate::table::Table;

/// Models that are named in a row; more are counted.
const SHOWN: usize = 4;

/// One server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Its name in the configuration.
    pub name: String,
    /// What kind of server it was found to be, else what the configuration says.
    pub kind: &'static str,
    /// Address or socket.
    pub url: String,
    /// What its health check found.
    #[serde(flatten)]
    pub health: BackendHealth,
    /// Its models that can be used; absent when it does not tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub models: Option<Vec<String>>,
}

/// Asks all servers at the same time.
pub async fn look(config: &Config) -> Vec<Row> {
    join_all(config.backends.iter().map(|(name, backend)| one(name, backend))).await
}

async fn one(name: &str, config: &HttpBackendConfig) -> Row {
    let row = |kind: Option<&'static str>, health, models| Row {
        name: name.to_owned(),
        kind: kind.unwrap_or(config.dialect.as_str()),
        url: place(config),
        health,
        models,
    };
    let backend = match open(name, config) {
        Ok(backend) => backend,
        Err(error) => return row(None, BackendHealth::unreachable(error.to_string()), None),
    };
    let (mut health, models) = tokio::join!(backend.health(), backend.models());
    let kind = backend.capabilities().server;
    match models {
        Ok(models) => row(kind, health, Some(models.into_iter().map(|model| model.id).collect())),
        Err(error) => {
            health.message.get_or_insert_with(|| error.to_string());
            row(kind, health, None)
        }
    }
}

/// For people.
#[must_use]
pub fn table(rows: &[Row]) -> String {
    if rows.is_empty() {
        return "no [backends] in the configuration; lla init finds the servers of this machine".to_owned();
    }
    let mut table = Table::new(&["NAME", "KIND", "WHERE", "ANSWERS", "LATENCY", "VERSION", "MODELS"]);
    for row in rows {
        let health = &row.health;
        let dash = || "-".to_owned();
        table.row([
            row.name.clone(),
            row.kind.to_owned(),
            row.url.clone(),
            if health.reachable { "yes" } else { "no" }.to_owned(),
            health.latency.map_or_else(dash, |latency| format!("{:.1} ms", latency.as_secs_f64() * 1e3)),
            health.version.clone().unwrap_or_else(dash),
            match &row.models {
                Some(models) => names(models),
                None => health.message.clone().unwrap_or_else(dash),
            },
        ]);
    }
    table.text()
}

fn names(models: &[String]) -> String {
    match models {
        [] => "none".to_owned(),
        models if models.len() <= SHOWN + 1 => models.join(", "),
        models => format!("{} and {} more", models[..SHOWN].join(", "), models.len() - SHOWN),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn long_lists_are_cut_with_their_count_and_failures_say_why() {
        let ids = |count: usize| (0..count).map(|id| format!("m{id}")).collect::<Vec<_>>();
        assert_eq!(names(&ids(5)), "m0, m1, m2, m3, m4");
        assert_eq!(names(&ids(6)), "m0, m1, m2, m3 and 2 more");
        let health = BackendHealth::unreachable("connection refused");
        let row = Row { name: "x".into(), kind: "vllm", url: "http://h".into(), health, models: None };
        assert!(table(&[row]).ends_with("x     vllm  http://h  no       -        -        connection refused"));
    }
}
