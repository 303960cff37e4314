//! Reading: a file, then one override after another, each checked against the types as it comes, so
//! that an error is blamed on the line or the variable that brought it.

use std::path::{Path, PathBuf};

use toml::{Table, Value};

use super::layer::{self, Override};
use super::problem::from_serde;
use super::{Config, ConfigError, Place, Problem, secret};

/// The configuration while it is put together.
#[derive(Debug, Clone)]
pub struct Layers {
    table: Table,
    file: Option<PathBuf>,
    /// Path and place of every override laid so far.
    set: Vec<(String, Place)>,
}

impl Layers {
    /// Nothing but defaults.
    #[must_use]
    pub fn empty() -> Self {
        Self { table: Table::new(), file: None, set: Vec::new() }
    }

    /// A file alone.
    ///
    /// # Errors
    /// When it can not be read, is not TOML, or does not fit; with the line.
    pub fn from_file(path: &Path) -> Result<Self, ConfigError> {
        let at = |line| Place::File(path.to_owned(), line);
        let one = |problem: Problem| ConfigError(vec![problem]);
        let text = std::fs::read_to_string(path)
            .map_err(|error| one(Problem::new("", format!("can not be read: {error}")).at(at(None))))?;
        let line = |span: Option<std::ops::Range<usize>>| span.map(|span| line_of(&text, span.start));
        let not_toml =
            |error: &toml::de::Error| one(Problem::new("", error.message().to_owned()).at(at(line(error.span()))));
        let table: Table = text.parse().map_err(|error| not_toml(&error))?;
        let deserializer = toml::Deserializer::parse(&text).map_err(|error| not_toml(&error))?;
        if let Err(error) = serde_path_to_error::deserialize::<_, Config>(deserializer) {
            let problem = from_serde(&error.path().to_string(), error.inner().message());
            return Err(one(problem.at(at(line(error.inner().span())))));
        }
        Ok(Self { table, file: Some(path.to_owned()), set: Vec::new() })
    }

    /// Lays one override over what is there.
    ///
    /// # Errors
    /// When the key is unknown or the value does not fit in any reading.
    pub fn lay(&mut self, wish: &Override) -> Result<(), ConfigError> {
        let mut first = None;
        for value in wish.values() {
            let mut table = self.table.clone();
            let tried = match layer::put(&mut table, &wish.path, value) {
                Ok(path) => deserialize(&table).map(|_| path),
                Err(path) => Err(Problem::new(path, "is a value, not a section that could hold the rest of the name")),
            };
            match tried {
                Ok(path) => {
                    self.table = table;
                    self.set.push((path, wish.place.clone()));
                    return Ok(());
                }
                Err(problem) => first = first.or(Some(problem)),
            }
        }
        let problem = first.unwrap_or_else(|| Problem::new(wish.path.join("."), "has no value"));
        Err(ConfigError(vec![problem.at(wish.place.clone())]))
    }

    /// The typed configuration with its secrets.
    ///
    /// # Errors
    /// When a secret that is referred to is not there.
    pub fn config(&self) -> Result<Config, ConfigError> {
        let mut table = self.table.clone();
        let missing = secret::resolve(&mut table);
        if !missing.is_empty() {
            return Err(ConfigError(missing.into_iter().map(|problem| self.place(problem)).collect()));
        }
        deserialize(&table).map_err(|problem| ConfigError(vec![self.place(problem)]))
    }

    /// Adds to a problem where its key was set: an override, else the file.
    #[must_use]
    pub fn place(&self, problem: Problem) -> Problem {
        let by_override = self.set.iter().rev().find(|(path, _)| *path == problem.path).map(|(_, place)| place.clone());
        match by_override.or_else(|| self.file.clone().map(|file| Place::File(file, None))) {
            Some(place) if problem.place.is_none() => problem.at(place),
            _ => problem,
        }
    }

    /// File and overrides as written.
    #[must_use]
    pub fn into_written(self) -> Table {
        self.table
    }
}

fn deserialize(table: &Table) -> Result<Config, Problem> {
    serde_path_to_error::deserialize(Value::Table(table.clone())).map_err(
        |error: serde_path_to_error::Error<toml::de::Error>| {
            from_serde(&error.path().to_string(), error.inner().message())
        },
    )
}

/// The line (from 1) of a byte offset.
fn line_of(text: &str, offset: usize) -> usize {
    text.bytes().take(offset).filter(|&byte| byte == b'\n').count() + 1
}
