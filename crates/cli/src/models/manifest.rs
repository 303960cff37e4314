//! `model.toml`: what the store knows about one model. Written whole and atomically, never edited in place.

use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use super::error::{OrStore as _, StoreError};
use super::files;
use super::gguf::GgufInfo;

/// The manifest's name in a model's folder.
pub(super) const FILE_NAME: &str = "model.toml";

/// Everything the store knows about a model.
///
/// Fields that are not known are ignored: a newer version may have written the file.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Manifest {
    /// The name callers use; also the name of the folder.
    pub name: String,
    /// Where it came from, in the form that `lla models pull` takes.
    pub source: String,
    /// The GGUF: a name in the model's folder, or the absolute path of a file of the user's.
    pub file: PathBuf,
    /// Size of the GGUF in bytes.
    pub size_bytes: u64,
    /// SHA-256 of the GGUF, lower-case hex.
    pub sha256: String,
    /// When it was added, RFC 3339 in UTC.
    pub added: String,
    /// For a file of the user's: its modification time in nanoseconds since 1970. Tells a changed file
    /// without reading it again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub modified_ns: Option<i64>,
    /// The licence, where somebody names one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub licence: Option<String>,
    /// What its makers advise for sampling.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sampling: Option<Sampling>,
    /// What the GGUF's header says.
    pub gguf: GgufInfo,
    /// Other forms of the same weights, made here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prepared: Vec<Prepared>,
}

/// Advised sampling; what is absent is left to the engine.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
pub struct Sampling {
    /// Temperature.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Nucleus.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
    /// The most likely `k`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub top_k: Option<u32>,
    /// Least probability, relative to the most likely token.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min_p: Option<f64>,
}

/// A second form of a model, made for this machine.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Prepared {
    /// The form: `bf16`, `q8_0`, …
    pub form: String,
    /// A name in the model's folder.
    pub file: PathBuf,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// Which GGUF it was made from (a form of another file is not used).
    pub from_sha256: String,
    /// When it was made, RFC 3339 in UTC.
    pub added: String,
}

impl Manifest {
    /// Whether the GGUF is the user's own file, outside the store.
    #[must_use]
    pub fn is_registered(&self) -> bool {
        self.file.is_absolute()
    }

    /// Reads the manifest in a model's folder; `None` when there is none.
    pub(super) fn read(folder: &Path) -> Result<Option<Self>, StoreError> {
        let path = folder.join(FILE_NAME);
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) if error.kind() == std::io::ErrorKind::InvalidData => String::from("not text"),
            Err(error) => return Err(StoreError::io("read", &path, error)),
        };
        let name = folder.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let problem = match toml::from_str::<Self>(&text) {
            Ok(manifest) if manifest.name != name => format!("its {FILE_NAME} is that of `{}`", manifest.name),
            Ok(manifest) => match manifest.stray_file() {
                Some(file) => format!("its {FILE_NAME} names the file {}", file.display()),
                None => return Ok(Some(manifest)),
            },
            Err(error) => format!("its {FILE_NAME} can not be read: {}", error.message()),
        };
        Err(StoreError::Damaged { name, problem })
    }

    /// A file that is neither in the model's folder nor an absolute path of the user's.
    fn stray_file(&self) -> Option<&Path> {
        let in_folder = |file: &&Path| file.components().count() == 1 && file.file_name().is_some();
        let shipped = Some(self.file.as_path()).filter(|file| !file.is_absolute());
        shipped.into_iter().chain(self.prepared.iter().map(|form| form.file.as_path())).find(|file| !in_folder(file))
    }

    /// Writes the manifest into a model's folder: whole, or not at all.
    pub(super) fn write(&self, folder: &Path) -> Result<(), StoreError> {
        let path = folder.join(FILE_NAME);
        let text =
            toml::to_string(self).map_err(|error| StoreError::io("write", &path, std::io::Error::other(error)))?;
        files::write_atomically(&path, text.as_bytes()).or_store("write", &path)
    }
}

/// Now, as text.
pub(super) fn now() -> String {
    humantime::format_rfc3339_seconds(SystemTime::now()).to_string()
}

/// A file's modification time in nanoseconds since 1970, where the file system keeps one.
pub(super) fn modified_ns(metadata: &std::fs::Metadata) -> Option<i64> {
    i64::try_from(metadata.modified().ok()?.duration_since(UNIX_EPOCH).ok()?.as_nanos()).ok()
}
