//! Where the sockets of engines are.

use std::io;
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};

use crate::driver::BuildError;

/// `sun_path` of a Unix socket address holds 108 bytes on Linux and 104 elsewhere, with a zero.
const MAX_PATH: usize = 103;

/// Makes the folder, for this user only, or checks that an existing one is.
pub(super) fn prepare_folder(folder: &Path) -> Result<(), BuildError> {
    let problem = |message: String| BuildError::RunDir { path: folder.to_owned(), message };
    std::fs::DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|error| problem(error.to_string()))?;
    let mode = std::fs::metadata(folder).map_err(|error| problem(error.to_string()))?.mode();
    if mode & 0o022 != 0 {
        let fix = format!("others may write into it: chmod 700 {}", folder.display());
        return Err(problem(fix));
    }
    Ok(())
}

/// The socket of the engine for `model`, the `index`th of the configuration. Named after the model
/// where the name can be part of a short path.
pub(super) fn path(folder: &Path, model: &str, index: usize) -> Result<PathBuf, BuildError> {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let fits = |path: &Path| path.as_os_str().as_bytes().len() <= MAX_PATH;
    // A number alone is no name that a model's could collide with: that gets a `-engine` behind it.
    let named = folder.join(format!("{model}-engine.sock"));
    if model.chars().all(is_plain) && fits(&named) {
        return Ok(named);
    }
    let numbered = folder.join(format!("{index}.sock"));
    if fits(&numbered) {
        return Ok(numbered);
    }
    let message = format!("its path is too long for a socket (at most {} bytes): choose a shorter one", MAX_PATH - 8);
    Err(BuildError::RunDir { path: folder.to_owned(), message })
}

/// Removes what an engine that was killed has left.
pub(super) fn remove(socket: &Path) -> io::Result<()> {
    match std::fs::remove_file(socket) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn long_and_odd_names_get_a_short_socket() {
        let of = |folder: &str, model: &str| path(Path::new(folder), model, 3).map(|path| path.display().to_string());
        assert_eq!(of("/run", "smol-135m").expect("plain"), "/run/smol-135m-engine.sock");
        assert_eq!(of("/run", "org/model:q4").expect("odd"), "/run/3.sock");
        assert_eq!(of("/run", &"a".repeat(200)).expect("long"), "/run/3.sock");
        let error = of(&format!("/{}", "d".repeat(100)), "m").expect_err("too deep");
        assert!(error.to_string().contains("too long"), "{error}");
    }

    #[test]
    fn the_folder_is_private() {
        let parent = tempfile::tempdir().expect("folder");
        let folder = parent.path().join("a/run");
        prepare_folder(&folder).expect("made");
        assert_eq!(std::fs::metadata(&folder).expect("there").mode() & 0o777, 0o700);
        std::fs::set_permissions(&folder, std::fs::Permissions::from_mode(0o777)).expect("chmod");
        assert!(prepare_folder(&folder).expect_err("open to all").to_string().contains("chmod 700"));
        remove(&folder.join("not-there.sock")).expect("nothing to do");
    }
}
