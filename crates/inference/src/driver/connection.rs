//! One server's HTTP client: where it is, the key, and how long each phase may take.
//!
//! Knows nothing of what is sent. A request is cancelled by dropping its future, an answer by
//! dropping the response: both close the connection, which is how the server learns of it.

use std::error::Error as _;
use std::future::Future;
use std::time::Duration;

use reqwest::{Client, Method, RequestBuilder, Response, Url, redirect};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout};

use super::config::{BuildError, HttpBackendConfig, Timeouts};
use super::failure;
use crate::Error;

/// A question about the server itself (models, health, token counts) is short.
const SHORT: Duration = Duration::from_secs(5);
/// More of an error answer is not read.
const MAX_ERROR_BODY: usize = 64 * 1024;
/// Longest answer that is read in one piece.
const MAX_BODY: usize = 32 * 1024 * 1024;

/// See the module.
#[derive(Debug)]
pub(super) struct Connection {
    /// The backend's name, for errors.
    pub(super) name: String,
    pub(super) timeouts: Timeouts,
    client: Client,
    /// What the API stands under: `http://host/v1`.
    api: Url,
    /// What `/health` and `/tokenize` stand under: `http://host`.
    root: Url,
    key: Option<SecretString>,
}

impl Connection {
    pub(super) fn new(name: &str, config: &HttpBackendConfig) -> Result<Self, BuildError> {
        let field = |key: &str, message: String| BuildError::Field { field: format!("backends.{name}.{key}"), message };
        let url = match (&config.url, &config.socket) {
            (Some(url), None) => parse_url(url).map_err(|message| field("url", message))?,
            // The host does not matter on a socket, but HTTP wants one.
            (None, Some(_)) => parse_url("http://localhost").map_err(|message| field("socket", message))?,
            (None, None) => return Err(field("url", "is missing (or 'socket'): where is the server?".to_owned())),
            (Some(_), Some(_)) => return Err(field("socket", "can not stand beside 'url'".to_owned())),
        };
        let (root, api) = bases(&url);
        let reparse = |text: &str| parse_url(text).map_err(|message| field("url", message));
        let (root, api) = (reparse(&root)?, reparse(&api)?);
        let client = client(&url, config)
            .map_err(|error| BuildError::Client { backend: name.to_owned(), message: innermost(&error) })?;
        let key = config.api_key.clone();
        Ok(Self { name: name.to_owned(), timeouts: config.timeouts, client, api, root, key })
    }

    /// Posts a request whose answer is read piece by piece; `Ok` has a status of 200. `model` is
    /// what a 404 is about.
    pub(super) async fn open(&self, path: &str, body: &impl Serialize, model: &str) -> Result<Opened, Error> {
        let begin = Instant::now();
        let first_byte = self.timeouts.first_byte.min(self.timeouts.total);
        let request = self.request(Method::POST, beneath(&self.api, path)).json(body);
        let response = self.within(first_byte, "first byte", request.send()).await?;
        let response = self.accepted(response, model).await?;
        Ok(Opened { response, begin })
    }

    /// Like [`Connection::open`] beside `/v1`, with a limit of its own for the head of the answer.
    /// `phase` names what is waited for.
    pub(super) async fn open_root(
        &self,
        path: &str,
        body: &impl Serialize,
        model: &str,
        (phase, limit): (&'static str, Duration),
    ) -> Result<Opened, Error> {
        let begin = Instant::now();
        let request = self.request(Method::POST, beneath(&self.root, path)).json(body);
        let response = self.within(limit, phase, request.send()).await?;
        let response = self.accepted(response, model).await?;
        Ok(Opened { response, begin })
    }

    /// Like [`Connection::open`]; `None` when the server has no such route, or not for this model (404
    /// without a word about the model, 405, 501).
    pub(super) async fn open_if_there(
        &self,
        path: &str,
        body: &impl Serialize,
        model: &str,
    ) -> Result<Option<Opened>, Error> {
        let begin = Instant::now();
        let first_byte = self.timeouts.first_byte.min(self.timeouts.total);
        let request = self.request(Method::POST, beneath(&self.api, path)).json(body);
        let response = self.within(first_byte, "first byte", request.send()).await?;
        if matches!(response.status().as_u16(), 404 | 405 | 501) {
            return Ok(None);
        }
        let response = self.accepted(response, model).await?;
        Ok(Some(Opened { response, begin }))
    }

    /// Asks something short under `/v1`.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        self.short(self.request(Method::GET, beneath(&self.api, path))).await
    }

