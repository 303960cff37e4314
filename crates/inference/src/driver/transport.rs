//! Sends one HTTP request to one server, and reads what it answers.
//!
//! Most servers of models are on this machine or in the same network, behind plain HTTP: those are spoken to with
//! hyper's own pooled client. All that needs more (TLS, HTTP/2, a proxy, a password in the address, a Unix socket)
//! is left to `reqwest`, which costs some microseconds more per request for layers that have nothing to do here.

use std::error::Error as StdError;
use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Uri};
use http_body_util::{BodyExt as _, Full};
use hyper::body::Incoming;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::proxy::matcher::Matcher;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use reqwest::{Url, redirect};
use tokio::net::TcpStream;
use tokio::time::timeout;
use tower_service::Service;

use super::config::HttpBackendConfig;

/// How long an unused connection is kept, and how many of them: each holds some 40 KiB.
const IDLE: Duration = Duration::from_secs(90);
const MOST_IDLE: usize = 128;
/// A silent connection is asked whether it is still there after this, and again after as long.
const KEEP_ALIVE: Duration = Duration::from_secs(15);
/// How often it is asked in vain.
const KEEP_ALIVE_RETRIES: u32 = 3;
/// What was sent must be acknowledged within this.
#[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
const UNACKNOWLEDGED: Duration = Duration::from_secs(30);

/// See the module.
#[derive(Debug)]
pub(super) enum Transport {
    /// Plain HTTP/1.1 over TCP.
    Plain(Box<Client<Connector, Full<Bytes>>>),
    /// Everything else.
    Full(reqwest::Client),
}

impl Transport {
    /// For the server at `url`; nothing is sent yet.
    pub(super) fn new(url: &Url, config: &HttpBackendConfig) -> reqwest::Result<Self> {
        // On this machine a new connection costs next to nothing, and a kept one may be to a process that
        // has just died.
        let pools = config.socket.is_none() && config.dialect.pools();
        let max_idle = if pools { MOST_IDLE } else { 0 };
        if config.socket.is_none() && is_plain(url) {
            let mut builder = Client::builder(TokioExecutor::new());
            builder.pool_timer(TokioTimer::new()).pool_idle_timeout(IDLE).pool_max_idle_per_host(max_idle);
            return Ok(Self::Plain(Box::new(builder.build(Connector::new(config.timeouts.connect)))));
        }
        full(url, config, max_idle).map(Self::Full)
    }

    /// Sends `request`; `Ok` with the head of whatever answer there is. Dropping the future closes the connection.
    pub(super) async fn send(&self, request: Request<Bytes>) -> Result<Response, SendError> {
        match self {
            Self::Plain(client) => {
                let response = client.request(request.map(Full::new)).await.map_err(|error| {
                    let is_connect = error.is_connect();
                    SendError {
                        is_connect,
                        is_timeout: is_connect && has_timed_out(&error),
                        message: innermost(&error),
                    }
                })?;
                Ok(Response(response.map(Body::Plain)))
            }
            Self::Full(client) => {
                let response = match reqwest::Request::try_from(request) {
                    Ok(request) => client.execute(request).await,
                    Err(error) => Err(error),
                };
                Ok(Response(http::Response::from(response?).map(Body::Full)))
            }
        }
    }
}

/// The head of an answer, and its body as far as it has come. Dropping it closes the connection.
#[derive(Debug)]
pub(super) struct Response(http::Response<Body>);

#[derive(Debug)]
enum Body {
    Plain(Incoming),
    Full(reqwest::Body),
}

impl Response {
    pub(super) fn status(&self) -> u16 {
        self.0.status().as_u16()
    }

    /// A header's value; `None` when it is not there or not text.
    pub(super) fn header(&self, name: &str) -> Option<&str> {
        self.0.headers().get(name)?.to_str().ok()
    }

    /// Gives the headers back. They are pieces of the first buffer that was read, which stays as long as they do.
    pub(super) fn forget_head(&mut self) {
        *self.0.headers_mut() = HeaderMap::new();
    }

    /// The next bytes of the body; `None` at its end.
    pub(super) async fn chunk(&mut self) -> Result<Option<Bytes>, SendError> {
        loop {
            let frame = match self.0.body_mut() {
                Body::Plain(body) => body.frame().await.transpose().map_err(|error| SendError::later(&error))?,
                Body::Full(body) => body.frame().await.transpose().map_err(|error| SendError::later(&error))?,
            };
            let Some(frame) = frame else { return Ok(None) };
            // Trailers say nothing that we act on.
            if let Ok(data) = frame.into_data() {
                return Ok(Some(data));
            }
        }
    }
}

/// Why there is no answer, or no more of it. Shows neither address nor key.
#[derive(Debug)]
pub(super) struct SendError {
    /// There was no connection to send anything on.
    pub(super) is_connect: bool,
    /// It was given up because of the time.
    pub(super) is_timeout: bool,
    /// The cause at the end of the chain.
    pub(super) message: String,
}

