//! `lla backends` against a server that can everything, and one that can little.

use serde_json::{Value, json};

use crate::fake_api::{FakeApi, Reply, finish, models, piece, usage};
use crate::support::{lla, run};

/// Answers as a good vLLM would.
fn able(path: &str, asked: &Value) -> Reply {
    match path {
        "/health" | "/version" => Reply::Json(200, json!({"version": "0.32.0"})),
        "/v1/models" => {
            let mut list = models("vllm", &["qwen3-8b"]);
            list["data"][0]["max_model_len"] = json!(8192);
            Reply::Json(200, list)
        }
        "/tokenize" => Reply::Json(200, json!({"count": 9, "max_model_len": 8192, "tokens": []})),
        "/v1/embeddings" => Reply::Json(
            200,
            json!({"data": [{"index": 0, "embedding": [1.0, 0.0]}, {"index": 1, "embedding": [0.0, 1.0]}],
                "usage": {"prompt_tokens": 2, "total_tokens": 2}}),
        ),
        "/v1/systemone" => Reply::Json(200, json!({"answers": {"refund": {"type": "noul", "probability": 0.97}}})),
        "/v1/chat/completions" => chat(asked),
        _ => Reply::NotThere,
    }
}

fn chat(asked: &Value) -> Reply {
    let question = asked["messages"][0]["content"].as_str().expect("text");
    let text = |text: &str| piece(&json!({"content": text}));
    if question.contains("ten thousand") {
        return Reply::Endless(vec![text("one, "), text("two, "), text("three, ")]);
    }
    let thinks = asked["chat_template_kwargs"]["enable_thinking"] != false;
    let answer = if asked["tools"].is_array() {
        let call = json!({"index": 0, "id": "c", "type": "function",
            "function": {"name": "get_weather", "arguments": "{\"city\":"}});
        vec![
            piece(&json!({"tool_calls": [call]})),
            piece(&json!({"tool_calls": [{"index": 0, "function": {"arguments": "\"Oslo\"}"}}]})),
        ]
    } else if asked["response_format"].is_object() {
        vec![text("{\"colour\":\"red\","), text("\"glossy\":true}")]
    } else if asked["logprobs"] == true {
        let mut scored = text("Hello");
        scored["choices"][0]["logprobs"] = json!({"content": [{"token": "Hello", "logprob": -0.1}]});
        vec![scored]
    } else if thinks {
        vec![piece(&json!({"reasoning_content": "hm"})), text("Hello"), text(" marmalade")]
    } else {
        vec![text("Hello")]
    };
    let tokens = question.split_whitespace().count().max(9);
    let tokens = if tokens < 100 { 9 } else { tokens };
    Reply::Events(answer.into_iter().chain([finish("stop"), usage(tokens, 3)]).collect())
}

/// Chats, in one piece, and cuts what is long.
fn poor(path: &str, asked: &Value) -> Reply {
    match path {
        "/v1/models" => Reply::Json(200, models("me", &["m"])),
        "/v1/chat/completions" if asked["tools"].is_array() || asked["response_format"].is_object() => {
            Reply::Json(400, json!({"error": {"message": "not here", "type": "invalid_request_error"}}))
        }
        "/v1/chat/completions" => Reply::Events(vec![piece(&json!({"content": "Hi"})), finish("stop"), usage(12, 1)]),
        _ => Reply::NotThere,
    }
}

struct Home(tempfile::TempDir);

impl Home {
    fn with(config: &str) -> Self {
        let home = tempfile::tempdir().expect("folder");
        std::fs::write(home.path().join("lla.toml"), config).expect("write");
        Self(home)
    }

    fn backends(&self, arguments: &[&str]) -> (String, String, i32) {
        run(lla(self.0.path()).arg("backends").args(arguments))
    }

    fn tried(&self, name: &str) -> (Vec<(String, String)>, i32) {
        let (out, _, code) = self.backends(&["test", name, "--json"]);
        let report: Value = serde_json::from_str(&out).expect("JSON");
        let text = |value: &Value| value.as_str().expect("text").to_owned();
        let tries = report["tries"].as_array().expect("tries").iter();
        (tries.map(|tried| (text(&tried["what"]), text(&tried["works"]))).collect(), code)
    }
}

fn section(name: &str, url: &str, dialect: &str) -> String {
    format!("[backends.{name}]\nurl = \"{url}\"\ndialect = \"{dialect}\"\napi_key = \"s3cret\"\n")
}

