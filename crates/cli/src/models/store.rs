//! The folder of models on disk, and the questions one can ask it.
//!
//! ```text
//! models/
//!   smollm2-135m-instruct/              one folder a model, there when it is complete
//!     model.toml                        the manifest
//!     smollm2-135m-instruct.gguf        the GGUF (not there for a registered file of the user's)
//!     smollm2-135m-instruct.bf16.gguf   a prepared form
//!   .staging/NAME/                      what is still on its way; kept, so that a pull can go on
//!   .locks/NAME.lock                    held while a model is pulled, prepared or removed
//! ```
//! A file of the user's is registered by its path, neither copied nor linked: no gigabytes twice, and
//! deleting or replacing the file does what its owner expects. A changed file is noticed by its size and
//! time and refused until it is pulled again, which reads it anew.
//!
//! Nothing here downloads; see [`super::pull()`].

use std::fs;
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::catalogue;
use super::error::{OrStore as _, StoreError};
use super::files::{self, Lock};
use super::gguf;
use super::manifest::{self, Manifest, Prepared};
use super::source::Source;

/// The models of this user.
#[derive(Debug, Clone)]
pub struct Store {
    folder: PathBuf,
}

/// A model that is there.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Installed {
    /// The name callers use.
    pub name: String,
    /// The GGUF as it was shipped.
    pub path: PathBuf,
    /// The prepared form to prefer, when one was made.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub prepared: Option<PathBuf>,
    /// Everything else.
    pub manifest: Manifest,
}

impl Installed {
    /// The file to run: the prepared form when there is one, else the shipped file.
    #[must_use]
    pub fn best_path(&self) -> &Path {
        self.prepared.as_deref().unwrap_or(&self.path)
    }

    /// Bytes in the store (a registered file is not the store's).
    #[must_use]
    pub fn stored_bytes(&self) -> u64 {
        let shipped = if self.manifest.is_registered() { 0 } else { self.manifest.size_bytes };
        shipped + self.manifest.prepared.iter().map(|form| form.size_bytes).sum::<u64>()
    }
}

