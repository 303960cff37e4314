//! The folder of this gateway's sockets.
//!
//! Each gateway has its own below `run/`, so that several can share one `LLA_HOME`. It is removed at
//! the end; what a killed gateway left is removed by the next one, which knows by a lock that nobody
//! uses it any more.

use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

use anyhow::Context as _;

use crate::failure::{Exit, Failure, OrFail as _};

const PREFIX: &str = "gateway-";
const LOCK: &str = "lock";

/// A folder of our own; removed when dropped.
#[derive(Debug)]
pub struct RunDir {
    path: PathBuf,
    /// Held as long as the folder is in use.
    _lock: File,
}

impl RunDir {
    /// A new folder below `parent`, for this user only.
    ///
    /// # Errors
    /// When it can not be made.
    pub fn create(parent: &Path) -> Result<Self, Failure> {
        let make = || -> std::io::Result<Self> {
            std::fs::create_dir_all(parent)?;
            remove_left_over(parent);
            // Readable by the user alone from the moment it exists: that is what `tempfile` does.
            let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(parent)?;
            // Locked before it has its name, so that nobody finds it unlocked.
            let unnamed = folder.path().join("lock.new");
            let lock = File::create(&unnamed)?;
            lock.lock()?;
            std::fs::rename(unnamed, folder.path().join(LOCK))?;
            Ok(Self { path: folder.keep(), _lock: lock })
        };
        make()
            .with_context(|| format!("no folder for sockets can be made in {}", parent.display()))
            .or_fail(Exit::Unavailable)
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for RunDir {
    fn drop(&mut self) {
        // What can not be removed now is removed by the next gateway.
        drop(std::fs::remove_dir_all(&self.path));
    }
}

/// A folder without a lock file is one that another gateway is making at this moment: left alone.
fn remove_left_over(parent: &Path) {
    for entry in std::fs::read_dir(parent).into_iter().flatten().flatten() {
        let ours = entry.file_name().to_str().is_some_and(|name| name.starts_with(PREFIX));
        let unused = || File::open(entry.path().join(LOCK)).is_ok_and(|lock| !in_use(&lock));
        if ours && unused() {
            drop(std::fs::remove_dir_all(entry.path()));
        }
    }
}

fn in_use(lock: &File) -> bool {
    matches!(lock.try_lock(), Err(TryLockError::WouldBlock | TryLockError::Error(_)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_living_gateways_folder_stays_and_a_dead_ones_goes() {
        let parent = tempfile::tempdir().expect("folder");
        let dead = parent.path().join("gateway-dead");
        std::fs::create_dir(&dead).expect("folder");
        std::fs::write(dead.join(LOCK), "").expect("lock");
        let first = RunDir::create(parent.path()).expect("first");
        assert!(!dead.exists());
        let second = RunDir::create(parent.path()).expect("second");
        assert!(first.path().exists() && second.path().exists());
        let path = first.path().to_owned();
        drop(first);
        assert!(!path.exists() && second.path().exists());
    }
}
