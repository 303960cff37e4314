//! The text of a first `lla.toml`.

use std::collections::BTreeSet;

use lla_inference::{Dialect, Tier};

use super::judge::{Found, Kind};
use super::tiers::{self, Candidate};
use crate::config::DEFAULT_MODEL;

/// Longest text of a server that stands in a comment.
const MAX_COMMENT: usize = 60;

/// A configuration that uses these servers; without any, the model inside. Pure.
#[must_use]
pub fn text(servers: &[Found]) -> String {
    let mut text = HEAD.to_owned();
    let choice = choose(servers);
    let mut names = BTreeSet::new();
    for (index, server) in servers.iter().enumerate() {
        let chosen: Vec<(usize, Tier)> =
            choice.iter().filter(|(at, ..)| *at == index).map(|&(_, model, tier)| (model, tier)).collect();
        text += &section(server, &name(server, &mut names), &chosen);
    }
    let usable = servers.iter().any(|server| !server.needs_key);
    text += &embedded(usable);
    text
}

const HEAD: &str = "\
# Local LLM Agent: a first configuration, written by `lla init`.
#
# `lla config check` says whether it is right, `lla backends list` who answers, `lla backends test NAME`
# what a server can do. Every key: lla.example.toml and docs/configuration.md.

[server]
# listen = \"127.0.0.1:7117\"
";

/// What `small` and `main` mean, over all servers: server, model, tier.
fn choose(servers: &[Found]) -> Vec<(usize, usize, Tier)> {
    let places: Vec<(usize, usize)> = servers
        .iter()
        .enumerate()
        .flat_map(|(server, found)| (0..found.models.len()).map(move |model| (server, model)))
        .collect();
    let models = servers.iter().flat_map(|found| {
        let chats = |model: &Candidate| model.chats && usable(model) && !found.needs_key;
        found.models.iter().map(move |model| Candidate { chats: chats(model), ..model.clone() })
    });
    let models: Vec<Candidate> = models.collect();
    let place = |(index, tier): (usize, Tier)| places.get(index).map(|&(server, model)| (server, model, tier));
    tiers::choose(&models).into_iter().filter_map(place).collect()
}

/// A name that no other section has.
fn name(server: &Found, taken: &mut BTreeSet<String>) -> String {
    let word = match server.kind {
        Kind::Ollama => "ollama",
        Kind::Vllm => "vllm",
        Kind::LlamaServer => "llama-server",
        Kind::LmStudio => "lm-studio",
        Kind::Engine => "engine",
        Kind::Generic | Kind::Gateway => "local",
    };
    let mut name = word.to_owned();
    while !taken.insert(name.clone()) {
        name += &format!("-{}", server.port);
    }
    name
}

/// The word of the configuration for a kind.
fn dialect(kind: Kind) -> &'static str {
    let dialect = match kind {
        Kind::Ollama => Dialect::Ollama,
        Kind::Vllm => Dialect::Vllm,
        Kind::LlamaServer => Dialect::LlamaServer,
        Kind::Engine => return "lla-engine",
        Kind::LmStudio => Dialect::LmStudio,
        Kind::Generic | Kind::Gateway => Dialect::Generic,
    };
    dialect.as_str()
}

/// The sections of one server: one for each tier that a model of it serves, and one for the rest. A tier
/// belongs to a section, and models differ.
fn section(server: &Found, name: &str, chosen: &[(usize, Tier)]) -> String {
    let title = server.kind.title();
    let version = server.version.as_deref().map(plain).map_or_else(String::new, |version| format!(" {version}"));
    let mut text = format!("\n# {title}{version} on port {}.", server.port);
    if server.needs_key {
        let variable = format!("{}_API_KEY", name.to_uppercase().replace('-', "_"));
        text += &format!(" It wants a key: set {variable}, then take the signs away.\n");
        text += &format!("# [backends.{name}]\n# url = \"{}\"\n", url(server));
        text += &format!("# dialect = \"{}\"\n# api_key = \"env:{variable}\"\n", dialect(server.kind));
        return text;
    }
    text.push('\n');
    let ids = |wanted: &dyn Fn(usize) -> bool| -> Vec<&str> {
        let models = server.models.iter().enumerate().filter(|(index, model)| wanted(*index) && usable(model));
        models.map(|(_, model)| model.id.as_str()).collect()
    };
    let head =
        |name: &str| format!("[backends.{name}]\nurl = \"{}\"\ndialect = \"{}\"\n", url(server), dialect(server.kind));
    match chosen {
        [] => {
            text += "# All models that it lists can be used, by their own names.\n";
            text += &head(name);
        }
        [(_, tier)] if server.models.len() == 1 => {
            text += &head(name);
            text += &tier_line(*tier);
        }
        chosen => {
            for (index, tier) in chosen {
                text += &head(&format!("{name}-{}", tier.as_str()));
                text += &models_line(&ids(&|at| at == *index));
                text += &tier_line(*tier);
                text.push('\n');
            }
            let rest = ids(&|at| chosen.iter().all(|(index, _)| *index != at));
            if !rest.is_empty() {
                text += "# Its other models, by their own names; models that it gets later have to be added.\n";
                text += &head(name);
                text += &models_line(&rest);
            }
        }
    }
    while text.ends_with("\n\n") {
        text.pop();
    }
    text
}

/// The configuration refuses empty names.
fn usable(model: &Candidate) -> bool {
    !model.id.trim().is_empty()
}

fn url(server: &Found) -> String {
    format!("http://127.0.0.1:{}", server.port)
}

