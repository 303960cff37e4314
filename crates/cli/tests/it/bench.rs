//! `lla bench` against servers that behave and servers that do not.

use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

use crate::fake_api::{FakeApi, Reply, finish, models, piece, usage};
use crate::support::{lla, run};

fn bench(url: &str, more: &[&str]) -> (String, String, i32) {
    let home = tempfile::tempdir().expect("folder");
    let mut command = lla(home.path());
    command.args(["bench", "--url", url, "--concurrency", "1,4", "--requests", "6", "--max-tokens", "5"]).args(more);
    run(&mut command)
}

fn measured(url: &str, more: &[&str]) -> Value {
    let (out, error, code) = bench(url, &[&["--json"], more].concat());
    assert_eq!(code, 0, "{error}");
    serde_json::from_str(&out).expect("JSON")
}

fn words(count: usize) -> Vec<Value> {
    (0..count).map(|_| piece(&json!({"content": "a"}))).collect()
}

/// Five tokens in three pieces; whole when no stream was asked for.
fn good(path: &str, asked: &Value) -> Reply {
    match path {
        "/v1/models" => Reply::Json(200, models("me", &["nomic-embed-text", "m-1b"])),
        "/v1/chat/completions" if asked["stream"] == true => {
            let mut events = words(3);
            events.push(finish("length"));
            // Who does not ask gets none.
            if asked["stream_options"]["include_usage"] == true {
                events.push(usage(11, 5));
            }
            Reply::Events(events)
        }
        "/v1/chat/completions" => Reply::Json(
            200,
            json!({"choices": [{"message": {"content": "hm"}, "finish_reason": "stop"}],
                "usage": {"prompt_tokens": 11, "completion_tokens": 5, "total_tokens": 16}}),
        ),
        _ => Reply::NotThere,
    }
}

#[test]
fn figures_of_a_server_that_streams() {
    let server = FakeApi::start(good);
    let report = measured(&server.url(), &[]);
    assert_eq!((&report["model"], &report["served_by"]), (&json!("m-1b"), &json!("served")), "the first that chats");
    let levels = report["levels"].as_array().expect("levels");
    assert_eq!(levels.iter().map(|level| level["concurrency"].clone()).collect::<Vec<_>>(), [1, 4]);
    for level in levels {
        assert_eq!((&level["succeeded"], &level["failed"]), (&json!(6), &json!(0)), "{level}");
        assert_eq!((&level["input_tokens"], &level["output_tokens"]), (&json!(66), &json!(30)));
        assert_eq!(level["tokens_counted"], "usage");
        for times in ["first_token_ms", "per_token_ms", "end_to_end_ms"] {
            let at = |name: &str| level[times][name].as_f64().expect("a time");
            assert!(at("p50") <= at("p90") && at("p90") <= at("p99") && at("p99") <= at("max"), "{level}");
        }
    }
}

#[test]
fn a_table_for_people_and_whole_answers() {
    let server = FakeApi::start(good);
    let (out, error, code) = bench(&format!("{}/v1/", server.url()), &["--model", "m", "--no-stream"]);
    assert_eq!((code, error.as_str()), (0, ""));
    for wanted in ["model m", "AT THE SAME TIME", "answered", "end to end, ms, p99", "usage"] {
        assert!(out.contains(wanted), "{wanted}: {out}");
    }
    let first = out.lines().find(|line| line.starts_with("first token, ms, p50")).expect("a row");
    assert_eq!(first.split_whitespace().rev().take(2).collect::<Vec<_>>(), ["-", "-"]);
}

#[test]
fn without_usage_pieces_are_counted_and_that_is_said() {
    let server = FakeApi::start(|path, asked| match good(path, asked) {
        Reply::Events(mut events) => {
            events.retain(|event| event.get("usage").is_none());
            Reply::Events(events)
        }
        other => other,
    });
    let level = &measured(&server.url(), &[])["levels"][0];
    assert_eq!((&level["tokens_counted"], &level["output_tokens"]), (&json!("chunks"), &json!(18)));
    assert_eq!(level["input_tokens"], Value::Null);
    assert!(bench(&server.url(), &[]).0.contains("each piece of a stream counts"));
}

#[test]
fn fields_that_a_server_refuses_are_spelled_as_it_wants() {
    let server = FakeApi::start(|path, asked| {
        let refuse = |param: &str| {
            let message = format!("Unsupported parameter: '{param}'");
            Reply::Json(400, json!({"error": {"message": message, "type": "invalid_request_error", "param": param}}))
        };
        if asked["max_tokens"].is_number() {
            refuse("max_tokens")
        } else if asked["stream_options"].is_object() {
            refuse("stream_options")
        } else {
            good(path, asked)
        }
    });
    let level = &measured(&server.url(), &[])["levels"][0];
    assert_eq!((&level["succeeded"], &level["failed"]), (&json!(6), &json!(0)), "{level}");
}

