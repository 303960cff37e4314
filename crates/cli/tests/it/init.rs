//! `lla init` against servers that say what the real ones say.

use serde_json::{Value, json};

use crate::fake_api::{FakeApi, Reply, models};
use crate::support::{lla, run};

fn ollama(path: &str, _: &Value) -> Reply {
    let tag = |name: &str, size: &str| json!({"name": name, "model": name, "details": {"family": "x", "parameter_size": size}});
    Reply::Json(
        200,
        match path {
            "/api/version" => json!({"version": "0.40.0"}),
            "/api/tags" => {
                json!({"models": [tag("big", "70.6B"), tag("tiny", "1.2B"), tag("nomic-embed-text:latest", "137M")]})
            }
            "/v1/models" => models("library", &["big", "tiny", "nomic-embed-text:latest"]),
            _ => return Reply::NotThere,
        },
    )
}

/// A server that answers 200 on routes that it does not have.
fn lm_studio(path: &str, _: &Value) -> Reply {
    Reply::Json(
        200,
        match path {
            "/v1/models" => models("organization_owner", &["qwen3-8b"]),
            "/api/v0/models" => {
                json!({"object": "list", "data": [{"id": "qwen3-8b", "object": "model", "type": "llm"}]})
            }
            _ => json!({"error": "Unexpected endpoint or method."}),
        },
    )
}

fn gateway(path: &str, _: &Value) -> Reply {
    Reply::Json(
        200,
        match path {
            "/v1/models" => models("lla", &["m"]),
            "/health" => json!({"status": "ok", "version": "0.1.0", "gateway": {"in_flight": 0}}),
            _ => return Reply::NotThere,
        },
    )
}

struct Home(tempfile::TempDir);

impl Home {
    fn new() -> Self {
        Self(tempfile::tempdir().expect("folder"))
    }

    fn init(&self, ports: &str, more: &[&str]) -> (String, String, i32) {
        run(lla(self.0.path()).args(["init", "--ports", ports]).args(more))
    }

    fn check(&self) -> (String, String, i32) {
        run(lla(self.0.path()).args(["config", "check"]))
    }

    fn file(&self) -> std::path::PathBuf {
        self.0.path().join("lla.toml")
    }
}

#[test]
fn servers_are_found_and_the_file_can_be_used() {
    let (home, ollama, studio, gateway) =
        (Home::new(), FakeApi::start(ollama), FakeApi::start(lm_studio), FakeApi::start(gateway));
    let ports = format!("{},{},{}", ollama.port, studio.port, gateway.port);
    let (printed, told, code) = home.init(&ports, &[]);
    assert_eq!(code, 0, "{told}");
    for wanted in ["Ollama 0.40.0, 3 models", "LM Studio, 1 model", "a gateway of this kind 0.1.0, left out"] {
        assert!(told.contains(wanted), "{wanted}: {told}");
    }
    assert!(!home.file().exists(), "it was only printed");

    let (out, error, code) = home.init(&ports, &["--write"]);
    assert_eq!(code, 0, "{error}");
    assert!(out.contains("lla.toml is written"), "{out}");
    let written = std::fs::read_to_string(home.file()).expect("the file");
    assert_eq!(written, printed);
    let (out, error, code) = home.check();
    assert_eq!(code, 0, "{error}");
    assert!(out.contains("0 model(s), 4 backend(s)"), "{out}\n{written}");
    let table: toml::Table = written.parse().expect("TOML");
    let backend = |name: &str| table["backends"][name].clone();
    assert_eq!(backend("ollama-small")["models"], toml::Value::from(vec!["tiny"]));
    assert_eq!(backend("ollama-main")["models"], toml::Value::from(vec!["big"]));
    assert_eq!(backend("ollama")["models"], toml::Value::from(vec!["nomic-embed-text:latest"]));
    assert_eq!(backend("lm-studio").get("tier"), None);
}

#[test]
fn a_file_that_is_there_stays_unless_it_is_forced() {
    let (home, server) = (Home::new(), FakeApi::start(lm_studio));
    let port = server.port.to_string();
    std::fs::write(home.file(), "# mine\n").expect("write");
    let (_, error, code) = home.init(&port, &["--write", "lla.toml"]);
    assert_eq!(code, 64);
    assert!(error.contains("lla.toml is there already") && error.contains("--force"), "{error}");
    assert_eq!(std::fs::read_to_string(home.file()).expect("read"), "# mine\n");
    assert_eq!(home.init(&port, &["--force"]).2, 64, "there is nothing to force");
    assert_eq!(home.init(&port, &["--write", "--force"]).2, 0);
    assert!(std::fs::read_to_string(home.file()).expect("read").contains("[backends.lm-studio]"));
    let (_, error, code) = home.init(&port, &["--write", "no/such/folder/lla.toml"]);
    assert_eq!(code, 69);
    assert!(error.contains("no/such/folder"), "{error}");
}

#[test]
fn without_a_server_the_model_inside_runs() {
    let home = Home::new();
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("port");
    let website = FakeApi::start(|_, _| Reply::Json(200, json!({"hello": "world"})));
    let (_, told, code) = home.init(&format!("{},{}", nobody.port(), website.port), &["--write"]);
    assert_eq!(code, 0, "{told}");
    assert!(told.contains("no server on 127.0.0.1"), "{told}");
    assert!(home.check().0.contains("1 model(s), 0 backend(s)"));
}
