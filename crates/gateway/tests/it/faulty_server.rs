//! A server on a bare socket that misbehaves as a test tells it to, and counts its connections.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What a request for an answer meets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Nothing is wrong.
    None,
    /// Nobody listens.
    Refuses,
    /// Takes the request and says nothing.
    Hangs,
    /// The head comes letter by letter, and never ends.
    SlowHead,
    /// A first word, then silence.
    Stalls,
    /// The connection ends within a chunk.
    CutChunk,
    /// The connection ends after the first byte of a character of two.
    HalfCharacter,
    /// 429 with `Retry-After: 30`.
    Limits,
    /// 500 the first time, then an answer.
    FailsOnce,
    /// 500.
    Fails,
    /// A web page.
    WebPage,
    /// Events that are no JSON.
    NoJson,
    /// An event of 3 MiB without an end.
    Gigantic,
    /// Words for ever.
    Endless,
    /// An answer, but the connection is closed as soon as it is used again.
    ClosesKeptConnections,
}

/// See the module.
pub(crate) struct FaultyServer {
    /// `http://127.0.0.1:PORT`.
    pub(crate) url: String,
    /// Connections that are open.
    pub(crate) open: watch::Receiver<usize>,
    /// Connections on which an answer is under way.
    pub(crate) answering: watch::Receiver<usize>,
    /// Requests for answers.
    pub(crate) asked: Arc<AtomicUsize>,
    task: JoinHandle<()>,
}

impl Drop for FaultyServer {
    fn drop(&mut self) {
        self.task.abort();
    }
}

const MODELS: &str = r#"{"object":"list","data":[{"id":"m","object":"model","created":1,"owned_by":"x"}]}"#;
const WORD: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{\"content\":\"word \"},\"finish_reason\":null}]}\n\n";
const LAST: &str = "data: {\"choices\":[{\"index\":0,\"delta\":{},\"finish_reason\":\"stop\"}]}\n\ndata: [DONE]\n\n";
const EVENTS: &str = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n";

impl FaultyServer {
    pub(crate) async fn start(fault: Fault) -> Self {
        Self::start_at("127.0.0.1:0", fault).await
    }

    pub(crate) async fn start_at(address: &str, fault: Fault) -> Self {
        let listener = TcpListener::bind(address).await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let (count, open) = watch::channel(0);
        let (busy, answering) = watch::channel(0);
        let asked = Arc::new(AtomicUsize::new(0));
        let task = tokio::spawn(accept(
            (fault != Fault::Refuses).then_some(listener),
            fault,
            (count, busy),
            Arc::clone(&asked),
        ));
        Self { url, open, answering, asked, task }
    }
}

type Counters = (watch::Sender<usize>, watch::Sender<usize>);

async fn accept(listener: Option<TcpListener>, fault: Fault, (count, busy): Counters, asked: Arc<AtomicUsize>) {
    let Some(listener) = listener else { return };
    let mut connections = tokio::task::JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        count.send_modify(|open| *open += 1);
        let (count, busy, asked) = (count.clone(), busy.clone(), Arc::clone(&asked));
        connections.spawn(async move {
            // How a connection ends is what the tests are about.
            drop(connection(stream, fault, &busy, &asked).await);
            count.send_modify(|open| *open -= 1);
        });
    }
}

async fn connection(
    mut stream: TcpStream,
    fault: Fault,
    busy: &watch::Sender<usize>,
    asked: &AtomicUsize,
) -> std::io::Result<()> {
    let mut answered = 0;
    while let Some(head) = request(&mut stream).await? {
        if head.starts_with("GET ") {
            stream.write_all(whole("200 OK", "application/json", MODELS).as_bytes()).await?;
            continue;
        }
        if fault == Fault::ClosesKeptConnections && answered > 0 {
            return Ok(());
        }
        let first = asked.fetch_add(1, Ordering::SeqCst) == 0;
        busy.send_modify(|answering| *answering += 1);
        let answered_now = answer(&mut stream, fault, first).await;
        busy.send_modify(|answering| *answering -= 1);
        answered_now?;
        answered += 1;
    }
    Ok(())
}