#[test]
fn errors_are_counted_by_kind_and_all_of_them_are_a_no() {
    let server = FakeApi::start(|path, asked| match path {
        "/v1/chat/completions" => Reply::Json(503, json!({"error": {"message": "no room"}})),
        _ => good(path, asked),
    });
    let (out, error, code) = bench(&server.url(), &["--json"]);
    assert_eq!(code, 1, "{error}");
    assert!(error.contains("every request failed: no room"), "{error}");
    let report: Value = serde_json::from_str(&out).expect("JSON");
    let level = &report["levels"][1];
    assert_eq!(level["errors"], json!({"status 503": {"count": 6, "example": "no room"}}));

    let server = FakeApi::start(|path, asked| match path {
        "/v1/chat/completions" => Reply::Events(words(2)),
        _ => good(path, asked),
    });
    let (out, _, code) = bench(&server.url(), &[]);
    assert_eq!(code, 1);
    assert!(out.contains("broken off"), "{out}");
}

#[test]
fn an_answer_without_end_is_a_timeout() {
    let server = FakeApi::start(|path, asked| match path {
        "/v1/chat/completions" => Reply::Endless(words(2)),
        _ => good(path, asked),
    });
    let (out, _, code) = bench(&server.url(), &["--timeout", "50ms", "--concurrency", "6"]);
    assert_eq!(code, 1);
    assert!(out.contains("6 failed (timeout): no whole answer within 50ms"), "{out}");
}

#[test]
fn what_can_not_be_measured_says_why() {
    let empty = FakeApi::start(|_, _| Reply::Json(200, models("me", &["bge-m3"])));
    let locked = FakeApi::start(|_, _| Reply::Json(401, json!({"error": {"message": "Unauthorized"}})));
    let other = FakeApi::start(|_, _| Reply::NotThere);
    let nobody = std::net::TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("port");
    for (url, more, wanted, exit) in [
        (empty.url(), &[][..], "has no model that chats", 69),
        (locked.url(), &[], "--api-key env:NAME", 69),
        (other.url(), &[], "does not list its models (status 404 Not Found)", 69),
        (format!("http://{nobody}"), &[], "no server answers at", 69),
        ("127.0.0.1:1".to_owned(), &[], "--url", 64),
        (empty.url(), &["--shared-prefix", "500"], "--shared-prefix: 500 is more than the 128", 64),
        (empty.url(), &["--api-key", "env:LLA_NO_SUCH"], "the variable LLA_NO_SUCH is not set", 64),
        (empty.url(), &["--concurrency", "0"], "0 is not in 1..=1024", 64),
    ] {
        let (_, error, code) = bench(&url, more);
        assert_eq!(code, exit, "{error}");
        assert!(error.contains(wanted), "{wanted}: {error}");
    }
}

/// Two measured answers, and then one without end.
#[cfg(unix)]
#[test]
fn ctrl_c_ends_it_with_what_is_there() {
    static ASKED: AtomicUsize = AtomicUsize::new(0);
    let server = FakeApi::start(|path, asked| match path {
        "/v1/chat/completions" if ASKED.fetch_add(1, Ordering::SeqCst) > 2 => Reply::Endless(words(1)),
        _ => good(path, asked),
    });
    let home = tempfile::tempdir().expect("folder");
    let mut command = lla(home.path());
    command.args(["bench", "--url", &server.url(), "-n", "9", "-c", "1,2", "--json"]);
    let child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("lla");
    server.wait_for(1);
    let killed = Command::new("kill").args(["-INT", &child.id().to_string()]).status().expect("kill");
    assert!(killed.success());
    let output = child.wait_with_output().expect("output");
    assert_eq!(output.status.code(), Some(0), "{output:?}");
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!((&report["interrupted"], report["levels"].as_array().map(Vec::len)), (&json!(true), Some(1)));
    assert_eq!((&report["levels"][0]["succeeded"], &report["levels"][0]["failed"]), (&json!(2), &json!(0)));
    server.wait_for(0);
}

#[test]
fn a_key_is_sent_and_never_shown() {
    let home = tempfile::tempdir().expect("folder");
    let server = FakeApi::start(good);
    let mut command = lla(home.path());
    command.args(["bench", "--url", &server.url(), "-n", "1", "-c", "1"]).env("LLA_API_KEY", "s3cret");
    let (out, error, code) = run(&mut command);
    assert_eq!(code, 0, "{error}");
    assert!(!out.contains("s3cret") && !error.contains("s3cret"));
}
