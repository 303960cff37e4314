//! The tools over MCP: the HTTP endpoint through the router, and the stdio server over pipes.

use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use axum::body::Body;
use axum::http::Request;
use lla_gateway::mcp::{Ask, Host, RootsFrom, Server, stdio};
use lla_gateway::{CorsConfig, ServerConfig};
use lla_inference::mock::Script;
use lla_tools::{Registry, ToolError};
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader};
use tokio_util::sync::CancellationToken;

use crate::harness::{Answer, Gateway, until_idle};

const NEW: &str = "2026-07-28";
const OLD: &str = "2025-11-25";

/// A message of either revision, as a request to `/mcp`.
fn request(version: &str, message: &Value) -> Request<Body> {
    let mut request = Request::post("/mcp")
        .header("host", "127.0.0.1:7117")
        .header("content-type", "application/json")
        .header("accept", "application/json, text/event-stream")
        .header("mcp-protocol-version", version);
    if version == NEW {
        let method = message["method"].as_str().expect("a method");
        request = request.header("mcp-method", method);
        if let Some(name) = message["params"]["name"].as_str() {
            request = request.header("mcp-name", name);
        }
    }
    request.body(Body::from(message.to_string())).expect("request")
}

fn message(version: &str, method: &str, mut params: Value) -> Value {
    if version == NEW {
        for (key, value) in [
            ("protocolVersion", json!(NEW)),
            ("clientInfo", json!({"name": "test", "version": "1"})),
            ("clientCapabilities", json!({})),
        ] {
            params["_meta"][format!("io.modelcontextprotocol/{key}")] = value;
        }
    }
    json!({"jsonrpc": "2.0", "id": 7, "method": method, "params": params})
}

async fn ask(gateway: &Gateway, version: &str, method: &str, params: Value) -> Answer {
    gateway.send(request(version, &message(version, method, params))).await
}

/// The messages of an answer, JSON or events.
fn messages(answer: &Answer) -> Vec<Value> {
    if answer.header("content-type").is_some_and(|kind| kind.starts_with("text/event-stream")) {
        answer
            .events()
            .iter()
            .filter(|data| !data.is_empty())
            .map(|data| serde_json::from_str(data).expect("json"))
            .collect()
    } else {
        vec![answer.json()]
    }
}

