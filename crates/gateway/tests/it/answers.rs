//! What callers get: JSON, streams, lists, health.

use std::time::Duration;

use axum::body::Body;
use axum::http::Request;
use http_body_util::BodyExt;
use lla_gateway::ServerConfig;
use lla_inference::mock::Script;
use lla_inference::{Delta, Event};
use lla_protocol::openai::FinishReason;
use serde_json::{Value, json};

use crate::harness::{Answer, Gateway, chat, post};

/// Checks what must be the same in every chunk, and takes it out.
fn chunks(answer: &Answer, prefix: &str, object: &str) -> Vec<String> {
    let mut first: Option<(Value, Value)> = None;
    let strip = |event: &String| {
        let Ok(mut chunk) = serde_json::from_str::<Value>(event) else { return event.clone() };
        let fields = chunk.as_object_mut().expect("an object");
        if fields.contains_key("error") {
            return event.clone();
        }
        assert_eq!(fields.shift_remove("object"), Some(json!(object)));
        assert_eq!(fields.shift_remove("model"), Some(json!("tiny")));
        let id = fields.shift_remove("id").expect("id");
        assert!(id.as_str().expect("text").starts_with(prefix), "{id}");
        let identity = (id, fields.shift_remove("created").expect("created"));
        assert_eq!(first.get_or_insert_with(|| identity.clone()), &identity);
        chunk.to_string()
    };
    answer.events().iter().map(strip).collect()
}

#[tokio::test]
async fn a_chat_stream_is_what_the_clients_expect() {
    let gateway = Gateway::new(Script::text("Hello world")).await;
    let answer = gateway.chat(json!({"stream": true, "stream_options": {"include_usage": true}})).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("content-type"), Some("text/event-stream; charset=utf-8"));
    assert_eq!(answer.header("cache-control"), Some("no-cache"));
    assert_eq!(answer.header("x-accel-buffering"), Some("no"));
    assert_eq!(
        chunks(&answer, "chatcmpl-", "chat.completion.chunk"),
        [
            r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null}]}"#,
            r#"{"choices":[{"index":0,"delta":{"content":"Hello "},"logprobs":null,"finish_reason":null}]}"#,
            r#"{"choices":[{"index":0,"delta":{"content":"world"},"logprobs":null,"finish_reason":null}]}"#,
            r#"{"choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}]}"#,
            r#"{"choices":[],"usage":{"prompt_tokens":3,"completion_tokens":2,"total_tokens":5}}"#,
            "[DONE]",
        ]
    );
}

#[tokio::test]
async fn every_choice_of_a_stream_begins_with_its_role_and_usage_is_only_sent_when_asked_for() {
    let gateway = Gateway::new(Script::text("a")).await;
    let answer = gateway.chat(json!({"stream": true, "n": 2})).await;
    assert_eq!(
        chunks(&answer, "chatcmpl-", "chat.completion.chunk"),
        [
            r#"{"choices":[{"index":0,"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null}]}"#,
            r#"{"choices":[{"index":0,"delta":{"content":"a"},"logprobs":null,"finish_reason":null}]}"#,
            r#"{"choices":[{"index":1,"delta":{"role":"assistant","content":"","refusal":null},"logprobs":null,"finish_reason":null}]}"#,
            r#"{"choices":[{"index":1,"delta":{"content":"a"},"logprobs":null,"finish_reason":null}]}"#,
            r#"{"choices":[{"index":0,"delta":{},"logprobs":null,"finish_reason":"stop"}]}"#,
            r#"{"choices":[{"index":1,"delta":{},"logprobs":null,"finish_reason":"stop"}]}"#,
            "[DONE]",
        ]
    );
}

#[tokio::test]
async fn a_completion_stream_has_the_older_shape() {
    let gateway = Gateway::new(Script::text("a b")).await;
    let body = json!({"model": "tiny", "prompt": "x", "stream": true, "stream_options": {"include_usage": true}});
    let answer = gateway.post("/v1/completions", &body).await;
    assert_eq!(
        chunks(&answer, "cmpl-", "text_completion"),
        [
            r#"{"choices":[{"index":0,"text":"a ","logprobs":null,"finish_reason":null}]}"#,
            r#"{"choices":[{"index":0,"text":"b","logprobs":null,"finish_reason":null}]}"#,
            r#"{"choices":[{"index":0,"text":"","logprobs":null,"finish_reason":"stop"}]}"#,
            r#"{"choices":[],"usage":{"prompt_tokens":1,"completion_tokens":2,"total_tokens":3}}"#,
            "[DONE]",
        ]
    );
}

