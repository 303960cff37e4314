//! Files handled so that a crash, a full disk or a Ctrl-C leaves either the old state or the new one.

use std::fs::{self, File, TryLockError};
use std::io::{self, Read, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use sha2::{Digest as _, Sha256};

use super::error::{OrStore as _, StoreError};
use super::progress::Task;

/// Left free on the disk after a pull: logs and databases want to go on.
const SPACE_MARGIN: u64 = 64 << 20;
/// Bytes moved at a time.
const CHUNK: usize = 1 << 20;

/// Writes a whole file: to a temporary name, to the disk, then in place.
pub(super) fn write_atomically(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let folder = path.parent().unwrap_or(Path::new("."));
    let mut file = tempfile::Builder::new().prefix(".write-").tempfile_in(folder)?;
    file.write_all(bytes)?;
    // Temporary files are private; what the store holds is as readable as the folder lets it be.
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        file.as_file().set_permissions(fs::Permissions::from_mode(0o644))?;
    }
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    sync_folder(folder);
    Ok(())
}

/// Makes a rename in this folder last through a power cut, where the file system can.
pub(super) fn sync_folder(folder: &Path) {
    if let Ok(folder) = File::open(folder) {
        // Not every file system can: the rename is then as safe as it makes it.
        drop(folder.sync_all());
    }
}

/// Fails when `needed` bytes would not fit into the disk that holds `folder`.
pub(super) fn check_space(folder: &Path, needed: u64) -> Result<(), StoreError> {
    // What can not be found out is found out by writing.
    let Ok(free) = fs4::available_space(folder) else { return Ok(()) };
    if free >= needed.saturating_add(SPACE_MARGIN) {
        return Ok(());
    }
    Err(StoreError::NoSpace { folder: folder.to_owned(), needed: Some(needed), free: Some(free) })
}

/// Tells work on another thread that nobody waits for it any more. Cancels when dropped.
#[derive(Debug, Default)]
pub(super) struct CancelOnDrop(Arc<AtomicBool>);

impl CancelOnDrop {
    /// The flag to look at.
    pub(super) fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0)
    }
}

impl Drop for CancelOnDrop {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Copies everything from `reader` to `writer` (at most `limit` bytes), telling each chunk; returns
/// the number of bytes and their SHA-256.
pub(super) fn copy_hashed(
    reader: &mut impl Read,
    mut writer: Option<&mut File>,
    limit: u64,
    task: &Task,
    cancelled: &AtomicBool,
) -> io::Result<(u64, String)> {
    let mut hasher = Sha256::new();
    let mut buffer = vec![0; CHUNK];
    let mut total = 0;
    loop {
        if cancelled.load(Ordering::Relaxed) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        let count = match reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => return Err(error),
        };
        total += count as u64;
        if total > limit {
            return Err(io::Error::new(io::ErrorKind::InvalidData, "it is longer than it says"));
        }
        hasher.update(&buffer[..count]);
        if let Some(writer) = &mut writer {
            writer.write_all(&buffer[..count])?;
        }
        task.add(count as u64);
    }
    if let Some(writer) = writer {
        writer.sync_all()?;
    }
    Ok((total, hex(&hasher.finalize())))
}

/// Lower-case hex.
pub(super) fn hex(bytes: &[u8]) -> String {
    let digit = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0');
    bytes.iter().flat_map(|byte| [digit(byte >> 4), digit(byte & 15)]).collect()
}

/// The size of a file and its SHA-256.
pub(super) fn hash_file(path: &Path, task: &Task, cancelled: &AtomicBool) -> Result<(u64, String), StoreError> {
    let mut file = File::open(path).or_store("read", path)?;
    copy_hashed(&mut file, None, u64::MAX, task, cancelled).or_store("read", path)
}

/// Removes a file; that it was not there is fine.
pub(super) fn remove_file(path: &Path) -> Result<(), StoreError> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(StoreError::io("remove", path, error)),
        _ => Ok(()),
    }
}

/// The right to change one model. Given back when dropped, and by the system when the process dies.
#[derive(Debug)]
pub(super) struct Lock {
    // Held for its lock only.
    _file: File,
}

impl Lock {
    /// Tries once: `None` when another process or task has it.
    pub(super) fn try_take(path: &Path) -> Result<Option<Self>, StoreError> {
        let file = Self::open(path)?;
        match file.try_lock() {
            Ok(()) => Ok(Some(Self { _file: file })),
            Err(TryLockError::WouldBlock) => Ok(None),
            // A file system without locks (some network mounts): better without than not at all.
            Err(TryLockError::Error(error)) if error.kind() == io::ErrorKind::Unsupported => {
                tracing::warn!(path = %path.display(), "the file system has no locks: pull a model once at a time");
                Ok(Some(Self { _file: file }))
            }
            Err(TryLockError::Error(error)) => Err(StoreError::io("lock", path, error)),
        }
    }

    /// Waits on this thread until it has it.
    pub(super) fn take_blocking(path: &Path) -> Result<Self, StoreError> {
        if let Some(lock) = Self::try_take(path)? {
            return Ok(lock);
        }
        let file = Self::open(path)?;
        file.lock().or_store("lock", path)?;
        Ok(Self { _file: file })
    }

    fn open(path: &Path) -> Result<File, StoreError> {
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder).or_store("create", folder)?;
        }
        // The file stays: removing it would let a third process lock another file of the same name.
        File::options().create(true).append(true).open(path).or_store("open", path)
    }
}

/// All files below a folder; unreadable parts are left out.
pub(super) fn files_below(folder: &Path, most: usize) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten().flatten() {
            if found.len() >= most {
                return found;
            }
            match entry.file_type() {
                Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                Ok(_) => found.push(entry.path()),
                Err(_) => {}
            }
        }
    }
    found
}
