//! The OpenAI driver over real connections.

use std::time::Duration;

use futures_util::StreamExt as _;
use lla_inference::mock::collect;
use lla_inference::{
    Backend, ChatRequest, CompletionRequest, Dialect, EmbedRequest, Embeddings, Error, ErrorKind, Event, EventStream,
    HttpBackendConfig, OpenAiBackend, ScoreItem, ScorePrompt, ScoreRequest, Timeouts,
};
use lla_protocol::openai::{FinishReason, Message, Prompt, Role, Sampling, Usage};
use lla_protocol::systemone::SystemOneRequest;
use serde_json::{Map, json};

use crate::fake_server::{Answer, FakeServer, Then};

const DELTA: &str = r#"{"id":"x","choices":[{"index":0,"delta":{"content":"a"}}]}"#;
const STOP: &str = r#"{"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#;
const USAGE: &str = r#"{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}"#;

pub(crate) fn chat_request(model: &str) -> ChatRequest {
    ChatRequest {
        model: model.to_owned(),
        messages: vec![Message::text(Role::User, "hi")],
        sampling: Sampling::default(),
        max_tokens: Some(9),
        n: None,
        extra: Map::new(),
    }
}

fn config(server: &FakeServer) -> HttpBackendConfig {
    HttpBackendConfig { url: Some(server.url.clone()), ..HttpBackendConfig::default() }
}

async fn ask(backend: &OpenAiBackend) -> Result<EventStream, Error> {
    backend.chat(chat_request("m")).await
}

async fn answer_of(answer: Answer) -> Result<Vec<Event>, Error> {
    let server = FakeServer::start(answer).await;
    let backend = OpenAiBackend::new("b", &config(&server)).expect("backend");
    collect(ask(&backend).await?).await
}

fn whole() -> Answer {
    Answer::events(&[DELTA, STOP, USAGE, "[DONE]"])
}

fn whole_events() -> Vec<Event> {
    let stop = Event::Finish { index: 0, reason: FinishReason::Stop };
    vec![Event::text(0, "a"), stop, Event::Usage(Usage::new(1, 1))]
}

#[tokio::test]
async fn a_stream_over_tcp_and_what_was_sent_for_it() {
    let mut server = FakeServer::start(whole()).await;
    let config = HttpBackendConfig { api_key: Some("k".into()), ..config(&server) };
    let backend = OpenAiBackend::new("b", &config).expect("backend");
    let mut request = chat_request("m");
    request.extra.insert("user".to_owned(), json!("u"));
    let events = collect(backend.chat(request).await.expect("accepted")).await;
    assert_eq!(events, Ok(whole_events()));
    let sent = server.requests.recv().await.expect("request");
    assert_eq!(sent.authorization.as_deref(), Some("Bearer k"));
    let expected = json!({
        "model": "m", "messages": [{"role": "user", "content": "hi"}], "max_tokens": 9,
        "stream": true, "stream_options": {"include_usage": true}, "user": "u",
    });
    assert_eq!(sent.body, expected);
}

#[tokio::test]
async fn a_completion_over_a_socket() {
    let folder = tempfile::tempdir().expect("folder");
    let socket = folder.path().join("s.sock");
    let text = r#"{"choices":[{"index":0,"text":"a","finish_reason":"length"}]}"#;
    let mut server = FakeServer::start_on_socket(Answer::events(&[text, "[DONE]"]), &socket);
    let config = HttpBackendConfig { socket: Some(socket), ..HttpBackendConfig::default() };
    let backend = OpenAiBackend::new("b", &config).expect("backend");
    let request = CompletionRequest {
        model: "m".to_owned(),
        prompt: Prompt::Texts(vec!["p".to_owned()]),
        sampling: Sampling::default(),
        max_tokens: 3,
        n: None,
        extra: Map::new(),
    };
    let events = collect(backend.complete(request).await.expect("accepted")).await;
    assert_eq!(events, Ok(vec![Event::text(0, "a"), Event::Finish { index: 0, reason: FinishReason::Length }]));
    assert_eq!(server.requests.recv().await.expect("request").body["prompt"], json!(["p"]));
}

