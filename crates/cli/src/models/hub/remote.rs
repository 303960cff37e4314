//! Asking a hub: which files, which commit, which checksum, which bytes. All use of `hf-hub` is here.

use std::time::Duration;

use bytes::Bytes;
use futures_util::Stream;
use hf_hub::repository::{HFRepository, RepoTypeModel};
use hf_hub::{HFClient, HFError};
use reqwest::header::HeaderMap;
use reqwest::redirect::Policy;
use reqwest::{Client, Url};
use secrecy::ExposeSecret as _;

use super::Hub;
use crate::models::error::StoreError;
use crate::models::source::{HubSource, Sha256Hex};

/// No connection within this time: no network.
const CONNECT_LIMIT: Duration = Duration::from_secs(20);
/// No byte within this time: the connection is dead.
pub(super) const READ_LIMIT: Duration = Duration::from_secs(60);

/// A repository of a hub.
pub(super) struct Remote {
    repository: HFRepository<RepoTypeModel>,
    /// For the one question that needs the hub's own answer, not that of the server it redirects to.
    direct: Client,
    hub: Hub,
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

impl Remote {
    /// A client; nothing is sent yet.
    pub(super) fn new(hub: &Hub, source: &HubSource) -> Result<Self, StoreError> {
        let broken = |error: String| StoreError::NoNetwork { what: hub.endpoint.clone(), detail: error };
        let base = || {
            let agent = concat!("lla/", env!("CARGO_PKG_VERSION"));
            Client::builder().user_agent(agent).connect_timeout(CONNECT_LIMIT).read_timeout(READ_LIMIT)
        };
        let client = base().build().map_err(|error| broken(cause(&error)))?;
        let direct = base().redirect(Policy::none()).build().map_err(|error| broken(cause(&error)))?;
        let mut builder = HFClient::builder()
            .client(client)
            .endpoint(&hub.endpoint)
            .cache_dir(&hub.cache)
            .retry_base_delay(hub.pause / 10);
        // Without one the crate looks by itself, in the same places and with the same result.
        if let Some(token) = &hub.token {
            builder = builder.token(token.expose_secret());
        }
        let client = builder.build().map_err(|error| broken(error.to_string()))?;
        let repository = client.model(&source.owner, &source.repo);
        Ok(Self { repository, direct, hub: hub.clone(), id: source.repo_id() })
    }

    /// The commit behind a revision, and its files.
    pub(super) async fn listing(&self, revision: Option<&str>) -> Result<Listing, StoreError> {
        let asked = Box::pin(self.repository.info().maybe_revision(revision.map(str::to_owned)).send()).await;
        let info = asked.map_err(|error| self.explain(error))?;
        let text = |value: Option<&serde_json::Value>| value.and_then(|value| value.as_str()).map(str::to_owned);
        let files = info.siblings.unwrap_or_default().into_iter().map(|file| file.rfilename).collect();
        let licence = text(info.card_data.as_ref().and_then(|card| card.get("license")));
        let commit = info.sha.filter(|sha| !sha.is_empty() && sha.bytes().all(|byte| byte.is_ascii_alphanumeric()));
        let commit = commit.ok_or_else(|| self.refused("the hub names no commit for it", None))?;
        Ok(Listing { commit, files, licence })
    }

    /// Size and checksum of a file, from the headers of the hub's own answer.
    pub(super) async fn promise(&self, commit: &str, file: &str) -> Result<Promise, StoreError> {
        let mut url = Url::parse(&self.hub.endpoint).map_err(|error| self.refused(&error.to_string(), None))?;
        let parts = self.id.split('/').chain(["resolve", commit]).chain(file.split('/'));
        url.path_segments_mut()
            .map_err(|()| self.refused("HF_ENDPOINT is no address", None))?
            .pop_if_empty()
            .extend(parts);
        // A few redirects inside the hub (a renamed repository), none to the servers of the bytes.
        for _ in 0..4 {
            let mut request = self.direct.head(url.clone());
            if let Some(token) = &self.hub.token {
                request = request.bearer_auth(token.expose_secret());
            }
            let answer = request.send().await.map_err(|error| self.unreachable(&error))?;
            let headers = answer.headers();
            let status = answer.status();
            let next = || url.join(headers.get("location")?.to_str().ok()?).ok();
            match next().filter(|next| status.is_redirection() && next.origin() == url.origin()) {
                Some(next) if headers.get("x-linked-etag").is_none() => url = next,
                _ if status.is_success() || status.is_redirection() => {
                    return Ok(promise(headers, status.is_success()));
                }
                _ => return Err(self.explain_status(status.as_u16(), file)),
            }
        }
        Err(self.refused("the hub redirects in circles", None))
    }

