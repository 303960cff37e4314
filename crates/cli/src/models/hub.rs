//! A GGUF from a model hub, over the hub's HTTP interface as curl would use it.
//!
//! Bytes are asked for from where a former try ended ([`download`]), the SHA-256 comes from the hub's own
//! answer ([`remote`]), and the cache that other programs share is looked into first ([`cache`]).
//!
//! Why not the crate `hf-hub` (1.0): it does not resume, does not verify checksums, has no time limits and
//! no offline switch, follows redirects past the headers that carry the checksum, and always brings
//! `hf-xet` and a second TLS library: 111 crates, and half of the build time of this crate with all that it needs.
//! What is given up is Xet's chunk-wise transfer; hubs serve the same files over plain HTTP.
//!
//! Honoured: `HF_ENDPOINT`, `HF_TOKEN`, `HF_TOKEN_PATH`, `HF_HOME`, `HF_HUB_CACHE`, `HF_HUB_OFFLINE`,
//! `HF_HUB_DISABLE_IMPLICIT_TOKEN`, and the proxy variables. A token is sent to the endpoint only, never
//! on to the servers that it redirects to.

mod cache;
mod choose;
mod download;
mod remote;

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

use super::error::StoreError;
use super::install::{Fetched, check_hash};
use super::pull::Pull;
use super::source::{HubSource, Sha256Hex};
use remote::Remote;

/// Which hub, and as whom.
#[derive(Debug, Clone)]
pub struct Hub {
    /// The address, without a slash at the end.
    pub endpoint: String,
    /// The caller's token.
    pub token: Option<SecretString>,
    /// The cache that Python's `huggingface_hub` and others share.
    pub cache: PathBuf,
    /// Whether the network is off limits.
    pub offline: bool,
    /// The first pause before a broken download goes on; doubled each time.
    pub pause: Duration,
}

impl Default for Hub {
    fn default() -> Self {
        Self::from_environment()
    }
}

impl Hub {
    /// As the environment says.
    #[must_use]
    pub fn from_environment() -> Self {
        let variable = |name: &str| {
            std::env::var(name).ok().map(|value| value.trim().to_owned()).filter(|value| !value.is_empty())
        };
        let folder = |name: &str| variable(name).map(PathBuf::from);
        let cache_home = || folder("XDG_CACHE_HOME").or_else(|| Some(folder("HOME")?.join(".cache")));
        let home = folder("HF_HOME").or_else(|| Some(cache_home()?.join("huggingface"))).unwrap_or_default();
        let cache = folder("HF_HUB_CACHE").or_else(|| folder("HUGGINGFACE_HUB_CACHE"));
        let from_file = || {
            let path = variable("HF_TOKEN_PATH").map_or_else(|| home.join("token"), PathBuf::from);
            std::fs::read_to_string(path).ok().map(|text| text.trim().to_owned()).filter(|text| !text.is_empty())
        };
        let is_on = |name: &str| {
            variable(name)
                .is_some_and(|value| matches!(value.to_ascii_lowercase().as_str(), "1" | "true" | "yes" | "on"))
        };
        let token = if is_on("HF_HUB_DISABLE_IMPLICIT_TOKEN") { None } else { variable("HF_TOKEN").or_else(from_file) };
        let endpoint = variable("HF_ENDPOINT").unwrap_or_else(|| "https://huggingface.co".to_owned());
        Self {
            endpoint: endpoint.trim_end_matches('/').to_owned(),
            token: token.map(SecretString::from),
            cache: cache.unwrap_or_else(|| home.join("hub")),
            offline: is_on("HF_HUB_OFFLINE") || is_on("TRANSFORMERS_OFFLINE"),
            pause: Duration::from_secs(1),
        }
    }
}

/// Finds the file, and brings it or takes it from the cache.
pub(super) async fn fetch(pull: &Pull<'_>, source: &HubSource) -> Result<Fetched, StoreError> {
    let hub = &pull.outside.hub;
    if hub.offline {
        return from_cache_only(pull, source).await;
    }
    let remote = Remote::new(hub, source)?;
    let listing = remote.listing(source.revision.as_deref()).await?;
    let file = match &source.file {
        Some(file) => file.clone(),
        None => choose::best(&listing.files).map_err(|problem| no_choice(source, problem))?,
    };
    if source.file.is_none() {
        pull.progress.say(&format!("chosen from {}: {file}", source.repo_id()));
    }
    choose::refuse_split(&file).map_err(|problem| no_choice(source, problem))?;
    let promise = remote.promise(&listing.commit, &file).await?;
    let pinned = source.sha256.as_ref().map(Sha256Hex::as_str);
    if let (Some(pinned), Some(promised)) = (pinned, promise.sha256.as_deref()) {
        // Before gigabytes are moved for nothing.
        check_hash(&format!("{}/{file}", source.repo_id()), Some(pinned), promised)?;
    }
    let expected = promise.sha256.as_deref().or(pinned).map(str::to_owned);
    let cached = cache::find(&hub.cache, source, &listing.commit, &file);
    if let Some(sha256) = cache::take(pull, cached, expected.as_deref()).await? {
        return Ok(Fetched { path: pull.complete(), sha256, registered: false, licence: listing.licence });
    }
    let wanted = download::File { commit: listing.commit, file, size: promise.size, sha256: expected };
    let sha256 = download::bring(pull, &remote, &wanted).await?;
    Ok(Fetched { path: pull.complete(), sha256, registered: false, licence: listing.licence })
}

/// With the network off limits: what the cache has.
async fn from_cache_only(pull: &Pull<'_>, source: &HubSource) -> Result<Fetched, StoreError> {
    let nothing = || StoreError::Hub {
        repo: source.repo_id(),
        problem: "HF_HUB_OFFLINE is set, and the hub's cache has no such GGUF".to_owned(),
        advice: Some(format!("unset HF_HUB_OFFLINE, or put it into {}", pull.outside.hub.cache.display())),
    };
    let (commit, files) = cache::listing(&pull.outside.hub.cache, source).ok_or_else(nothing)?;
    let file = match &source.file {
        Some(file) => file.clone(),
        None => choose::best(&files).map_err(|_| nothing())?,
    };
    choose::refuse_split(&file).map_err(|problem| no_choice(source, problem))?;
    let found = cache::find(&pull.outside.hub.cache, source, &commit, &file);
    let pinned = source.sha256.as_ref().map(Sha256Hex::as_str);
    match cache::take(pull, found, pinned).await? {
        Some(sha256) => Ok(Fetched { path: pull.complete(), sha256, registered: false, licence: None }),
        None => Err(nothing()),
    }
}

fn no_choice(source: &HubSource, problem: String) -> StoreError {
    let repo = source.repo_id();
    let advice = format!("name a file: hf:{repo}/FILE.gguf");
    StoreError::Hub { repo, problem, advice: Some(advice) }
}

#[cfg(test)]
mod tests;
