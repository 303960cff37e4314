//! The last steps of every pull: check the GGUF, describe it, move it into place in one rename.

use std::fs;
use std::path::{Path, PathBuf};

use super::error::{OrStore as _, StoreError};
use super::files;
use super::gguf::{self, GgufInfo};
use super::manifest::{self, Manifest};
use super::pull::Wanted;
use super::store::{Installed, Store, shipped_file};

/// A complete GGUF, not yet in the store.
#[derive(Debug)]
pub(super) struct Fetched {
    /// Where it lies: in the staging folder, or the user's file.
    pub(super) path: PathBuf,
    /// SHA-256 of what lies there.
    pub(super) sha256: String,
    /// Whether it stays where it is (a file of the user's).
    pub(super) registered: bool,
    /// The licence that the source names.
    pub(super) licence: Option<String>,
}

/// Checks that a file is what was promised.
pub(super) fn check_hash(what: &str, expected: Option<&str>, actual: &str) -> Result<(), StoreError> {
    match expected {
        Some(expected) if !expected.eq_ignore_ascii_case(actual) => {
            let (expected, actual) = (expected.to_owned(), actual.to_owned());
            Err(StoreError::WrongHash { what: what.to_owned(), expected, actual })
        }
        _ => Ok(()),
    }
}

/// Puts a fetched GGUF into the store. Blocks for a moment; the caller holds the model's lock.
pub(super) fn install(store: &Store, wanted: &Wanted, fetched: &Fetched) -> Result<Installed, StoreError> {
    let gguf = check_gguf(&fetched.path)?;
    let manifest = describe(wanted, fetched, gguf)?;
    let folder = store.model_folder(&wanted.name);
    if folder.join(manifest::FILE_NAME).exists() {
        // Only a registered file gets here: it changed, and is described anew.
        manifest.write(&folder)?;
    } else {
        let ready = store.staging(&wanted.name).join("ready");
        fs::create_dir_all(&ready).or_store("create", &ready)?;
        manifest.write(&ready)?;
        if !fetched.registered {
            let place = ready.join(&manifest.file);
            fs::rename(&fetched.path, &place).or_store("write", &place)?;
        }
        files::sync_folder(&ready);
        move_into_place(&ready, &folder, &wanted.name)?;
    }
    let staging = store.staging(&wanted.name);
    // What is left there is the store's own: a wheel, parts of an older version.
    drop(fs::remove_dir_all(&staging));
    store.installed(&wanted.name)?.ok_or_else(|| StoreError::NotInstalled { name: wanted.name.clone() })
}

/// A GGUF from a run that ended between the last two renames.
pub(super) fn left_ready(store: &Store, name: &str) -> Option<PathBuf> {
    Some(store.staging(name).join("ready").join(shipped_file(name))).filter(|path| path.is_file())
}

fn check_gguf(path: &Path) -> Result<GgufInfo, StoreError> {
    let not_gguf = |problem| StoreError::NotGguf { what: path.display().to_string(), problem };
    let info = gguf::read(path).map_err(not_gguf)?;
    if let Some((part, parts)) = info.split {
        return Err(not_gguf(format!(
            "it is part {} of {parts} of a split model; join them first (llama-gguf-split --merge) or take a file that is whole",
            part + 1
        )));
    }
    if info.parameters == 0 {
        return Err(not_gguf("it has no tensors (a vocabulary only)".to_owned()));
    }
    Ok(info)
}

fn describe(wanted: &Wanted, fetched: &Fetched, gguf: GgufInfo) -> Result<Manifest, StoreError> {
    let metadata = fs::metadata(&fetched.path).or_store("read", &fetched.path)?;
    let registered = fetched.registered;
    let listed = wanted.entry.map(|entry| entry.licence.to_owned());
    Ok(Manifest {
        name: wanted.name.clone(),
        source: wanted.source.to_string(),
        file: if registered { fetched.path.clone() } else { shipped_file(&wanted.name).into() },
        size_bytes: metadata.len(),
        sha256: fetched.sha256.clone(),
        added: manifest::now(),
        modified_ns: if registered { manifest::modified_ns(&metadata) } else { None },
        licence: listed.or_else(|| fetched.licence.clone()).or_else(|| gguf.licence.clone()),
        sampling: wanted.entry.and_then(|entry| entry.sampling),
        gguf,
        prepared: Vec::new(),
    })
}

fn move_into_place(ready: &Path, folder: &Path, name: &str) -> Result<(), StoreError> {
    match fs::rename(ready, folder) {
        Ok(()) => {}
        // A folder of that name without a manifest: not ours to clear.
        Err(error)
            if matches!(error.kind(), std::io::ErrorKind::DirectoryNotEmpty | std::io::ErrorKind::AlreadyExists) =>
        {
            let problem = format!("there are other files in {}; move them away", folder.display());
            return Err(StoreError::Damaged { name: name.to_owned(), problem });
        }
        Err(error) => return Err(StoreError::io("write", folder, error)),
    }
    if let Some(parent) = folder.parent() {
        files::sync_folder(parent);
    }
    Ok(())
}
