//! Every row of the error table, and that nothing leaves the envelope.

use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{Method, Request};
use lla_gateway::{ByteSize, ServerConfig};
use lla_inference::Error;
use lla_inference::mock::Script;
use serde_json::json;

use crate::harness::{Gateway, chat, post};

type Row<'a> = (u16, &'a str, Option<&'a str>, Option<&'a str>);

fn row<'a>(found: &'a (u16, String, Option<String>, Option<String>)) -> Row<'a> {
    (found.0, &found.1, found.2.as_deref(), found.3.as_deref())
}

fn backend() -> String {
    "mock".to_owned()
}

#[tokio::test]
async fn what_the_domain_says() {
    let seconds = |seconds: u64| Some(Duration::from_millis(seconds * 1000 - 500));
    let table: Vec<(Error, Row<'_>, Option<&str>)> = vec![
        (
            Error::InvalidRequest { message: "m".into(), param: Some("tools".into()), code: Some("c".into()) },
            (400, "invalid_request_error", Some("c"), Some("tools")),
            None,
        ),
        (
            Error::ContextLength { message: "9 > 8".into() },
            (400, "invalid_request_error", Some("context_length_exceeded"), Some("messages")),
            None,
        ),
        (
            Error::Unauthenticated { backend: backend() },
            (502, "server_error", Some("backend_unauthenticated"), None),
            None,
        ),
        (
            Error::RateLimited { backend: backend(), message: "m".into(), retry_after: seconds(7) },
            (429, "rate_limit_error", Some("rate_limit_exceeded"), None),
            Some("7"),
        ),
        (
            Error::Overloaded { message: "m".into(), retry_after: seconds(3) },
            (503, "server_error", Some("overloaded"), None),
            Some("3"),
        ),
        (
            Error::Unavailable { backend: backend(), message: "m".into(), retry_after: None },
            (503, "server_error", Some("backend_unavailable"), None),
            Some("2"),
        ),
        (
            Error::Timeout { backend: backend(), phase: "connect", after: Duration::from_secs(1) },
            (504, "server_error", Some("backend_timeout"), None),
            None,
        ),
        (Error::upstream("mock", "m"), (502, "server_error", Some("backend_error"), None), None),
        (Error::Cancelled, (503, "server_error", Some("cancelled"), None), Some("1")),
        (Error::Internal, (500, "server_error", Some("internal_error"), None), None),
    ];
    for (error, expected, retry_after) in table {
        let gateway = Gateway::new(Script::Refuse(error.clone())).await;
        for stream in [false, true] {
            let answer = gateway.chat(json!({"stream": stream})).await;
            assert_eq!(row(&answer.error()), expected, "{error:?}");
            assert_eq!(answer.header("retry-after"), retry_after, "{error:?}");
        }
        if matches!(expected.0, 502 | 504) {
            assert!(gateway.chat(json!({})).await.body.contains("'mock'"), "names the backend");
        }
    }
    let gateway = Gateway::new(Script::Refuse(Error::ContextLength { message: "9 > 8".into() })).await;
    let answer = gateway.post("/v1/completions", &json!({"model": "tiny", "prompt": "x"})).await;
    assert_eq!(answer.error().3.as_deref(), Some("prompt"));
}

#[tokio::test]
async fn an_error_after_the_first_byte_is_the_last_event() {
    let error = Error::Unavailable { backend: backend(), message: "died".into(), retry_after: None };
    let gateway = Gateway::new(Script::ErrorMidStream { text: "a b".into(), error }).await;
    let answer = gateway.chat(json!({"stream": true})).await;
    assert_eq!(answer.status, 200);
    let events = answer.events();
    assert_eq!(events.len(), 4);
    assert_eq!(
        events[3],
        r#"{"error":{"message":"the backend 'mock' is not available: died","type":"server_error","param":null,"code":"backend_unavailable"}}"#
    );
    // Without a stream nothing has been sent yet, so the status tells.
    assert_eq!(gateway.chat(json!({})).await.error().0, 503);
    assert_eq!(gateway.mock.running(), 0);
}

#[tokio::test]
async fn an_answer_without_its_end_is_an_error() {
    let gateway = Gateway::new(Script::Truncated { text: "a b".into() }).await;
    assert_eq!(gateway.chat(json!({})).await.error().2.as_deref(), Some("backend_error"));
    let events = gateway.chat(json!({"stream": true})).await.events();
    assert!(events.last().expect("events").contains("ended early"));
}

