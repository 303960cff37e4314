//! Commands, exit codes, and what they say.

use crate::support::{lla, run};

fn home() -> tempfile::TempDir {
    tempfile::tempdir().expect("folder")
}

#[test]
fn version_names_commit_and_features() {
    let home = home();
    let (out, _, code) = run(lla(home.path()).arg("--version"));
    assert_eq!(code, 0);
    assert!(out.starts_with(concat!("lla ", env!("CARGO_PKG_VERSION"), " (commit ")), "{out}");
    assert_eq!(out.contains("features: engine"), cfg!(feature = "engine"), "{out}");
}

#[test]
fn wrong_usage_is_64_and_help_is_0() {
    let home = home();
    for arguments in [&["serve", "--lisen", "x"][..], &["nonsense"], &[], &["models"], &["engine"]] {
        let (_, error, code) = run(lla(home.path()).args(arguments));
        assert_eq!(code, 64, "{arguments:?}: {error}");
    }
    for arguments in
        [&["--help"][..], &["serve", "--help"], &["engine", "--help"], &["models", "pull", "--help"], &["chat", "-h"]]
    {
        let (out, error, code) = run(lla(home.path()).args(arguments));
        assert_eq!((code, error.as_str()), (0, ""), "{arguments:?}");
        assert!(out.contains("Usage: lla"), "{arguments:?}: {out}");
    }
}

#[test]
fn config_check_says_what_is_wrong_where() {
    let home = home();
    let file = home.path().join("lla.toml");
    std::fs::write(&file, "[server]\nlisten = \"127.0.0.1:0\"\n").expect("write");
    let (out, error, code) = run(lla(home.path()).args(["config", "check"]));
    assert_eq!((code, error.as_str()), (0, ""));
    assert!(out.contains("lla.toml") && out.contains("127.0.0.1:0"), "{out}");

    std::fs::write(&file, "[server]\nlistn = \"127.0.0.1:0\"\n").expect("write");
    let (_, error, code) = run(lla(home.path()).args(["config", "check"]));
    assert_eq!(code, 64);
    assert!(error.contains("lla.toml:2: server.listn: unknown key; did you mean `listen`?"), "{error}");

    let (_, error, code) = run(lla(home.path()).args(["config", "check", "--config", "other.toml"]));
    assert_eq!(code, 64);
    assert!(error.contains("--config: there is no file other.toml"), "{error}");
}

#[test]
fn config_show_prints_what_is_in_force_without_secrets() {
    let home = home();
    let text = "[backends.a]\nurl = \"http://127.0.0.1:1/v1\"\napi_key = \"sk-very-secret\"\n[backends.b]\nurl = \"http://127.0.0.1:1/v1\"\napi_key = \"env:SOME_KEY\"\n";
    std::fs::write(home.path().join("lla.toml"), text).expect("write");
    let mut command = lla(home.path());
    command
        .args(["config", "show"])
        .env("SOME_KEY", "sk-other")
        .env("LLA_SERVER__MAX_IN_FLIGHT", "7")
        .env("LLA_LOG", "debug");
    let (out, error, code) = run(&mut command);
    assert_eq!((code, error.as_str()), (0, ""));
    assert!(!out.contains("sk-"), "{out}");
    for shown in ["max_in_flight = 7", "level = \"debug\"", "listen = \"127.0.0.1:7117\"", "env:SOME_KEY", "(hidden)"] {
        assert!(out.contains(shown), "{shown}: {out}");
    }
    toml::from_str::<toml::Table>(&out).expect("what is shown is TOML");
}

#[test]
fn a_taken_port_is_69_with_the_way_out() {
    let home = home();
    let taken = std::net::TcpListener::bind("127.0.0.1:0").expect("port");
    let address = taken.local_addr().expect("address").to_string();
    let (_, error, code) = run(lla(home.path()).args(["serve", "--listen", &address]));
    assert_eq!(code, 69, "{error}");
    assert!(error.contains(&address) && error.contains("--listen 127.0.0.1:0"), "{error}");
}

#[test]
fn chat_without_a_gateway_says_how_to_start_one() {
    let home = home();
    // Bound and closed: nobody listens there.
    let address =
        std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("address");
    let (_, error, code) = run(lla(home.path()).args(["chat", "--url", &format!("http://{address}/v1")]));
    assert_eq!(code, 69, "{error}");
    assert!(error.contains("lla serve"), "{error}");
}

#[test]
fn doctor_tells_as_json_and_ends_with_69_on_a_failure() {
    let home = home();
    std::fs::write(
        home.path().join("lla.toml"),
        "[server]\nlisten = \"127.0.0.1:0\"\n[models.m]\npath = \"/no/such.gguf\"\n",
    )
    .expect("write");
    let (out, error, code) = run(lla(home.path()).args(["doctor", "--json"]));
    assert_eq!(code, 69, "{error}");
    let findings: Vec<serde_json::Value> = serde_json::from_str(&out).expect("json");
    let model = findings.iter().find(|finding| finding["subject"] == "model m").expect("the model");
    assert_eq!(model["level"], "FAIL");
    assert!(findings.iter().all(|finding| finding["level"] == "OK" || finding["todo"].is_string()));
}

#[test]
fn completions_for_every_shell() {
    let home = home();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let (out, _, code) = run(lla(home.path()).args(["completions", shell]));
        assert_eq!(code, 0);
        assert!(out.contains("recommend"), "{shell}");
    }
}

#[cfg(not(feature = "engine"))]
#[test]
fn without_an_engine_models_can_not_run_and_backends_can() {
    let home = home();
    let (_, error, code) = run(lla(home.path()).args(["serve", "--listen", "127.0.0.1:0"]));
    assert_eq!(code, 64);
    assert!(error.contains("has no engine") && error.contains("[backends.NAME]"), "{error}");
    let (_, error, code) = run(lla(home.path()).args(["engine", "--model", "x.gguf", "--listen", "tcp:127.0.0.1:0"]));
    assert_eq!(code, 64);
    assert!(error.contains("has no engine"), "{error}");
}
