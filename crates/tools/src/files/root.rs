//! One allowed folder.

use std::path::{Component, Path, PathBuf};

use cap_std::ambient_authority;
use cap_std::fs::Dir;

use super::FileError;

/// An allowed folder, opened.
pub(super) struct Root {
    /// Where it is, as it was given.
    path: PathBuf,
    /// Where it really is: clients and configurations name folders through links.
    real: PathBuf,
    /// Everything below is opened through this.
    pub(super) dir: Dir,
}

impl Root {
    pub(super) fn open(path: &Path) -> Result<Self, FileError> {
        let bad = |error: std::io::Error| FileError::BadRoot {
            root: path.display().to_string(),
            message: error.kind().to_string(),
        };
        let dir = Dir::open_ambient_dir(path, ambient_authority()).map_err(bad)?;
        let real = path.canonicalize().map_err(bad)?;
        Ok(Self { path: path.to_owned(), real, dir })
    }

    /// The path relative to this root; `None` when by its letters alone it is outside. `..` is resolved
    /// by the letters too: what is beneath a link's target is never the answer to "one up".
    pub(super) fn inside(&self, path: &str) -> Option<PathBuf> {
        let path = Path::new(path);
        let relative = if path.is_absolute() {
            let plain = normal(path)?;
            let rest = plain.strip_prefix(&self.path).or_else(|_| plain.strip_prefix(&self.real)).ok()?;
            rest.to_owned()
        } else {
            normal(path)?
        };
        Some(if relative.as_os_str().is_empty() { PathBuf::from(".") } else { relative })
    }

    /// Where a link inside the root leads, when it leads inside the root by an absolute path: those are
    /// refused at opening, however harmless. Nothing is opened here; the answer is only a name to try.
    pub(super) fn through_links(&self, inside: &Path) -> Option<PathBuf> {
        let real = self.real.join(inside).canonicalize().ok()?;
        real.strip_prefix(&self.real).ok().map(Path::to_owned)
    }

    /// The path of a file below, as a caller may use it again.
    pub(super) fn shown(&self, inside: &Path) -> String {
        self.path.join(inside).display().to_string()
    }
}

/// Without `.` and `..`; `None` when `..` goes above the beginning.
fn normal(path: &Path) -> Option<PathBuf> {
    let mut plain = PathBuf::new();
    for component in path.components() {
        match component {
            Component::ParentDir => {
                let at_top = !plain.pop();
                if at_top {
                    return None;
                }
            }
            Component::CurDir => {}
            other => plain.push(other),
        }
    }
    Some(plain)
}
