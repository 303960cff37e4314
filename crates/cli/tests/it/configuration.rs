//! The root configuration: what is refused and how, what wins over what, and the example.

use std::path::{Path, PathBuf};

use lla_cli::config::find::Wanted;
use lla_cli::config::layer::{self, Override};
use lla_cli::config::{ConfigError, Loaded, load};

fn load_text(text: &str, overrides: Vec<Override>) -> Result<Loaded, ConfigError> {
    let folder = tempfile::tempdir().expect("folder");
    let file = folder.path().join("lla.toml");
    std::fs::write(&file, text).expect("write");
    load(&Wanted { flag: Some(file), ..Wanted::default() }, overrides)
}

fn variables(list: &[(&str, &str)]) -> Vec<Override> {
    layer::from_environment(list.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())))
}

#[test]
fn wrong_files_are_refused_with_path_line_and_way_out() {
    let table = [
        ("[sever]\n", "lla.toml:1: sever: unknown key; did you mean `server`?"),
        ("[server]\n\nlistn = 1\n", "lla.toml:3: server.listn: unknown key; did you mean `listen`?"),
        (
            "[models.big]\npath = \"x\"\ncontxt = 1\n",
            "lla.toml:3: models.big.contxt: unknown key; did you mean `context`?",
        ),
        ("[models.big]\npath = \"x\"\ncontext = 0\n", "models.big.context: must be > 0"),
        ("[models.big]\npath = \"x\"\ncontext = \"long\"\n", "lla.toml:3: models.big.context: invalid type"),
        ("[models.big]\npath = \"x\"\ncontext = -1\n", "models.big.context: invalid value"),
        ("[models.big]\npath = \"x\"\nslots = 1000\n", "models.big.slots: 1000 is too many: at most 256"),
        ("[models.big]\npath = \"x\"\nsource = \"y\"\n", "models.big.source: can not stand beside `path`"),
        ("[models.main]\npath = \"x\"\n", "models.main: this name means a tier"),
        ("[models.big]\npath = \"x\"\ntier = \"middle\"\n", "models.big.tier: `middle` is an unknown value"),
        ("[models.big]\npath = \"x\"\nload_timeout = \"soon\"\n", "models.big.load_timeout: "),
        (
            "[models.big]\npath = \"x\"\n[models.big.sampling]\ntemperature = 3.0\n",
            "models.big.sampling.temperature: 3 is outside 0 to 2",
        ),
        ("[backends.vllm]\n", "backends.vllm.url: is missing"),
        ("[backends.vllm]\nurl = \"127.0.0.1:8000\"\n", "backends.vllm.url: "),
        ("[backends.vllm]\nurl = \"ftp://x\"\n", "backends.vllm.url: must begin with http"),
        ("[backends.vllm]\nurl = \"http://user:pass@x\"\n", "backends.vllm.url: must not hold a user or password"),
        (
            "[backends.vllm]\nurl = \"http://x\"\napi_key = \"env:LLA_NO_SUCH_KEY\"\n",
            "backends.vllm.api_key: the variable LLA_NO_SUCH_KEY is not set",
        ),
        ("[backends.vllm]\nurl = \"http://x\"\napi_key = 31337\n", "backends.vllm.api_key: must be text"),
        ("[models.x]\npath = \"x\"\n[backends.x]\nurl = \"http://x\"\n", "backends.x: there is a model of that name"),
        ("[server]\nmax_in_flight = 0\n", "server.max_in_flight: must be at least 1"),
        ("[server]\nlisten = \"here\"\n", "server.listen: \"here\" is no address"),
        ("[log]\nlevel = \"inof\"\n", "log.level: \"inof\" has no known level"),
        ("[log]\nformat = \"jsno\"\n", "log.format: `jsno` is an unknown value; did you mean `json`?"),
        ("[server\n", "lla.toml:1: "),
    ];
    for (text, wanted) in table {
        let error = load_text(text, Vec::new()).expect_err(text).to_string();
        assert!(error.contains(wanted), "{text}\nwanted: {wanted}\n   got: {error}");
        assert!(!error.contains("31337") && !error.contains("user:pass"), "a secret is shown: {error}");
    }
}

#[test]
fn all_ranges_are_reported_at_once() {
    let error =
        load_text("[models.a]\ncontext = 0\nslots = 0\n[server]\nmax_in_flight = 0\n", Vec::new()).expect_err("three");
    assert_eq!(error.0.len(), 3, "{error}");
}