#[tokio::test]
async fn both_revisions_list_and_call() {
    let gateway = Gateway::new(Script::text(r#"{"label": "b"}"#)).await;
    for version in [OLD, NEW] {
        let listed = ask(&gateway, version, "tools/list", json!({})).await;
        assert_eq!(listed.status, 200, "{version}: {}", listed.body);
        let listed = listed.json();
        let tools = listed["result"]["tools"].as_array().expect("tools");
        assert!(tools.len() >= 4);
        for tool in tools {
            assert!(tool["title"].is_string() && tool["outputSchema"]["type"] == "object", "{tool}");
            assert_eq!(tool["annotations"]["readOnlyHint"], true);
            assert_eq!(tool["annotations"]["openWorldHint"], false);
        }
        let arguments = json!({"name": "classify", "arguments": {"text": "a text", "labels": ["a", "b"]}});
        let called = ask(&gateway, version, "tools/call", arguments).await.json();
        assert_eq!(called["result"]["structuredContent"]["label"], "b", "{version}: {called}");
        let text = called["result"]["content"][0]["text"].as_str().expect("text");
        assert_eq!(serde_json::from_str::<Value>(text).expect("json")["label"], "b");
    }
    let params = json!({"protocolVersion": OLD, "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
    let hello = ask(&gateway, OLD, "initialize", params).await.json();
    assert_eq!(hello["result"]["serverInfo"]["name"], "lla");
    assert_eq!(hello["result"]["serverInfo"]["version"], "1.2.3");
    assert!(hello["result"]["instructions"].is_string());
    let found = ask(&gateway, NEW, "server/discover", json!({})).await.json();
    assert!(found["result"]["supportedVersions"].as_array().expect("versions").contains(&json!(NEW)), "{found}");
}

#[tokio::test]
async fn what_is_wrong_is_said_in_json_rpc() {
    let gateway = Gateway::new(Script::text("x")).await;
    let code = |answer: &Answer| (answer.status.as_u16(), answer.json()["error"]["code"].as_i64().unwrap_or(0));

    let raw = |body: &'static str| {
        let request = Request::post("/mcp").header("host", "localhost").header("content-type", "application/json");
        request.body(Body::from(body)).expect("request")
    };
    assert_eq!(code(&gateway.send(raw("{")).await), (400, -32700));
    assert_eq!(code(&gateway.send(raw("[]")).await), (400, -32600));
    // Nothing said about what is accepted is everything.
    let ping = r#"{"jsonrpc":"2.0","id":1,"method":"ping"}"#;
    assert_eq!(gateway.send(raw(ping)).await.json()["result"], json!({}));

    assert_eq!(code(&ask(&gateway, OLD, "tools/list", json!({"cursor": "x"})).await).1, -32602);
    assert_eq!(code(&ask(&gateway, OLD, "tools/call", json!({"name": "nope", "arguments": {}})).await).1, -32602);
    assert_eq!(code(&ask(&gateway, OLD, "no/such", json!({})).await).1, -32601);

    let wrong = json!({"name": "summarize", "arguments": {"text": "t", "words": 3}});
    let result = ask(&gateway, OLD, "tools/call", wrong).await.json()["result"].clone();
    assert_eq!(result["isError"], true);
    assert!(result["structuredContent"].is_null());
    assert!(result["content"][0]["text"].as_str().expect("text").contains("'words'"), "{result}");

    let get = Request::get("/mcp").header("host", "localhost").header("accept", "text/event-stream");
    let get = gateway.send(get.body(Body::empty()).expect("request")).await;
    assert_eq!((code(&get), get.header("allow")), ((405, -32600), Some("POST")));
}

#[tokio::test]
async fn strange_hosts_and_origins_are_refused() {
    let cors = CorsConfig { allowed_origins: vec!["http://localhost:3000".to_owned()] };
    let gateway = Gateway::with(Script::text("x"), ServerConfig { cors, ..ServerConfig::default() }).await;
    let closed = Gateway::new(Script::text("x")).await;
    for (gateway, header, value, status) in [
        (&gateway, "host", "evil.example", 403),
        (&gateway, "host", "localhost:1", 200),
        (&gateway, "origin", "https://evil.example", 403),
        (&gateway, "origin", "http://localhost:3000", 200),
        (&closed, "origin", "http://localhost:3000", 403),
        (&closed, "origin", "http://127.0.0.1:7117", 200),
    ] {
        let mut request = request(OLD, &message(OLD, "ping", json!({})));
        request.headers_mut().insert(header, value.parse().expect("header"));
        let answer = gateway.send(request).await;
        assert_eq!(answer.status, status, "{header}: {value}: {}", answer.body);
        assert!(answer.json()["jsonrpc"] == "2.0");
    }
    let preflight = Request::options("/mcp")
        .header("origin", "http://localhost:3000")
        .header("access-control-request-method", "POST")
        .header("access-control-request-headers", "mcp-protocol-version,mcp-method,mcp-name,content-type")
        .body(Body::empty())
        .expect("request");
    let answer = gateway.send(preflight).await;
    assert_eq!(answer.status, 200);
    assert!(answer.header("access-control-allow-headers").expect("headers").contains("mcp-name"));
}

#[tokio::test]
async fn progress_is_told_to_whom_it_was_promised() {
    let gateway = Gateway::new(Script::text("short")).await;
    for version in [OLD, NEW] {
        let params = json!({"name": "summarize", "arguments": {"text": "t"}, "_meta": {"progressToken": "p"}});
        let answer = ask(&gateway, version, "tools/call", params).await;
        let messages = messages(&answer);
        let told: Vec<&Value> = messages.iter().filter(|m| m["method"] == "notifications/progress").collect();
        assert!(!told.is_empty(), "{version}: {}", answer.body);
        assert!(told.iter().all(|m| m["params"]["progressToken"] == "p"));
        assert_eq!(messages.last().expect("a result")["result"]["structuredContent"]["summary"], "t.");
    }
}

#[tokio::test]
async fn a_client_that_leaves_ends_the_work() {
    let gateway = Gateway::new(Script::NeverEnds { text: "a".to_owned() }).await;
    for version in [OLD, NEW] {
        let params = json!({"name": "summarize", "arguments": {"text": "t"}});
        let request = request(version, &message(version, "tools/call", params));
        let router = gateway.router.clone();
        let call = tokio::spawn(tower::ServiceExt::oneshot(router, request));
        while gateway.mock.running() == 0 {
            tokio::task::yield_now().await;
        }
        call.abort();
        until_idle(&gateway.mock).await;
    }
}

#[tokio::test]
async fn a_notification_cancels_the_call_of_the_client_that_sends_it() {
    let gateway = Gateway::new(Script::NeverEnds { text: "a".to_owned() }).await;
    let params = json!({"protocolVersion": OLD, "capabilities": {}, "clientInfo": {"name": "t", "version": "1"}});
    let mut names = Vec::new();
    for _ in 0..2 {
        let hello = ask(&gateway, OLD, "initialize", params.clone()).await;
        names.push(hello.header("mcp-session-id").expect("a name").to_owned());
    }
    let from = |name: &str, message: &Value| {
        let mut request = request(OLD, message);
        request.headers_mut().insert("mcp-session-id", name.parse().expect("header"));
        request
    };
    // With a progress token the answer is a stream, without one it has not begun when it is cancelled.
    for meta in [json!({}), json!({"progressToken": 1})] {
        let params = json!({"name": "summarize", "arguments": {"text": "t"}, "_meta": meta});
        let started = gateway.router.clone();
        let call = from(&names[0], &message(OLD, "tools/call", params));
        let call = tokio::spawn(async move {
            let response = tower::ServiceExt::oneshot(started, call).await.expect("an answer");
            http_body_util::BodyExt::collect(response.into_body()).await.map(drop)
        });
        while gateway.mock.running() == 0 {
            tokio::task::yield_now().await;
        }
        let cancelled = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 7}});
        assert_eq!(gateway.send(from(&names[1], &cancelled)).await.status, 202);
        assert_eq!(gateway.mock.running(), 1, "another client's call has that id too");
        assert_eq!(gateway.send(from(&names[0], &cancelled)).await.status, 202);
        until_idle(&gateway.mock).await;
        call.await.expect("no panic").expect("an orderly end");
    }
}

