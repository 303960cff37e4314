//! A server of the OpenAI API that answers at once, whole or as a stream with a pause between chunks.

use std::convert::Infallible;
use std::error::Error;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
use http_body_util::combinators::UnsyncBoxBody;
use http_body_util::{BodyExt as _, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper::{Method, Request, Response, StatusCode, header};
use hyper_util::rt::TokioIo;
use lla_protocol::sse;
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::{now_ns, print};

type Body = UnsyncBoxBody<Bytes, Infallible>;

/// What of a request matters here.
#[derive(Deserialize)]
struct Asked {
    model: String,
    #[serde(default)]
    stream: bool,
    #[serde(default)]
    max_tokens: Option<u32>,
}

/// Listens, prints the address, and serves until the process is ended.
pub(crate) async fn serve(listen: SocketAddr, pauses: Vec<u64>) -> Result<(), Box<dyn Error>> {
    let listener = TcpListener::bind(listen).await?;
    print(&format!("http://{}", listener.local_addr()?))?;
    loop {
        let (socket, _) = listener.accept().await?;
        socket.set_nodelay(true)?;
        let pauses = pauses.clone();
        let service = service_fn(move |request| {
            let pauses = pauses.clone();
            async move { Ok::<_, Infallible>(answer(request, &pauses).await) }
        });
        // A proxy that leaves ends its connection; nothing to act on.
        tokio::spawn(async move { drop(http1::Builder::new().serve_connection(TokioIo::new(socket), service).await) });
    }
}

async fn answer(request: Request<Incoming>, pauses: &[u64]) -> Response<Body> {
    match (request.method(), request.uri().path()) {
        (&Method::POST, "/v1/chat/completions") => {}
        (&Method::GET, "/v1/models") => return models(pauses),
        (&Method::GET, "/health") => return whole(StatusCode::OK, &json!({})),
        _ => return whole(StatusCode::NOT_FOUND, &json!({"error": {"message": "no such route"}})),
    }
    let body = request.into_body().collect().await.map(http_body_util::Collected::to_bytes).unwrap_or_default();
    let asked = serde_json::from_slice::<Asked>(&body);
    let pause = asked.as_ref().ok().and_then(|asked| asked.model.strip_prefix("pause-")).and_then(|n| n.parse().ok());
    match (asked, pause) {
        (Ok(asked), Some(pause)) if asked.stream => streamed(asked, Duration::from_millis(pause)),
        (Ok(asked), Some(_)) => whole(StatusCode::OK, &completion(&asked)),
        _ => whole(StatusCode::BAD_REQUEST, &json!({"error": {"message": "no model of this name"}})),
    }
}

fn models(pauses: &[u64]) -> Response<Body> {
    let models = pauses.iter().map(|pause| json!({"id": format!("pause-{pause}"), "object": "model"}));
    whole(StatusCode::OK, &json!({"object": "list", "data": models.collect::<Vec<_>>()}))
}

fn whole(status: StatusCode, payload: &Value) -> Response<Body> {
    with_type(status, "application/json", Full::new(Bytes::from(payload.to_string())).boxed_unsync())
}

fn with_type(status: StatusCode, kind: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static(kind));
    response
}

fn completion(asked: &Asked) -> Value {
    let text = format!("{} ", now_ns()).repeat(asked.max_tokens.unwrap_or(1) as usize);
    json!({
        "id": "chatcmpl-mock", "object": "chat.completion", "created": 1, "model": asked.model,
        "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
        "usage": usage(asked),
    })
}

fn usage(asked: &Asked) -> Value {
    let tokens = asked.max_tokens.unwrap_or(1);
    json!({"prompt_tokens": 10, "completion_tokens": tokens, "total_tokens": tokens + 10})
}

/// The first frame holds the role and the first text. Without a pause there is only that frame.
fn streamed(asked: Asked, pause: Duration) -> Response<Body> {
    let tokens = asked.max_tokens.unwrap_or(1);
    let frames = stream::unfold(0, move |sent| {
        let asked = Asked { model: asked.model.clone(), ..asked };
        async move {
            if sent >= tokens {
                return None;
            }
            let mut frame = Vec::new();
            if sent == 0 {
                frame.extend(chunk(&asked.model, &json!({"role": "assistant", "content": ""}), None));
            } else {
                tokio::time::sleep(pause).await;
            }
            let upto = if pause.is_zero() { tokens } else { sent + 1 };
            for _ in sent..upto {
                frame.extend(chunk(&asked.model, &json!({"content": format!("{} ", now_ns())}), None));
            }
            if upto == tokens {
                frame.extend(chunk(&asked.model, &json!({}), Some("stop")));
                frame.extend(event(&json!({
                    "id": "chatcmpl-mock", "object": "chat.completion.chunk", "created": 1, "model": asked.model,
                    "choices": [], "usage": usage(&asked),
                })));
                frame.extend(sse::DONE.as_bytes());
            }
            Some((Ok(Frame::data(Bytes::from(frame))), upto))
        }
    });
    with_type(StatusCode::OK, "text/event-stream", StreamBody::new(frames).boxed_unsync())
}

fn chunk(model: &str, delta: &Value, finish: Option<&str>) -> Vec<u8> {
    event(&json!({
        "id": "chatcmpl-mock", "object": "chat.completion.chunk", "created": 1, "model": model,
        "choices": [{"index": 0, "delta": delta, "logprobs": null, "finish_reason": finish}],
    }))
}

fn event(payload: &Value) -> Vec<u8> {
    sse::event(payload).unwrap_or_default()
}
