//! Every way in which a server may fail: what the caller gets, that it comes soon, and that nothing stays behind
//! (places, requests in the books, connections, tasks).

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt as _;
use lla_gateway::{AppState, Build, ServerConfig, app};
use lla_inference::mock::NoEngines;
use lla_inference::resilience::RetryConfig;
use lla_inference::{Fleet, FleetConfig, HttpBackendConfig, ResilienceConfig, Timeouts};
use serde_json::{Value, json};
use tower::ServiceExt as _;

use crate::faulty_server::{Fault, FaultyServer};
use crate::harness::post;

/// Far beyond every limit of the configuration below, on a busy machine too.
const SOON: Duration = Duration::from_secs(30);

/// A gateway over servers, each with the model `m`.
pub(crate) async fn gateway(servers: &[(&str, &str)], change: impl FnOnce(&mut FleetConfig)) -> Router {
    let timeouts = Timeouts {
        connect: Duration::from_secs(2),
        first_byte: Duration::from_millis(400),
        between_chunks: Duration::from_millis(400),
        total: Duration::from_secs(2),
        ..Timeouts::default()
    };
    let backend = |url: &str| HttpBackendConfig {
        url: Some(url.to_owned()),
        models: vec!["m".to_owned()],
        timeouts,
        ..HttpBackendConfig::default()
    };
    let backends: BTreeMap<_, _> = servers.iter().map(|(name, url)| ((*name).to_owned(), backend(url))).collect();
    let retry = RetryConfig { backoff: Duration::from_millis(1), ..RetryConfig::default() };
    let resilience = ResilienceConfig { retry, ..ResilienceConfig::default() };
    let mut config = FleetConfig { backends, resilience, ..FleetConfig::default() };
    change(&mut config);
    let fleet = Fleet::new(config, Arc::new(NoEngines)).expect("a fleet");
    fleet.refresh().await;
    let build = Build { version: "1".to_owned(), commit: None, features: Vec::new() };
    app(AppState::new(ServerConfig::default(), fleet, build).expect("a good configuration"))
}

pub(crate) async fn ask(router: &Router, request: Request<Body>) -> (u16, String) {
    let answered = async {
        let response = router.clone().oneshot(request).await.expect("the router never fails");
        let status = response.status().as_u16();
        let body = response.into_body().collect().await.expect("a whole body").to_bytes();
        (status, String::from_utf8(body.to_vec()).expect("utf-8"))
    };
    tokio::time::timeout(SOON, answered).await.expect("an answer in time")
}

pub(crate) fn chat(stream: bool) -> Request<Body> {
    let body = json!({"model": "m", "stream": stream, "messages": [{"role": "user", "content": "hello"}]});
    post("/v1/chat/completions", &body)
}

/// `CODE` of an error, `CODE after text` of one after the first byte, or `text`.
fn outcome(status: u16, body: &str) -> (u16, String) {
    let code = |value: &Value| value["error"]["code"].as_str().map(str::to_owned);
    if let Ok(value) = serde_json::from_str::<Value>(body) {
        return (status, code(&value).unwrap_or_else(|| "text".to_owned()));
    }
    let mut said = false;
    for data in body.lines().filter_map(|line| line.strip_prefix("data: ")) {
        let value: Value = serde_json::from_str(data).unwrap_or_default();
        if let Some(code) = code(&value) {
            return (status, if said { format!("{code} after text") } else { code });
        }
        said |= value["choices"][0]["delta"]["content"].as_str().is_some_and(|text| !text.is_empty());
    }
    assert!(body.ends_with("data: [DONE]\n\n"), "neither an error nor an end: {body}");
    (status, "text".to_owned())
}

async fn backend(router: &Router) -> (Value, Value) {
    let (_, body) = ask(router, Request::get("/health").body(Body::empty()).expect("request")).await;
    let mut health: Value = serde_json::from_str(&body).expect("json");
    (health["backends"][0].take(), health["gateway"].take())
}