/// Runs no model: says which folders it was given, panics, or never ends.
struct Told(Registry);

#[async_trait]
impl Host for Told {
    fn tools(&self) -> &Registry {
        &self.0
    }

    async fn call(&self, ask: Ask) -> Result<Value, ToolError> {
        match ask.arguments["text"].as_str() {
            Some("panic") => panic!("on purpose"),
            Some("never") => std::future::pending().await,
            _ => Ok(json!({"roots": ask.roots})),
        }
    }
}

/// A client on the other end of the pipes.
struct Client {
    lines: tokio::io::Lines<BufReader<tokio::io::DuplexStream>>,
    input: tokio::io::DuplexStream,
    served: tokio::task::JoinHandle<Result<(), stdio::StdioError>>,
}

impl Client {
    fn start() -> Self {
        let server = Server::new(Arc::new(Told(Registry::standard())), RootsFrom::Client, "9");
        let (input, theirs_in) = tokio::io::duplex(1 << 16);
        let (theirs_out, output) = tokio::io::duplex(1 << 16);
        let served = tokio::spawn(stdio::serve(server, theirs_in, theirs_out, CancellationToken::new()));
        Self { lines: BufReader::new(output).lines(), input, served }
    }

    async fn say(&mut self, line: &str) {
        self.input.write_all(format!("{line}\n").as_bytes()).await.expect("open");
    }

