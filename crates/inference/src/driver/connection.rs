//! One server's HTTP client: where it is, the key, and how long each phase may take.
//!
//! Knows nothing of what is sent. A request is cancelled by dropping its future, an answer by
//! dropping the response: both close the connection, which is how the server learns of it.

use std::time::Duration;

use bytes::Bytes;
use http::{HeaderValue, Method, Request, header};
use secrecy::{ExposeSecret as _, SecretString};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::{Instant, timeout};

use super::address::{self, Bases};
use super::config::{BuildError, HttpBackendConfig, Timeouts};
use super::failure;
use super::transport::{Response, SendError, Transport, innermost};
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
    transport: Transport,
    bases: Bases,
    /// The header with the key.
    authorization: Option<HeaderValue>,
}

impl Connection {
    pub(super) fn new(name: &str, config: &HttpBackendConfig) -> Result<Self, BuildError> {
        let field = |key: &str, message: String| BuildError::Field { field: format!("backends.{name}.{key}"), message };
        let url = match (&config.url, &config.socket) {
            (Some(url), None) => address::parse(url).map_err(|message| field("url", message))?,
            // The host does not matter on a socket, but HTTP wants one.
            (None, Some(_)) => address::parse("http://localhost").map_err(|message| field("socket", message))?,
            (None, None) => return Err(field("url", "is missing (or 'socket'): where is the server?".to_owned())),
            (Some(_), Some(_)) => return Err(field("socket", "can not stand beside 'url'".to_owned())),
        };
        let transport = Transport::new(&url, config)
            .map_err(|error| BuildError::Client { backend: name.to_owned(), message: innermost(&error) })?;
        let authorization = config.api_key.as_ref().map(bearer).transpose();
        let authorization = authorization.map_err(|message| field("api_key", message))?;
        let (name, timeouts) = (name.to_owned(), config.timeouts);
        Ok(Self { name, timeouts, transport, bases: Bases::of(&url), authorization })
    }

    /// Posts a request whose answer is read piece by piece; `Ok` has a status of 200. `model` is
    /// what a 404 is about.
    pub(super) async fn open(&self, path: &str, body: &impl Serialize, model: &str) -> Result<Opened, Error> {
        let begin = Instant::now();
        let first_byte = self.timeouts.first_byte.min(self.timeouts.total);
        let request = self.post_request(&self.bases.api, path, body)?;
        let response = self.within(first_byte, "first byte", request).await?;
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
        let request = self.post_request(&self.bases.root, path, body)?;
        let response = self.within(limit, phase, request).await?;
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
        let request = self.post_request(&self.bases.api, path, body)?;
        let response = self.within(first_byte, "first byte", request).await?;
        if matches!(response.status(), 404 | 405 | 501) {
            return Ok(None);
        }
        let response = self.accepted(response, model).await?;
        Ok(Some(Opened { response, begin }))
    }

