//! What an answer must look like: JSON of a schema, a regular expression, a list of choices, a grammar.
//!
//! The work is done by the crate `llguidance`, which tells for each place which tokens may come next.
//! Here is what we add: the vocabulary of the loaded model for it (`vocabulary.rs`), checks that
//! nothing of a JSON Schema is ignored (`schema.rs`), the state of one generation (`state.rs`), and
//! how an answer that was cut by its length is closed (`finish.rs`, `close.rs`).
//!
//! JSON is written compactly: no white space outside of strings. A small model that may write blanks
//! and line ends can write nothing else until its length limit; and without that choice more of the
//! text is forced, so it costs no step of the model.

use serde_json::Value;

mod cache;
mod close;
mod compile;
mod error;
mod finish;
mod finite;
mod lark;
mod marker;
mod mask;
mod schema;
mod state;
#[cfg(test)]
pub(crate) mod tests;
mod vocabulary;

pub use error::{ConstraintError, GrammarError};
pub use mask::Mask;
pub use state::Constraint;
pub use vocabulary::ConstraintVocabulary;

pub(crate) use cache::GrammarCache;
pub(crate) use schema::prepare as prepare_schema;
pub(crate) use vocabulary::Words;

/// A language that a text must be of.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub enum Grammar {
    /// Any JSON object.
    JsonObject,
    /// JSON that this JSON Schema accepts.
    JsonSchema(Value),
    /// Text that this regular expression matches as a whole.
    Regex(String),
    /// One of these texts.
    Choice(Vec<String>),
    /// A grammar in llguidance's dialect of Lark
    /// (<https://github.com/guidance-ai/llguidance/blob/main/docs/syntax.md>).
    Lark(String),
    /// Calls of tools, or else an answer.
    CallsOr {
        /// A grammar as in [`Grammar::Lark`] that names the answer `@answer`.
        calls: String,
        /// What stands for that; not one of this kind.
        answer: Box<Grammar>,
    },
}

/// A grammar, and from where on it holds.
#[derive(Debug, Clone, PartialEq)]
pub struct Restriction {
    /// What the restricted part is.
    pub grammar: Grammar,
    /// Where that part begins.
    pub starts: Starts,
}

/// Where a restriction begins to hold.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Starts {
    /// With the first token of the answer.
    AtOnce,
    /// Right after the first occurrence of this text in the answer (the end of a reasoning section, the
    /// marker of a tool call); until then the model is free.
    After(String),
}
