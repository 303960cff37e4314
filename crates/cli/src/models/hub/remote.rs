//! Asking a hub: which files, which commit, which checksum, which bytes.

use std::time::Duration;

use reqwest::header::{ACCEPT_ENCODING, AUTHORIZATION, HeaderMap, HeaderValue, RANGE, RETRY_AFTER};
use reqwest::redirect::Policy;
use reqwest::{Client, Method, RequestBuilder, Response, StatusCode, Url};
use secrecy::ExposeSecret as _;
use serde::Deserialize;

use super::Hub;
use crate::models::error::StoreError;
use crate::models::source::{HubSource, Sha256Hex};

/// No connection within this time: no network.
const CONNECT_LIMIT: Duration = Duration::from_secs(20);
/// No byte within this time: the connection is dead.
const READ_LIMIT: Duration = Duration::from_secs(60);
/// The longest answer that is not a file. Large repositories have a few thousand files.
const MOST_JSON: usize = 32 << 20;

/// A repository of a hub.
pub(super) struct Remote {
    /// Follows redirects, and leaves the token behind when it does.
    client: Client,
    /// For the one question that needs the hub's own answer, not that of the server it redirects to.
    direct: Client,
    hub: Hub,
    endpoint: Url,
    id: String,
}

/// What a repository holds at one commit.
#[derive(Debug)]
pub(super) struct Listing {
    pub(super) commit: String,
    pub(super) files: Vec<String>,
    pub(super) licence: Option<String>,
}

/// What the hub says of a file before it sends it.
#[derive(Debug, Default)]
pub(super) struct Promise {
    pub(super) size: Option<u64>,
    pub(super) sha256: Option<String>,
}

/// The parts that we use of a hub's answer about a model.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Info {
    sha: Option<String>,
    #[serde(default)]
    siblings: Vec<Sibling>,
    card_data: Option<serde_json::Value>,
}

#[derive(Deserialize)]
struct Sibling {
    rfilename: String,
}

impl Remote {
    /// A client; nothing is sent yet.
    pub(super) fn new(hub: &Hub, source: &HubSource) -> Result<Self, StoreError> {
        let broken = |detail: String| StoreError::NoNetwork { what: hub.endpoint.clone(), detail };
        let base = || {
            let agent = concat!("lla/", env!("CARGO_PKG_VERSION"));
            // Never compressed: lengths and ranges are those of the file.
            let plain = HeaderMap::from_iter([(ACCEPT_ENCODING, HeaderValue::from_static("identity"))]);
            let limits = Client::builder().connect_timeout(CONNECT_LIMIT).read_timeout(READ_LIMIT);
            limits.user_agent(agent).default_headers(plain)
        };
        let client = base().build().map_err(|error| broken(cause(&error)))?;
        let direct = base().redirect(Policy::none()).build().map_err(|error| broken(cause(&error)))?;
        let endpoint = Url::parse(&hub.endpoint).map_err(|error| broken(error.to_string()))?;
        if endpoint.cannot_be_a_base() {
            return Err(broken("it is not an address".to_owned()));
        }
        Ok(Self { client, direct, hub: hub.clone(), endpoint, id: source.repo_id() })
    }

    /// The commit behind a revision, and its files.
    pub(super) async fn listing(&self, revision: Option<&str>) -> Result<Listing, StoreError> {
        let url = self.url(
            ["api", "models"].into_iter().chain(self.id.split('/')).chain(["revision", revision.unwrap_or("main")]),
        );
        let answer = self.send(self.request(&self.client, Method::GET, url)).await?;
        if !answer.status().is_success() {
            return Err(self.explain(answer.status(), answer.headers(), ""));
        }
        let info: Info = self.json(answer).await?;
        let text = |value: &serde_json::Value| value.as_str().map(str::to_owned);
        let licence = info.card_data.as_ref().and_then(|card| card.get("license")).and_then(text);
        let files = info.siblings.into_iter().map(|file| file.rfilename).collect();
        let commit = info.sha.filter(|sha| !sha.is_empty() && sha.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        let commit = commit.ok_or_else(|| self.refused("the hub names no commit for it", None))?;
        Ok(Listing { commit, files, licence })
    }

    /// Size and checksum of a file, from the headers of the hub's own answer.
    pub(super) async fn promise(&self, commit: &str, file: &str) -> Result<Promise, StoreError> {
        let mut url = self.file_url(commit, file);
        // A few redirects inside the hub (a renamed repository), none to the servers of the bytes.
        for _ in 0..4 {
            let answer = self.send(self.request(&self.direct, Method::HEAD, url.clone())).await?;
            let (headers, status) = (answer.headers(), answer.status());
            let next = || url.join(headers.get("location")?.to_str().ok()?).ok();
            match next().filter(|next| status.is_redirection() && next.origin() == url.origin()) {
                Some(next) if headers.get("x-linked-etag").is_none() => url = next,
                _ if status.is_success() || status.is_redirection() => {
                    return Ok(promise(headers, status.is_success()));
                }
                _ => return Err(self.explain(status, headers, file)),
            }
        }
        Err(self.refused("the hub redirects in circles", None))
    }

    /// The bytes of a file: from `from` on, or from the start where the server does not heed that
    /// (the second value says where they begin).
    pub(super) async fn bytes(&self, commit: &str, file: &str, from: u64) -> Result<(Response, u64), StoreError> {
        let mut request = self.request(&self.client, Method::GET, self.file_url(commit, file));
        if from > 0 {
            request = request.header(RANGE, format!("bytes={from}-"));
        }
        let answer = self.send(request).await?;
        match answer.status() {
            StatusCode::PARTIAL_CONTENT if from > 0 => Ok((answer, from)),
            status if status.is_success() => Ok((answer, 0)),
            // Out of order for a moment, as a broken connection is.
            status if status.is_server_error() => Err(self.unreachable(format!("status {status}"))),
            status => Err(self.explain(status, answer.headers(), file)),
        }
    }

    /// A transport error, in our words.
    pub(super) fn broken(&self, error: &reqwest::Error) -> StoreError {
        self.unreachable(cause(error))
    }

    fn url<'a>(&self, parts: impl Iterator<Item = &'a str>) -> Url {
        let mut url = self.endpoint.clone();
        // Checked when the client was made.
        if let Ok(mut path) = url.path_segments_mut() {
            path.pop_if_empty().extend(parts);
        }
        url
    }

