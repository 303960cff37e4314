//! Secrets: `env:NAME` and `file:PATH` in place of the secret itself, and never on a screen.

use toml::{Table, Value};

use super::Problem;
use crate::places::expand_home;

/// What stands for a secret wherever a configuration is shown.
pub const HIDDEN: &str = "(hidden)";

/// Whether the key at this path holds a secret.
#[must_use]
pub fn is_secret(path: &str) -> bool {
    path.rsplit('.').next() == Some("api_key")
}

/// Replaces every reference by what it refers to; returns what is missing.
pub fn resolve(table: &mut Table) -> Vec<Problem> {
    let mut problems = Vec::new();
    walk(table, "", &mut |path, text| match look_up(text) {
        Ok(Some(found)) => *text = found,
        Ok(None) => {}
        Err(message) => problems.push(Problem::new(path, message)),
    });
    problems
}

/// Replaces every secret by [`HIDDEN`]; references stay readable, as they tell nothing.
pub fn hide(table: &mut Table) {
    walk(table, "", &mut |_, text| {
        if !(text.starts_with("env:") || text.starts_with("file:")) {
            HIDDEN.clone_into(text);
        }
    });
}

fn walk(table: &mut Table, path: &str, visit: &mut dyn FnMut(&str, &mut String)) {
    for (key, value) in table.iter_mut() {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        match value {
            Value::Table(table) => walk(table, &path, visit),
            Value::String(text) if is_secret(&path) => visit(&path, text),
            _ => {}
        }
    }
}

/// The secret that a text is, or refers to.
///
/// # Errors
/// What is missing: a variable, a file.
pub fn read(text: &str) -> Result<String, String> {
    look_up(text).map(|found| found.unwrap_or_else(|| text.to_owned()))
}

fn look_up(text: &str) -> Result<Option<String>, String> {
    if let Some(name) = text.strip_prefix("env:") {
        return match std::env::var(name) {
            Ok(secret) if !secret.trim().is_empty() => Ok(Some(secret.trim().to_owned())),
            _ => Err(format!("the variable {name} is not set (or is empty)")),
        };
    }
    if let Some(path) = text.strip_prefix("file:") {
        let secret = std::fs::read_to_string(expand_home(path.as_ref()))
            .map_err(|error| format!("the file {path} can not be read: {error}"))?;
        return match secret.trim() {
            "" => Err(format!("the file {path} is empty")),
            secret => Ok(Some(secret.to_owned())),
        };
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn references_are_followed_and_values_are_hidden() {
        let folder = tempfile::tempdir().expect("folder");
        let file = folder.path().join("key");
        std::fs::write(&file, "from-file\n").expect("write");
        let text = format!(
            "[backends.a]\napi_key = \"file:{}\"\n[backends.b]\napi_key = \"plain\"\n[backends.c]\napi_key = \"env:LLA_NO_SUCH\"",
            file.display()
        );
        let written: Table = text.parse().expect("toml");
        let mut resolved = written.clone();
        let problems: Vec<String> = resolve(&mut resolved).iter().map(ToString::to_string).collect();
        assert_eq!(problems, ["backends.c.api_key: the variable LLA_NO_SUCH is not set (or is empty)"]);
        assert_eq!(resolved["backends"]["a"]["api_key"].as_str(), Some("from-file"));
        let mut shown = written;
        hide(&mut shown);
        assert_eq!(shown["backends"]["b"]["api_key"].as_str(), Some(HIDDEN));
        assert!(shown["backends"]["a"]["api_key"].as_str().is_some_and(|text| text.starts_with("file:")));
    }
}