    /// Asks something short under `/v1`.
    pub(super) async fn get<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        self.short(self.get_request(&self.bases.api, path)?).await
    }

    /// Asks something short beside `/v1`.
    pub(super) async fn get_root<T: DeserializeOwned>(&self, path: &str) -> Result<T, Error> {
        self.short(self.get_request(&self.bases.root, path)?).await
    }

    /// Like [`Connection::get_root`]; `None` when the server has no such route (404, 405, 501, and 400 of a
    /// `llama-server` that manages several models).
    pub(super) async fn get_root_if_there<T: DeserializeOwned>(&self, path: &str) -> Result<Option<T>, Error> {
        let request = self.get_request(&self.bases.root, path)?;
        let response = self.within(SHORT, "total", request).await?;
        if matches!(response.status(), 400 | 404 | 405 | 501) {
            return Ok(None);
        }
        let response = self.accepted(response, "").await?;
        let body = self.read_all(response, SHORT).await?;
        let read = serde_json::from_slice(&body);
        read.map(Some).map_err(|error| Error::upstream(&self.name, format!("invalid JSON from /{path}: {error}")))
    }

    /// The status of a route beside `/v1`; `None`: no answer. For finding out what a server has.
    pub(super) async fn probe_get(&self, path: &str) -> Option<u16> {
        let request = self.get_request(&self.bases.root, path).ok()?;
        let response = self.within(SHORT, "total", request).await.ok()?;
        Some(response.status())
    }

    /// Status and body of a short answer under `/v1`, whatever they are; `None`: no answer. For finding out what a
    /// server has.
    pub(super) async fn probe_post(&self, path: &str, body: &impl Serialize) -> Option<(u16, Vec<u8>)> {
        let request = self.post_request(&self.bases.api, path, body).ok()?;
        let response = self.within(SHORT, "total", request).await.ok()?;
        let status = response.status();
        Some((status, self.read_all(response, SHORT).await.ok()?))
    }

    /// Posts something short under `/v1`.
    pub(super) async fn post<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Error> {
        self.short(self.post_request(&self.bases.api, path, body)?).await
    }

    /// Posts something short beside `/v1`.
    pub(super) async fn post_root<T: DeserializeOwned>(&self, path: &str, body: &impl Serialize) -> Result<T, Error> {
        self.short(self.post_request(&self.bases.root, path, body)?).await
    }

    /// Posts something beside `/v1` that may take as long as an answer. `model` is what a 404 is about.
    pub(super) async fn post_long<T: DeserializeOwned>(
        &self,
        path: &str,
        body: &impl Serialize,
        model: &str,
    ) -> Result<T, Error> {
        let request = self.post_request(&self.bases.root, path, body)?;
        let first_byte = self.timeouts.first_byte.min(self.timeouts.total);
        let response = self.within(first_byte, "first byte", request).await?;
        let response = self.accepted(response, model).await?;
        let body = self.read_all(response, self.timeouts.total).await?;
        serde_json::from_slice(&body)
            .map_err(|error| Error::upstream(&self.name, format!("its answer to /{path} can not be read: {error}")))
    }

    /// Whether `GET /health` is answered with 200; its body does not matter.
    pub(super) async fn is_well(&self) -> Result<(), Error> {
        let request = self.get_request(&self.bases.root, "health")?;
        let response = self.within(SHORT, "total", request).await?;
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
    pub(super) fn broken_off(&self, error: &SendError) -> Error {
        Error::upstream(&self.name, format!("the connection broke off: {}", error.message))
    }

    /// Types why there was no answer at all.
    fn unanswered(&self, error: &SendError) -> Error {
        if error.is_connect && error.is_timeout {
            return self.timed_out("connect", self.timeouts.connect);
        }
        let what = if error.is_connect { "can not connect" } else { "the connection broke off before the answer" };
        let message = format!("{what}: {}", error.message);
        Error::Unavailable { backend: self.name.clone(), message, retry_after: None }
    }

    fn get_request(&self, base: &str, path: &str) -> Result<Request<Bytes>, Error> {
        self.request(Method::GET, base, path, Bytes::new())
    }

    fn post_request(&self, base: &str, path: &str, body: &impl Serialize) -> Result<Request<Bytes>, Error> {
        let body = serde_json::to_vec(body).map_err(|error| unsendable(&error))?;
        let mut request = self.request(Method::POST, base, path, body.into())?;
        request.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
        Ok(request)
    }

    fn request(&self, method: Method, base: &str, path: &str, body: Bytes) -> Result<Request<Bytes>, Error> {
        let request = Request::builder().method(method).uri(format!("{base}/{path}")).body(body);
        let mut request = request.map_err(|error| unsendable(&error))?;
        let headers = request.headers_mut();
        headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
        headers.insert(header::USER_AGENT, HeaderValue::from_static(concat!("lla/", env!("CARGO_PKG_VERSION"))));
        if let Some(authorization) = &self.authorization {
            headers.insert(header::AUTHORIZATION, authorization.clone());
        }
        Ok(request)
    }

    async fn short<T: DeserializeOwned>(&self, request: Request<Bytes>) -> Result<T, Error> {
        let response = self.within(SHORT, "total", request).await?;
        let response = self.accepted(response, "").await?;
        let body = self.read_all(response, SHORT).await?;
        serde_json::from_slice(&body).map_err(|error| Error::upstream(&self.name, format!("invalid JSON: {error}")))
    }

    async fn within(&self, limit: Duration, phase: &'static str, request: Request<Bytes>) -> Result<Response, Error> {
        match timeout(limit, self.transport.send(request)).await {
            Ok(sent) => sent.map_err(|error| self.unanswered(&error)),
            Err(_) => Err(self.timed_out(phase, limit)),
        }
    }

    /// Lets 200 pass and types everything else.
    async fn accepted(&self, mut response: Response, model: &str) -> Result<Response, Error> {
        let status = response.status();
        if status == 200 {
            return Ok(response);
        }
        let retry_after = response.header("retry-after").and_then(failure::parse_retry_after);
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

/// The header that shows `key`; never written out.
fn bearer(key: &SecretString) -> Result<HeaderValue, String> {
    let value = HeaderValue::try_from(format!("Bearer {}", key.expose_secret()));
    let mut value = value.map_err(|_| "holds a character that can not be sent in a header".to_owned())?;
    value.set_sensitive(true);
    Ok(value)
}

/// A request that can not be written is a mistake of ours.
fn unsendable(error: &dyn std::error::Error) -> Error {
    tracing::error!(%error, "a request to a backend can not be written");
    Error::Internal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_backend_is_in_exactly_one_place() {
        let error = Connection::new("gpu", &HttpBackendConfig::default()).expect_err("nowhere");
        assert!(error.to_string().starts_with("backends.gpu.url: "), "{error}");
        let both = HttpBackendConfig { url: Some("http://h".into()), socket: Some("/s".into()), ..Default::default() };
        assert!(Connection::new("gpu", &both).is_err());
    }

    #[test]
    fn a_key_must_fit_into_a_header_and_is_not_shown() {
        let with_key = |key: &str| {
            let (url, api_key) = (Some("http://h".to_owned()), Some(SecretString::from(key)));
            Connection::new("gpu", &HttpBackendConfig { url, api_key, ..HttpBackendConfig::default() })
        };
        let error = with_key("sk-secret\n").expect_err("a line break").to_string();
        assert_eq!(error, "backends.gpu.api_key: holds a character that can not be sent in a header");
        let shown = format!("{:?}", with_key("sk-secret").expect("a good key"));
        assert!(!shown.contains("sk-secret"), "{shown}");
    }
}