    /// Asks something short beside `/v1`.
    pub(super) async fn get_root<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        self.short(self.request(Method::GET, beneath(&self.root, path))).await
    }

    /// Like [`Connection::get_root`]; `None` when the server has no such route (404, 405, 501, and 400 of a
    /// `llama-server` that manages several models).
    pub(super) async fn get_root_if_there<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, Error> {
        let request = self.request(Method::GET, beneath(&self.root, path));
        let response = self.within(SHORT, "total", request.send()).await?;
        if matches!(response.status().as_u16(), 400 | 404 | 405 | 501) {
            return Ok(None);
        }
        let response = self.accepted(response, "").await?;
        let body = self.read_all(response, SHORT).await?;
        let read = serde_json::from_slice(&body);
        read.map(Some).map_err(|error| Error::upstream(&self.name, format!("invalid JSON from /{path}: {error}")))
    }

    /// The status of a route beside `/v1`; `None`: no answer. For finding out what a server has.
    pub(super) async fn probe_get(&self, path: &str) -> Option<u16> {
        let request = self.request(Method::GET, beneath(&self.root, path));
        let response = self.within(SHORT, "total", request.send()).await.ok()?;
        Some(response.status().as_u16())
    }

    /// Status and body of a short answer under `/v1`, whatever they are; `None`: no answer. For finding out what a
    /// server has.
    pub(super) async fn probe_post(&self, path: &str, body: &impl Serialize) -> Option<(u16, Vec<u8>)> {
        let request = self.request(Method::POST, beneath(&self.api, path)).json(body);
        let response = self.within(SHORT, "total", request.send()).await.ok()?;
        let status = response.status().as_u16();
        Some((status, self.read_all(response, SHORT).await.ok()?))
    }

    /// Posts something short under `/v1`.
    pub(super) async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Error> {
        self.short(self.request(Method::POST, beneath(&self.api, path)).json(body)).await
    }

    /// Posts something short beside `/v1`.
    pub(super) async fn post_root<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Error> {
        self.short(self.request(Method::POST, beneath(&self.root, path)).json(body)).await
    }

    /// Posts something beside `/v1` that may take as long as an answer. `model` is what a 404 is about.
    pub(super) async fn post_long<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
        model: &str,
    ) -> Result<T, Error> {
        let request = self.request(Method::POST, beneath(&self.root, path)).json(body);
        let first_byte = self.timeouts.first_byte.min(self.timeouts.total);
        let response = self.within(first_byte, "first byte", request.send()).await?;
        let response = self.accepted(response, model).await?;
        let body = self.read_all(response, self.timeouts.total).await?;
        serde_json::from_slice(&body)
            .map_err(|error| Error::upstream(&self.name, format!("its answer to /{path} can not be read: {error}")))
    }

    /// Whether `GET /health` is answered with 200; its body does not matter.
    pub(super) async fn is_well(&self) -> Result<(), Error> {
        let request = self.request(Method::GET, beneath(&self.root, "health"));
        let response = self.within(SHORT, "total", request.send()).await?;
        self.accepted(response, "").await.map(drop)
    }

    /// Reads the whole body as text of at most 32 MiB.
    pub(super) async fn read_all(&self, mut response: Response, limit: Duration) -> Result<Vec<u8>, Error> {
        let read = async {
            let mut body = Vec::new();
            while let Some(chunk) = response.chunk().await.map_err(|error| self.broken_off(&error))? {
                if body.len() + chunk.len() > MAX_BODY {
                    return Err(Error::upstream(&self.name, format!("its answer is longer than {MAX_BODY} bytes")));
                }
                body.extend_from_slice(&chunk);
            }
            Ok(body)
        };
        timeout(limit, read).await.unwrap_or_else(|_| Err(self.timed_out("total", limit)))
    }

    pub(super) fn timed_out(&self, phase: &'static str, after: Duration) -> Error {
        Error::Timeout { backend: self.name.clone(), phase, after }
    }

    /// Types what broke an answer off. Like all errors here it shows neither address nor key.
    pub(super) fn broken_off(&self, error: &reqwest::Error) -> Error {
        Error::upstream(&self.name, format!("the connection broke off: {}", innermost(error)))
    }

    /// Types why there was no answer at all.
    fn unanswered(&self, error: &reqwest::Error) -> Error {
        if error.is_connect() && error.is_timeout() {
            return self.timed_out("connect", self.timeouts.connect);
        }
        let what = if error.is_connect() { "can not connect" } else { "the connection broke off before the answer" };
        let message = format!("{what}: {}", innermost(error));
        Error::Unavailable { backend: self.name.clone(), message, retry_after: None }
    }

    fn request(&self, method: Method, url: Url) -> RequestBuilder {
        let request = self.client.request(method, url);
        match &self.key {
            Some(key) => request.bearer_auth(key.expose_secret()),
            None => request,
        }
    }

    async fn short<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, Error> {
        let response = self.within(SHORT, "total", request.send()).await?;
        let response = self.accepted(response, "").await?;
        let body = self.read_all(response, SHORT).await?;
        serde_json::from_slice(&body).map_err(|error| Error::upstream(&self.name, format!("invalid JSON: {error}")))
    }

    async fn within(
        &self,
        limit: Duration,
        phase: &'static str,
        sending: impl Future<Output = reqwest::Result<Response>>,
    ) -> Result<Response, Error> {
        match timeout(limit, sending).await {
            Ok(sent) => sent.map_err(|error| self.unanswered(&error)),
            Err(_) => Err(self.timed_out(phase, limit)),
        }
    }

    /// Lets 200 pass and types everything else.
    async fn accepted(&self, mut response: Response, model: &str) -> Result<Response, Error> {
        let status = response.status().as_u16();
        if status == 200 {
            return Ok(response);
        }
        let retry_after = response.headers().get("retry-after").and_then(|value| value.to_str().ok());
        let retry_after = retry_after.and_then(failure::parse_retry_after);
        let read = async {
            let mut body = Vec::new();
            while let Ok(Some(chunk)) = response.chunk().await {
                body.extend_from_slice(&chunk);
                if body.len() > MAX_ERROR_BODY {
                    break;
                }
            }
            body
        };
        // The status alone says enough when the body does not come.
        let body = timeout(SHORT, read).await.unwrap_or_default();
        Err(failure::from_response(&self.name, &failure::Refusal { status, retry_after, body: &body, model }))
    }
}

