//! What an answer must look like: JSON of a schema, a regular expression, a list of choices, a grammar.

use serde_json::Value;

/// A language that a text must be of.
#[derive(Debug, Clone, PartialEq)]
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
