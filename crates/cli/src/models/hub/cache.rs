//! The hub's shared cache on this machine: looked into, never written to.
//!
//! Layout: `models--OWNER--REPO/refs/REVISION` (a commit) and `snapshots/COMMIT/FILE` (a link to a blob).

use std::fs;
use std::path::{Path, PathBuf};

use crate::models::error::{OrStore as _, StoreError};
use crate::models::files;
use crate::models::pull::{Pull, blocking};
use crate::models::source::HubSource;

/// More files than a cached repository of GGUFs has.
const MOST_FILES: usize = 4096;

/// A file of a commit, if it is cached.
pub(super) fn find(cache: &Path, source: &HubSource, commit: &str, file: &str) -> Option<PathBuf> {
    let path = repository(cache, source).join("snapshots").join(commit).join(file);
    fs::canonicalize(path).ok().filter(|path| path.is_file())
}

/// The commit that the cache has for the wanted revision, and its files.
pub(super) fn listing(cache: &Path, source: &HubSource) -> Option<(String, Vec<String>)> {
    let repository = repository(cache, source);
    let revision = source.revision.as_deref().unwrap_or("main");
    let snapshot = |commit: &str| Some(repository.join("snapshots").join(commit)).filter(|folder| folder.is_dir());
    let commit = fs::read_to_string(repository.join("refs").join(revision)).map(|text| text.trim().to_owned());
    let commit = commit.ok().filter(|commit| !commit.contains(['/', '\\', '.'])).unwrap_or_else(|| revision.to_owned());
    let folder = snapshot(&commit)?;
    let relative = |path: PathBuf| Some(path.strip_prefix(&folder).ok()?.to_string_lossy().replace('\\', "/"));
    let files = files::files_below(&folder, MOST_FILES).into_iter().filter_map(relative).collect();
    Some((commit, files))
}

/// Brings a cached file into the staging folder: linked where the disk allows, else copied. `None` when
/// there is none, or when it is not the expected one (the cache is then passed over).
pub(super) async fn take(
    pull: &Pull<'_>,
    cached: Option<PathBuf>,
    expected: Option<&str>,
) -> Result<Option<String>, StoreError> {
    let Some(cached) = cached else { return Ok(None) };
    let size = fs::metadata(&cached).or_store("read", &cached)?.len();
    let task = pull.progress.start("taking it from the hub's cache", Some(size), 0);
    let (complete, expected) = (pull.complete(), expected.map(str::to_owned));
    blocking(pull, move |cancelled| {
        files::remove_file(&complete)?;
        // A second name for the same bytes: blobs in the cache are never changed in place.
        let sha256 = if fs::hard_link(&cached, &complete).is_ok() {
            files::hash_file(&complete, &task, &cancelled)?.1
        } else {
            files::check_space(complete.parent().unwrap_or(Path::new(".")), size)?;
            let mut from = fs::File::open(&cached).or_store("read", &cached)?;
            let mut to = fs::File::create(&complete).or_store("write", &complete)?;
            files::copy_hashed(&mut from, Some(&mut to), u64::MAX, &task, &cancelled).or_store("write", &complete)?.1
        };
        if expected.is_some_and(|expected| expected != sha256) {
            tracing::warn!(path = %cached.display(), "the file in the hub's cache is damaged; it is not used");
            files::remove_file(&complete)?;
            return Ok(None);
        }
        Ok(Some(sha256))
    })
    .await
}

fn repository(cache: &Path, source: &HubSource) -> PathBuf {
    cache.join(format!("models--{}--{}", source.owner, source.repo))
}