#[test]
fn environment_over_file_and_flags_over_environment() {
    let file =
        "[server]\nlisten = \"127.0.0.1:1\"\nmax_in_flight = 1\n[models.\"Qwen3-0.6B\"]\npath = \"x\"\ncontext = 1\n";
    let mut overrides = variables(&[
        ("LLA_SERVER__LISTEN", "127.0.0.1:2"),
        ("LLA_SERVER__MAX_IN_FLIGHT", "2"),
        ("LLA_MODELS__QWEN3_0_6B__CONTEXT", "2"),
        ("LLA_SERVER__CORS__ALLOWED_ORIGINS", "[\"http://a\"]"),
        ("LLA_BACKENDS__B__URL", "http://127.0.0.1:1/v1"),
        ("LLA_BACKENDS__B__API_KEY", "123"),
        ("LLA_HOME", "/not/a/key"),
    ]);
    overrides.push(Override::flag("--listen", &["server", "listen"], "127.0.0.1:3"));
    let config = load_text(file, overrides).expect("good").config;
    assert_eq!(config.server.listen, "127.0.0.1:3");
    assert_eq!(config.server.max_in_flight, 2);
    assert_eq!(config.models["Qwen3-0.6B"].context, Some(2));
    assert_eq!(config.server.cors.allowed_origins, ["http://a"]);
    assert!(config.backends["b"].api_key.is_some(), "a key of digits is text");
}

#[test]
fn a_wrong_variable_is_named() {
    for (name, value, wanted) in [
        ("LLA_SERVER__LISTN", "x", "LLA_SERVER__LISTN: server.listn: unknown key; did you mean `listen`?"),
        ("LLA_SERVER__MAX_IN_FLIGHT", "many", "LLA_SERVER__MAX_IN_FLIGHT: server.max_in_flight: "),
        ("LLA_SERVER__MAX_IN_FLIGHT", "0", "LLA_SERVER__MAX_IN_FLIGHT: server.max_in_flight: must be at least 1"),
        ("LLA_SERVER__LISTEN__PORT", "1", "LLA_SERVER__LISTEN__PORT: server.listen"),
    ] {
        let error =
            load_text("[server]\nlisten = \"127.0.0.1:1\"\n", variables(&[(name, value)])).expect_err(name).to_string();
        assert!(error.contains(wanted), "wanted: {wanted}\n   got: {error}");
    }
}

#[test]
fn without_a_file_the_default_model_runs() {
    let loaded = load(&Wanted::default(), Vec::new()).expect("defaults");
    assert_eq!(loaded.config.models.keys().collect::<Vec<_>>(), [lla_cli::config::DEFAULT_MODEL]);
    assert_eq!(loaded.config.server.listen, "127.0.0.1:7117");
    let other = load_text("[backends.b]\nurl = \"http://127.0.0.1:1/v1\"\n", Vec::new()).expect("good");
    assert!(other.config.models.is_empty(), "whoever names backends wants those");
}

fn example() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../lla.example.toml")
}

#[test]
fn the_example_loads_as_it_is() {
    let loaded = load(&Wanted { flag: Some(example()), ..Wanted::default() }, Vec::new());
    loaded.expect("lla.example.toml can be used");
}

/// Every commented key (`# key = value`) works, and every key that exists is there: what exists is what
/// the error for an unknown key lists.
#[test]
fn the_example_with_every_key_switched_on_loads_too_and_misses_none() {
    let text = std::fs::read_to_string(example()).expect("read");
    let switched_on: Vec<&str> = text.lines().map(|line| switch_on(line).unwrap_or(line)).collect();
    let switched_on = switched_on.join("\n").replace("env:VLLM_API_KEY", "literal");
    load_text(&switched_on, Vec::new()).unwrap_or_else(|error| panic!("{error}"));
    let written: toml::Table = switched_on.parse().expect("toml");
    for section in [
        "server",
        "server.cors",
        "server.prefix_stabiliser",
        "log",
        "store",
        "models.*",
        "models.*.sampling",
        "backends.*",
        "backends.*.timeouts",
        "backends.*.ollama",
    ] {
        let known = known_keys(&section.replace('*', "x"));
        assert!(!known.is_empty(), "{section}");
        let described: Vec<&str> =
            sections(&written, section).into_iter().flat_map(|table| table.keys().map(String::as_str)).collect();
        for key in known {
            assert!(described.contains(&key.as_str()), "lla.example.toml does not describe {section}.{key}");
        }
    }
}

/// `# key = value` and `# [section]`, but not prose.
fn switch_on(line: &str) -> Option<&str> {
    let code = line.strip_prefix("# ")?;
    let key = code.split('=').next()?.trim();
    let is_key = code.contains(" = ") && !key.is_empty() && key.chars().all(|c| c.is_ascii_lowercase() || c == '_');
    let is_section = code.starts_with('[') && code.ends_with(']');
    (is_key || is_section).then_some(code)
}

fn known_keys(section: &str) -> Vec<String> {
    let error = load_text(&format!("[{section}]\nno_key_is_called_like_this = 1\n"), Vec::new()).expect_err(section);
    let (_, list) = error.0[0].message.split_once("known here: ").expect("the list");
    list.split(", ").map(str::to_owned).collect()
}

/// The tables at a path; `*` is every name.
fn sections<'a>(table: &'a toml::Table, path: &str) -> Vec<&'a toml::Table> {
    let Some((first, rest)) = path.split_once('.') else { return children(table, path) };
    children(table, first).into_iter().flat_map(|child| sections(child, rest)).collect()
}

fn children<'a>(table: &'a toml::Table, name: &str) -> Vec<&'a toml::Table> {
    let wanted = table.iter().filter(|(key, _)| name == "*" || *key == name);
    wanted.filter_map(|(_, value)| value.as_table()).collect()
}
