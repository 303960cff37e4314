//! Hands the commit to the binary, for `lla --version`.
//!
//! `LLA_COMMIT` wins (packagers build outside git); then git is asked; a build without either says
//! `unknown` and succeeds.

use std::io::Write as _;
use std::path::Path;
use std::process::Command;

fn main() -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "cargo:rerun-if-env-changed=LLA_COMMIT")?;
    // A path that does not exist would rebuild the crate every time.
    for name in ["HEAD", "logs/HEAD"] {
        if let Some(path) = git(&["rev-parse", "--git-path", name]).filter(|path| Path::new(path).exists()) {
            writeln!(out, "cargo:rerun-if-changed={path}")?;
        }
    }
    let commit = std::env::var("LLA_COMMIT")
        .ok()
        .filter(|commit| !commit.trim().is_empty())
        .or_else(|| git(&["rev-parse", "--short=12", "HEAD"]))
        .unwrap_or_else(|| "unknown".to_owned());
    writeln!(out, "cargo:rustc-env=LLA_BUILD_COMMIT={}", commit.trim())
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?.trim().to_owned();
    (output.status.success() && !text.is_empty()).then_some(text)
}