#[tokio::test]
async fn embeddings_are_asked_for_in_the_form_that_the_server_knows() {
    let vectors = r#"{"data":[{"index":0,"embedding":"AACAPw=="}],"usage":{"prompt_tokens":2,"total_tokens":2}}"#;
    for (dialect, form) in [(Dialect::Vllm, "base64"), (Dialect::OpenAi, "float")] {
        let mut server = FakeServer::start(Answer::json(200, &[], vectors)).await;
        let config = HttpBackendConfig { dialect, ..config(&server) };
        let backend = OpenAiBackend::new("b", &config).expect("backend");
        let input = Prompt::Texts(vec!["a".to_owned()]);
        let extra = Map::from_iter([("user".to_owned(), json!("u"))]);
        let found = backend.embed(EmbedRequest { model: "m".to_owned(), input, dimensions: Some(1), extra }).await;
        assert_eq!(found, Ok(Embeddings { vectors: vec![vec![1.0]], prompt_tokens: 2 }));
        let sent = server.requests.recv().await.expect("request").body;
        let wanted = json!({"model": "m", "input": ["a"], "encoding_format": form, "dimensions": 1, "user": "u"});
        assert_eq!(sent, wanted);
    }
}

#[tokio::test]
async fn scores_are_asked_of_our_own_engines_only() {
    let scores = r#"{"model":"m","items":[{"logprobs":[[-1.0,-0.5],[-2.0]],"best":-0.25}],"usage":{"prompt_tokens":3,"computed_tokens":4,"cached_tokens":0}}"#;
    let item = ScoreItem {
        prompt: ScorePrompt::Text { prompt: "p".to_owned() },
        continuations: vec!["a".to_owned(), "b".to_owned()],
    };
    let request = ScoreRequest { model: "m".to_owned(), items: vec![item] };
    let mut server = FakeServer::start(Answer::json(200, &[], scores)).await;
    let engine = HttpBackendConfig { dialect: Dialect::LlaEngine, ..config(&server) };
    let engine = OpenAiBackend::new("b", &engine).expect("backend");
    let found = engine.score(request.clone()).await.expect("scored");
    assert_eq!(
        (found.sums(0), found.best.as_slice(), found.usage.computed_tokens),
        (vec![-1.5, -2.0], &[-0.25][..], 4)
    );
    let sent = server.requests.recv().await.expect("request").body;
    assert_eq!(sent, json!({"model": "m", "items": [{"prompt": "p", "continuations": ["a", "b"]}]}));
    // Scores for something else are worth nothing.
    let other = ScoreRequest { items: [request.items.clone(), request.items.clone()].concat(), ..request.clone() };
    assert!(matches!(engine.score(other).await, Err(Error::Upstream { .. })));
    let vllm = HttpBackendConfig { dialect: Dialect::Vllm, ..config(&server) };
    let error = OpenAiBackend::new("b", &vllm).expect("backend").score(request).await.expect_err("no such route");
    assert!(error.is_unsupported(), "{error}");
}

#[tokio::test]
async fn decisions_are_passed_to_servers_that_have_them() {
    let body = br#"{"model":"m","state":"s","questions":{"q":{"type":"noul","instructions":"?","criteria":{}}},"cache_salt":"x"}"#;
    let request = SystemOneRequest::parse(body).expect("good");
    let answer = r#"{"answers":{"q":{"type":"noul","noul":0.5}},"usage":{"input_tokens":4,"output_tokens":1}}"#;
    for (dialect, status, wanted) in [
        (Dialect::Vllm, 200, Ok(4)),
        (Dialect::LlamaServer, 200, Ok(4)),
        (Dialect::Vllm, 501, Err(true)),
        (Dialect::LlamaServer, 404, Err(true)),
        (Dialect::Vllm, 400, Err(false)),
        (Dialect::OpenAi, 200, Err(true)),
    ] {
        let mut server = FakeServer::start(Answer::json(status, &[], answer)).await;
        let config = HttpBackendConfig { dialect, ..config(&server) };
        let backend = OpenAiBackend::new("b", &config).expect("backend");
        let found = backend.decide(request.clone()).await;
        let found = found.map(|answer| answer.usage.input_tokens).map_err(|error| error.is_unsupported());
        assert_eq!(found, wanted, "{dialect:?} {status}");
        if wanted == Ok(4) {
            let sent = server.requests.recv().await.expect("request").body;
            assert_eq!(sent, serde_json::from_slice::<serde_json::Value>(body).expect("json"));
        }
    }
}