#[test]
fn everything_works_where_everything_is_served() {
    let server = FakeApi::start(able);
    let home = Home::with(&section("gpu", &server.url(), "vllm"));
    let (tries, code) = home.tried("gpu");
    let wanted = [
        ("reachable", "yes"),
        ("models", "yes"),
        ("chat", "yes"),
        ("stream", "yes"),
        ("token count", "yes"),
        ("tools, forced", "yes"),
        ("tools, auto", "yes"),
        ("schema", "yes"),
        ("thinking off", "yes"),
        ("logprobs", "yes"),
        ("embeddings", "yes"),
        ("decisions", "yes"),
        ("scores", "not offered"),
        ("abort", "yes"),
        ("window", "yes"),
    ];
    let wanted: Vec<(String, String)> = wanted.iter().map(|(what, works)| ((*what).into(), (*works).into())).collect();
    assert_eq!((tries, code), (wanted, 0));
    let (out, _, _) = home.backends(&["test", "gpu"]);
    assert!(out.contains("WORKS") && out.contains("the model knows its first sentence"), "{out}");
    assert!(!out.contains("s3cret"), "{out}");
}

#[test]
fn what_is_missing_and_what_is_cut_is_told_apart() {
    let server = FakeApi::start(poor);
    let home = Home::with(&section("box", &server.url(), "generic"));
    let (tries, code) = home.tried("box");
    assert_eq!(code, 0, "chat works");
    let of = |what: &str| tries.iter().find(|(name, _)| name == what).map(|(_, works)| works.as_str());
    for (what, works) in [
        ("chat", "yes"),
        ("stream", "no"),
        ("token count", "not offered"),
        ("tools, forced", "not offered"),
        ("schema", "not offered"),
        ("thinking off", "not offered"),
        ("logprobs", "no"),
        ("embeddings", "not offered"),
        ("decisions", "not offered"),
        ("window", "no"),
    ] {
        assert_eq!(of(what), Some(works), "{what}");
    }
    let (out, _, _) = home.backends(&["test", "box"]);
    assert!(out.contains("cut without a word: 12 of more than 4600 tokens were read"), "{out}");
}

#[test]
fn a_server_that_does_not_chat_is_a_no() {
    let broken = FakeApi::start(|path, _| match path {
        "/v1/models" => Reply::Json(200, models("me", &["m"])),
        _ => Reply::Json(500, json!({"error": {"message": "boom"}})),
    });
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("port");
    let config = section("broken", &broken.url(), "generic") + &section("away", &format!("http://{nobody}"), "vllm");
    let home = Home::with(&config);
    let (_, error, code) = home.backends(&["test", "broken"]);
    assert_eq!(code, 1);
    assert!(error.contains("chat does not work with 'broken'") && error.contains("boom"), "{error}");
    let (tries, code) = home.tried("away");
    assert_eq!((tries.len(), code), (1, 1), "there is nothing more to try");
    let (_, error, code) = home.backends(&["test", "brokn"]);
    assert_eq!(code, 64);
    assert!(error.contains("did you mean broken?"), "{error}");
}

#[test]
fn the_list_shows_who_answers_and_no_key() {
    let server = FakeApi::start(able);
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("port");
    let url = format!("{}/v1?key=s3cret", server.url());
    let home = Home::with(&(section("gpu", &url, "vllm") + &section("away", &format!("http://{nobody}"), "generic")));
    let (out, error, code) = home.backends(&["list"]);
    assert_eq!((code, error.as_str()), (0, ""));
    assert!(out.contains("qwen3-8b") && out.contains("0.32.0") && !out.contains("s3cret"), "{out}");
    let (out, _, _) = home.backends(&["list", "--json"]);
    let rows: Value = serde_json::from_str(&out).expect("JSON");
    assert_eq!((&rows[0]["name"], &rows[0]["reachable"]), (&json!("away"), &json!(false)));
    assert_eq!((&rows[1]["models"], &rows[1]["version"]), (&json!(["qwen3-8b"]), &json!("0.32.0")));
    assert!(rows[0]["message"].is_string() && rows[0].get("models").is_none(), "{rows}");

    let home = Home::with("");
    assert!(home.backends(&["list"]).0.contains("lla init"));
    assert_eq!(home.backends(&["list", "--json"]).0, "[]\n");
}
