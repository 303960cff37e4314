//! What only shows on real connections: clients that leave, slow readers, the drain.

use std::net::SocketAddr;
use std::time::Duration;

use lla_gateway::ServerConfig;
use lla_inference::mock::Script;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::JoinHandle;

use crate::harness::{Gateway, chat, until_idle};

struct Served {
    gateway: Gateway,
    address: SocketAddr,
    stop: oneshot::Sender<()>,
    server: JoinHandle<()>,
}

async fn serve(script: Script, config: ServerConfig) -> Served {
    let gateway = Gateway::with(script, config).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let (stop, stopped) = oneshot::channel::<()>();
    let state = gateway.state.clone();
    let server = tokio::spawn(async move {
        let shutdown = async { drop(stopped.await) };
        lla_gateway::serve(listener, state, shutdown).await.expect("served");
    });
    Served { gateway, address, stop, server }
}

fn request_text(body: &Value) -> String {
    let body = body.to_string();
    format!(
        "POST /v1/chat/completions HTTP/1.1\r\nhost: localhost\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{body}",
        body.len()
    )
}

impl Served {
    async fn connect(&self, text: &str) -> TcpStream {
        let mut stream = TcpStream::connect(self.address).await.expect("connected");
        stream.write_all(text.as_bytes()).await.expect("sent");
        stream
    }

    async fn until_running(&self, count: usize) {
        let running = async {
            while self.gateway.mock.running() != count {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        tokio::time::timeout(Duration::from_secs(20), running).await.expect("the request never arrived");
    }
}

/// Reads until `needle` has come.
async fn read_until(stream: &mut TcpStream, needle: &str) -> String {
    let mut text = String::new();
    let mut buffer = vec![0; 64 << 10];
    let reading = async {
        loop {
            let seen = text.len().saturating_sub(needle.len());
            let count = stream.read(&mut buffer).await.expect("read");
            assert!(count > 0, "closed before {needle:?}: {text}");
            text.push_str(std::str::from_utf8(&buffer[..count]).expect("utf-8"));
            if text[seen..].contains(needle) {
                break;
            }
        }
    };
    tokio::time::timeout(Duration::from_secs(20), reading).await.expect("nothing more came");
    text
}

async fn read_all(stream: &mut TcpStream) -> String {
    let mut text = String::new();
    tokio::time::timeout(Duration::from_secs(20), stream.read_to_string(&mut text))
        .await
        .expect("closed")
        .expect("read");
    text
}

#[tokio::test]
async fn a_client_that_leaves_cancels_the_work() {
    let served = serve(Script::NeverEnds { text: "a".into() }, ServerConfig::default()).await;
    for stream in [true, false] {
        let mut client = served.connect(&request_text(&chat(json!({"stream": stream})))).await;
        served.until_running(1).await;
        if stream {
            assert!(read_until(&mut client, "\"content\":\"a\"").await.starts_with("HTTP/1.1 200"));
        }
        drop(client);
        until_idle(&served.gateway.mock).await;
    }
    // The connection's task may drop the body a moment after the stream inside it.
    while served.gateway.get("/health").await.json()["gateway"]["in_flight"] != 0 {
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
}

#[tokio::test]
async fn a_connection_is_kept_and_a_large_body_gets_its_answer() {
    let served = serve(Script::text("x"), ServerConfig::default()).await;
    let mut client = served.connect(&request_text(&chat(json!({"stream": true})))).await;
    read_until(&mut client, "[DONE]").await;
    client.write_all(b"GET /health/live HTTP/1.1\r\nhost: localhost\r\n\r\n").await.expect("sent");
    read_until(&mut client, "{\"status\":\"ok\"}").await;
    let large = request_text(&chat(json!({"user": "x".repeat(10 << 20)})));
    let mut client = served.connect(&large).await;
    let answer = read_until(&mut client, "request_too_large").await;
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[tokio::test]
async fn a_slow_reader_gets_everything_and_holds_no_one_up() {
    let text = "0123456789abcdef ".repeat(60_000);
    let served = serve(Script::text(text.clone()), ServerConfig::default()).await;
    let mut slow = served.connect(&request_text(&chat(json!({"stream": true})))).await;
    served.until_running(1).await;
    // Another caller is served while the first one's pipe is full.
    let whole = served.gateway.chat(json!({})).await.json();
    assert_eq!(whole["choices"][0]["message"]["content"].as_str().map(str::len), Some(text.len()));
    assert_eq!(served.gateway.mock.running(), 1);
    let answer = read_until(&mut slow, "[DONE]").await;
    assert_eq!(answer.matches("0123456789abcdef ").count(), 60_000);
}

#[tokio::test]
async fn draining_lets_running_streams_finish_and_refuses_new_ones() {
    let slow = Script::Slow { text: "a b".into(), first: Duration::ZERO, between: Duration::from_millis(400) };
    let served = serve(slow, ServerConfig::default()).await;
    let mut running = served.connect(&request_text(&chat(json!({"stream": true})))).await;
    let mut kept = served.connect("GET /health/ready HTTP/1.1\r\nhost: localhost\r\n\r\n").await;
    assert!(read_until(&mut kept, "\"ok\"}").await.starts_with("HTTP/1.1 200"));
    read_until(&mut running, "\"content\":\"a \"").await;
    served.stop.send(()).expect("serving");
    while served.gateway.get("/health/ready").await.status == 200 {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
    kept.write_all(request_text(&chat(json!({}))).as_bytes()).await.expect("sent");
    let refused = read_all(&mut kept).await;
    assert!(refused.starts_with("HTTP/1.1 503") && refused.contains("connection: close"), "{refused}");
    assert!(refused.contains("shutting_down"), "{refused}");
    assert!(read_all(&mut running).await.contains("[DONE]"));
    tokio::time::timeout(Duration::from_secs(20), served.server).await.expect("returns").expect("no panic");
}

#[tokio::test]
async fn what_does_not_finish_in_time_is_ended_with_an_error_event() {
    let config = ServerConfig { drain_timeout: Duration::from_millis(50), ..ServerConfig::default() };
    let served = serve(Script::NeverEnds { text: "a".into() }, config).await;
    let mut stream = served.connect(&request_text(&chat(json!({"stream": true})))).await;
    let mut whole = served.connect(&request_text(&chat(json!({})))).await;
    served.until_running(2).await;
    read_until(&mut stream, "\"content\":\"a\"").await;
    served.stop.send(()).expect("serving");
    let rest = read_all(&mut stream).await;
    assert!(rest.contains(r#"data: {"error":{"#) && rest.contains("shutting_down"), "{rest}");
    assert!(!rest.contains("[DONE]"), "{rest}");
    assert!(read_all(&mut whole).await.starts_with("HTTP/1.1 503"));
    tokio::time::timeout(Duration::from_secs(20), served.server).await.expect("returns").expect("no panic");
    assert_eq!(served.gateway.mock.running(), 0);
}