/// An answer that has been accepted and may now be read.
#[derive(Debug)]
pub(super) struct Opened {
    pub(super) response: Response,
    /// When the request was sent.
    pub(super) begin: Instant,
}

fn parse_url(text: &str) -> Result<Url, String> {
    let example = "write it as in \"http://127.0.0.1:8000/v1\"";
    let url = Url::parse(text).map_err(|error| format!("is no URL ({error}); {example}"))?;
    match url.scheme() {
        "http" | "https" if url.has_host() => Ok(url),
        _ => Err(format!("must begin with http:// or https://; {example}")),
    }
}

/// The root of the server and the base of its OpenAI API. A path with a version (`/v1`,
/// `/api/paas/v4`, `/v1beta/openai`) is taken as it is; otherwise `/v1` is added.
fn bases(url: &Url) -> (String, String) {
    let mut url = url.clone();
    url.set_query(None);
    url.set_fragment(None);
    let whole = url.as_str().trim_end_matches('/').to_owned();
    let is_version = |segment: &str| {
        segment.strip_prefix('v').is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
    };
    let has_version = url.path_segments().is_some_and(|mut segments| segments.any(is_version));
    if !has_version {
        return (whole.clone(), format!("{whole}/v1"));
    }
    let root = whole.rsplit_once('/').filter(|(_, last)| is_version(last)).map_or(whole.as_str(), |(root, _)| root);
    (root.to_owned(), whole.clone())
}

/// `path` beneath `base`, without parsing a whole address again for every request.
fn beneath(base: &Url, path: &str) -> Url {
    let mut url = base.clone();
    let path = format!("{}/{path}", base.path().trim_end_matches('/'));
    url.set_path(&path);
    url
}

fn client(url: &Url, config: &HttpBackendConfig) -> reqwest::Result<Client> {
    // `reqwest` panics without a provider. A program that has chosen one keeps it; losing the race
    // to install one means that there is one.
    if rustls::crypto::CryptoProvider::get_default().is_none() {
        drop(rustls::crypto::ring::default_provider().install_default());
    }
    let mut builder = Client::builder()
        .user_agent(concat!("lla/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(config.timeouts.connect)
        .redirect(redirect::Policy::none())
        // A streamed token must not wait for the acknowledgement of the one before.
        .tcp_nodelay(true);
    if url.scheme() == "http" {
        // Without TLS the machine's certificates need neither be there nor be read.
        builder = builder.tls_certs_only([]);
    }
    if is_loopback(url) {
        builder = builder.no_proxy();
    }
    // On this machine a new connection costs next to nothing, and a kept one may be to a process that
    // has just died.
    if config.socket.is_some() || !config.dialect.pools() {
        builder = builder.pool_max_idle_per_host(0);
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

/// The cause at the end of the chain: what `reqwest` puts around it repeats the address.
fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    if error.source().is_none() { "no detail".to_owned() } else { cause.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_understood_as_people_write_them() {
        for (written, root, api) in [
            ("http://h:8000", "http://h:8000", "http://h:8000/v1"),
            ("http://h:8000/v1/", "http://h:8000", "http://h:8000/v1"),
            ("https://h/openai/v1", "https://h/openai", "https://h/openai/v1"),
            ("https://h/api/paas/v4", "https://h/api/paas", "https://h/api/paas/v4"),
            ("https://h/v1beta/openai", "https://h/v1beta/openai", "https://h/v1beta/openai"),
            ("https://h/proxy", "https://h/proxy", "https://h/proxy/v1"),
        ] {
            let url = parse_url(written).expect(written);
            assert_eq!(bases(&url), (root.to_owned(), api.to_owned()), "{written}");
            let models = beneath(&parse_url(api).expect(api), "models");
            assert_eq!(models.as_str(), format!("{api}/models"), "{written}");
            let health = beneath(&parse_url(root).expect(root), "health");
            assert_eq!(health.as_str(), format!("{root}/health"), "{written}");
        }
        for wrong in ["h:8000", "ftp://h", "", "http://"] {
            assert!(parse_url(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_backend_is_in_exactly_one_place() {
        let error = Connection::new("gpu", &HttpBackendConfig::default()).expect_err("nowhere");
        assert!(error.to_string().starts_with("backends.gpu.url: "), "{error}");
        let both = HttpBackendConfig { url: Some("http://h".into()), socket: Some("/s".into()), ..Default::default() };
        assert!(Connection::new("gpu", &both).is_err());
    }
}
