//! `lla backends list` and `lla backends test NAME`: who answers, and what works there.
//!
//! Servers are asked through the drivers that the gateway uses, without the fleet around them, so that
//! what is shown is the server's and not that of a retry. [`list`] looks at all of them; [`trial`] tries
//! one, each power in a file of its own; [`finding`] is what came of a try.

pub mod abort;
pub mod chat;
pub mod finding;
pub mod form;
pub mod list;
pub mod powers;
pub mod talk;
pub mod trial;
pub mod window;

use lla_inference::HttpBackendConfig;

use crate::args::{BackendTestArgs, BackendsCommand};
use crate::config::{Config, process};
use crate::failure::{Failure, Outcome};
use crate::output;

/// How alike a name must be to be offered (Jaro-Winkler, 1 is equal).
const ALIKE: f64 = 0.75;

/// Runs the command.
///
/// # Errors
/// When the configuration can not be used, the name is unknown, or chat does not work.
pub async fn run(command: &BackendsCommand) -> Outcome {
    match command {
        BackendsCommand::List { json, config } => {
            let rows = list::look(&process::load_for(config, Vec::new())?.config).await;
            output::line(&if *json { serde_json::to_string_pretty(&rows)? } else { list::table(&rows) });
            Ok(())
        }
        BackendsCommand::Test(args) => test(args).await,
    }
}

async fn test(args: &BackendTestArgs) -> Outcome {
    let loaded = process::load_for(&args.config, Vec::new())?;
    let config = find(&loaded.config, &args.name)?;
    let report = trial::run(&args.name, config, args).await?;
    output::line(&if args.json { serde_json::to_string_pretty(&report)? } else { report.table() });
    report.verdict()
}

/// The server of this name.
fn find<'a>(config: &'a Config, name: &str) -> Result<&'a HttpBackendConfig, Failure> {
    if let Some(backend) = config.backends.get(name) {
        return Ok(backend);
    }
    if config.models.contains_key(name) {
        let message =
            format!("'{name}' is a model that the gateway runs itself: only servers under [backends] are tested");
        return Err(
            Failure::usage(message).hint(format!("to try it: lla serve, then lla chat --model {name}, or lla bench"))
        );
    }
    let failure = Failure::usage(format!("there is no [backends.{name}] in the configuration"));
    let alike = |other: &&String| strsim::jaro_winkler(other, name);
    let nearest = config.backends.keys().max_by(|left, right| alike(left).total_cmp(&alike(right)));
    Err(match nearest {
        Some(nearest) if alike(&nearest) >= ALIKE => failure.hint(format!("did you mean {nearest}?")),
        Some(_) => failure.hint("lla backends list shows what there is"),
        None => failure.hint("lla init finds the servers of this machine"),
    })
}

/// Where a server is, for people: no query, in which some put keys.
fn place(config: &HttpBackendConfig) -> String {
    let url = config.url.as_deref().map(|url| {
        let shown = url.split(['?', '#']).next().unwrap_or_default();
        shown.trim_end_matches('/').to_owned()
    });
    url.or_else(|| config.socket.as_ref().map(|socket| socket.display().to_string())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(text: &str) -> Config {
        toml::from_str(text).expect("configuration")
    }

    #[test]
    fn only_servers_are_found_and_others_are_told_why_not() {
        let config = config("[models.m]\npath = \"x\"\n[backends.ollama]\nurl = \"http://127.0.0.1:1\"\n");
        assert!(find(&config, "ollama").is_ok());
        for (name, wanted) in
            [("m", "only servers under [backends]"), ("olama", "did you mean ollama?"), ("x", "lla backends list")]
        {
            let failure = find(&config, name).expect_err(name).to_string();
            assert!(failure.contains(wanted), "{failure}");
        }
        assert!(find(&Config::default(), "x").expect_err("none").to_string().contains("lla init"));
    }

    #[test]
    fn a_place_shows_no_key() {
        let at = |text: &str| place(&toml::from_str(text).expect("backend"));
        assert_eq!(at("url = \"http://h:1/v1/?key=s3cret#x\""), "http://h:1/v1");
        assert_eq!(at("socket = \"/run/x.sock\""), "/run/x.sock");
    }
}