#[tokio::test]
async fn every_fault_has_its_outcome_and_leaves_nothing_behind() {
    // The whole answer; the stream; how often the server was asked, for both together.
    type Row = (Fault, (u16, &'static str), (u16, &'static str), usize);
    let table: [Row; 14] = [
        (Fault::Refuses, (503, "backend_unavailable"), (503, "backend_unavailable"), 0),
        (Fault::Hangs, (504, "backend_timeout"), (504, "backend_timeout"), 2),
        (Fault::SlowHead, (504, "backend_timeout"), (504, "backend_timeout"), 2),
        (Fault::Stalls, (504, "backend_timeout"), (200, "backend_timeout after text"), 2),
        (Fault::CutChunk, (502, "backend_error"), (200, "backend_error after text"), 2),
        (Fault::HalfCharacter, (502, "backend_error"), (200, "backend_error"), 5),
        (Fault::Limits, (429, "rate_limit_exceeded"), (429, "rate_limit_exceeded"), 2),
        (Fault::FailsOnce, (200, "text"), (200, "text"), 3),
        (Fault::Fails, (502, "backend_error"), (502, "backend_error"), 5),
        (Fault::WebPage, (502, "backend_error"), (502, "backend_error"), 5),
        (Fault::NoJson, (502, "backend_error"), (200, "backend_error"), 5),
        (Fault::Gigantic, (502, "backend_error"), (200, "backend_error"), 5),
        (Fault::Endless, (504, "backend_timeout"), (200, "backend_timeout after text"), 2),
        (Fault::ClosesKeptConnections, (200, "text"), (200, "text"), 2),
    ];
    for (fault, whole, streamed, asked) in table {
        let mut server = FaultyServer::start(fault).await;
        let router = gateway(&[("far", &server.url)], |_| ()).await;
        for (stream, expected) in [(false, whole), (true, streamed)] {
            let (status, body) = ask(&router, chat(stream)).await;
            let (status, word) = outcome(status, &body);
            assert_eq!((status, word.as_str()), expected, "{fault:?}, stream: {stream}: {body}");
        }
        assert_eq!(server.asked.load(Ordering::SeqCst), asked, "{fault:?}");

        let (backend, gateway) = backend(&router).await;
        assert_eq!((&gateway["in_flight"], &backend["in_flight"]), (&json!(0), &json!(0)), "{fault:?}");
        assert_eq!(backend["outstanding_tokens"], 0, "{fault:?}");
        drop(router);
        let closed = server.open.wait_for(|open| *open == 0);
        drop(tokio::time::timeout(SOON, closed).await.expect("every connection is closed").expect("the server"));
    }
    // Of the gateways and the servers: all tasks but this test's own.
    let ended = async {
        while tokio::runtime::Handle::current().metrics().num_alive_tasks() > 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(SOON, ended).await.expect("no task stays behind");
}

#[tokio::test]
async fn a_caller_that_leaves_ends_the_request_upstream() {
    for fault in [Fault::Hangs, Fault::Endless] {
        let mut server = FaultyServer::start(fault).await;
        let router = gateway(&[("far", &server.url)], |config| {
            for backend in config.backends.values_mut() {
                backend.timeouts = Timeouts::default();
            }
        })
        .await;
        let request = tokio::spawn(router.clone().oneshot(chat(true)));
        while server.asked.load(Ordering::SeqCst) == 0 {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        // Before the head of the answer, or with its body unread.
        if fault == Fault::Endless {
            drop(request.await.expect("no panic").expect("an answer"));
        } else {
            request.abort();
        }
        // The connections that asked for the models, and what the server is, may be kept: not the one of the answer.
        let closed = server.answering.wait_for(|answering| *answering == 0);
        drop(tokio::time::timeout(SOON, closed).await.expect("the connection is closed").expect("the server"));
        let (backend, _) = backend(&router).await;
        assert_eq!(backend["in_flight"], 0, "{fault:?}");
    }
}

#[tokio::test]
async fn a_breaker_opens_and_says_when_to_come_back() {
    let server = FaultyServer::start(Fault::Fails).await;
    let router = gateway(&[("far", &server.url)], |_| ()).await;
    for _ in 0..2 {
        assert_eq!(ask(&router, chat(false)).await.0, 502);
    }
    let asked = server.asked.load(Ordering::SeqCst);
    let response = router.clone().oneshot(chat(false)).await.expect("an answer");
    assert_eq!((response.status().as_u16(), response.headers().contains_key("retry-after")), (503, true));
    assert_eq!(server.asked.load(Ordering::SeqCst), asked, "it is left alone");
    assert_eq!(backend(&router).await.0["breaker"], "open");
}

#[tokio::test]
async fn another_backend_takes_over_and_the_answer_says_which_model_it_was() {
    let bad = FaultyServer::start(Fault::HalfCharacter).await;
    let good = FaultyServer::start(Fault::ClosesKeptConnections).await;
    let route = lla_inference::RouteConfig {
        backends: vec!["bad".to_owned(), "good".to_owned()],
        ..lla_inference::RouteConfig::default()
    };
    let router = gateway(&[("bad", &bad.url), ("good", &good.url)], |config| {
        config.routes.insert("mine".to_owned(), route);
    })
    .await;
    for stream in [false, true] {
        let body = json!({"model": "mine", "stream": stream, "messages": [{"role": "user", "content": "hello"}]});
        let (status, body) = ask(&router, post("/v1/chat/completions", &body)).await;
        assert_eq!(outcome(status, &body), (200, "text".to_owned()), "{body}");
        assert!(body.contains("\"model\":\"m\""), "{body}");
    }
    assert!(bad.asked.load(Ordering::SeqCst) >= 2, "the first of the list is asked first");
}
