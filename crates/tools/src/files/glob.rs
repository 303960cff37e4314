//! Files that match a pattern, found beneath a root.

use std::path::{Component, Path, PathBuf};

use cap_std::fs::Dir;
use globset::{GlobBuilder, GlobMatcher};

use super::FileError;
use super::root::Root;

/// A pattern may make us look at so many names; a home folder has more.
const MAX_LOOKED_AT: usize = 50_000;
/// Folders within folders.
const MAX_DEPTH: usize = 32;

/// Whether a path has characters that make it a pattern.
pub(super) fn is_pattern(path: &str) -> bool {
    path.contains(['*', '?', '[', '{'])
}

/// The error of a pattern that matches more than `limit` files.
pub(super) fn too_many(pattern: &str, limit: usize) -> FileError {
    FileError::TooMany { path: pattern.to_owned(), limit, of: "files" }
}

/// Paths (relative to `root`) that `inside` matches, sorted. Links to folders are not followed, so that
/// a walk ends; hidden names match only a pattern that spells their dot.
pub(super) fn matching(root: &Root, inside: &Path, pattern: &str, most: usize) -> Result<Vec<PathBuf>, FileError> {
    let text = inside.to_str().unwrap_or_default();
    let glob = GlobBuilder::new(text)
        .literal_separator(true)
        .build()
        .map_err(|error| FileError::BadPattern { path: pattern.to_owned(), message: error.kind().to_string() })?;
    let start: PathBuf = inside.components().take_while(|part| !is_pattern(&name(*part))).collect();
    let hidden = inside.components().any(|part| is_pattern(&name(part)) && name(part).starts_with('.'));
    let mut walk = Walk { matcher: glob.compile_matcher(), hidden, pattern, most, looked_at: 0, found: Vec::new() };
    let opened = if start.as_os_str().is_empty() { root.dir.try_clone() } else { root.dir.open_dir(&start) };
    // A folder that is not there, or may not be read, has no matching files.
    if let Ok(folder) = opened {
        walk.folder(&folder, &start, 0)?;
    }
    walk.found.sort();
    Ok(walk.found)
}

fn name(component: Component<'_>) -> String {
    component.as_os_str().to_string_lossy().into_owned()
}

struct Walk<'a> {
    matcher: GlobMatcher,
    hidden: bool,
    pattern: &'a str,
    most: usize,
    looked_at: usize,
    found: Vec<PathBuf>,
}

impl Walk<'_> {
    fn folder(&mut self, folder: &Dir, at: &Path, depth: usize) -> Result<(), FileError> {
        let Ok(entries) = folder.entries() else { return Ok(()) };
        for entry in entries.flatten() {
            self.looked_at += 1;
            if self.looked_at > MAX_LOOKED_AT {
                let of = "names to look at";
                return Err(FileError::TooMany { path: self.pattern.to_owned(), limit: MAX_LOOKED_AT, of });
            }
            let name = entry.file_name();
            if !self.hidden && name.to_string_lossy().starts_with('.') {
                continue;
            }
            let path = at.join(&name);
            let Ok(kind) = entry.file_type() else { continue };
            if kind.is_dir() {
                if depth < MAX_DEPTH
                    && let Ok(below) = entry.open_dir()
                {
                    self.folder(&below, &path, depth + 1)?;
                }
            } else if self.matcher.is_match(&path) {
                self.found.push(path);
                if self.found.len() > self.most {
                    return Err(too_many(self.pattern, self.most));
                }
            }
        }
        Ok(())
    }
}
