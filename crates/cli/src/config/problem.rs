//! What is wrong with a configuration, said so that it can be put right at once.

use std::fmt;
use std::path::PathBuf;

/// Where a value was set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Place {
    /// In a file, on a line (from 1) where that is known.
    File(PathBuf, Option<usize>),
    /// By a variable of the environment.
    Variable(String),
    /// By a flag.
    Flag(&'static str),
}

impl fmt::Display for Place {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path, Some(line)) => write!(formatter, "{}:{line}", path.display()),
            Self::File(path, None) => write!(formatter, "{}", path.display()),
            Self::Variable(name) => formatter.write_str(name),
            Self::Flag(name) => formatter.write_str(name),
        }
    }
}

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Problem {
    /// The key, from the root (`models.big.context`); empty when the file as a whole is at fault.
    pub path: String,
    /// What is wrong and what would be right. Never holds a secret.
    pub message: String,
    /// Where it was set, when it was set at all.
    pub place: Option<Place>,
}

impl Problem {
    /// A problem with a key.
    pub fn new(path: impl Into<String>, message: impl Into<String>) -> Self {
        Self { path: path.into(), message: message.into(), place: None }
    }

    /// The same, found at `place`.
    #[must_use]
    pub fn at(self, place: Place) -> Self {
        Self { place: Some(place), ..self }
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(formatter, "{place}: ")?;
        }
        if !self.path.is_empty() {
            write!(formatter, "{}: ", self.path)?;
        }
        formatter.write_str(&self.message)
    }
}

/// Why a configuration can not be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the configuration can not be used\n{}", .0.iter().map(|problem| format!("  {problem}")).collect::<Vec<_>>().join("\n"))]
pub struct ConfigError(pub Vec<Problem>);

/// Turns serde's complaint about the value at `path` into ours: an unknown key becomes part of the
/// path and gets its nearest known neighbour; the value of a key that holds a secret is not repeated.
#[must_use]
pub fn from_serde(path: &str, message: &str) -> Problem {
    let path = if path == "." { "" } else { path };
    let message = message.lines().next().unwrap_or_default();
    if super::secret::is_secret(path) {
        return Problem::new(path, "must be text: the secret itself, `env:NAME` or `file:PATH`");
    }
    match Unknown::parse(message) {
        Some(unknown) if unknown.what == "field" => Problem::new(join(path, unknown.name), unknown.message("key")),
        Some(unknown) => Problem::new(path, format!("`{}` is an {}", unknown.name, unknown.message("value"))),
        None => Problem::new(path, message),
    }
}

/// `path.key`, without doubling a key that the path already ends with.
fn join(path: &str, key: &str) -> String {
    if path.is_empty() || path == key || path.ends_with(&format!(".{key}")) {
        return if path.is_empty() { key.to_owned() } else { path.to_owned() };
    }
    format!("{path}.{key}")
}

/// The one format in which serde's derive reports unknown fields and variants:
/// ``unknown field `x`, expected one of `a`, `b` ``.
struct Unknown<'a> {
    what: &'a str,
    name: &'a str,
    expected: Vec<&'a str>,
}

impl<'a> Unknown<'a> {
    fn parse(message: &'a str) -> Option<Self> {
        let (what, rest) = message.strip_prefix("unknown ")?.split_once(" `")?;
        let (name, rest) = rest.split_once('`')?;
        let expected = rest.split('`').skip(1).step_by(2).collect();
        Some(Self { what, name, expected })
    }

    fn message(&self, noun: &str) -> String {
        let near = |word: &&&str| strsim::damerau_levenshtein(self.name, word) <= 2.max(self.name.len() / 3);
        let nearest = self.expected.iter().filter(near).min_by_key(|word| strsim::damerau_levenshtein(self.name, word));
        match nearest {
            Some(nearest) => format!("unknown {noun}; did you mean `{nearest}`?"),
            None if self.expected.is_empty() => format!("unknown {noun}; nothing can be set here"),
            None => format!("unknown {noun}; known here: {}", self.expected.join(", ")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_names_get_their_nearest_neighbour() {
        let table = [
            (
                "server",
                "unknown field `listn`, expected one of `listen`, `max_body`",
                "server.listn: unknown key; did you mean `listen`?",
            ),
            (
                "server.listn",
                "unknown field `listn`, expected `listen`",
                "server.listn: unknown key; did you mean `listen`?",
            ),
            (
                ".",
                "unknown field `sever`, expected one of `server`, `log`",
                "sever: unknown key; did you mean `server`?",
            ),
            (
                "log",
                "unknown field `zebra`, expected one of `level`, `format`",
                "log.zebra: unknown key; known here: level, format",
            ),
            (
                "log.format",
                "unknown variant `jsno`, expected one of `auto`, `json`",
                "log.format: `jsno` is an unknown value; did you mean `json`?",
            ),
            ("a.b", "invalid type: string \"x\", expected u32", "a.b: invalid type: string \"x\", expected u32"),
            ("x", "unknown field `y`, there are no fields", "x.y: unknown key; nothing can be set here"),
        ];
        for (path, message, wanted) in table {
            assert_eq!(from_serde(path, message).to_string(), wanted);
        }
    }

    #[test]
    fn a_secret_of_the_wrong_type_is_not_repeated() {
        let text = from_serde("backends.x.api_key", "invalid type: integer `12345`, expected a string").to_string();
        assert!(!text.contains("12345") && text.contains("env:NAME"), "{text}");
    }
}
