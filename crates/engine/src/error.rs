//! What can go wrong in the engine, and what a caller reads about it.
//!
//! Everything a caller may see is written by [`EngineError::body`]; HTTP status codes are in
//! `server/error.rs` only. Details of native failures go to the log, never to the caller.

use std::path::PathBuf;

use lla_protocol::FieldError;
use lla_protocol::openai::{ErrorBody, ErrorObject};

use crate::constraint::{ConstraintError, GrammarError};
use crate::cpu::CpuError;
use crate::template::TemplateError;

/// The one error type of this crate's serving path.
#[derive(Debug, Clone, thiserror::Error)]
pub enum EngineError {
    /// A field of the request holds what it may not hold.
    #[error(transparent)]
    Field(#[from] FieldError),
    /// What restricts the answer (schema, expression, grammar) can not be used.
    #[error(transparent)]
    Grammar(#[from] GrammarError),
    /// Prompt and answer do not fit the window.
    #[error(
        "the context window is {window} tokens; the prompt has {prompt_tokens} and the answer asks for {max_tokens}: \
         shorten the prompt or lower max_tokens"
    )]
    ContextLength {
        /// Tokens of the rendered prompt.
        prompt_tokens: u32,
        /// Tokens asked for, at least 1.
        max_tokens: u32,
        /// Most tokens of both together.
        window: u32,
    },
    /// An input of an embeddings request does not fit the window.
    #[error("input {index} has {tokens} tokens, the model reads {window} at most: split it into several inputs")]
    InputTooLong {
        /// Which input, from 0.
        index: usize,
        /// Its tokens, those that the model adds included.
        tokens: u32,
        /// Most tokens of one input.
        window: u32,
    },
    /// The model is of the other kind: one makes text, one makes embeddings.
    #[error("{0}")]
    WrongModel(String),
    /// The request names a model that this engine does not run.
    #[error("the model '{model}' does not exist; this engine serves '{serving}'")]
    ModelNotFound {
        /// The name asked for.
        model: String,
        /// The only name there is.
        serving: String,
    },
    /// Too many generations wait already.
    #[error("{waiting} generations are waiting already (limit {limit}): try again soon")]
    QueueFull {
        /// How many wait.
        waiting: usize,
        /// How many may wait.
        limit: usize,
    },
    /// The model file has no chat template.
    #[error("the model has no chat template: use /v1/completions, or start the engine with a chat template")]
    NoChatTemplate,
    /// The chat template refused the messages, or failed on them.
    #[error("{0}")]
    Template(String),
    /// A field (or option) asks for something that this engine does not do. Never ignored in silence.
    #[error("'{param}': {message}")]
    Unsupported {
        /// The field or option.
        param: String,
        /// Why, and what to do.
        message: String,
    },
    /// The model had to call a tool, and its answer holds no call that can be read.
    #[error(
        "the model was made to call a tool, and its answer holds no call that can be read: ask again, or use a larger model"
    )]
    ToolCall {
        /// Bytes of the answer, for the log.
        length: usize,
    },
    /// Native code or the worker failed. The text is for the log.
    #[error("{0}")]
    Native(String),
    /// The engine is about to end.
    #[error("the engine is shutting down: try again on another one")]
    ShuttingDown,
    /// The model file (or a file beside it) can not be used.
    #[error("{}: {message}", path.display())]
    ModelLoad {
        /// Which file.
        path: PathBuf,
        /// Why.
        message: String,
    },
    /// The machine can not run the model code, or not the variant asked for.
    #[error("{0}")]
    Cpu(String),
    /// The address can not be listened on.
    #[error("can not listen on {address}: {message}")]
    Listen {
        /// As given in the options.
        address: String,
        /// Why.
        message: String,
    },
}

/// What a caller is told instead of the detail of a native failure.
const GENERIC: &str = "the engine failed while it worked on this request; its log has the details";

impl EngineError {
    /// The error as the caller reads it: JSON body of an answer, or error event of a stream.
    #[must_use]
    pub fn body(&self) -> ErrorBody {
        let (param, code) = self.param_and_code();
        let message = if self.is_internal() { GENERIC.to_owned() } else { self.to_string() };
        let kind = self.kind().to_owned();
        ErrorBody { error: ErrorObject { message, kind, param, code: Some(code.to_owned()) } }
    }

