//! What can be wrong with a grammar, and what can go wrong while it is followed.

/// A grammar that can not be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{message}", .path.as_deref().map(|path| format!("'{path}': ")).unwrap_or_default())]
pub struct GrammarError {
    /// Where: inside the grammar at first (`properties.x.not`), after [`GrammarError::under`] inside
    /// the request. `None`: the grammar as a whole.
    pub path: Option<String>,
    /// `invalid_schema`, `unsupported_schema`, `invalid_grammar` or `grammar_too_complex`.
    pub code: &'static str,
    /// One sentence for the caller.
    pub message: String,
}

/// Paths hold names that the caller chose: they do not come back at any length.
const LONGEST_PATH: usize = 400;

impl GrammarError {
    /// An error at a place inside the grammar; an empty path is the grammar as a whole.
    pub(crate) fn new(path: &str, code: &'static str, message: impl Into<String>) -> Self {
        let path = (!path.is_empty()).then(|| path.chars().take(LONGEST_PATH).collect());
        Self { path, code, message: message.into() }
    }

    /// The same error, seen from the request: `param` is the field that holds the grammar.
    #[must_use]
    pub fn under(self, param: &str) -> Self {
        let path = match self.path {
            None => param.to_owned(),
            Some(inner) if inner.starts_with('[') => format!("{param}{inner}"),
            Some(inner) => format!("{param}.{inner}"),
        };
        Self { path: Some(path), ..self }
    }
}

/// A restriction that can not be followed further.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ConstraintError {
    /// This token may not come here.
    #[error("token {token} is not allowed by the grammar here")]
    Refused {
        /// The token.
        token: u32,
    },
    /// The grammar needs more work for one token than is allowed, or llguidance failed.
    #[error("the grammar can not be followed: {0}")]
    Failed(String),
}

/// The first line of what llguidance says, without the parts that are meant for its developers.
pub(super) fn first_line(error: &str) -> String {
    let line = error.lines().find(|line| !line.trim().is_empty()).unwrap_or("no reason given");
    let line = line.trim_start_matches("panic: ");
    let line = line.split("<state>").next().unwrap_or(line).trim_end_matches("<non-verbose/>");
    line.trim().chars().take(300).collect()
}