async fn answer(stream: &mut TcpStream, fault: Fault, first: bool) -> std::io::Result<()> {
    let refusal = r#"{"error":{"message":"no","type":"t","param":null,"code":null}}"#;
    match fault {
        Fault::Refuses => {}
        Fault::Hangs => gone(stream).await,
        Fault::SlowHead => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nx-slow: ").await?;
            loop {
                stream.write_all(b"x").await?;
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
        }
        Fault::Stalls => {
            stream.write_all(format!("{EVENTS}{}", chunk(WORD)).as_bytes()).await?;
            gone(stream).await;
        }
        Fault::CutChunk => return cut(stream, format!("{EVENTS}{}80\r\ndata: {{\"cho", chunk(WORD)).as_bytes()).await,
        Fault::HalfCharacter => {
            let mut text = format!("{EVENTS}100\r\ndata: {{\"choices\":[{{\"delta\":{{\"content\":\"").into_bytes();
            text.push(0xc3);
            return cut(stream, &text).await;
        }
        Fault::Limits => {
            let text = whole("429 Too Many Requests\r\nretry-after: 30", "application/json", refusal);
            stream.write_all(text.as_bytes()).await?;
        }
        Fault::FailsOnce | Fault::Fails if first || fault == Fault::Fails => {
            stream.write_all(whole("500 Oops", "application/json", refusal).as_bytes()).await?;
        }
        Fault::WebPage => stream.write_all(whole("200 OK", "text/html", "<html>hello</html>").as_bytes()).await?,
        Fault::NoJson => {
            let text = format!("{EVENTS}{}0\r\n\r\n", chunk("data: {nope\n\n"));
            stream.write_all(text.as_bytes()).await?;
        }
        Fault::Gigantic => {
            stream.write_all(format!("{EVENTS}{}", chunk("data: ")).as_bytes()).await?;
            for _ in 0..48 {
                stream.write_all(chunk(&"x".repeat(64 << 10)).as_bytes()).await?;
            }
            gone(stream).await;
        }
        Fault::Endless => {
            stream.write_all(EVENTS.as_bytes()).await?;
            loop {
                stream.write_all(chunk(WORD).as_bytes()).await?;
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        }
        Fault::None | Fault::FailsOnce | Fault::Fails | Fault::ClosesKeptConnections => {
            // So that some requests are under way whenever something happens to the server.
            tokio::time::sleep(Duration::from_millis(20)).await;
            let text = format!("{EVENTS}{}{}0\r\n\r\n", chunk(WORD), chunk(LAST));
            stream.write_all(text.as_bytes()).await?;
        }
    }
    Ok(())
}

/// Waits until the other side has left.
async fn gone(stream: &mut TcpStream) {
    let mut buffer = [0; 64];
    while matches!(stream.read(&mut buffer).await, Ok(1..)) {}
}

async fn cut(stream: &mut TcpStream, text: &[u8]) -> std::io::Result<()> {
    stream.write_all(text).await?;
    stream.shutdown().await?;
    Err(std::io::ErrorKind::Other.into())
}

fn chunk(text: &str) -> String {
    format!("{:x}\r\n{text}\r\n", text.len())
}

fn whole(status: &str, kind: &str, body: &str) -> String {
    format!("HTTP/1.1 {status}\r\ncontent-type: {kind}\r\ncontent-length: {}\r\n\r\n{body}", body.len())
}

/// Reads a request with its body; its head, or `None` at the end of the connection.
async fn request(stream: &mut TcpStream) -> std::io::Result<Option<String>> {
    let mut text = Vec::new();
    let end = loop {
        if let Some(end) = text.windows(4).position(|four| four == b"\r\n\r\n") {
            break end + 4;
        }
        if stream.read_buf(&mut text).await? == 0 {
            return Ok(None);
        }
    };
    let head = String::from_utf8_lossy(&text[..end]).into_owned();
    let length = head.lines().find_map(|line| line.to_lowercase().strip_prefix("content-length: ")?.parse().ok());
    let body = end + length.unwrap_or(0);
    while text.len() < body {
        if stream.read_buf(&mut text).await? == 0 {
            return Ok(None);
        }
    }
    Ok(Some(head))
}
