//! `POST /v1/embeddings` over the mock.

use lla_gateway::ServerConfig;
use lla_inference::mock::Script;
use lla_inference::{EmbedRequest, Error};
use lla_protocol::openai::{Prompt, Vector};
use serde_json::{Map, json};

use crate::harness::Gateway;

#[tokio::test]
async fn vectors_come_in_the_form_that_was_asked_for() {
    let gateway = Gateway::new(Script::text("x")).await;
    let body = json!({"model": "tiny", "input": ["abc", "abcd efg h"], "mine": 1, "dimensions": 2});
    let floats = gateway.post("/v1/embeddings", &body).await.json();
    assert_eq!((&floats["object"], &floats["model"]), (&json!("list"), &json!("tiny")));
    assert_eq!(floats["usage"], json!({"prompt_tokens": 4, "total_tokens": 4}));
    assert_eq!(floats["data"][1]["index"], 1);
    let input = Prompt::Texts(vec!["abc".to_owned(), "abcd efg h".to_owned()]);
    let extra = Map::from_iter([("mine".to_owned(), json!(1))]);
    let seen = gateway.mock.embeds().pop();
    assert_eq!(seen, Some(EmbedRequest { model: "tiny".to_owned(), input, dimensions: Some(2), extra }));

    let mut body = body;
    body["encoding_format"] = json!("base64");
    let packed = gateway.post("/v1/embeddings", &body).await.json();
    for index in [0, 1] {
        let text = packed["data"][index]["embedding"].as_str().expect("text").to_owned();
        let wanted: Vec<f32> = serde_json::from_value(floats["data"][index]["embedding"].clone()).expect("numbers");
        assert_eq!(Vector::Base64(text).read(), Some(wanted));
    }
}

#[tokio::test]
async fn errors_name_the_input() {
    let gateway = Gateway::with(Script::text("x"), ServerConfig::default()).await;
    let post = async |body| gateway.post("/v1/embeddings", &body).await.error();
    let (status, _, code, param) = post(json!({"model": "tiny", "input": ["a", ""]})).await;
    assert_eq!((status, code.as_deref(), param.as_deref()), (400, Some("invalid_value"), Some("input[1]")));
    let (status, _, code, param) = post(json!({"model": "none", "input": "a"})).await;
    assert_eq!((status, code.as_deref(), param.as_deref()), (404, Some("model_not_found"), Some("model")));
    gateway.mock.set_script(Script::Refuse(Error::ContextLength { message: "input 3 is too long".to_owned() }));
    let (status, _, code, param) = post(json!({"model": "tiny", "input": "a"})).await;
    assert_eq!((status, code.as_deref(), param.as_deref()), (400, Some("context_length_exceeded"), Some("input")));
}