fn models_line(ids: &[&str]) -> String {
    let ids: toml::Value = ids.iter().map(|id| (*id).to_owned()).collect::<Vec<_>>().into();
    format!("models = {ids}\n")
}

fn tier_line(tier: Tier) -> String {
    match tier {
        Tier::Small => "# What callers mean by the model `small`.\ntier = \"small\"\n".to_owned(),
        Tier::Main => "# What callers mean by the model `main`, and by `auto`.\ntier = \"main\"\n".to_owned(),
    }
}

/// The model inside `lla`: beside servers only for who wants it.
fn embedded(others: bool) -> String {
    let (sign, why) = if others {
        ("# ", "A small model can run in lla itself, beside the servers:")
    } else {
        ("", "A small model that runs in lla itself; `lla models recommend` shows better ones.")
    };
    let mut text = format!("\n# {why}\n");
    for line in [&format!("[models.{DEFAULT_MODEL}]"), &format!("source = \"{DEFAULT_MODEL}\""), "tier = \"small\""] {
        text += &format!("{sign}{line}\n");
    }
    text
}

/// Text of a server as a part of one line: it must not end a comment.
#[must_use]
pub fn plain(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(MAX_COMMENT).collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::find::Wanted;
    use crate::config::{Config, load};

    fn parsed(text: &str) -> Config {
        let folder = tempfile::tempdir().expect("folder");
        let file = folder.path().join("lla.toml");
        std::fs::write(&file, text).expect("write");
        let loaded = load(&Wanted { flag: Some(file), ..Wanted::default() }, Vec::new());
        loaded.unwrap_or_else(|error| panic!("{error}\n{text}")).config
    }

    fn server(port: u16, kind: Kind, models: &[&str]) -> Found {
        let models = models.iter().map(|name| Candidate::named(name)).collect();
        Found { port, kind, version: Some("1.0".to_owned()), models, needs_key: false }
    }

    fn sections(config: &Config) -> Vec<(&str, Option<Tier>, Vec<&str>)> {
        config
            .backends
            .iter()
            .map(|(name, backend)| (name.as_str(), backend.tier, backend.models.iter().map(String::as_str).collect()))
            .collect()
    }

    #[test]
    fn nothing_found_runs_the_model_inside() {
        let config = parsed(&text(&[]));
        assert_eq!((config.models.len(), config.backends.len()), (1, 0));
        assert!(config.models.contains_key(DEFAULT_MODEL));
    }

    #[test]
    fn each_tier_is_a_section_and_the_rest_is_one() {
        let ollama = server(11434, Kind::Ollama, &["big:70b", "nomic-embed-text", "tiny:1b", "mid:8b"]);
        let llama = server(9931, Kind::LlamaServer, &["/m/x-3b.gguf"]);
        let config = parsed(&text(&[ollama, llama]));
        assert_eq!(
            sections(&config),
            [
                ("llama-server", None, vec![]),
                ("ollama", None, vec!["nomic-embed-text", "mid:8b"]),
                ("ollama-main", Some(Tier::Main), vec!["big:70b"]),
                ("ollama-small", Some(Tier::Small), vec!["tiny:1b"]),
            ]
        );
        assert_eq!(config.backends["ollama-main"].url.as_deref(), Some("http://127.0.0.1:11434"));
        assert!(config.models.is_empty());
    }

    #[test]
    fn one_model_needs_no_list_and_equal_servers_have_names_of_their_own() {
        let config = parsed(&text(&[
            server(8000, Kind::Vllm, &["Qwen/Qwen3-8B"]),
            server(8080, Kind::LlamaServer, &["a-1b"]),
            server(9931, Kind::LlamaServer, &["b-3b"]),
            server(1234, Kind::LmStudio, &[]),
        ]));
        assert_eq!(
            sections(&config),
            [
                ("llama-server", Some(Tier::Small), vec![]),
                ("llama-server-9931", None, vec![]),
                ("lm-studio", None, vec![]),
                ("vllm", Some(Tier::Main), vec![]),
            ]
        );
    }

    #[test]
    fn a_server_that_wants_a_key_waits_for_it() {
        let found = Found { needs_key: true, ..server(8000, Kind::Vllm, &[]) };
        let written = text(&[found]);
        assert!(parsed(&written).backends.is_empty());
        let on = written.replace("# [b", "[b").replace("# url", "url").replace("# dialect", "dialect");
        assert_eq!(parsed(&on).backends["vllm"].dialect.as_str(), "vllm");
        assert!(written.contains("# api_key = \"env:VLLM_API_KEY\""), "{written}");
    }

    fn any_server() -> impl Strategy<Value = Found> {
        let kinds = [Kind::Ollama, Kind::Vllm, Kind::LlamaServer, Kind::LmStudio, Kind::Engine, Kind::Generic].to_vec();
        let models = prop::collection::vec(any::<String>(), 0..4);
        (any::<u16>(), prop::sample::select(kinds), any::<Option<String>>(), models, any::<bool>()).prop_map(
            |(port, kind, version, models, needs_key)| {
                let models = models.iter().map(|name| Candidate::named(name)).collect();
                Found { port, kind, version, models, needs_key }
            },
        )
    }

    proptest! {
        /// Whatever servers say, the text is a configuration that can be used, and only local servers are in it.
        #[test]
        fn what_is_written_can_be_read(servers in prop::collection::vec(any_server(), 0..5)) {
            let config = parsed(&text(&servers));
            for backend in config.backends.values() {
                prop_assert!(backend.url.as_deref().is_some_and(|url| url.starts_with("http://127.0.0.1:")));
            }
        }
    }
}