    fn file_url(&self, commit: &str, file: &str) -> Url {
        self.url(self.id.split('/').chain(["resolve", commit]).chain(file.split('/')))
    }

    fn request(&self, client: &Client, method: Method, url: Url) -> RequestBuilder {
        let request = client.request(method, url);
        let value =
            self.hub.token.as_ref().map(|token| HeaderValue::try_from(format!("Bearer {}", token.expose_secret())));
        match value {
            Some(Ok(mut value)) => {
                value.set_sensitive(true);
                request.header(AUTHORIZATION, value)
            }
            // A token with a line end or the like: the hub will say what it needs.
            _ => request,
        }
    }

    /// Sends a request; again when no connection comes about or the hub is out of order for a moment.
    async fn send(&self, request: RequestBuilder) -> Result<Response, StoreError> {
        let mut pause = self.hub.pause;
        for _ in 0..2 {
            match request.try_clone().map(RequestBuilder::send) {
                Some(sent) => match sent.await {
                    Ok(answer) if !answer.status().is_server_error() => return Ok(answer),
                    _ => tokio::time::sleep(pause).await,
                },
                None => break,
            }
            pause *= 4;
        }
        request.send().await.map_err(|error| self.broken(&error))
    }

    async fn json<T: for<'a> Deserialize<'a>>(&self, mut answer: Response) -> Result<T, StoreError> {
        let mut body = Vec::new();
        while let Some(chunk) = answer.chunk().await.map_err(|error| self.broken(&error))? {
            body.extend_from_slice(&chunk);
            if body.len() > MOST_JSON {
                return Err(self.refused("the hub's answer is far too long", None));
            }
        }
        serde_json::from_slice(&body).map_err(|_| {
            let advice = "check HF_ENDPOINT: it must be the address of a hub".to_owned();
            self.refused("the answer is not that of a hub", Some(advice))
        })
    }

    /// What a status means to the user.
    fn explain(&self, status: StatusCode, headers: &HeaderMap, file: &str) -> StoreError {
        let key = "accept its licence on the repository's page, then set HF_TOKEN to a token that may read it";
        // The hub's own words tell a missing revision from a missing repository.
        let code = headers.get("x-error-code").and_then(|value| value.to_str().ok()).unwrap_or_default();
        match status.as_u16() {
            // The hub says 401 for what does not exist, so as not to tell what is private.
            401 => self.refused(
                "there is no such repository, or it is private or gated",
                Some(format!("check the name; {key}")),
            ),
            403 => self.refused("this token may not read it", Some(key.to_owned())),
            404 if code == "RevisionNotFound" => {
                self.refused("there is no such revision", Some("check the part behind @".to_owned()))
            }
            404 if file.is_empty() => self.refused("there is no such repository", Some("check the name".to_owned())),
            404 => self.refused(
                &format!("there is no file {file}"),
                Some(format!("lla models pull hf:{} chooses one", self.id)),
            ),
            429 => {
                let wait = headers.get(RETRY_AFTER).and_then(|value| value.to_str().ok());
                let wait = wait.map(|seconds| format!(" {seconds} s")).unwrap_or_default();
                let advice = format!("wait{wait}, or set HF_TOKEN: known users may ask more often");
                self.refused("the hub answers no more requests from here for now", Some(advice))
            }
            500..=599 => {
                self.refused(&format!("the hub is out of order (status {status})"), Some("try again later".to_owned()))
            }
            _ => self.refused(&format!("the hub answers with status {status}"), None),
        }
    }

    fn refused(&self, problem: &str, advice: Option<String>) -> StoreError {
        StoreError::Hub { repo: self.id.clone(), problem: problem.to_owned(), advice }
    }

    fn unreachable(&self, detail: String) -> StoreError {
        StoreError::NoNetwork { what: self.hub.endpoint.clone(), detail }
    }
}

/// What the headers promise. `whole`: the answer is about the file itself, not a redirect to it.
fn promise(headers: &HeaderMap, whole: bool) -> Promise {
    let text = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let length = if whole { text("content-length") } else { None };
    let size = text("x-linked-size").or(length).and_then(|text| text.parse().ok()).filter(|size| *size > 0);
    let tag = text("x-linked-etag").or_else(|| text("etag")).unwrap_or_default();
    let tag = tag.trim_start_matches("W/").trim_matches('"');
    // Large files are tagged with their SHA-256, small ones with git's SHA-1.
    Promise { size, sha256: Sha256Hex::parse(tag).map(|sha256| sha256.as_str().to_owned()) }
}

/// The innermost cause: the outer ones only say that something failed.
fn cause(error: &(dyn std::error::Error + 'static)) -> String {
    let mut inner = error;
    while let Some(source) = inner.source() {
        inner = source;
    }
    inner.to_string()
}
