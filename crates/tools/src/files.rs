//! Files that a caller may have read: only inside the allowed folders (*roots*).
//!
//! A root is opened once per call as a directory handle, and everything else is opened beneath it
//! through that handle (`cap-std`, `openat2` on Linux): a path that leaves the root by `..`, by an
//! absolute path or by a symbolic link is refused by the system at the moment of opening, so that a
//! link that is swapped meanwhile changes nothing. Only regular files are read, and only text.

mod glob;
mod read;
mod root;
#[cfg(test)]
mod tests;

use std::path::PathBuf;
use std::sync::Arc;

use crate::output::FileRead;
use root::Root;

/// How much may be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Largest file, in bytes. Default 1 MiB.
    pub file_bytes: u64,
    /// All files of a call together, in bytes. Default 4 MiB.
    pub total_bytes: u64,
    /// Most files that a pattern may match. Default 100.
    pub files: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { file_bytes: 1 << 20, total_bytes: 4 << 20, files: 100 }
    }
}

/// The folders that may be read, and how much of them. Without folders nothing may be read.
#[derive(Debug, Clone, Default)]
pub struct Files {
    roots: Arc<[PathBuf]>,
    limits: Limits,
}

/// The text of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TextFile {
    /// Which file, and its size.
    pub read: FileRead,
    /// Its text, without a byte order mark.
    pub text: String,
}

/// Why a file is not read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum FileError {
    /// No folder is allowed.
    #[error(
        "no folder may be read here: allow one (over HTTP `tools.roots` in the configuration, `lla mcp --root DIR`, \
         or the roots of your MCP client), or send the text itself as 'text'"
    )]
    NoRoots,
    /// An allowed folder can not be opened.
    #[error("the allowed folder {root} can not be opened: {message}")]
    BadRoot {
        /// The folder.
        root: String,
        /// Why.
        message: String,
    },
    /// The path leads out of every allowed folder.
    #[error("{path} is not inside an allowed folder; allowed: {}", .roots.join(", "))]
    Outside {
        /// The path as it was given.
        path: String,
        /// The allowed folders.
        roots: Vec<String>,
    },
    /// Nothing is there.
    #[error("there is no file {path} in the allowed folders")]
    NotFound {
        /// The path as it was given.
        path: String,
    },
    /// A folder, device, pipe or socket.
    #[error("{path} is {kind}, not a regular file{}", .hint)]
    NotRegular {
        /// The path.
        path: String,
        /// What it is, with its article.
        kind: &'static str,
        /// What to do instead; may be empty.
        hint: &'static str,
    },
    /// The rights are missing.
    #[error("{path} may not be read by this process")]
    Denied {
        /// The path.
        path: String,
    },
    /// Larger than a file may be.
    #[error("{path} has more than {limit} bytes, the limit for a file")]
    TooLarge {
        /// The path.
        path: String,
        /// The limit in bytes.
        limit: u64,
    },
    /// All files together are larger than a call may read.
    #[error("the files together have more than {limit} bytes, the limit for one call; name fewer of them")]
    TooLargeTogether {
        /// The limit in bytes.
        limit: u64,
    },
    /// It holds a NUL byte.
    #[error("{path} is a binary file; only text can be used")]
    Binary {
        /// The path.
        path: String,
    },
    /// It is text in another encoding, or damaged.
    #[error("{path} is not UTF-8 (the first wrong byte is at {at}); convert it, for example with iconv")]
    NotUtf8 {
        /// The path.
        path: String,
        /// Where the first byte is that is no UTF-8, from 0.
        at: usize,
    },
    /// The pattern can not be read.
    #[error("{path} is no pattern: {message}")]
    BadPattern {
        /// The pattern.
        path: String,
        /// What is wrong with it.
        message: String,
    },
    /// The pattern matches more files than a call may read, or there is too much to look through.
    #[error("{path} matches too much: at most {limit} {of}; make it narrower")]
    TooMany {
        /// The pattern.
        path: String,
        /// The limit.
        limit: usize,
        /// What there is too much of.
        of: &'static str,
    },
    /// The system failed.
    #[error("{path} can not be read: {message}")]
    Io {
        /// The path.
        path: String,
        /// The system's words.
        message: String,
    },
}

