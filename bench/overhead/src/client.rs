//! One kept connection, one request after the other.

use std::error::Error;

use bytes::Bytes;
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use lla_protocol::sse::Decoder;
use serde_json::json;
use tokio::net::TcpStream;

use crate::{Target, now_ns};

/// Longest event that is read.
const EVENT_LIMIT: usize = 1 << 20;

/// A connection, and the request that it sends.
pub(crate) struct Client {
    address: String,
    bearer: String,
    body: Bytes,
    sender: Option<SendRequest<Full<Bytes>>>,
}

impl Client {
    pub(crate) fn new(target: &Target, stream: bool) -> Self {
        let text = "Tell me about the lighthouse. ".chars().cycle().take(target.prompt_bytes).collect::<String>();
        let body = json!({
            "model": target.model,
            "messages": [
                {"role": "system", "content": "You answer in plain words."},
                {"role": "user", "content": text},
            ],
            "temperature": 0.7,
            "max_tokens": target.tokens,
            "stream": stream,
        });
        let address = target.url.trim_start_matches("http://").trim_end_matches('/').to_owned();
        Self { address, bearer: format!("Bearer {}", target.key), body: body.to_string().into(), sender: None }
    }

    /// Sends the request; the answer's status is 200.
    pub(crate) async fn send(&mut self) -> Result<Response<Incoming>, Box<dyn Error>> {
        let request = Request::builder()
            .method(Method::POST)
            .uri("/v1/chat/completions")
            .header(header::HOST, &self.address)
            .header(header::CONTENT_TYPE, "application/json")
            .header(header::AUTHORIZATION, &self.bearer)
            .body(Full::new(self.body.clone()))?;
        let response = self.sender().await?.send_request(request).await?;
        if response.status() == StatusCode::OK {
            return Ok(response);
        }
        let (status, body) = (response.status(), response.collect().await?.to_bytes());
        Err(format!("{status}: {}", String::from_utf8_lossy(&body)).into())
    }

    /// The kept connection, or a new one where there is none or the server has closed it.
    async fn sender(&mut self) -> Result<&mut SendRequest<Full<Bytes>>, Box<dyn Error>> {
        let alive = match &mut self.sender {
            Some(sender) => sender.ready().await.is_ok(),
            None => false,
        };
        if !alive {
            let socket = TcpStream::connect(&self.address).await?;
            socket.set_nodelay(true)?;
            let (sender, connection) = handshake(TokioIo::new(socket)).await?;
            // How it ended is seen by the request that it ends.
            tokio::spawn(async move { drop(connection.await) });
            self.sender = Some(sender);
        }
        self.sender.as_mut().ok_or_else(|| "no connection".into())
    }
}

/// Reads a whole answer and checks that it is one.
pub(crate) async fn read_whole(response: Response<Incoming>) -> Result<(), Box<dyn Error>> {
    let body = response.collect().await?.to_bytes();
    let complete = body.windows(15).any(|window| window == b"\"finish_reason\"");
    if complete { Ok(()) } else { Err("an answer without an end".into()) }
}

/// Reads a stream to its end; hands on how many nanoseconds each piece of text was under way.
pub(crate) async fn read_stream(
    mut response: Response<Incoming>,
    mut delay: impl FnMut(u64),
) -> Result<(), Box<dyn Error>> {
    let mut decoder = Decoder::new(EVENT_LIMIT);
    let mut done = false;
    while let Some(frame) = response.frame().await {
        let Ok(data) = frame?.into_data() else { continue };
        let now = now_ns();
        decoder.push(&data, |event| {
            done |= event == b"[DONE]";
            if let Some(sent) = time_in(&event) {
                delay(now.saturating_sub(sent));
            }
        })?;
    }
    if done { Ok(()) } else { Err("a stream without [DONE]".into()) }
}

/// The time of writing, which is all the text there is.
fn time_in(event: &[u8]) -> Option<u64> {
    let text = std::str::from_utf8(event).ok()?;
    let (_, after) = text.split_once("\"content\":")?;
    let digits = after.trim_start_matches([' ', '"']);
    digits.split(|c: char| !c.is_ascii_digit()).next()?.parse().ok()
}
