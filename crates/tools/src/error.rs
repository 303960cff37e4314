//! Everything that can keep a tool from answering.

use std::time::Duration;

use lla_inference::ErrorKind;
use lla_protocol::FieldError;

use crate::answer;
use crate::files::FileError;

/// Why a tool call has no result. Every text may be shown to the caller.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ToolError {
    /// No tool has this name.
    #[error("there is no tool '{name}'; there are {}", .known.join(", "))]
    UnknownTool {
        /// The name that was asked for.
        name: String,
        /// The names that exist.
        known: Vec<&'static str>,
    },
    /// The arguments are wrong: which one, and what would be right.
    #[error(transparent)]
    Invalid(#[from] FieldError),
    /// A file can not be used.
    #[error("'path': {0}")]
    File(#[from] FileError),
    /// The model gave no answer to work with.
    #[error(transparent)]
    Answer(#[from] answer::Error),
    /// Another gateway, which was asked to do the work, refused.
    #[error("{message}")]
    Refused {
        /// Its words.
        message: String,
        /// The class of its error.
        kind: ErrorKind,
        /// The argument at fault, where it named one.
        field: Option<String>,
        /// Its code, where it gave one.
        code: Option<String>,
    },
    /// The work took longer than a call may.
    #[error("the tool did not finish within {} s; send a shorter text", .0.as_secs())]
    Deadline(Duration),
    /// A bug of ours; the log has it.
    #[error("internal error")]
    Internal,
}

impl ToolError {
    /// The class of the error; `None` when there is no such tool.
    #[must_use]
    pub fn kind(&self) -> Option<ErrorKind> {
        match self {
            Self::UnknownTool { .. } => None,
            Self::Invalid(_) => Some(ErrorKind::InvalidRequest),
            Self::File(FileError::Io { .. }) => Some(ErrorKind::Internal),
            Self::File(_) => Some(ErrorKind::InvalidRequest),
            Self::Answer(answer::Error::Inference(error)) => Some(error.kind()),
            Self::Answer(_) => Some(ErrorKind::Upstream),
            Self::Refused { kind, .. } => Some(*kind),
            Self::Deadline(_) => Some(ErrorKind::Timeout),
            Self::Internal => Some(ErrorKind::Internal),
        }
    }

    /// The argument at fault (`labels`, `examples[2].label`), where one is.
    #[must_use]
    pub fn field(&self) -> Option<&str> {
        match self {
            Self::Invalid(error) => error.param.as_deref(),
            Self::File(_) => Some("path"),
            Self::Refused { field, .. } => field.as_deref(),
            Self::Answer(answer::Error::Inference(lla_inference::Error::ContextLength { .. })) => Some("text"),
            _ => None,
        }
    }

    /// A stable code that is more precise than the kind, where there is one.
    #[must_use]
    pub fn code(&self) -> Option<&str> {
        match self {
            Self::UnknownTool { .. } => Some("unknown_tool"),
            Self::Invalid(error) => Some(error.code),
            Self::File(error) => Some(error.code()),
            Self::Refused { code, .. } => code.as_deref(),
            Self::Deadline(_) => Some("deadline_exceeded"),
            _ => None,
        }
    }
}

impl From<lla_inference::Error> for ToolError {
    fn from(error: lla_inference::Error) -> Self {
        Self::Answer(answer::Error::Inference(error))
    }
}