impl Store {
    /// The store in this folder, which is made when something is put into it.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        let folder = folder.into();
        Self { folder: std::path::absolute(&folder).unwrap_or(folder) }
    }

    /// The folder.
    #[must_use]
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// Every usable model, by name. One that is damaged is left out, with a warning in the log.
    ///
    /// # Errors
    /// When the folder can not be read.
    pub fn list(&self) -> Result<Vec<Installed>, StoreError> {
        let mut models = Vec::new();
        for name in self.names()? {
            match self.installed(&name) {
                Ok(Some(model)) => models.push(model),
                Ok(None) => {}
                Err(error) => tracing::warn!("{error}; {}", error.hint().unwrap_or_default()),
            }
        }
        Ok(models)
    }

    /// One model.
    ///
    /// # Errors
    /// When it is not there, or not whole.
    pub fn show(&self, name: &str) -> Result<Installed, StoreError> {
        self.resolve(name)
    }

    /// The model of this name, or from this source, if it is there and whole. No network.
    ///
    /// # Errors
    /// [`StoreError::NotInstalled`] for one that could be pulled, [`StoreError::UnknownModel`] for one
    /// that nobody knows, [`StoreError::Damaged`] for one that changed on disk.
    pub fn resolve(&self, name_or_source: &str) -> Result<Installed, StoreError> {
        let (name, source) = self.identify(name_or_source)?;
        match self.installed(&name)? {
            Some(model) if source.as_deref().is_none_or(|source| source == model.manifest.source) => Ok(model),
            Some(model) => Err(StoreError::NameTaken { name, source_text: model.manifest.source }),
            None => Err(StoreError::NotInstalled { name: name_or_source.to_owned() }),
        }
    }

    /// Removes a model: the store's own files, and nothing else. A registered file stays where it is, and
    /// so does whatever somebody else has put into the model's folder.
    ///
    /// # Errors
    /// When there is no such model, or a file can not be removed.
    pub fn remove(&self, name: &str) -> Result<(), StoreError> {
        let name = if Source::looks_like_one(name) { self.identify(name)?.0 } else { alias(name).to_owned() };
        let folder = self.model_folder(&name);
        let staging = self.staging(&name);
        if !folder.is_dir() && !staging.is_dir() {
            return Err(self.unknown(&name));
        }
        let _lock = Lock::take_blocking(&self.lock_path(&name))?;
        // The manifest first: from here on nobody finds a half-removed model.
        files::remove_file(&folder.join(manifest::FILE_NAME))?;
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            if is_store_file(&name, &entry.file_name().to_string_lossy()) {
                files::remove_file(&entry.path())?;
            }
        }
        if folder.is_dir() && fs::remove_dir(&folder).is_err() {
            tracing::warn!(folder = %folder.display(), "there are files in it that are not the store's: left as they are");
        }
        if staging.is_dir() {
            fs::remove_dir_all(&staging).or_store("remove", &staging)?;
        }
        Ok(())
    }

    /// Where the prepared form of a model lies, or would lie.
    #[must_use]
    pub fn prepared_path(&self, name: &str, form: &str) -> PathBuf {
        self.model_folder(name).join(prepared_file(name, form))
    }

    /// Makes a prepared form unless it is there: `make(shipped, new)` writes the new file, the store
    /// checks it, moves it into place and records it. Blocks; waits while the model is being changed.
    ///
    /// # Errors
    /// When the model is not there, there is no space for about `size_bytes` more, `make` fails, or what
    /// it made is no GGUF.
    pub fn prepare_with(
        &self,
        name: &str,
        form: &str,
        size_bytes: u64,
        make: impl FnOnce(&Path, &Path) -> Result<(), String>,
    ) -> Result<Installed, StoreError> {
        let _lock = Lock::take_blocking(&self.lock_path(name))?;
        let model = self.resolve(name)?;
        if model.manifest.prepared.iter().any(|known| known.form == form && self.is_current(&model, known)) {
            return Ok(model);
        }
        files::check_space(&self.folder, size_bytes)?;
        let staging = self.staging(name);
        fs::create_dir_all(&staging).or_store("create", &staging)?;
        let new = staging.join(prepared_file(name, form));
        files::remove_file(&new)?;
        make(&model.path, &new)
            .map_err(|problem| StoreError::NotGguf { what: format!("the {form} form of {name}"), problem })?;
        fs::File::open(&new).and_then(|file| file.sync_all()).or_store("write", &new)?;
        let place = self.prepared_path(name, form);
        gguf::read(&new).map_err(|problem| StoreError::NotGguf { what: new.display().to_string(), problem })?;
        fs::rename(&new, &place).or_store("write", &place)?;
        drop(fs::remove_dir(&staging));
        self.record(model, form, &place)
    }

    /// Records a prepared form that lies at [`Store::prepared_path`]; the newest one is preferred.
    ///
    /// # Errors
    /// When the model or the file is not there.
    pub fn record_prepared(&self, name: &str, form: &str) -> Result<Installed, StoreError> {
        let _lock = Lock::take_blocking(&self.lock_path(name))?;
        let model = self.resolve(name)?;
        self.record(model, form, &self.prepared_path(name, form))
    }

    fn record(&self, mut model: Installed, form: &str, place: &Path) -> Result<Installed, StoreError> {
        let size_bytes = fs::metadata(place).or_store("read", place)?.len();
        let new = Prepared {
            form: form.to_owned(),
            file: prepared_file(&model.name, form).into(),
            size_bytes,
            from_sha256: model.manifest.sha256.clone(),
            added: manifest::now(),
        };
        model.manifest.prepared.retain(|known| known.form != form);
        model.manifest.prepared.push(new);
        model.manifest.write(&self.model_folder(&model.name))?;
        self.resolve(&model.name)
    }

    /// The model of this exact name; `None` when it is not there.
    pub(super) fn installed(&self, name: &str) -> Result<Option<Installed>, StoreError> {
        let folder = self.model_folder(name);
        let Some(manifest) = Manifest::read(&folder)? else { return Ok(None) };
        let path = folder.join(&manifest.file);
        if let Some(problem) = changed(&manifest, &path) {
            return Err(StoreError::Damaged { name: name.to_owned(), problem });
        }
        let mut model = Installed { name: name.to_owned(), path, prepared: None, manifest };
        let current = model.manifest.prepared.iter().rev().find(|form| self.is_current(&model, form));
        model.prepared = current.map(|form| folder.join(&form.file));
        Ok(Some(model))
    }

    /// Whether a prepared form is there, whole, and made from the model's present file.
    fn is_current(&self, model: &Installed, form: &Prepared) -> bool {
        let path = self.model_folder(&model.name).join(&form.file);
        let whole = fs::metadata(path).is_ok_and(|metadata| metadata.len() == form.size_bytes);
        whole && form.from_sha256 == model.manifest.sha256
    }

    /// The name, and the source when it is given as one.
    fn identify(&self, text: &str) -> Result<(String, Option<String>), StoreError> {
        if Source::looks_like_one(text) {
            let source = super::local::canonical(text.parse()?);
            let text = source.to_string();
            let listed = catalogue::entries().iter().find(|entry| entry.source == text);
            return Ok((listed.map_or_else(|| source.model_name(), |entry| entry.name.to_owned()), Some(text)));
        }
        let name = alias(text);
        if catalogue::find(name).is_some() || self.model_folder(name).join(manifest::FILE_NAME).exists() {
            return Ok((name.to_owned(), None));
        }
        Err(self.unknown(text))
    }

    /// The error for a name that nobody knows, with the names that look like it.
    pub(super) fn unknown(&self, name: &str) -> StoreError {
        let mut known = self.names().unwrap_or_default();
        known.extend(catalogue::entries().iter().map(|entry| entry.name.to_owned()));
        known.sort_unstable();
        known.dedup();
        let wanted = name.to_ascii_lowercase();
        let mut near: Vec<(f64, String)> = known
            .into_iter()
            .map(|known| (strsim::jaro_winkler(&wanted, &known), known))
            .filter(|(score, _)| *score > 0.8)
            .collect();
        near.sort_by(|a, b| b.0.total_cmp(&a.0));
        let nearest = near.into_iter().take(3).map(|(_, name)| name).collect();
        StoreError::UnknownModel { name: name.to_owned(), nearest }
    }

    fn names(&self) -> Result<Vec<String>, StoreError> {
        let entries = match fs::read_dir(&self.folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries.or_store("read", &self.folder)?,
        };
        let mut names: Vec<String> = entries
            .flatten()
            .filter(|entry| entry.path().join(manifest::FILE_NAME).is_file())
            .filter_map(|entry| entry.file_name().into_string().ok())
            .collect();
        names.sort_unstable();
        Ok(names)
    }

    pub(super) fn model_folder(&self, name: &str) -> PathBuf {
        self.folder.join(component(name))
    }

    pub(super) fn staging(&self, name: &str) -> PathBuf {
        self.folder.join(".staging").join(component(name))
    }

    pub(super) fn lock_path(&self, name: &str) -> PathBuf {
        self.folder.join(".locks").join(format!("{}.lock", component(name)))
    }
}

