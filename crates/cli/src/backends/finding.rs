//! What came of one try.

use std::fmt;

use lla_inference::{Error, ErrorKind};
use serde::{Serialize, Serializer};

/// Whether it works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Works {
    /// It does.
    Yes,
    /// It should, and does not.
    No,
    /// The server, or the model, does not have it.
    NotOffered,
}

impl fmt::Display for Works {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.pad(match self {
            Self::Yes => "yes",
            Self::No => "no",
            Self::NotOffered => "not offered",
        })
    }
}

impl Serialize for Works {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// What came of one try.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Finding {
    /// Whether it works.
    pub works: Works,
    /// What was seen, or why it does not work.
    pub detail: String,
}

impl Finding {
    /// It works.
    pub fn yes(detail: impl Into<String>) -> Self {
        Self { works: Works::Yes, detail: detail.into() }
    }

    /// It does not.
    pub fn no(detail: impl Into<String>) -> Self {
        Self { works: Works::No, detail: detail.into() }
    }

    /// It is not there.
    pub fn not_offered(detail: impl Into<String>) -> Self {
        Self { works: Works::NotOffered, detail: detail.into() }
    }

    /// Something that every server has went wrong.
    #[must_use]
    pub fn failed(error: &Error) -> Self {
        Self::no(error.to_string())
    }

    /// Something that a server may lack went wrong: a refusal means that it does, a failure does not.
    #[must_use]
    pub fn refused(error: &Error) -> Self {
        match error.kind() {
            _ if error.is_unsupported() => Self::not_offered(error.to_string()),
            ErrorKind::InvalidRequest | ErrorKind::ModelNotFound => Self::not_offered(error.to_string()),
            ErrorKind::Upstream if lacks_it(&error.to_string()) => Self::not_offered(error.to_string()),
            _ => Self::failed(error),
        }
    }
}

/// The words of our drivers for a route that is not there, and the status that servers give for what was
/// not built or not switched on.
fn lacks_it(message: &str) -> bool {
    ["does not know this route", "have no route", "(status 501)"].iter().any(|words| message.contains(words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_told_from_a_failure() {
        let upstream = |message: &str| Error::upstream("b", message);
        let invalid = Error::InvalidRequest { message: "no".to_owned(), param: None, code: None };
        for (error, wanted) in [
            (invalid, Works::NotOffered),
            (upstream("it does not know this route; check its url (status 404)"), Works::NotOffered),
            (upstream("start it with --embeddings (status 501)"), Works::NotOffered),
            (upstream("boom (status 500)"), Works::No),
            (Error::Internal, Works::No),
        ] {
            assert_eq!(Finding::refused(&error).works, wanted, "{error}");
        }
    }
}