impl SendError {
    fn later(error: &(dyn StdError + 'static)) -> Self {
        Self { is_connect: false, is_timeout: false, message: innermost(error) }
    }
}

impl From<reqwest::Error> for SendError {
    fn from(error: reqwest::Error) -> Self {
        Self { is_connect: error.is_connect(), is_timeout: error.is_timeout(), message: innermost(&error) }
    }
}

/// Opens TCP connections, within a limit that includes the lookup of the name.
#[derive(Debug, Clone)]
pub(super) struct Connector {
    tcp: HttpConnector,
    limit: Duration,
}

impl Connector {
    fn new(limit: Duration) -> Self {
        let mut tcp = HttpConnector::new();
        // A streamed token must not wait for the acknowledgement of the one before.
        tcp.set_nodelay(true);
        tcp.set_keepalive(Some(KEEP_ALIVE));
        tcp.set_keepalive_interval(Some(KEEP_ALIVE));
        tcp.set_keepalive_retries(Some(KEEP_ALIVE_RETRIES));
        #[cfg(any(target_os = "android", target_os = "fuchsia", target_os = "linux"))]
        tcp.set_tcp_user_timeout(Some(UNACKNOWLEDGED));
        Self { tcp, limit }
    }
}

impl Service<Uri> for Connector {
    type Response = TokioIo<TcpStream>;
    type Error = Box<dyn StdError + Send + Sync>;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Self::Error>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), Self::Error>> {
        Poll::Ready(Ok(ready!(self.tcp.poll_ready(context))?))
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let (connecting, limit) = (self.tcp.call(uri), self.limit);
        Box::pin(async move {
            match timeout(limit, connecting).await {
                Ok(connected) => Ok(connected?),
                Err(_) => Err(io::Error::from(io::ErrorKind::TimedOut).into()),
            }
        })
    }
}

/// The most that `reqwest` would do is what hyper does as well.
fn is_plain(url: &Url) -> bool {
    let is_bare = url.scheme() == "http" && url.username().is_empty() && url.password().is_none();
    let is_direct = || match url.as_str().parse() {
        Ok(uri) => is_loopback(url) || Matcher::from_system().intercept(&uri).is_none(),
        Err(_) => false,
    };
    is_bare && is_direct()
}

fn full(url: &Url, config: &HttpBackendConfig, max_idle: usize) -> reqwest::Result<reqwest::Client> {
    // `reqwest` panics without a provider. A program that has chosen one keeps it; losing the race
    // to install one means that there is one.
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        drop(rustls::crypto::ring::default_provider().install_default());
    }
    let mut builder = reqwest::Client::builder()
        .connect_timeout(config.timeouts.connect)
        .redirect(redirect::Policy::none())
        .pool_idle_timeout(IDLE)
        .pool_max_idle_per_host(max_idle)
        .tcp_keepalive(KEEP_ALIVE)
        .tcp_keepalive_interval(KEEP_ALIVE)
        .tcp_keepalive_retries(KEEP_ALIVE_RETRIES)
        .tcp_nodelay(true);
    if url.scheme() == "http" {
        // Without TLS the machine's certificates need neither be there nor be read.
        builder = builder.tls_certs_only([]);
    }
    if is_loopback(url) {
        builder = builder.no_proxy();
    }
    if let Some(socket) = &config.socket {
        builder = builder.unix_socket(socket.as_path());
    }
    builder.build()
}

fn is_loopback(url: &Url) -> bool {
    url.host_str().is_some_and(|host| {
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>();
        host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    })
}

/// An error, its cause, the cause of that, and so on.
fn chain<'a>(error: &'a (dyn StdError + 'static)) -> impl Iterator<Item = &'a (dyn StdError + 'static)> {
    let mut next = Some(error);
    std::iter::from_fn(move || {
        let this: &'a (dyn StdError + 'static) = next?;
        next = this.source();
        Some(this)
    })
}

fn has_timed_out(error: &(dyn StdError + 'static)) -> bool {
    chain(error)
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::TimedOut)
}

/// The cause at the end of the chain: what clients put around it repeats the address.
pub(super) fn innermost(error: &(dyn StdError + 'static)) -> String {
    chain(error).skip(1).last().map_or_else(|| "no detail".to_owned(), ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        text.parse().expect("a URL")
    }

    #[test]
    fn what_needs_more_than_plain_http_is_left_to_reqwest() {
        for (address, plain) in [
            ("http://127.0.0.1:8000/v1", true),
            ("http://localhost:8000", true),
            ("http://[::1]:8000", true),
            ("https://127.0.0.1:8000", false),
            ("http://me:secret@127.0.0.1:8000", false),
            ("http://me@127.0.0.1:8000", false),
        ] {
            assert_eq!(is_plain(&url(address)), plain, "{address}");
        }
        let socket = HttpBackendConfig { socket: Some("/s".into()), ..HttpBackendConfig::default() };
        let transport = Transport::new(&url("http://localhost"), &socket).expect("a client");
        assert!(matches!(transport, Transport::Full(_)));
    }

    #[test]
    fn errors_show_their_last_cause() {
        let cause = io::Error::other(io::Error::from(io::ErrorKind::TimedOut));
        assert_eq!(innermost(&cause), "no detail");
        #[derive(Debug, thiserror::Error)]
        #[error("to http://secret.example")]
        struct Outer(#[source] io::Error);
        assert_eq!(innermost(&Outer(io::ErrorKind::TimedOut.into())), "timed out");
        assert!(has_timed_out(&Outer(io::ErrorKind::TimedOut.into())));
        assert!(!has_timed_out(&Outer(io::ErrorKind::ConnectionRefused.into())));
    }
}
