//! Which file is the configuration.

use std::path::{Path, PathBuf};

use super::{ConfigError, Place, Problem};

/// The name of the file in the working folder and in the user's folder.
pub const FILE_NAME: &str = "lla.toml";

/// Where to look, in order.
#[derive(Debug, Clone, Default)]
pub struct Wanted {
    /// `--config`: must exist.
    pub flag: Option<PathBuf>,
    /// `LLA_CONFIG`: must exist.
    pub variable: Option<PathBuf>,
    /// The working folder.
    pub working_dir: Option<PathBuf>,
    /// The user's configuration folder.
    pub user_dir: Option<PathBuf>,
}

/// The first of `--config`, `LLA_CONFIG`, `./lla.toml`, `lla.toml` in the user's folder; none is
/// fine.
///
/// # Errors
/// When a file that was asked for by name is not there.
pub fn file(wanted: &Wanted) -> Result<Option<PathBuf>, ConfigError> {
    let named = [(&wanted.flag, Place::Flag("--config")), (&wanted.variable, Place::Variable("LLA_CONFIG".to_owned()))];
    for (path, place) in named {
        if let Some(path) = path {
            return if path.is_file() { Ok(Some(path.clone())) } else { Err(missing(path, place)) };
        }
    }
    let usual = [&wanted.working_dir, &wanted.user_dir];
    Ok(usual.into_iter().flatten().map(|folder| folder.join(FILE_NAME)).find(|path| path.is_file()))
}

fn missing(path: &Path, place: Place) -> ConfigError {
    let message = format!("there is no file {}", path.display());
    ConfigError(vec![Problem::new("", message).at(place)])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flag_then_variable_then_working_folder_then_user_folder() {
        let root = tempfile::tempdir().expect("folder");
        let place = |name: &str| root.path().join(name);
        let write = |path: PathBuf| std::fs::write(path, "").expect("write");
        for folder in ["work", "user"] {
            std::fs::create_dir(place(folder)).expect("folder");
        }
        let mut wanted =
            Wanted { flag: None, variable: None, working_dir: Some(place("work")), user_dir: Some(place("user")) };
        assert_eq!(file(&wanted).expect("none"), None);
        write(place("user/lla.toml"));
        assert_eq!(file(&wanted).expect("user"), Some(place("user/lla.toml")));
        write(place("work/lla.toml"));
        assert_eq!(file(&wanted).expect("work"), Some(place("work/lla.toml")));
        wanted.variable = Some(place("v.toml"));
        let error = file(&wanted).expect_err("not there").to_string();
        assert!(error.contains("LLA_CONFIG") && error.contains("v.toml"), "{error}");
        write(place("v.toml"));
        assert_eq!(file(&wanted).expect("variable"), Some(place("v.toml")));
        wanted.flag = Some(place("f.toml"));
        assert!(file(&wanted).expect_err("not there").to_string().contains("--config"));
    }
}
