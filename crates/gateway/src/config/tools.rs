//! The `[tools]` section: what classify, extract, summarize and rewrite may use.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use lla_inference::duration_text;
use lla_tools::{Context, Files, Limits, Models};
use serde::{Deserialize, Serialize};

use super::{ByteSize, ConfigError};

/// What the tools may use.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct ToolsConfig {
    /// Folders whose files callers may name as `path`; symbolic links that lead out of them are refused.
    /// Absolute paths. Default: none, so that no file can be read over HTTP.
    pub roots: Vec<PathBuf>,
    /// Largest file. Default 1 MiB.
    pub max_file_bytes: ByteSize,
    /// All files of one call together. Default 4 MiB.
    pub max_total_bytes: ByteSize,
    /// Most files that a pattern may match. Default 100.
    pub max_files: usize,
    /// How long one call may take. Default 10 minutes.
    #[serde(with = "duration_text")]
    pub timeout: Duration,
}

impl Default for ToolsConfig {
    fn default() -> Self {
        let limits = Limits::default();
        let size = |bytes: u64| ByteSize(usize::try_from(bytes).unwrap_or(usize::MAX));
        Self {
            roots: Vec::new(),
            max_file_bytes: size(limits.file_bytes),
            max_total_bytes: size(limits.total_bytes),
            max_files: limits.files,
            timeout: lla_tools::call::DEADLINE,
        }
    }
}

impl ToolsConfig {
    /// Checks what types alone can not say. Whether a folder is there is seen when it is used.
    ///
    /// # Errors
    /// Names the first key with a value that can not work.
    pub fn check(&self) -> Result<(), ConfigError> {
        let wrong = |field, message: String| Err(ConfigError { field, message });
        if let Some(root) = self.roots.iter().find(|root| !root.is_absolute()) {
            let message = format!("\"{}\" is not an absolute path, which begins with /", root.display());
            return wrong("tools.roots", message);
        }
        let at_least_one = "must be at least 1".to_owned();
        if self.max_file_bytes.0 == 0 {
            return wrong("tools.max_file_bytes", at_least_one);
        }
        if self.max_total_bytes.0 == 0 {
            return wrong("tools.max_total_bytes", at_least_one);
        }
        if self.max_files == 0 {
            return wrong("tools.max_files", at_least_one);
        }
        if self.timeout.is_zero() {
            return wrong("tools.timeout", "must be longer than nothing, for example \"10m\"".to_owned());
        }
        Ok(())
    }

    /// How much of the files may be read.
    #[must_use]
    pub fn limits(&self) -> Limits {
        Limits {
            file_bytes: self.max_file_bytes.0 as u64,
            total_bytes: self.max_total_bytes.0 as u64,
            files: self.max_files,
        }
    }

    /// What a call may use: `models`, and the folders.
    #[must_use]
    pub fn context(&self, models: Arc<dyn Models>) -> Context {
        Context { files: Files::new(self.roots.clone(), self.limits()), deadline: self.timeout, ..Context::new(models) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_can_be_set_and_written() {
        assert_eq!(toml::from_str::<ToolsConfig>("").expect("empty"), ToolsConfig::default());
        let text = "roots = [\"/srv\"]\nmax_file_bytes = \"2MiB\"\nmax_total_bytes = 5\nmax_files = 3\n\
            timeout = \"1m\"";
        let config: ToolsConfig = toml::from_str(text).expect("all keys");
        assert_eq!(config.check(), Ok(()));
        assert_eq!(config.limits(), Limits { file_bytes: 2 << 20, total_bytes: 5, files: 3 });
        let written = toml::to_string(&config).expect("write");
        assert_eq!(toml::from_str::<ToolsConfig>(&written).expect("read"), config);
    }

    #[test]
    fn wrong_values_are_named() {
        for (text, field) in [
            ("roots = [\"here\"]", "tools.roots"),
            ("max_file_bytes = 0", "tools.max_file_bytes"),
            ("max_total_bytes = 0", "tools.max_total_bytes"),
            ("max_files = 0", "tools.max_files"),
            ("timeout = \"0s\"", "tools.timeout"),
        ] {
            let config: ToolsConfig = toml::from_str(text).expect(text);
            assert_eq!(config.check().expect_err(text).field, field);
        }
    }
}
