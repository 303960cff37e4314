//! What is refused, with which status, type, code and field.

use serde_json::json;

use super::*;

#[tokio::test]
async fn requests_that_can_not_be_served_name_the_field() {
    let (server, engine) = served(Behaviour::Say(&["x"])).await;
    let long = "w ".repeat(64);
    let image = json!([{"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "x"}}]);
    let chat = [
        (json!({"model": "other"}), 404, "model_not_found", json!("model")),
        (json!({"messages": []}), 400, "invalid_value", json!("messages")),
        (
            json!({"messages": [{"role": "user", "content": image}]}),
            400,
            "unsupported_content",
            json!("messages[0].content[1]"),
        ),
        (json!({"messages": [{"role": "user", "content": long}]}), 400, "context_length_exceeded", json!(null)),
        (json!({"max_tokens": 62}), 400, "context_length_exceeded", json!(null)),
        (json!({"temperature": 3}), 400, "out_of_range", json!("temperature")),
        (json!({"logit_bias": {"1000": 1}}), 400, "out_of_range", json!("logit_bias.1000")),
        (json!({"tools": [{"type": "function"}]}), 400, "missing_required_parameter", json!("tools[0].function")),
        (json!({"tools": [{"type": "custom"}]}), 400, "unsupported_tool", json!("tools[0].type")),
        (json!({"tool_choice": "required"}), 400, "invalid_value", json!("tool_choice")),
        (json!({"functions": [{"name": "f"}]}), 400, "unsupported_parameter", json!("functions")),
        (json!({"reasoning_effort": "much"}), 400, "invalid_value", json!("reasoning_effort")),
        (json!({"n": 5}), 400, "out_of_range", json!("n")),
        (json!({"chat_template_kwargs": 1}), 400, "invalid_type", json!("chat_template_kwargs")),
        (json!({"chat_template_kwargs": {"refuse": 1}}), 400, "chat_template_error", json!("messages")),
        (json!({"add_generation_prompt": 1}), 400, "invalid_type", json!("add_generation_prompt")),
    ];
    for (extra, status, code, param) in chat {
        for stream in [false, true] {
            let mut body = chat_body(&extra);
            body["stream"] = json!(stream);
            let answer = server.post("/v1/chat/completions", &body).await;
            let error = error_of(&answer);
            assert_eq!((answer.status, &error["code"], &error["param"]), (status, &json!(code), &param), "{body}");
            assert_eq!(error["type"], "invalid_request_error");
            assert_eq!(answer.header("content-type"), Some("application/json"));
        }
    }
    let completion = [
        (json!({"prompt": [1, 1000]}), "out_of_range", "prompt"),
        (json!({"prompt": [[]]}), "invalid_value", "prompt"),
        (json!({"prompt": ["a", "b"], "n": 3}), "out_of_range", "prompt"),
        (json!({"prompt": "", "add_special_tokens": false}), "invalid_value", "prompt"),
        (json!({"prompt": "a", "suffix": "b"}), "unsupported_parameter", "suffix"),
    ];
    for (mut body, code, param) in completion {
        body["model"] = json!("tiny");
        let answer = server.post("/v1/completions", &body).await;
        let error = error_of(&answer);
        assert_eq!((answer.status, &error["code"], &error["param"]), (400, &json!(code), &json!(param)), "{body}");
    }
    let answer = server.post("/detokenize", &json!({"tokens": [1000]})).await;
    assert_eq!((answer.status, &error_of(&answer)["param"]), (400, &json!("tokens")));
    assert!(engine.requests.lock().expect("lock").is_empty(), "nothing was generated");
}

#[tokio::test]
async fn everything_below_the_api_shares_the_envelope() {
    let (server, _engine) = served(Behaviour::Say(&["x"])).await;
    let too_long = vec![b' '; (8 << 20) + 1];
    for (method, path, body, status, code) in [
        ("GET", "/v1/nothing", &b""[..], 404, "route_not_found"),
        ("GET", "/v1/models/nothing/here", b"", 404, "model_not_found"),
        ("GET", "/v1/models/%ff", b"", 404, "route_not_found"),
        ("GET", "/v1/chat/completions", b"", 405, "method_not_allowed"),
        ("DELETE", "/v1/models", b"", 405, "method_not_allowed"),
        ("POST", "/v1/chat/completions", b"", 400, "empty_body"),
        ("POST", "/v1/chat/completions", b"{", 400, "invalid_json"),
        ("POST", "/v1/completions", b"[]", 400, "invalid_type"),
        ("POST", "/tokenize", b"{}", 400, "invalid_value"),
        ("POST", "/v1/chat/completions", &too_long, 413, "request_too_large"),
    ] {
        let answer = server.send(method, path, "", body).await;
        let error = error_of(&answer);
        assert_eq!((answer.status, &error["code"]), (status, &json!(code)), "{method} {path}");
        assert_eq!(error["type"], "invalid_request_error", "{method} {path}");
        assert!(answer.header("x-request-id").is_some_and(|id| id.starts_with("req-")), "{answer:?}");
        assert_eq!(answer.header("allow").is_some(), status == 405, "{method} {path}");
    }
}

#[tokio::test]
async fn a_full_queue_is_503_with_retry_after() {
    let (server, _engine) = served(Behaviour::Full).await;
    for stream in [false, true] {
        let answer = server.post("/v1/chat/completions", &chat_body(&json!({"stream": stream}))).await;
        assert_eq!((answer.status, answer.header("retry-after")), (503, Some("1")));
        assert_eq!(error_of(&answer)["code"], "queue_full");
    }
}

#[tokio::test]
async fn failures_while_generating_keep_their_detail_to_the_log() {
    let cases = [(Behaviour::Break, 2), (Behaviour::Vanish, 0)];
    for (behaviour, events_before) in cases {
        let (server, _engine) = served(behaviour).await;
        let answer = server.post("/v1/chat/completions", &chat_body(&json!({}))).await;
        let error = error_of(&answer);
        assert_eq!((answer.status, &error["type"]), (500, &json!("server_error")));
        let answer = server.post("/v1/chat/completions", &chat_body(&json!({"stream": true}))).await;
        let events = answer.events();
        assert_eq!((answer.status, events.len()), (200, events_before + 1), "{events:?}");
        assert_eq!(events[events_before]["error"], error, "the same error, and no [DONE]");
        assert!(!answer.body.contains("secret"), "{}", answer.body);
    }
}