#[tokio::test]
async fn openai_gets_the_newer_name_of_the_limit() {
    let mut server = FakeServer::start(whole()).await;
    let config = HttpBackendConfig { dialect: Dialect::OpenAi, ..config(&server) };
    drop(ask(&OpenAiBackend::new("b", &config).expect("backend")).await.expect("accepted"));
    let body = server.requests.recv().await.expect("request").body;
    assert_eq!((&body["max_completion_tokens"], body.get("max_tokens")), (&json!(9), None));
}

#[tokio::test]
async fn comments_odd_cuts_and_whole_json_answers_are_read() {
    let all: String =
        [": ping\n\n", "data: "].concat() + DELTA + "\n\ndata: " + STOP + "\r\n\r\ndata: " + USAGE + "\n\n";
    let (front, back) = all.split_at(37);
    let sse = &[("content-type", "text/event-stream")];
    let cut = Answer::new(200, sse, vec![front.to_owned(), back.to_owned(), "data: [DONE]\n\n".to_owned()]);
    assert_eq!(answer_of(cut).await, Ok(whole_events()));
    let document = r#"{"choices":[{"index":0,"message":{"role":"assistant","content":"a"},"finish_reason":"stop"}],
        "usage":{"prompt_tokens":1,"completion_tokens":1,"total_tokens":2}}"#;
    assert_eq!(answer_of(Answer::json(200, &[], document)).await, Ok(whole_events()));
}

#[tokio::test]
async fn broken_answers_are_upstream_errors() {
    let html = Answer::new(200, &[("content-type", "text/html")], vec!["<html>".to_owned()]);
    let sse = &[("content-type", "text/event-stream")];
    for (answer, part) in [
        (html, "content type 'text/html'"),
        (Answer::json(200, &[], "{"), "no chunk of an answer"),
        (Answer::events(&["{"]), "no chunk of an answer"),
        (Answer::events(&[DELTA]), "ended early"),
        (Answer::events(&[DELTA, "[DONE]"]), "ended early"),
        (Answer::new(200, sse, vec!["data: {\"choi".to_owned()]), "cut off"),
        (Answer::events(&[DELTA]).then(Then::Break), "broke off"),
        (Answer::new(200, sse, vec!["x".repeat(2 << 20)]), "longer than"),
    ] {
        let error = answer_of(answer).await.expect_err(part);
        assert_eq!(error.kind(), ErrorKind::Upstream, "{error}");
        assert!(error.to_string().contains(part) && error.to_string().contains("'b'"), "{error}");
    }
}

#[tokio::test]
async fn what_came_before_an_error_is_handed_on() {
    let error = r#"{"error":{"message":"gone","type":"server_error","code":"shutting_down"}}"#;
    let server = FakeServer::start(Answer::events(&[DELTA, error])).await;
    let backend = OpenAiBackend::new("b", &config(&server)).expect("backend");
    let mut events = ask(&backend).await.expect("accepted");
    assert_eq!(events.next().await, Some(Ok(Event::text(0, "a"))));
    assert_eq!(events.next().await.expect("item").expect_err("error").kind(), ErrorKind::Overloaded);
    assert_eq!(events.next().await, None);
}

