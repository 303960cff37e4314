//! Bytes from a hub into a file: from where the last try ended, until all are there and are the right ones.

use std::fs;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};

use super::remote::Remote;
use crate::models::error::{OrStore as _, StoreError};
use crate::models::files;
use crate::models::install::check_hash;
use crate::models::progress::Task;
use crate::models::pull::{Pull, blocking};

/// Tries in a row that bring nothing new before we give up.
const FRUITLESS_TRIES: u32 = 5;

/// A file of a commit.
pub(super) struct File {
    pub(super) commit: String,
    pub(super) file: String,
    pub(super) size: Option<u64>,
    /// What it must hash to, where anybody says.
    pub(super) sha256: Option<String>,
}

/// How a try ended.
enum Ended {
    /// The server has sent everything it has.
    Complete,
    /// The connection broke; what came is kept.
    Broken(StoreError),
}

/// Brings the file into the staging folder; returns its SHA-256.
pub(super) async fn bring(pull: &Pull<'_>, remote: &Remote, wanted: &File) -> Result<String, StoreError> {
    let part = part_path(pull, wanted);
    drop_other_parts(&pull.staging, &part);
    let there = length(&part);
    if let Some(size) = wanted.size {
        files::check_space(&pull.staging, size.saturating_sub(there))?;
    }
    let resumed = there > 0;
    let sha256 = match all(pull, remote, wanted, &part).await {
        // What an earlier run left may be what is wrong: once more from the start.
        Err(StoreError::WrongHash { .. }) if resumed => {
            pull.progress.say("what was left from an earlier try is damaged: starting again");
            files::remove_file(&part)?;
            all(pull, remote, wanted, &part).await?
        }
        other => other?,
    };
    let complete = pull.complete();
    fs::rename(&part, &complete).or_store("write", &complete)?;
    Ok(sha256)
}

/// Tries until all bytes are there, then checks them.
async fn all(pull: &Pull<'_>, remote: &Remote, wanted: &File, part: &Path) -> Result<String, StoreError> {
    let mut fruitless = 0;
    if wanted.size.is_none() {
        // Without a size nobody can tell whether a server heeds a range.
        files::remove_file(part)?;
    }
    loop {
        let there = length(part);
        if wanted.size.is_some_and(|size| there > size) {
            files::remove_file(part)?;
            continue;
        }
        if there > 0 && wanted.size == Some(there) {
            break;
        }
        let task = pull.progress.start(&format!("downloading {}", wanted.file), wanted.size, there);
        let ended = some(remote, wanted, part, there, &task).await?;
        drop(task);
        let now = length(part);
        match ended {
            Ended::Complete if wanted.size.is_none_or(|size| size == now) => break,
            Ended::Broken(error) if fruitless >= FRUITLESS_TRIES => return Err(error),
            Ended::Complete | Ended::Broken(_) => {}
        }
        fruitless = if now > there { 0 } else { fruitless + 1 };
        if fruitless > FRUITLESS_TRIES {
            let detail = "the connection ends too early again and again".to_owned();
            return Err(StoreError::NoNetwork { what: pull.outside.hub.endpoint.clone(), detail });
        }
        pull.progress.say(&format!("the connection broke at {}: going on", crate::models::print::size(now)));
        tokio::time::sleep(pull.outside.hub.pause * 2_u32.pow(fruitless)).await;
    }
    verify(pull, wanted, part).await
}

/// One try from byte `there` on.
async fn some(remote: &Remote, wanted: &File, part: &Path, there: u64, task: &Task) -> Result<Ended, StoreError> {
    let (mut answer, start) = match remote.bytes(&wanted.commit, &wanted.file, there).await {
        Ok(answer) => answer,
        Err(error @ StoreError::NoNetwork { .. }) => return Ok(Ended::Broken(error)),
        Err(error) => return Err(error),
    };
    // A server that does not do ranges sends the file from its start.
    let mut file = fs::File::options().create(true).append(true).open(part).or_store("write", part)?;
    file.set_len(start).or_store("write", part)?;
    task.set(start);
    let mut position = start;
    let ended = loop {
        match answer.chunk().await {
            Ok(None) => break Ended::Complete,
            Err(error) => break Ended::Broken(remote.broken(&error)),
            Ok(Some(chunk)) => {
                // A chunk is small and goes to the page cache: not worth a thread.
                file.write_all(&chunk).or_store("write", part)?;
                position += chunk.len() as u64;
                task.set(position);
            }
        }
    };
    file.sync_all().or_store("write", part)?;
    Ok(ended)
}

async fn verify(pull: &Pull<'_>, wanted: &File, part: &Path) -> Result<String, StoreError> {
    let task = pull.progress.start("checking", wanted.size, 0);
    let path = part.to_owned();
    let (_, actual) = blocking(pull, move |cancelled| files::hash_file(&path, &task, &cancelled)).await?;
    if let Err(error) = check_hash(&wanted.file, wanted.sha256.as_deref(), &actual) {
        files::remove_file(part)?;
        return Err(error);
    }
    Ok(actual)
}

/// Named after what it is a part of: a newer version of the file does not go on with an older one's bytes.
fn part_path(pull: &Pull<'_>, wanted: &File) -> PathBuf {
    let mark = wanted.sha256.as_deref().unwrap_or(&wanted.commit);
    let plain: String = wanted.file.chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    pull.staging.join(format!("{}-{}.part", &mark[..mark.len().min(16)], &plain[plain.len().saturating_sub(80)..]))
}

/// Parts of older versions only take up space.
fn drop_other_parts(staging: &Path, part: &Path) {
    for path in files::files_below(staging, 64) {
        if path != part
            && path.extension().is_some_and(|end| end == "part")
            && let Err(error) = fs::remove_file(&path)
            && error.kind() != ErrorKind::NotFound
        {
            tracing::debug!(path = %path.display(), %error, "an old part stays");
        }
    }
}

fn length(path: &Path) -> u64 {
    fs::metadata(path).map_or(0, |metadata| metadata.len())
}