    /// The bytes of a file from `from` on.
    pub(super) async fn bytes(
        &self,
        commit: &str,
        file: &str,
        from: u64,
        size: Option<u64>,
    ) -> Result<impl Stream<Item = Result<Bytes, HFError>> + Unpin + use<>, StoreError> {
        // Without a size the range has no end, and the crate wants one.
        let range = (from > 0).then(|| from..size.unwrap_or(u64::MAX));
        let asked = self.repository.download_file_stream().filename(file).revision(commit).maybe_range(range).send();
        match Box::pin(asked).await {
            Ok((_, stream)) => Ok(stream),
            Err(error) => Err(self.explain(error)),
        }
    }

    /// What an error of the crate means to the user.
    pub(super) fn explain(&self, error: HFError) -> StoreError {
        match error {
            HFError::AuthRequired { .. } => self.explain_status(401, ""),
            HFError::Forbidden { .. } => self.explain_status(403, ""),
            HFError::RepoNotFound { .. } => self.explain_status(404, ""),
            HFError::EntryNotFound { path, .. } => self.explain_status(404, &path),
            HFError::RevisionNotFound { revision, .. } => {
                self.refused(&format!("there is no revision {revision}"), None)
            }
            HFError::RateLimited { retry_after, .. } => {
                let wait = retry_after.map(|time| format!(" for {} s", time.as_secs())).unwrap_or_default();
                let advice = format!("wait{wait}, or set HF_TOKEN: known users may ask more often");
                self.refused("the hub answers no more requests from here for now", Some(advice))
            }
            HFError::Http { context } => self.explain_status(context.status.as_u16(), ""),
            HFError::Request { source, .. } => self.unreachable(&source),
            other => self.refused(&other.to_string(), None),
        }
    }

    /// A connection that says nothing any more.
    pub(super) fn silent(&self) -> StoreError {
        let detail = format!("nothing came for {} s", READ_LIMIT.as_secs());
        StoreError::NoNetwork { what: self.hub.endpoint.clone(), detail }
    }

    fn explain_status(&self, status: u16, file: &str) -> StoreError {
        let key = "accept its licence on the repository's page, then set HF_TOKEN to a token that may read it";
        match status {
            // The hub says 401 for what does not exist, so as not to tell what is private.
            401 => self.refused(
                "there is no such repository, or it is private or gated",
                Some(format!("check the name; {key}")),
            ),
            403 => self.refused("this token may not read it", Some(key.to_owned())),
            404 if file.is_empty() => {
                self.refused("there is no such repository or revision", Some("check the name".to_owned()))
            }
            404 => self.refused(
                &format!("there is no file {file}"),
                Some(format!("lla models pull hf:{} chooses one", self.id)),
            ),
            500..=599 => {
                self.refused(&format!("the hub is out of order (status {status})"), Some("try again later".to_owned()))
            }
            _ => self.refused(&format!("the hub answers with status {status}"), None),
        }
    }

    fn refused(&self, problem: &str, advice: Option<String>) -> StoreError {
        StoreError::Hub { repo: self.id.clone(), problem: problem.to_owned(), advice }
    }

    fn unreachable(&self, error: &reqwest::Error) -> StoreError {
        StoreError::NoNetwork { what: self.hub.endpoint.clone(), detail: cause(error) }
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
