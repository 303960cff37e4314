//! Opening and reading one file beneath a root.

use std::io::{ErrorKind, Read as _};
use std::path::Path;

use cap_fs_ext::OpenOptionsSyncExt as _;
use cap_std::fs::{File, FileTypeExt as _, Metadata, OpenOptions};

use super::root::Root;
use super::{FileError, Limits, TextFile};
use crate::output::FileRead;

/// The byte order mark that some programs put in front of UTF-8.
const BOM: &str = "\u{feff}";

/// Reads `inside` (relative to `root`); `shown` is its name in errors.
pub(super) fn text(root: &Root, inside: &Path, shown: &str, limits: Limits) -> Result<TextFile, FileError> {
    let file = match open(root, inside, shown) {
        Err(refused @ FileError::Outside { .. }) => match root.through_links(inside) {
            Some(target) => open(root, &target, shown)?,
            None => return Err(refused),
        },
        opened => opened?,
    };
    let bytes = bytes(file, shown, limits.file_bytes.min(limits.total_bytes))?;
    let read = FileRead { path: shown.to_owned(), bytes: bytes.len() as u64 };
    if bytes.contains(&0) {
        return Err(FileError::Binary { path: shown.to_owned() });
    }
    let text = String::from_utf8(bytes)
        .map_err(|error| FileError::NotUtf8 { path: shown.to_owned(), at: error.utf8_error().valid_up_to() })?;
    let text = text.strip_prefix(BOM).map(str::to_owned).unwrap_or(text);
    Ok(TextFile { read, text })
}

/// Looks first, because opening alone can act (a pipe's writer wakes up, a tape rewinds); opens without
/// blocking and looks again, because the file may have been exchanged in between.
fn open(root: &Root, inside: &Path, shown: &str) -> Result<File, FileError> {
    let explain = |error: std::io::Error| explain(&error, root, shown);
    check_regular(&root.dir.metadata(inside).map_err(explain)?, shown)?;
    let mut options = OpenOptions::new();
    options.read(true).nonblock(true);
    let file = root.dir.open_with(inside, &options).map_err(explain)?;
    check_regular(&file.metadata().map_err(explain)?, shown)?;
    Ok(file)
}

fn check_regular(metadata: &Metadata, shown: &str) -> Result<(), FileError> {
    let kind = metadata.file_type();
    let (kind, hint) = if kind.is_file() {
        return Ok(());
    } else if kind.is_dir() {
        ("a folder", "; name its files with a pattern such as FOLDER/*.md")
    } else if kind.is_fifo() {
        ("a pipe", "")
    } else if kind.is_socket() {
        ("a socket", "")
    } else if kind.is_char_device() || kind.is_block_device() {
        ("a device", "")
    } else {
        ("something else", "")
    };
    Err(FileError::NotRegular { path: shown.to_owned(), kind, hint })
}

/// Never more than the limit, also when the file grows meanwhile.
fn bytes(file: File, shown: &str, limit: u64) -> Result<Vec<u8>, FileError> {
    let too_large = || FileError::TooLarge { path: shown.to_owned(), limit };
    let failed = |error: std::io::Error| FileError::Io { path: shown.to_owned(), message: error.kind().to_string() };
    if file.metadata().map_err(failed)?.len() > limit {
        return Err(too_large());
    }
    let mut bytes = Vec::new();
    file.take(limit.saturating_add(1)).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > limit { Err(too_large()) } else { Ok(bytes) }
}

fn explain(error: &std::io::Error, root: &Root, shown: &str) -> FileError {
    let path = shown.to_owned();
    match error.kind() {
        ErrorKind::NotFound | ErrorKind::NotADirectory | ErrorKind::InvalidFilename => FileError::NotFound { path },
        // `cap-std` reports a path that leaves its folder as "permission denied" without an OS error.
        ErrorKind::PermissionDenied if error.raw_os_error().is_none() => {
            FileError::Outside { path, roots: vec![root.shown(Path::new(""))] }
        }
        ErrorKind::PermissionDenied => FileError::Denied { path },
        kind => FileError::Io { path, message: kind.to_string() },
    }
}