#[tokio::test]
async fn ready_events_are_one_frame() {
    let gateway = Gateway::new(Script::text("a b c")).await;
    let mut body = gateway.start(post("/v1/chat/completions", &chat(json!({"stream": true})))).await.into_body();
    let frame = body.frame().await.expect("a frame").expect("good").into_data().expect("data");
    assert!(frame.ends_with(b"data: [DONE]\n\n"));
    assert!(body.frame().await.is_none());
}

#[tokio::test]
async fn whole_answers() {
    let gateway = Gateway::new(Script::text("Hello world")).await;
    let answer = gateway.chat(json!({"n": 2})).await;
    let mut json = answer.json();
    assert!(json["id"].as_str().expect("id").starts_with("chatcmpl-"));
    assert!(json["created"].as_i64().expect("created") > 1_700_000_000);
    json["id"] = json!("");
    json["created"] = json!(0);
    let choice = |index: u32| {
        json!({"index": index, "message": {"role": "assistant", "content": "Hello world", "refusal": null},
               "logprobs": null, "finish_reason": "stop"})
    };
    assert_eq!(
        json,
        json!({"id": "", "object": "chat.completion", "created": 0, "model": "tiny", "choices": [choice(0), choice(1)],
               "usage": {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}})
    );

    let body = json!({"model": "tiny", "prompt": ["x", "y"], "n": 2, "max_tokens": 5, "top_k": 3, "mine": [1]});
    let json = gateway.post("/v1/completions", &body).await.json();
    assert_eq!(json["object"], "text_completion");
    let choices = json["choices"].as_array().expect("choices");
    assert_eq!(
        choices.iter().map(|choice| choice["index"].as_u64()).collect::<Vec<_>>(),
        [Some(0), Some(1), Some(2), Some(3)]
    );
    let seen = gateway.mock.completions().pop().expect("a request");
    assert_eq!((seen.max_tokens, seen.sampling.top_k), (5, Some(3)));
    assert_eq!(Value::Object(seen.extra), json!({"mine": [1]}));
}

#[tokio::test]
async fn tool_calls_and_logprobs_are_put_together() {
    let delta = |extra: Value, logprobs: Value| {
        Ok(Event::Delta(Delta {
            index: 0,
            text: String::new(),
            logprobs: (!logprobs.is_null()).then_some(logprobs),
            extra: extra.as_object().expect("object").clone(),
        }))
    };
    let script = Script::Events(vec![
        delta(
            json!({"tool_calls": [{"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": "{"}}]}),
            json!({"content": [{"token": "a"}]}),
        ),
        delta(
            json!({"tool_calls": [{"index": 0, "function": {"arguments": "}"}}]}),
            json!({"content": [{"token": "b"}]}),
        ),
        Ok(Event::Finish { index: 0, reason: FinishReason::ToolCalls }),
    ]);
    let gateway = Gateway::new(script).await;
    let json = gateway.chat(json!({})).await.json();
    assert_eq!(
        json["choices"][0],
        json!({"index": 0, "message": {"role": "assistant", "content": null, "refusal": null,
               "tool_calls": [{"id": "c", "type": "function", "function": {"name": "f", "arguments": "{}"}}]},
               "logprobs": {"content": [{"token": "a"}, {"token": "b"}]}, "finish_reason": "tool_calls"})
    );
    assert!(json.get("usage").is_none());
    let events = gateway.chat(json!({"stream": true})).await.events();
    let choices: Vec<Value> = events[1..4]
        .iter()
        .map(|event| serde_json::from_str::<Value>(event).expect("JSON")["choices"][0].clone())
        .collect();
    let start = json!({"index": 0, "id": "c", "type": "function", "function": {"name": "f", "arguments": "{"}});
    assert_eq!(choices[0]["delta"], json!({"tool_calls": [start]}), "as it came");
    assert_eq!(choices[1]["delta"], json!({"tool_calls": [{"index": 0, "function": {"arguments": "}"}}]}));
    assert_eq!((&choices[2]["delta"], &choices[2]["finish_reason"]), (&json!({}), &json!("tool_calls")));
}

#[tokio::test]
async fn reasoning_goes_through_under_both_names() {
    let delta = |text: &str, extra: Value| {
        let extra = extra.as_object().expect("object").clone();
        Ok(Event::Delta(Delta { index: 0, text: text.to_owned(), logprobs: None, extra }))
    };
    let script = Script::Events(vec![
        delta("", json!({"reasoning_content": "H", "reasoning": "H"})),
        delta("", json!({"reasoning_content": "m", "reasoning": "m"})),
        delta("Yes", json!({})),
        Ok(Event::Finish { index: 0, reason: FinishReason::Stop }),
    ]);
    let message = Gateway::new(script).await.chat(json!({})).await.json()["choices"][0]["message"].clone();
    assert_eq!((&message["reasoning_content"], &message["reasoning"]), (&json!("Hm"), &json!("Hm")));
    assert_eq!(message["content"], "Yes");
}

