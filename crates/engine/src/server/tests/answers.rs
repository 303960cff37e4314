//! What is answered: bodies, events, counts; and what happens when a side leaves.

use serde_json::json;
use tokio::io::AsyncReadExt as _;

use super::*;
use crate::error::EngineError;

#[tokio::test]
async fn a_chat_is_answered_whole() {
    let (server, engine) = served(Behaviour::Say(&["Hel", "lo"])).await;
    let extra = json!({"n": 2, "seed": 9, "top_p": 0.5, "stop": "END", "user": "u", "max_tokens": 20});
    let answer = server.post("/v1/chat/completions", &chat_body(&extra)).await;
    let body = answer.json();
    assert_eq!((answer.status, &body["object"], &body["model"]), (200, &json!("chat.completion"), &json!("tiny")));
    for index in [0, 1] {
        let choice = &body["choices"][index];
        assert_eq!((&choice["index"], &choice["finish_reason"]), (&json!(index), &json!("stop")));
        assert_eq!(choice["message"], json!({"role": "assistant", "content": "Hello", "refusal": null}));
    }
    assert_eq!(body["usage"], json!({"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}));
    let requests = engine.requests.lock().expect("lock");
    let seeds: Vec<_> = requests.iter().map(|request| request.params.seed).collect();
    assert_eq!(seeds, [Some(9), Some(10)]);
    let first = &requests[0];
    assert_eq!((first.params.temperature, first.params.top_k), (0.25, 40), "the engine's own defaults");
    assert_eq!((first.params.top_p, first.params.min_p), (0.5, 0.0), "the request's, and OpenAI's");
    assert_eq!((first.max_tokens, first.stop.as_slice()), (Some(20), &["END".to_owned()][..]));
}

#[tokio::test]
async fn a_chat_is_streamed_role_first_and_usage_last() {
    let (server, _engine) = served(Behaviour::Say(&["Hel", "lo"])).await;
    let extra = json!({"stream": true, "stream_options": {"include_usage": true}});
    let answer = server.post("/v1/chat/completions", &chat_body(&extra)).await;
    assert_eq!(answer.header("content-type"), Some("text/event-stream; charset=utf-8"));
    let events = answer.events();
    let choices: Vec<_> = events[..4].iter().map(|event| event["choices"][0].clone()).collect();
    let delta =
        |delta: Value, reason: Value| json!({"index": 0, "delta": delta, "logprobs": null, "finish_reason": reason});
    assert_eq!(choices[0], delta(json!({"role": "assistant", "content": ""}), json!(null)));
    assert_eq!(choices[1], delta(json!({"content": "Hel"}), json!(null)));
    assert_eq!(choices[2], delta(json!({"content": "lo"}), json!(null)));
    assert_eq!(choices[3], delta(json!({}), json!("stop")));
    assert_eq!(events[4]["choices"], json!([]));
    assert_eq!(events[4]["usage"], json!({"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}));
    assert_eq!(events[5..], [json!("[DONE]")]);
    for event in &events[..5] {
        assert_eq!((&event["id"], &event["object"]), (&events[0]["id"], &json!("chat.completion.chunk")));
        assert_eq!(event["created"], events[0]["created"]);
    }
}

#[tokio::test]
async fn several_prompts_are_several_choices_in_order() {
    let (server, engine) = served(Behaviour::Say(&["x"])).await;
    let mut body = json!({"model": "tiny", "prompt": ["a b", "c"], "n": 2, "best_of": 2});
    let whole = server.post("/v1/completions", &body).await.json();
    let indexes: Vec<_> = whole["choices"].as_array().expect("choices").iter().map(|choice| &choice["index"]).collect();
    assert_eq!(indexes, [0, 1, 2, 3]);
    assert_eq!(whole["choices"][3]["text"], "x");
    assert_eq!(whole["usage"], json!({"prompt_tokens": 5, "completion_tokens": 4, "total_tokens": 9}));
    let prompts: Vec<_> = engine.requests.lock().expect("lock").iter().map(|request| request.prompt.clone()).collect();
    assert_eq!(prompts, [vec![1, 1, 1], vec![1, 1, 1], vec![1, 1], vec![1, 1]]);
    body["stream"] = json!(true);
    let events = server.post("/v1/completions", &body).await.events();
    let ends = events.iter().filter(|event| event["choices"][0]["finish_reason"] == "stop").count();
    assert_eq!((ends, events.len(), events.last()), (4, 9, Some(&json!("[DONE]"))));
}

#[tokio::test]
async fn tokens_models_health_version_and_metrics_are_told() {
    let (server, engine) = served(Behaviour::Say(&["x"])).await;
    let entry = json!({"id": "tiny", "object": "model", "created": 7, "owned_by": "lla", "max_model_len": 64});
    assert_eq!(server.get("/v1/models").await.json(), json!({"object": "list", "data": [entry]}));
    assert_eq!(server.get("/v1/models/tiny").await.json(), entry);
    let counted = server.post("/tokenize", &json!({"prompt": "ab cde"})).await.json();
    assert_eq!(counted, json!({"count": 3, "max_model_len": 64, "tokens": [1, 2, 3]}));
    let counted = server.post("/tokenize", &json!({"messages": [{"role": "user", "content": "ab"}]})).await.json();
    assert_eq!(counted["count"], 2);
    let text = server.post("/detokenize", &json!({"model": "tiny", "tokens": [4, 5]})).await.json();
    assert_eq!(text, json!({"prompt": "<4><5>"}));
    let health = server.get("/health").await;
    assert_eq!((health.status, health.body.as_str()), (200, ""));
    assert_eq!(server.get("/version").await.json()["version"], env!("CARGO_PKG_VERSION"));
    let metrics = server.get("/metrics").await;
    assert!(metrics.body.contains("vllm:num_requests_running{model_name=\"tiny\"} 0"), "{}", metrics.body);
    assert_eq!(metrics.header("content-type"), Some("application/openmetrics-text; version=1.0.0; charset=utf-8"));
    let named = server.send("GET", "/health", "x-request-id: mine-1\r\n", b"").await;
    assert_eq!(named.header("x-request-id"), Some("mine-1"));
    drop(engine);
}

#[tokio::test]
async fn a_caller_that_leaves_cancels_its_generations() {
    let (server, engine) = served(Behaviour::Hang).await;
    let body = chat_body(&json!({"stream": true, "n": 2})).to_string();
    let mut connection = server.open("POST", "/v1/chat/completions", "", body.as_bytes()).await;
    let mut seen = String::new();
    while seen.matches("wait").count() < 2 {
        let mut chunk = [0; 1024];
        let length = connection.read(&mut chunk).await.expect("chunk");
        seen.push_str(&String::from_utf8_lossy(&chunk[..length]));
    }
    drop(connection);
    engine.all_abandoned().await;
}

#[tokio::test]
async fn a_caller_of_a_whole_answer_that_leaves_cancels_too() {
    let (server, engine) = served(Behaviour::Hang).await;
    let body = chat_body(&json!({})).to_string();
    let connection = server.open("POST", "/v1/chat/completions", "", body.as_bytes()).await;
    while engine.requests.lock().expect("lock").is_empty() {
        tokio::task::yield_now().await;
    }
    drop(connection);
    engine.all_abandoned().await;
}

#[tokio::test]
async fn stopping_ends_open_streams_with_an_error() {
    let (mut server, engine) = served(Behaviour::Hang).await;
    let body = chat_body(&json!({"stream": true})).to_string();
    let mut connection = server.open("POST", "/v1/chat/completions", "", body.as_bytes()).await;
    let mut seen = vec![0; 1024];
    let length = connection.read(&mut seen).await.expect("the head");
    seen.truncate(length);
    server.stop.take().expect("running").send(()).expect("running");
    connection.read_to_end(&mut seen).await.expect("the rest");
    assert!(String::from_utf8_lossy(&seen).contains("shutting_down"), "{}", String::from_utf8_lossy(&seen));
    assert!(server.task.await.expect("joined").is_ok());
    drop(engine);
}

#[tokio::test]
async fn a_worker_that_dies_ends_the_server_with_an_error() {
    let (server, engine) = served(Behaviour::Hang).await;
    engine.stopped.send_replace(true);
    let error = server.task.await.expect("joined").expect_err("ended by itself");
    assert!(matches!(error, EngineError::Native(_)), "{error}");
}
