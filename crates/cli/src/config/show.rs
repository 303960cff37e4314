//! The configuration in force as TOML, without secrets.

use serde::Serialize;
use toml::{Table, Value};

use super::{Loaded, secret};
use crate::failure::Failure;

/// What is in force: every key that has a value, defaults included.
///
/// # Errors
/// When the values can not be written as TOML (a bug).
pub fn in_force(loaded: &Loaded) -> Result<String, Failure> {
    let mut text = String::new();
    match &loaded.file {
        Some(file) => text.push_str(&format!("# file: {}\n", file.display())),
        None => text.push_str("# file: none found; these are the defaults\n"),
    }
    for wish in &loaded.overrides {
        text.push_str(&format!("# set by {}: {}\n", wish.place, wish.path.join(".")));
    }
    let config = &loaded.config;
    let mut table = Table::new();
    table.insert("server".to_owned(), value(&config.server)?);
    table.insert("log".to_owned(), value(&config.log)?);
    table.insert("store".to_owned(), value(&config.store)?);
    table.insert("models".to_owned(), value(&config.models)?);
    table.insert("tools".to_owned(), value(&config.tools)?);
    table.insert("backends".to_owned(), value(&config.backends)?);
    table.insert("routes".to_owned(), value(&config.routes)?);
    table.insert("resilience".to_owned(), value(&config.resilience)?);
    merge_secrets(&mut table, &loaded.written);
    secret::hide(&mut table);
    table.retain(|_, section| section.as_table().is_none_or(|section| !section.is_empty()));
    text.push('\n');
    text.push_str(&toml::to_string_pretty(&table)?);
    Ok(text)
}

fn value(section: &impl Serialize) -> Result<Value, Failure> {
    Ok(Value::try_from(section)?)
}

/// Typed secrets can not be written; where the file has one, its text (hidden later, unless it is a
/// reference) stands for it.
fn merge_secrets(shown: &mut Table, written: &Table) {
    for (key, value) in written {
        match (shown.get_mut(key), value) {
            (Some(Value::Table(shown)), Value::Table(written)) => merge_secrets(shown, written),
            (_, Value::String(text)) if secret::is_secret(key) => {
                shown.insert(key.clone(), Value::String(text.clone()));
            }
            _ => {}
        }
    }
}