    async fn hear(&mut self) -> Value {
        let line = tokio::time::timeout(Duration::from_secs(20), self.lines.next_line()).await.expect("an answer");
        serde_json::from_str(&line.expect("open").expect("a line")).expect("json")
    }

    async fn greet(&mut self, capabilities: Value) {
        let params =
            json!({"protocolVersion": OLD, "capabilities": capabilities, "clientInfo": {"name": "t", "version": "1"}});
        self.say(&message(OLD, "initialize", params).to_string()).await;
        assert_eq!(self.hear().await["result"]["serverInfo"]["version"], "9");
        self.say(r#"{"jsonrpc":"2.0","method":"notifications/initialized"}"#).await;
    }
}

fn call(arguments: &Value) -> String {
    message(OLD, "tools/call", json!({"name": "summarize", "arguments": arguments})).to_string()
}

#[tokio::test]
async fn over_stdio_a_line_that_is_no_message_is_answered_and_a_panic_too() {
    let mut client = Client::start();
    client.say("garbage").await;
    assert_eq!(client.hear().await["error"]["code"], -32700);
    client.greet(json!({})).await;
    client.say("{}").await;
    assert_eq!(client.hear().await["error"]["code"], -32600);
    client.say(&call(&json!({"text": "panic"}))).await;
    assert_eq!(client.hear().await["result"]["isError"], true);
    client.say(&call(&json!({"text": "well"}))).await;
    assert_eq!(client.hear().await["result"]["structuredContent"], json!({"roots": []}));
    drop(client.input);
    client.served.await.expect("no panic").expect("an orderly end");
}

#[tokio::test]
async fn over_stdio_the_clients_roots_are_allowed_folders() {
    let mut client = Client::start();
    client.greet(json!({"roots": {}})).await;
    client.say(&call(&json!({"path": "a.txt"}))).await;
    let question = client.hear().await;
    assert_eq!(question["method"], "roots/list");
    let answer = json!({"jsonrpc": "2.0", "id": question["id"], "result": {"roots": [{"uri": "file:///srv/project"}]}});
    client.say(&answer.to_string()).await;
    assert_eq!(client.hear().await["result"]["structuredContent"], json!({"roots": ["/srv/project"]}));
}

#[tokio::test]
async fn since_2026_roots_are_asked_for_in_the_answer() {
    let mut client = Client::start();
    let mut asking = message(NEW, "tools/call", json!({"name": "summarize", "arguments": {"path": "a"}}));
    asking["params"]["_meta"]["io.modelcontextprotocol/clientCapabilities"] = json!({"roots": {}});
    client.say(&asking.to_string()).await;
    let question = client.hear().await;
    assert_eq!(question["result"]["resultType"], "input_required", "{question}");
    assert_eq!(question["result"]["inputRequests"]["roots"]["method"], "roots/list");
    asking["params"]["inputResponses"] = json!({"roots": {"roots": [{"uri": "file:///srv/project"}]}});
    client.say(&asking.to_string()).await;
    assert_eq!(client.hear().await["result"]["structuredContent"], json!({"roots": ["/srv/project"]}));
}

#[tokio::test]
async fn over_stdio_a_cancelled_call_ends_and_others_go_on() {
    let mut client = Client::start();
    client.greet(json!({})).await;
    client.say(&call(&json!({"text": "never"}))).await;
    client.say(r#"{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":7}}"#).await;
    client.say(r#"{"jsonrpc":"2.0","id":8,"method":"ping"}"#).await;
    loop {
        let heard = client.hear().await;
        if heard["id"] == 8 {
            break;
        }
    }
    drop(client.input);
    // A call that still ran would hold this up for the time that last calls have.
    let ended = tokio::time::timeout(Duration::from_secs(15), client.served).await;
    ended.expect("nothing runs any more").expect("no panic").expect("an orderly end");
}