#[tokio::test]
async fn what_is_wrong_with_a_request() {
    let gateway = Gateway::new(Script::text("x")).await;
    let bad = "invalid_request_error";
    for (body, code, param) in [
        (chat(json!({"temperature": "hot"})), "invalid_type", Some("temperature")),
        (chat(json!({"temperature": 2.5})), "out_of_range", Some("temperature")),
        (chat(json!({"messages": []})), "invalid_value", Some("messages")),
        (chat(json!({"messages": [{"content": "x"}]})), "missing_required_parameter", Some("messages[0].role")),
        (chat(json!({"stop": ["a", "b", "c", "d", "e"]})), "out_of_range", Some("stop")),
        (chat(json!({"stream_options": {"include_usage": true}})), "invalid_value", Some("stream_options")),
        (json!([]), "invalid_type", None),
    ] {
        let answer = gateway.post("/v1/chat/completions", &body).await;
        assert_eq!(row(&answer.error()), (400, bad, Some(code), param), "{body}");
    }
    let answer = gateway.chat(json!({"model": "tinny"})).await;
    assert_eq!(row(&answer.error()), (404, bad, Some("model_not_found"), Some("model")));
    assert!(answer.body.contains("did you mean 'tiny'"), "{}", answer.body);
    assert_eq!(gateway.get("/v1/models/nope").await.error().0, 404);
    let many = json!({"model": "tiny", "prompt": vec!["x"; 100], "n": 100});
    assert_eq!(
        row(&gateway.post("/v1/completions", &many).await.error()),
        (400, bad, Some("out_of_range"), Some("prompt"))
    );

    let mut tier = post("/v1/chat/completions", &chat(json!({})));
    tier.headers_mut().insert("x-tier", "huge".parse().expect("header"));
    assert_eq!(row(&gateway.send(tier).await.error()), (400, bad, Some("invalid_value"), Some("X-Tier")));
    assert!(gateway.mock.chats().is_empty());
}

#[tokio::test]
async fn bodies_that_are_no_json() {
    let gateway = Gateway::new(Script::text("x")).await;
    let send = async |media: Option<&str>, body: &'static [u8]| {
        let mut request = Request::post("/v1/chat/completions");
        if let Some(media) = media {
            request = request.header("content-type", media);
        }
        gateway.send(request.body(Body::from(Bytes::from_static(body))).expect("request")).await
    };
    assert_eq!(send(Some("application/json"), b"").await.error().2.as_deref(), Some("empty_body"));
    assert_eq!(send(Some("application/json"), b"{").await.error().2.as_deref(), Some("invalid_json"));
    assert_eq!(send(Some("application/json"), b"\xff\xfe{}").await.error().2.as_deref(), Some("invalid_json"));
    assert_eq!(send(Some("text/plain"), b"{}").await.error().0, 415);
    assert_eq!(send(Some("application/x-www-form-urlencoded"), b"a=b").await.error().0, 415);
    let good = br#"{"model":"tiny","messages":[{"role":"user","content":"x"}]}"#;
    for media in [None, Some("application/json; charset=utf-8"), Some("Application/JSON")] {
        assert_eq!(send(media, good).await.status, 200, "{media:?}");
    }
}

#[tokio::test]
async fn bodies_that_are_too_large_or_too_slow() {
    let config =
        ServerConfig { max_body: ByteSize(1000), body_timeout: Duration::from_millis(50), ..Default::default() };
    let gateway = Gateway::with(Script::text("x"), config).await;
    let large = chat(json!({"user": "x".repeat(2000)}));
    assert_eq!(gateway.post("/v1/chat/completions", &large).await.error().0, 413);
    // Without a length in front.
    let parts = futures_util::stream::iter((0..20).map(|_| Ok::<_, std::io::Error>(vec![b' '; 100])));
    let request = Request::post("/v1/chat/completions").body(Body::from_stream(parts)).expect("request");
    assert_eq!(gateway.send(request).await.error().2.as_deref(), Some("request_too_large"));
    let never = futures_util::stream::pending::<Result<Vec<u8>, std::io::Error>>();
    let request = Request::post("/v1/chat/completions").body(Body::from_stream(never)).expect("request");
    assert_eq!(gateway.send(request).await.error().0, 408);
    let broken = futures_util::stream::iter([Err::<Vec<u8>, _>(std::io::Error::other("gone"))]);
    let request = Request::post("/v1/chat/completions").body(Body::from_stream(broken)).expect("request");
    assert_eq!(gateway.send(request).await.error().2.as_deref(), Some("incomplete_body"));
}

#[tokio::test]
async fn paths_and_methods() {
    let gateway = Gateway::new(Script::text("x")).await;
    for (method, path, status, allow) in [
        (Method::GET, "/v1/nothing", 404, None),
        (Method::POST, "/", 404, None),
        (Method::GET, "/v1/chat/completions", 405, Some("POST")),
        (Method::DELETE, "/v1/models", 405, Some("GET,HEAD")),
        (Method::POST, "/health", 405, Some("GET,HEAD")),
    ] {
        let request = Request::builder().method(method).uri(path).body(Body::empty()).expect("request");
        let answer = gateway.send(request).await;
        assert_eq!(answer.error().0, status, "{path}");
        assert_eq!(answer.header("allow"), allow, "{path}");
    }
}

#[tokio::test]
async fn a_full_gateway_says_so_and_a_place_is_free_when_the_body_ends() {
    let config = ServerConfig { max_in_flight: 1, ..Default::default() };
    let gateway = Gateway::with(Script::NeverEnds { text: "a".into() }, config).await;
    let running = gateway.start(post("/v1/chat/completions", &chat(json!({"stream": true})))).await;
    let refused = gateway.chat(json!({})).await;
    assert_eq!(row(&refused.error()), (503, "server_error", Some("overloaded"), None));
    assert_eq!(refused.header("retry-after"), Some("1"));
    assert_eq!(gateway.get("/health").await.json()["gateway"]["in_flight"], 1);
    drop(running);
    assert_eq!(gateway.mock.running(), 0);
    gateway.mock.set_script(Script::text("x"));
    for stream in [true, false] {
        assert_eq!(gateway.chat(json!({"stream": stream})).await.status, 200);
    }
}