#[tokio::test]
async fn log_probabilities_of_completions_are_put_together() {
    let part = |text: &str, offset: usize| {
        let logprobs = json!({"tokens": [text], "token_logprobs": [-0.5], "top_logprobs": [{text: -0.5}],
                              "text_offset": [offset]});
        Ok(Event::Delta(Delta { text: text.to_owned(), logprobs: Some(logprobs), ..Delta::default() }))
    };
    let end = Ok(Event::Finish { index: 0, reason: FinishReason::Length });
    let gateway = Gateway::new(Script::Events(vec![part("index", 0), part("b", 5), end])).await;
    let body = json!({"model": "tiny", "prompt": "x", "logprobs": 1, "echo": true, "max_tokens": 0});
    let whole = gateway.post("/v1/completions", &body).await.json();
    let logprobs = json!({"tokens": ["index", "b"], "token_logprobs": [-0.5, -0.5],
                          "top_logprobs": [{"index": -0.5}, {"b": -0.5}], "text_offset": [0, 5]});
    assert_eq!((&whole["choices"][0]["text"], &whole["choices"][0]["logprobs"]), (&json!("indexb"), &logprobs));
    // What this server does not act on reaches the backend.
    let seen = gateway.mock.completions().pop().expect("a request");
    assert_eq!((seen.max_tokens, Value::Object(seen.extra)), (0, json!({"logprobs": 1, "echo": true})));
    for (extra, param) in [
        (json!({"top_logprobs": 1}), "top_logprobs"),
        (json!({"logprobs": 1}), "logprobs"),
        (json!({"metadata": {"a": 1}}), "metadata.a"),
    ] {
        let (status, _, _, found) = gateway.chat(extra).await.error();
        assert_eq!((status, found.as_deref()), (400, Some(param)));
    }
}

#[tokio::test(start_paused = true)]
async fn silence_carries_comments() {
    let slow = Script::Slow { text: "late".to_owned(), first: Duration::from_secs(25), between: Duration::ZERO };
    let gateway = Gateway::new(slow).await;
    let answer = gateway.chat(json!({"stream": true})).await;
    assert!(answer.body.starts_with(": keep-alive\n\n: keep-alive\n\ndata: {"), "{}", answer.body);
    assert_eq!(answer.events().len(), 4);
    assert_eq!(answer.body.matches(": keep-alive").count(), 2);
}

#[tokio::test]
async fn names_of_models() {
    let gateway = Gateway::new(Script::text("x")).await;
    let list = gateway.get("/v1/models").await.json();
    assert_eq!(list["object"], "list");
    let ids: Vec<_> =
        list["data"].as_array().expect("data").iter().map(|model| model["id"].as_str().expect("id")).collect();
    assert_eq!(ids, ["tiny", "org/big"]);
    assert_eq!(list["data"][0]["object"], "model");
    assert_eq!(list["data"][0]["max_model_len"], 8192);
    assert_eq!(list["data"][0]["state"], "ready");
    for path in ["/v1/models/org/big", "/v1/models/org%2Fbig"] {
        assert_eq!(gateway.get(path).await.json()["id"], "org/big", "{path}");
    }
    assert_eq!(gateway.get("/v1/models/small").await.status, 200);
    // The answer carries the name of the model that was used.
    assert_eq!(gateway.chat(json!({"model": "auto"})).await.json()["model"], "tiny");
}

