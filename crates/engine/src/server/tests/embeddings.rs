//! `/v1/embeddings`: shapes, refusals, and models of the other kind.

use lla_protocol::openai::Vector;
use serde_json::json;

use super::*;

fn body(extra: &Value) -> Value {
    let mut body = json!({"model": "tiny", "input": ["ab cde", "f"]});
    body.as_object_mut().expect("object").extend(extra.as_object().expect("object").clone());
    body
}

#[tokio::test]
async fn vectors_come_as_numbers_or_base64() {
    let (server, _engine) = served(Behaviour::Embed).await;
    let answer = server.post("/v1/embeddings", &body(&json!({}))).await.json();
    let entry = |index: u32, vector: [f32; 4]| json!({"object": "embedding", "index": index, "embedding": vector});
    let data = [entry(0, [3.0, 0.0, 0.0, 1.0]), entry(1, [2.0, 0.0, 0.0, 1.0])];
    let usage = json!({"prompt_tokens": 5, "total_tokens": 5});
    assert_eq!(answer, json!({"object": "list", "data": data, "model": "tiny", "usage": usage}));
    let asked = json!({"encoding_format": "base64", "dimensions": 3, "input": [7, 8]});
    let answer = server.post("/v1/embeddings", &body(&asked)).await.json();
    let text = answer["data"][0]["embedding"].as_str().expect("text").to_owned();
    assert_eq!(Vector::Base64(text).read(), Some(vec![1.0, 0.0, 0.0]));
    assert_eq!(answer["usage"]["prompt_tokens"], 2);
}

#[tokio::test]
async fn inputs_that_can_not_be_served_are_named() {
    let (server, _engine) = served(Behaviour::Embed).await;
    let long = "w ".repeat(64);
    for (extra, status, code, param) in [
        (json!({"input": ["a", long]}), 400, "context_length_exceeded", "input[1]"),
        (json!({"input": ["a", ""]}), 400, "invalid_value", "input[1]"),
        (json!({"input": [[1], [1000]]}), 400, "out_of_range", "input"),
        (json!({"dimensions": 5}), 400, "out_of_range", "dimensions"),
        (json!({"model": "other"}), 404, "model_not_found", "model"),
    ] {
        let answer = server.post("/v1/embeddings", &body(&extra)).await;
        let error = error_of(&answer);
        assert_eq!((answer.status, &error["code"], &error["param"]), (status, &json!(code), &json!(param)), "{extra}");
    }
}

#[tokio::test]
async fn each_kind_of_model_says_what_it_is_not() {
    let (server, _engine) = served(Behaviour::Embed).await;
    for (path, body) in
        [("/v1/chat/completions", chat_body(&json!({}))), ("/v1/completions", json!({"model": "tiny", "prompt": "a"}))]
    {
        let answer = server.post(path, &body).await;
        let error = error_of(&answer);
        assert_eq!(
            (answer.status, &error["code"], &error["param"]),
            (400, &json!("unsupported_model"), &json!("model"))
        );
        assert!(error["message"].as_str().expect("text").contains("/v1/embeddings"), "{error}");
    }
    let (server, _engine) = served(Behaviour::Say(&["x"])).await;
    let answer = server.post("/v1/embeddings", &body(&json!({}))).await;
    let error = error_of(&answer);
    assert_eq!((answer.status, &error["code"], &error["param"]), (400, &json!("unsupported_model"), &json!("model")));
    assert!(error["message"].as_str().expect("text").contains("BERT"), "{error}");
}

#[tokio::test]
async fn a_caller_that_leaves_cancels_its_embeddings() {
    let (server, engine) = served(Behaviour::EmbedForever).await;
    let bytes = body(&json!({})).to_string();
    let connection = server.open("POST", "/v1/embeddings", "", bytes.as_bytes()).await;
    engine.something_hangs().await;
    drop(connection);
    engine.all_abandoned().await;
}