    /// The class of the error, `type` on the wire.
    #[must_use]
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Field(_)
            | Self::Grammar(_)
            | Self::ContextLength { .. }
            | Self::InputTooLong { .. }
            | Self::WrongModel(_)
            | Self::ModelNotFound { .. }
            | Self::NoChatTemplate
            | Self::Template(_)
            | Self::Unsupported { .. } => "invalid_request_error",
            Self::QueueFull { .. } | Self::ShuttingDown => "overloaded_error",
            Self::ToolCall { .. } => "model_error",
            Self::Native(_) | Self::ModelLoad { .. } | Self::Cpu(_) | Self::Listen { .. } => "server_error",
        }
    }

    /// The same error, with `param` as the field that holds the grammar; other errors stay as they are.
    #[must_use]
    pub fn under(self, param: &str) -> Self {
        match self {
            Self::Grammar(error) => Self::Grammar(error.under(param)),
            other => other,
        }
    }

    /// Whether the text must stay in the log.
    #[must_use]
    pub fn is_internal(&self) -> bool {
        self.kind() == "server_error"
    }

    fn param_and_code(&self) -> (Option<String>, &'static str) {
        match self {
            Self::Field(error) => (error.param.clone(), error.code),
            Self::Grammar(error) => (error.path.clone(), error.code),
            Self::ContextLength { .. } => (None, "context_length_exceeded"),
            Self::InputTooLong { index, .. } => (Some(format!("input[{index}]")), "context_length_exceeded"),
            Self::WrongModel(_) => (Some("model".to_owned()), "unsupported_model"),
            Self::ModelNotFound { .. } => (Some("model".to_owned()), "model_not_found"),
            Self::QueueFull { .. } => (None, "queue_full"),
            Self::NoChatTemplate => (Some("messages".to_owned()), "no_chat_template"),
            Self::Template(_) => (Some("messages".to_owned()), "chat_template_error"),
            Self::ToolCall { .. } => (None, "tool_call_invalid"),
            Self::Unsupported { param, .. } => (Some(param.clone()), "unsupported_parameter"),
            Self::Native(_) | Self::ModelLoad { .. } | Self::Cpu(_) | Self::Listen { .. } => (None, "internal_error"),
            Self::ShuttingDown => (None, "shutting_down"),
        }
    }
}

impl From<TemplateError> for EngineError {
    /// A template that fails by itself is a 400 as well: the same messages fail again, so a caller
    /// must not be told to retry.
    fn from(error: TemplateError) -> Self {
        match error.field() {
            Some(field) if field != "messages" => {
                Self::Field(FieldError { param: Some(field), message: error.to_string(), code: "invalid_value" })
            }
            _ => Self::Template(error.to_string()),
        }
    }
}

impl From<ConstraintError> for EngineError {
    /// A grammar that asks for too much is the caller's to change.
    fn from(error: ConstraintError) -> Self {
        match error {
            ConstraintError::Failed(_) => {
                Self::Grammar(GrammarError::new("", "grammar_too_complex", error.to_string()))
            }
            ConstraintError::Refused { .. } => Self::Native(error.to_string()),
        }
    }
}

impl From<CpuError> for EngineError {
    fn from(error: CpuError) -> Self {
        Self::Cpu(error.to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn callers_never_read_native_details() {
        let errors = [
            EngineError::Native("ggml: /home/someone/secret".to_owned()),
            EngineError::ModelLoad { path: "/home/someone/m.gguf".into(), message: "secret".to_owned() },
        ];
        for error in errors {
            let body = error.body().error;
            assert_eq!((body.message.as_str(), body.kind.as_str()), (GENERIC, "server_error"));
        }
    }

    #[test]
    fn bodies_name_the_field_and_the_numbers() {
        let error = EngineError::ContextLength { prompt_tokens: 9000, max_tokens: 1, window: 8192 }.body().error;
        assert_eq!(error.code.as_deref(), Some("context_length_exceeded"));
        assert!(error.message.contains("9000") && error.message.contains("8192"), "{}", error.message);
        let error = EngineError::Unsupported { param: "tools".into(), message: "not yet".into() }.body().error;
        assert_eq!((error.param.as_deref(), error.message.as_str()), (Some("tools"), "'tools': not yet"));
        let error = EngineError::from(FieldError::new("stop", "out_of_range", "at most 4")).body().error;
        assert_eq!((error.param.as_deref(), error.code.as_deref()), (Some("stop"), Some("out_of_range")));
    }
}
