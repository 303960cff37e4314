//! Decisions: typed questions about a text, answered with probabilities instead of prose. What
//! `/v1/decisions` and `/v1/systemone` are made of.
//!
//! Four ways, the best one that the backend can do ([`Method`]): every label is scored behind the text,
//! with all its tokens (`decide/scored.rs`); the backend's own decisions (`decide/native.rs`); the
//! first token's log-probabilities of a chat (`decide/first_token.rs`); and a chat that may only name a label
//! (`decide/generated.rs`), which measures nothing, and says so.
//!
//! What it does not: the wire formats of the two APIs, choosing a backend.
//!
//! Start at [`decide`].

use lla_inference::{Backend, Error};
use serde_json::{Map, Value};

pub use calibration::Calibration;
pub use distribution::Verdict;

mod calibration;
mod distribution;
mod first_token;
mod generated;
mod letters;
mod native;
mod prompt;
mod scored;
#[cfg(test)]
mod tests;

/// Questions that are asked of a backend at the same time, where each is a request of its own.
const AT_ONCE: usize = 8;

/// Questions about one state.
#[derive(Debug, Clone, PartialEq)]
pub struct DecideRequest {
    /// The model, by the name that the backend knows.
    pub model: String,
    /// Text ahead of the state.
    pub context: Option<String>,
    /// What the questions are about.
    pub state: String,
    /// At least one.
    pub questions: Vec<Question>,
    /// Subtract what the labels score behind a text that says nothing, where labels are scored.
    pub calibrate: bool,
    /// Fields for a backend that decides by itself.
    pub extra: Map<String, Value>,
}

/// One question.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Question {
    /// What is asked, or stated; may be empty.
    pub instructions: String,
    /// How it may be answered.
    pub answers: Answers,
}

/// How a question may be answered. Probabilities come in the order of the labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Answers {
    /// Two labels: it is so, it is not so.
    Truth {
        /// A question of yes and no, or a statement.
        wording: Wording,
        /// What yes means.
        yes: Option<String>,
        /// What no means.
        no: Option<String>,
    },
    /// One of these; at least one.
    OneOf(Vec<Label>),
    /// A place on a scale, from low to high; at least two.
    Scale(Vec<Label>),
}

/// What a [`Answers::Truth`] is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wording {
    /// `Is it urgent?`
    YesNo,
    /// `It is urgent.`
    TrueFalse,
}

/// A possible answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// Its name; not empty.
    pub name: String,
    /// What it means.
    pub description: Option<String>,
}

/// Answers to all questions.
#[derive(Debug, Clone, PartialEq)]
pub struct Decisions {
    /// One per question, in their order.
    pub verdicts: Vec<Verdict>,
    /// How they were got.
    pub method: Method,
    /// Token counts.
    pub usage: DecideUsage,
}

/// How probabilities were got.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Method {
    /// Every label was scored with all its tokens.
    Scored,
    /// The backend decided by itself.
    Native,
    /// From the first token of an answer.
    FirstToken,
    /// The model named a label: the probabilities are 1 and 0, and measure nothing.
    Generated,
}

impl Method {
    /// The word in answers.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Scored => "scored",
            Self::Native => "native",
            Self::FirstToken => "first_token",
            Self::Generated => "generated",
        }
    }

    /// Whether the probabilities are the model's.
    #[must_use]
    pub fn is_measured(self) -> bool {
        self != Self::Generated
    }
}

/// Tokens of all questions together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct DecideUsage {
    /// Tokens of the prompts, what they share counted for each.
    pub input_tokens: u32,
    /// How many of them did not have to be computed, where the backend tells.
    pub cached_tokens: u32,
    /// Tokens that were generated, or read at the answers' places.
    pub output_tokens: u32,
}

impl DecideUsage {
    fn add(&mut self, other: Self) {
        self.input_tokens = self.input_tokens.saturating_add(other.input_tokens);
        self.cached_tokens = self.cached_tokens.saturating_add(other.cached_tokens);
        self.output_tokens = self.output_tokens.saturating_add(other.output_tokens);
    }
}

impl Question {
    /// The labels as the model may say them.
    #[must_use]
    pub fn labels(&self) -> Vec<&str> {
        match &self.answers {
            Answers::Truth { wording: Wording::YesNo, .. } => vec!["yes", "no"],
            Answers::Truth { wording: Wording::TrueFalse, .. } => vec!["true", "false"],
            Answers::OneOf(labels) | Answers::Scale(labels) => labels.iter().map(|label| label.name.trim()).collect(),
        }
    }
}

/// Answers all questions in the best way that the backend can. Dropping the future cancels the work.
///
/// # Errors
/// When the backend refuses or fails.
pub async fn decide(
    backend: &dyn Backend,
    calibration: &Calibration,
    request: &DecideRequest,
) -> Result<Decisions, Error> {
    match scored::decide(backend, calibration, request).await {
        Err(error) if error.is_unsupported() => {}
        outcome => return outcome,
    }
    if let Some(decisions) = native::decide(backend, request).await? {
        return Ok(decisions);
    }
    if let Some(decisions) = first_token::decide(backend, request).await? {
        return Ok(decisions);
    }
    generated::decide(backend, request).await
}