#[tokio::test]
async fn health() {
    let gateway = Gateway::new(Script::text("x")).await;
    for path in ["/health/live", "/health/ready"] {
        let answer = gateway.get(path).await;
        assert_eq!((answer.status.as_u16(), answer.body.as_str()), (200, r#"{"status":"ok"}"#));
    }
    let answer = gateway.get("/health").await;
    let json = answer.json();
    assert_eq!(answer.status, 200);
    assert_eq!((&json["status"], &json["version"], &json["commit"]), (&json!("ok"), &json!("1.2.3"), &json!("abc")));
    assert_eq!(json["gateway"], json!({"in_flight": 0, "max_in_flight": 256, "draining": false}));
    assert_eq!(json["models"][0]["state"], "ready");
    assert!(json["backends"].is_array());
}

#[tokio::test]
async fn request_ids_go_in_and_out_and_head_has_no_body() {
    let gateway = Gateway::new(Script::text("x")).await;
    let request = Request::get("/health/live").header("x-request-id", "mine-1").body(Body::empty()).expect("request");
    assert_eq!(gateway.send(request).await.header("x-request-id"), Some("mine-1"));
    assert_eq!(gateway.get("/health/live").await.header("x-request-id").map(str::len), Some(36));
    let answer = gateway.send(Request::head("/v1/models").body(Body::empty()).expect("request")).await;
    assert_eq!((answer.status.as_u16(), answer.body.as_str()), (200, ""));
}

#[tokio::test]
async fn web_pages_are_let_in_by_configuration_only() {
    let preflight = || {
        Request::options("/v1/chat/completions")
            .header("origin", "http://localhost:3000")
            .header("access-control-request-method", "POST")
            .header("access-control-request-headers", "authorization,content-type")
            .body(Body::empty())
            .expect("request")
    };
    let closed = Gateway::new(Script::text("x")).await;
    let answer = closed.send(preflight()).await;
    assert_eq!((answer.status.as_u16(), answer.header("access-control-allow-origin")), (403, None));

    let mut config = ServerConfig::default();
    config.cors.allowed_origins = vec!["http://localhost:3000".to_owned()];
    let open = Gateway::with(Script::text("x"), config).await;
    let answer = open.send(preflight()).await;
    assert_eq!(answer.status, 200);
    assert_eq!(answer.header("access-control-allow-origin"), Some("http://localhost:3000"));
    assert_eq!(answer.header("access-control-allow-headers"), Some("authorization,content-type"));
    let mut other = preflight();
    other.headers_mut().insert("origin", "http://evil.example".parse().expect("header"));
    assert_eq!(open.send(other).await.header("access-control-allow-origin"), None);
}

#[tokio::test]
async fn what_a_strange_page_can_have_sent_is_refused_everywhere() {
    let closed = Gateway::new(Script::text("x")).await;
    let config = ServerConfig { allowed_hosts: vec!["llm.example".to_owned()], ..ServerConfig::default() };
    let named = Gateway::with(Script::text("x"), config).await;
    let others = ServerConfig { listen: "0.0.0.0:7117".to_owned(), ..ServerConfig::default() };
    let others = Gateway::with(Script::text("x"), others).await;
    let send = async |gateway: &Gateway, path: &str, headers: &[(&'static str, &str)]| {
        let body = json!({"text": "t", "model": "tiny", "messages": [{"role": "user", "content": "hi"}]});
        let mut request = post(path, &body);
        for (name, value) in headers {
            request.headers_mut().insert(*name, value.parse().expect("header"));
        }
        let answer = gateway.send(request).await;
        (answer.status.as_u16() != 403).then_some(()).ok_or_else(|| answer.error().2.unwrap_or_default())
    };
    let refused = |code: &str| Err(code.to_owned());
    for path in ["/v1/chat/completions", "/mcp/tools/summarize", "/v1/models", "/nowhere"] {
        let bound = [("host", "rebound.example"), ("origin", "http://rebound.example")];
        assert_eq!(send(&closed, path, &bound).await, refused("host_not_allowed"), "{path}");
        let page = [("host", "127.0.0.1:7117"), ("origin", "https://evil.example")];
        assert_eq!(send(&closed, path, &page).await, refused("origin_not_allowed"), "{path}");
        assert_eq!(send(&closed, path, &[("host", "llm.example")]).await, refused("host_not_allowed"), "{path}");
        assert_eq!(send(&named, path, &[("host", "llm.example")]).await, Ok(()), "{path}");
        assert_eq!(send(&closed, path, &[("host", "localhost:7117")]).await, Ok(()), "{path}");
        let own_page = [("host", "127.0.0.1:7117"), ("origin", "http://127.0.0.1:7117")];
        assert_eq!(send(&closed, path, &own_page).await, Ok(()), "{path}");
    }
    assert_eq!(send(&others, "/v1/models", &[("host", "box.lan")]).await, Ok(()));
    assert_eq!(send(&others, "/mcp/tools/summarize", &[("host", "box.lan")]).await, refused("host_not_allowed"));
    assert_eq!(closed.mock.chats().len(), 2, "what is refused reaches no model");
}

#[tokio::test]
async fn progress_is_a_comment_of_a_stream_and_no_part_of_an_answer() {
    let script = Script::Events(vec![
        Ok(Event::Progress("loading\ndata: x".to_owned())),
        Ok(Event::text(0, "a")),
        Ok(Event::Finish { index: 0, reason: FinishReason::Stop }),
    ]);
    let gateway = Gateway::new(script).await;
    let stream = gateway.chat(json!({"stream": true})).await;
    assert!(stream.body.starts_with(": loading data: x\n\ndata: {"), "{}", stream.body);
    assert_eq!(stream.events().last().map(String::as_str), Some("[DONE]"));
    let whole = gateway.chat(json!({})).await.json();
    assert_eq!(whole["choices"][0]["message"]["content"], "a");
}
