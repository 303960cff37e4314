//! A second, faster form of a model, made once and kept in the store.
//!
//! Which form is best, and making it, is native code that reads a file of strangers: both run in a
//! child process (`lla engine --prepare`), so that a damaged file costs a warning, not the gateway.
//! Whatever goes wrong here, the model still runs as it was shipped.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context as _, bail};

use super::launcher::program;
use crate::models::{Installed, Store};

/// The engine's name of "no other form".
const AS_SHIPPED: &str = "as-shipped";

/// No form takes more than 16 bits a weight, and nothing is converted that has less than 4.
const MOST_GROWTH: u64 = 4;

/// The best form of the model on this machine: as shipped, one that is there, or one made now. Asked of the
/// engine at each start: a form that was made by an earlier version, or on another machine, may not be
/// the best any more.
pub async fn best(store: &Store, installed: Installed) -> PathBuf {
    let (name, shipped) = (installed.name.clone(), installed.path.clone());
    let store = store.clone();
    let made = tokio::task::spawn_blocking(move || make(&store, &installed)).await;
    match made.context("a bug in lla").and_then(|made| made) {
        Ok(path) => path,
        Err(error) => {
            tracing::warn!(model = name, "runs as shipped, a faster form could not be made: {error:#}");
            shipped
        }
    }
}

fn make(store: &Store, installed: &Installed) -> anyhow::Result<PathBuf> {
    let form = engine(&installed.path, &["--prepare".as_ref()])?;
    let form = form.trim();
    if form == AS_SHIPPED {
        return Ok(installed.path.clone());
    }
    let began = Instant::now();
    tracing::info!(model = installed.name, form, "making the form that this machine runs best (once)");
    let room = installed.manifest.size_bytes.saturating_mul(MOST_GROWTH);
    let prepared = store.prepare_with(&installed.name, form, room, |shipped, new| {
        let arguments = ["--prepare".as_ref(), form.as_ref(), "--output".as_ref(), new.as_os_str()];
        engine(shipped, &arguments).map(drop).map_err(|error| format!("{error:#}"))
    })?;
    tracing::info!(model = installed.name, form, seconds = began.elapsed().as_secs_f32(), "made");
    Ok(prepared.best_path().to_owned())
}

/// Runs `lla engine --model MODEL ARGUMENTS`; returns its standard output. llama.cpp says a lot on the
/// way: only its last line is of interest, and only when it fails.
fn engine(model: &Path, arguments: &[&OsStr]) -> anyhow::Result<String> {
    let mut command = Command::new(program()?);
    command.args(["engine".as_ref(), "--model".as_ref(), model.as_os_str()]).args(arguments);
    let output = command.stdin(Stdio::null()).output()?;
    if !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("lla engine --prepare ended with {}: {}", output.status, said.trim().lines().last().unwrap_or_default());
    }
    Ok(String::from_utf8(output.stdout)?)
}
