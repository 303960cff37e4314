//! How a command fails: what went wrong, what to do about it, and the exit code.

use std::fmt;

/// Exit codes after BSD's `sysexits`: few, so that scripts can rely on them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// The command did its work, and the answer is no: for scripts that ask.
    No = 1,
    /// Wrong usage or configuration.
    Usage = 64,
    /// Something that is needed is not there: a model, a port, a backend, the network.
    Unavailable = 69,
    /// Our own bug.
    Bug = 70,
}

impl Exit {
    /// The code as the operating system sees it.
    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::No => 1,
            Self::Usage => 64,
            Self::Unavailable => 69,
            Self::Bug => 70,
        }
    }
}

/// A command's failure. Made from any error by `?` it counts as our own bug: wherever the cause is
/// known, [`OrFail`] says what it is.
#[derive(Debug)]
pub struct Failure {
    /// The exit code.
    pub exit: Exit,
    /// What went wrong, with its causes.
    pub error: anyhow::Error,
    /// What to do about it: a sentence or a command.
    pub hint: Option<String>,
}

impl Failure {
    /// Wrong usage or configuration.
    pub fn usage(message: impl fmt::Display + fmt::Debug + Send + Sync + 'static) -> Self {
        Self { exit: Exit::Usage, error: anyhow::Error::msg(message), hint: None }
    }

    /// The answer is no.
    pub fn no(message: impl fmt::Display + fmt::Debug + Send + Sync + 'static) -> Self {
        Self { exit: Exit::No, error: anyhow::Error::msg(message), hint: None }
    }

    /// Something needed is not there.
    pub fn unavailable(message: impl fmt::Display + fmt::Debug + Send + Sync + 'static) -> Self {
        Self { exit: Exit::Unavailable, error: anyhow::Error::msg(message), hint: None }
    }

    /// Adds what to do.
    #[must_use]
    pub fn hint(self, hint: impl Into<String>) -> Self {
        Self { hint: Some(hint.into()), ..self }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        let word = if self.exit == Exit::No { "no" } else { "error" };
        write!(formatter, "{word}: {:#}", self.error)?;
        if let Some(hint) = &self.hint {
            for line in hint.lines() {
                write!(formatter, "\n  hint: {line}")?;
            }
        }
        Ok(())
    }
}

impl<E: Into<anyhow::Error>> From<E> for Failure {
    fn from(error: E) -> Self {
        Self { exit: Exit::Bug, error: error.into(), hint: None }
    }
}

/// Turns an error into a [`Failure`] of a known class.
pub trait OrFail<T> {
    /// Fails with `exit`.
    ///
    /// # Errors
    /// The error, classed.
    fn or_fail(self, exit: Exit) -> Result<T, Failure>;
}

impl<T, E: Into<anyhow::Error>> OrFail<T> for Result<T, E> {
    fn or_fail(self, exit: Exit) -> Result<T, Failure> {
        self.map_err(|error| Failure { exit, error: error.into(), hint: None })
    }
}

/// What a command returns.
pub type Outcome = Result<(), Failure>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn says_what_why_and_what_to_do() {
        let error = anyhow::anyhow!("the disk is full").context("the model can not be stored");
        let failure = Failure { exit: Exit::Unavailable, error, hint: Some("free some space\nor move it".into()) };
        let text = "error: the model can not be stored: the disk is full\n  hint: free some space\n  hint: or move it";
        assert_eq!(failure.to_string(), text);
    }
}
