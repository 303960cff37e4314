//! A file of the user's: looked at, hashed, registered. It stays where it is and is never written to.

use std::path::{Path, PathBuf};

use super::error::{OrStore as _, StoreError};
use super::gguf;
use super::install::{Fetched, check_hash};
use super::pull::Pull;
use super::source::{Sha256Hex, Source};
use super::{files, pull};

/// A source whose path is absolute and without links, so that the same file is the same source.
pub(super) fn canonical(source: Source) -> Source {
    match source {
        Source::File { path, sha256 } => {
            let path = std::fs::canonicalize(&path).or_else(|_| std::path::absolute(&path)).unwrap_or(path);
            Source::File { path, sha256 }
        }
        other => other,
    }
}

/// Reads the file once, for its checksum.
pub(super) async fn fetch(pull: &Pull<'_>, path: &Path, sha256: Option<&Sha256Hex>) -> Result<Fetched, StoreError> {
    let metadata = std::fs::metadata(path).or_store("read", path)?;
    if !metadata.is_file() {
        let problem = if metadata.is_dir() { "it is a folder" } else { "it is not a regular file" };
        return Err(StoreError::NotGguf { what: path.display().to_string(), problem: problem.to_owned() });
    }
    // Before gigabytes are read for nothing.
    gguf::read(path).map_err(|problem| StoreError::NotGguf { what: path.display().to_string(), problem })?;
    let task = pull.progress.start(&format!("reading {}", path.display()), Some(metadata.len()), 0);
    let file: PathBuf = path.to_owned();
    let (_, actual) = pull::blocking(pull, move |cancelled| files::hash_file(&file, &task, &cancelled)).await?;
    check_hash(&path.display().to_string(), sha256.map(Sha256Hex::as_str), &actual)?;
    Ok(Fetched { path: path.to_owned(), sha256: actual, registered: true, licence: None })
}
