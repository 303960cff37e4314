//! Where files live: `LLA_HOME` for everything, or the XDG folders.
//!
//! | what | with `LLA_HOME` | otherwise |
//! |---|---|---|
//! | configuration | `$LLA_HOME/lla.toml` | `$XDG_CONFIG_HOME/lla/lla.toml` (`~/.config/lla/lla.toml`) |
//! | state (`models/`) | `$LLA_HOME` | `$XDG_DATA_HOME/lla` (`~/.local/share/lla`) |
//! | sockets of engines (`run/`) | `$LLA_HOME/run` | `run/` in the state folder |

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::failure::Failure;

/// The folders of this user.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Places {
    /// Where `lla.toml` is looked for when nothing else names it.
    pub config_dir: PathBuf,
    /// State: models, later keys and ledger.
    pub home: PathBuf,
}

impl Places {
    /// From the process's environment.
    ///
    /// # Errors
    /// When neither `LLA_HOME` nor `HOME` is set.
    pub fn from_environment() -> Result<Self, Failure> {
        Self::find(|name| std::env::var_os(name))
    }

    /// From any environment.
    ///
    /// # Errors
    /// When neither `LLA_HOME` nor `HOME` is set.
    pub fn find(variable: impl Fn(&str) -> Option<OsString>) -> Result<Self, Failure> {
        let path = |name: &str| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
        if let Some(home) = path("LLA_HOME") {
            let home = std::path::absolute(&home).unwrap_or(home);
            return Ok(Self { config_dir: home.clone(), home });
        }
        // The XDG specification: relative paths are invalid and to be ignored.
        let xdg = |name: &str| path(name).filter(|path| path.is_absolute());
        let below_home = |rest: &str| path("HOME").map(|home| home.join(rest));
        let config = xdg("XDG_CONFIG_HOME").or_else(|| below_home(".config"));
        let data = xdg("XDG_DATA_HOME").or_else(|| below_home(".local/share"));
        match (config, data) {
            (Some(config), Some(data)) => Ok(Self { config_dir: config.join("lla"), home: data.join("lla") }),
            _ => Err(Failure::usage("no place for models and state: neither LLA_HOME nor HOME is set")
                .hint("set LLA_HOME to a folder of your choice")),
        }
    }

    /// The folder of the model store.
    #[must_use]
    pub fn models(&self) -> PathBuf {
        self.home.join("models")
    }

    /// The folder of the engines' sockets.
    #[must_use]
    pub fn run(&self) -> PathBuf {
        self.home.join("run")
    }
}

/// `~/x` as the shell would read it, for paths from the configuration.
#[must_use]
pub fn expand_home(path: &Path) -> PathBuf {
    match (path.strip_prefix("~"), std::env::var_os("HOME")) {
        (Ok(rest), Some(home)) => Path::new(&home).join(rest),
        _ => path.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn places(variables: &[(&str, &str)]) -> Option<Places> {
        let find = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| OsString::from(value));
        Places::find(find).ok()
    }

    #[test]
    fn lla_home_then_xdg_then_home() {
        let both = |config: &str, home: &str| Some(Places { config_dir: config.into(), home: home.into() });
        assert_eq!(places(&[("LLA_HOME", "/l"), ("HOME", "/h")]), both("/l", "/l"));
        assert_eq!(places(&[("HOME", "/h")]), both("/h/.config/lla", "/h/.local/share/lla"));
        let xdg = [("HOME", "/h"), ("XDG_CONFIG_HOME", "/c"), ("XDG_DATA_HOME", "relative")];
        assert_eq!(places(&xdg), both("/c/lla", "/h/.local/share/lla"));
        assert_eq!(places(&[("LLA_HOME", "")]), None);
    }
}