impl FileError {
    /// A stable code for programs.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Self::NoRoots => "no_allowed_folder",
            Self::BadRoot { .. } => "allowed_folder_unusable",
            Self::Outside { .. } => "path_outside_allowed_folders",
            Self::NotFound { .. } => "file_not_found",
            Self::NotRegular { .. } => "not_a_regular_file",
            Self::Denied { .. } => "file_not_readable",
            Self::TooLarge { .. } | Self::TooLargeTogether { .. } => "file_too_large",
            Self::Binary { .. } | Self::NotUtf8 { .. } => "file_not_text",
            Self::BadPattern { .. } => "invalid_value",
            Self::TooMany { .. } => "too_many_files",
            Self::Io { .. } => "file_error",
        }
    }
}

impl Files {
    /// Allows the folders `roots`.
    #[must_use]
    pub fn new(roots: impl IntoIterator<Item = PathBuf>, limits: Limits) -> Self {
        Self { roots: roots.into_iter().collect(), limits }
    }

    /// The folders.
    #[must_use]
    pub fn roots(&self) -> &[PathBuf] {
        &self.roots
    }

    /// How much may be read.
    #[must_use]
    pub fn limits(&self) -> Limits {
        self.limits
    }

    /// Reads the file at `path`, or all files that the pattern `path` matches (`*`, `?`, `[..]`,
    /// `{a,b}`, `**`), sorted by path. A relative path is looked for in each root in turn.
    ///
    /// # Errors
    /// When nothing is there, something may not or can not be read, or it is too much.
    pub async fn read(&self, path: &str) -> Result<Vec<TextFile>, FileError> {
        let (files, path) = (self.clone(), path.to_owned());
        // Reading ends by itself: it is bounded by the limits, and never waits for another process.
        let reading = tokio::task::spawn_blocking(move || files.read_now(&path));
        reading.await.unwrap_or_else(|error| {
            tracing::error!(%error, "reading a file ended in a panic");
            Err(FileError::Io { path: String::new(), message: "internal error".to_owned() })
        })
    }

    fn read_now(&self, path: &str) -> Result<Vec<TextFile>, FileError> {
        if self.roots.is_empty() {
            return Err(FileError::NoRoots);
        }
        if path.contains('\0') {
            return Err(FileError::NotFound { path: path.replace('\0', "\u{fffd}") });
        }
        let roots = self.roots.iter().map(|root| Root::open(root)).collect::<Result<Vec<_>, _>>()?;
        match self.read_one(&roots, path) {
            // A file may be called like a pattern, so the file goes first.
            Err(FileError::NotFound { .. }) if glob::is_pattern(path) => self.read_matching(&roots, path),
            read => read.map(|file| vec![file]),
        }
    }

    fn read_one(&self, roots: &[Root], path: &str) -> Result<TextFile, FileError> {
        let mut refused = None;
        for root in roots {
            let Some(inside) = root.inside(path) else { continue };
            match read::text(root, &inside, path, self.limits) {
                Ok(file) => return Ok(file),
                // It may be in another root; what was found wrong here is told when it is not.
                Err(error) => refused = pick(refused, error),
            }
        }
        Err(refused.unwrap_or_else(|| self.outside(path)))
    }

    fn read_matching(&self, roots: &[Root], pattern: &str) -> Result<Vec<TextFile>, FileError> {
        let mut files = Vec::new();
        let (mut total, mut usable) = (0_u64, false);
        for root in roots {
            let Some(inside) = root.inside(pattern) else { continue };
            usable = true;
            for found in glob::matching(root, &inside, pattern, self.limits.files)? {
                let file = read::text(root, &found, &root.shown(&found), self.limits)?;
                total += file.read.bytes;
                if total > self.limits.total_bytes {
                    return Err(FileError::TooLargeTogether { limit: self.limits.total_bytes });
                }
                files.push(file);
                if files.len() > self.limits.files {
                    return Err(glob::too_many(pattern, self.limits.files));
                }
            }
        }
        match (usable, files.is_empty()) {
            (false, _) => Err(self.outside(pattern)),
            (true, true) => Err(FileError::NotFound { path: pattern.to_owned() }),
            (true, false) => Ok(files),
        }
    }

    fn outside(&self, path: &str) -> FileError {
        let roots = self.roots.iter().map(|root| root.display().to_string()).collect();
        FileError::Outside { path: path.to_owned(), roots }
    }
}

/// Of two refusals the one that says more: "not found" says least.
fn pick(earlier: Option<FileError>, error: FileError) -> Option<FileError> {
    match earlier {
        Some(earlier) if !matches!(earlier, FileError::NotFound { .. }) => Some(earlier),
        _ => Some(error),
    }
}