#[tokio::test]
async fn refusals_are_typed_before_anything_is_generated() {
    let body = r#"{"error":{"message":"no","type":"invalid_request_error","param":"top_p","code":"out_of_range"}}"#;
    let error = answer_of(Answer::json(400, &[], body)).await.expect_err("refused");
    let (param, code) = (Some("top_p".to_owned()), Some("out_of_range".to_owned()));
    assert_eq!(error, Error::InvalidRequest { message: "no".to_owned(), param, code });
    let error = answer_of(Answer::json(503, &[("retry-after", "3")], "{}")).await.expect_err("busy");
    assert_eq!((error.kind(), error.retry_after()), (ErrorKind::Overloaded, Some(Duration::from_secs(3))));
    let error =
        answer_of(Answer::json(404, &[], r#"{"error":{"code":"model_not_found"}}"#)).await.expect_err("unknown");
    assert_eq!(error, Error::ModelNotFound { model: "m".to_owned(), nearest: vec![] });
    let error = answer_of(Answer::new(302, &[("location", "/elsewhere")], vec![])).await.expect_err("redirect");
    assert!(error.to_string().contains("redirect"), "{error}");
}

#[tokio::test]
async fn dropping_the_answer_reaches_the_server() {
    let mut server = FakeServer::start(Answer::events(&[DELTA]).then(Then::Hang)).await;
    let backend = OpenAiBackend::new("b", &config(&server)).expect("backend");
    let mut events = ask(&backend).await.expect("accepted");
    assert_eq!(events.next().await, Some(Ok(Event::text(0, "a"))));
    server.sending(1).await;
    drop(events);
    server.sending(0).await;
}

#[tokio::test]
async fn dropping_the_request_reaches_the_server() {
    let slow = Answer { delay: Duration::from_secs(3600), ..whole() };
    let mut server = FakeServer::start(slow).await;
    let backend = OpenAiBackend::new("b", &config(&server)).expect("backend");
    let waiting = tokio::spawn(async move { ask(&backend).await.map(drop) });
    server.sending(1).await;
    waiting.abort();
    server.sending(0).await;
}

#[tokio::test]
async fn every_phase_has_its_limit() {
    let long = Duration::from_secs(3600);
    let short = Duration::from_millis(50);
    let limits = Timeouts { connect: long, first_byte: long, between_chunks: long, total: long, load: long };
    let hang = Answer::events(&[]).then(Then::Hang);
    let after_one = Answer::events(&[DELTA]).then(Then::Hang);
    let late = Answer { delay: long, ..whole() };
    for (answer, timeouts, phase) in [
        (late, Timeouts { first_byte: short, ..limits }, "first byte"),
        (hang, Timeouts { first_byte: short, ..limits }, "first byte"),
        (after_one.clone(), Timeouts { between_chunks: short, ..limits }, "next chunk"),
        (after_one, Timeouts { total: short, ..limits }, "total"),
    ] {
        let server = FakeServer::start(answer).await;
        let backend = OpenAiBackend::new("b", &HttpBackendConfig { timeouts, ..config(&server) }).expect("backend");
        let error = match ask(&backend).await {
            Ok(events) => collect(events).await.expect_err(phase),
            Err(error) => error,
        };
        assert_eq!(error, Error::Timeout { backend: "b".to_owned(), phase, after: short });
    }
}

#[tokio::test]
async fn models_health_and_token_counts_are_asked_of_the_server() {
    let server = FakeServer::start(whole()).await;
    let vllm = HttpBackendConfig { dialect: Dialect::Vllm, ..config(&server) };
    let backend = OpenAiBackend::new("b", &vllm).expect("backend");
    let models = backend.models().await.expect("models");
    let seen: Vec<_> = models.iter().map(|model| (model.id.as_str(), model.window, model.created)).collect();
    assert_eq!(seen, [("m", Some(64), 7), ("other", None, 0)]);
    let health = backend.health().await;
    assert_eq!((health.reachable, health.version.as_deref()), (true, Some("9")));
    assert_eq!(backend.count_tokens(&chat_request("m")).await, Ok(5));

    let some = HttpBackendConfig { models: vec!["m".to_owned(), "hidden".to_owned()], ..config(&server) };
    let models = OpenAiBackend::new("b", &some).expect("backend").models().await.expect("models");
    let seen: Vec<_> = models.iter().map(|model| (model.id.as_str(), model.window)).collect();
    assert_eq!(seen, [("m", Some(64)), ("hidden", None)]);
}

#[tokio::test]
async fn a_server_that_is_not_there_is_unavailable() {
    let gone = FakeServer::start(whole()).await.url.clone();
    let config = HttpBackendConfig { url: Some(gone.clone()), ..HttpBackendConfig::default() };
    let backend = OpenAiBackend::new("b", &config).expect("backend");
    // The listener goes with its aborted task, which may take a moment.
    let error = loop {
        if let Err(error) = ask(&backend).await {
            break error;
        }
    };
    assert_eq!(error.kind(), ErrorKind::Unavailable, "{error}");
    assert!(!error.to_string().contains(&gone), "{error}");
    assert!(!backend.health().await.reachable);
}