/// A name is one plain component of a path. Anything else must not lead out of its folder: it becomes the
/// name of something that is never there.
fn component(name: &str) -> &str {
    let plain = !name.is_empty() && !name.starts_with('.') && !name.contains(['/', '\\', '\0']);
    if plain { name } else { ".nothing" }
}

/// `default` is the first entry of the catalogue.
pub(super) fn alias(name: &str) -> &str {
    if name == "default" { catalogue::DEFAULT } else { name }
}

/// Why the GGUF is not the one that the manifest describes, if it is not.
fn changed(manifest: &Manifest, path: &Path) -> Option<String> {
    let metadata = match fs::metadata(path) {
        Ok(metadata) => metadata,
        Err(error) => return Some(format!("{}: {error}", path.display())),
    };
    if metadata.len() != manifest.size_bytes {
        return Some(format!("{} has {} bytes, not {}", path.display(), metadata.len(), manifest.size_bytes));
    }
    let touched = manifest.is_registered() && manifest.modified_ns != manifest::modified_ns(&metadata);
    touched.then(|| format!("{} was changed after it was registered", path.display()))
}

/// The GGUF's file name in the model's folder.
pub(super) fn shipped_file(name: &str) -> String {
    format!("{name}.gguf")
}

fn prepared_file(name: &str, form: &str) -> String {
    format!("{name}.{form}.gguf")
}

/// Whether a file in a model's folder is one that the store writes.
fn is_store_file(name: &str, file: &str) -> bool {
    let own = file.strip_prefix(name).and_then(|rest| rest.strip_suffix(".gguf"));
    file.starts_with(".write-") || own.is_some_and(|form| form.is_empty() || form.starts_with('.'))
}

#[cfg(test)]
mod tests;
