//! The tools over REST.

use std::sync::Arc;

use axum::body::Body;
use axum::http::Request;
use lla_gateway::{AppState, Build, ServerConfig, ToolsConfig, app};
use lla_inference::mock::{MockBackend, Script};
use lla_inference::{Backend, Error, Fleet};
use serde_json::{Value, json};
use tower::ServiceExt;

use crate::harness::{Gateway, post, until_idle};

#[tokio::test]
async fn the_list_has_names_descriptions_and_schemas() {
    let gateway = Gateway::new(Script::text("x")).await;
    let list = gateway.get("/mcp/tools").await.json();
    let names: Vec<&str> = list["tools"].as_array().expect("tools").iter().filter_map(|t| t["name"].as_str()).collect();
    assert!(names.starts_with(&["classify", "extract", "summarize", "rewrite"]), "{names:?}");
    for tool in list["tools"].as_array().expect("tools") {
        assert!(tool["description"].is_string() && tool["title"].is_string());
        for schema in ["input_schema", "output_schema"] {
            assert_eq!(tool[schema]["type"], "object", "{tool}");
            assert!(jsonschema::meta::is_valid(&tool[schema]));
        }
    }
}

#[tokio::test]
async fn a_call_answers_with_the_result_and_its_costs() {
    let gateway = Gateway::new(Script::text(r#"{"label": "b"}"#)).await;
    let answer = gateway.post("/mcp/tools/classify", &json!({"text": "a text", "labels": ["a", "b"]})).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let result = answer.json();
    assert_eq!((&result["label"], &result["scores_measured"]), (&json!("b"), &json!(false)));
    assert_eq!((&result["files_read"], &result["model"]), (&json!([]), &json!("tiny")));
    assert_eq!(result["usage"]["completion_tokens"], 2);
}

#[tokio::test]
async fn errors_come_in_the_envelope() {
    let gateway = Gateway::new(Script::text("x")).await;
    let error = async |path: &str, body: Value| {
        let (status, _, code, param) = gateway.post(path, &body).await.error();
        (status, code.unwrap_or_default(), param)
    };
    let named = |status: u16, code: &str, param: Option<&str>| (status, code.to_owned(), param.map(str::to_owned));
    assert_eq!(error("/mcp/tools/translate", json!({})).await, named(404, "unknown_tool", None));
    assert_eq!(error("/mcp/tools/summarize", json!([])).await, named(400, "invalid_type", None));
    let missing = error("/mcp/tools/summarize", json!({})).await;
    assert_eq!(missing, named(400, "missing_required_parameter", Some("text")));
    let unknown = error("/mcp/tools/summarize", json!({"text": "t", "words": 3})).await;
    assert_eq!(unknown, named(400, "unknown_parameter", Some("words")));
    let closed = error("/mcp/tools/summarize", json!({"path": "/etc/passwd"})).await;
    assert_eq!(closed, named(400, "no_allowed_folder", Some("path")));
    let refused = Error::ContextLength { message: "too long".to_owned() };
    gateway.mock.set_script(Script::Refuse(refused));
    let long = error("/mcp/tools/summarize", json!({"text": "t"})).await;
    assert_eq!(long, named(400, "context_length_exceeded", Some("text")));
    assert_eq!(gateway.get("/mcp/tools/summarize").await.status, 405);
}

#[tokio::test]
async fn files_of_the_configured_folders_can_be_named() {
    let folder = tempfile::tempdir().expect("folder");
    std::fs::write(folder.path().join("mail.txt"), "please pay").expect("write");
    let tools = ToolsConfig { roots: vec![folder.path().to_owned()], ..ToolsConfig::default() };
    let mock = Arc::new(MockBackend::new("mock").with_script(Script::text(r#"{"label": "b"}"#)));
    let fleet = Fleet::from_backends(vec![Arc::clone(&mock) as Arc<dyn Backend>]);
    let build = Build { version: "1".to_owned(), commit: None, features: Vec::new() };
    let state = AppState::with_tools(ServerConfig::default(), &tools, fleet, build).expect("configuration");
    let asks = post("/mcp/tools/classify", &json!({"path": "*.txt", "labels": ["a", "b"]}));
    let response = app(state).oneshot(asks).await.expect("answer");
    assert_eq!(response.status(), 200);
    let asked = mock.chats().remove(0);
    assert!(asked.messages[1].text_content().expect("text").contains("please pay"));
}

fn streamed(tool: &str, body: &Value) -> Request<Body> {
    let mut request = post(&format!("/mcp/tools/{tool}"), body);
    request.headers_mut().insert("accept", "text/event-stream".parse().expect("header"));
    request
}

#[tokio::test]
async fn a_stream_tells_progress_and_ends_with_the_result_or_an_error() {
    let gateway = Gateway::new(Script::text("short")).await;
    let answer = gateway.send(streamed("summarize", &json!({"text": "t"}))).await;
    let events: Vec<Value> = answer.events().iter().map(|event| serde_json::from_str(event).expect("json")).collect();
    let kinds: Vec<&str> = events.iter().filter_map(|event| event["type"].as_str()).collect();
    assert_eq!((kinds.first(), kinds.last()), (Some(&"progress"), Some(&"result")));
    assert_eq!(events.last().expect("result")["result"]["summary"], "t.");

    gateway.mock.set_script(Script::ErrorMidStream { text: "a".to_owned(), error: Error::upstream("mock", "broke") });
    let asks = streamed("classify", &json!({"text": "t", "labels": ["a", "b"]}));
    let events = gateway.send(asks).await.events();
    let last: Value = serde_json::from_str(events.last().expect("an event")).expect("json");
    assert_eq!(last["error"]["code"], "backend_error");
}

#[tokio::test]
async fn a_caller_that_leaves_ends_the_work() {
    let gateway = Gateway::new(Script::NeverEnds { text: "a".to_owned() }).await;
    let started = gateway.start(streamed("summarize", &json!({"text": "t"}))).await;
    assert_eq!(started.status(), 200);
    let mut body = started.into_body();
    http_body_util::BodyExt::frame(&mut body).await.expect("progress").expect("a frame");
    drop(body);
    until_idle(&gateway.mock).await;

    let router = gateway.router.clone();
    let call = tokio::spawn(router.oneshot(post("/mcp/tools/summarize", &json!({"text": "t"}))));
    while gateway.mock.running() == 0 {
        tokio::task::yield_now().await;
    }
    call.abort();
    until_idle(&gateway.mock).await;
}
