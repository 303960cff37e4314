//! `POST /v1/decisions`: request and answer, as the official `openai` package (3.54) types them.

use std::collections::HashSet;

use serde::Serialize;
use serde_json::{Map, Value};

use super::chat::required_model;
use super::harmless;
use crate::fields::{FieldError, Fields};

pub use self::input::{DecisionInput, DecisionItem};

mod input;
#[cfg(test)]
mod tests;

/// Most questions of one request.
const MAX_QUESTIONS: usize = 400;
/// Most choices of a question, and most levels.
const MAX_LABELS: usize = 255;

/// A request for decisions.
#[derive(Debug, Clone, PartialEq)]
pub struct DecisionRequest {
    /// Which model.
    pub model: String,
    /// What the questions are about.
    pub input: DecisionInput,
    /// 1 to 400.
    pub questions: Vec<DecisionQuestion>,
    /// Below this confidence an answer is marked `abstained` (our addition; 0 to 1).
    pub abstain_below: Option<f64>,
    /// Whether label bias is subtracted (our addition); `None`: yes.
    pub calibrate: Option<bool>,
    /// Fields that are not acted on here.
    pub rest: Map<String, Value>,
}

/// One question.
#[derive(Debug, Clone, PartialEq)]
pub struct DecisionQuestion {
    /// Given back with the answer.
    pub name: Option<String>,
    /// What is asked; not empty.
    pub instructions: String,
    /// How it may be answered.
    pub kind: QuestionKind,
}

/// How a question may be answered.
#[derive(Debug, Clone, PartialEq)]
pub enum QuestionKind {
    /// How likely is the statement true?
    Predicate,
    /// One of 2 to 255 choices, each with its description.
    Choice(Vec<(ChoiceValue, Option<String>)>),
    /// A place on a scale of 2 to 255 levels, the lowest first: label and description.
    Score(Vec<(String, Option<String>)>),
}

/// A choice: a text and a boolean with the same letters are two.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize)]
#[serde(untagged)]
pub enum ChoiceValue {
    /// A boolean.
    Bool(bool),
    /// A text.
    Text(String),
}

impl DecisionRequest {
    /// Reads a request body.
    ///
    /// # Errors
    /// Names the first field that is missing, of a wrong type or out of range.
    pub fn parse(body: &[u8]) -> Result<Self, FieldError> {
        let mut fields = Fields::from_body(body)?;
        let model = required_model(&mut fields)?;
        let input = fields.take("input").ok_or_else(|| fields.missing("input"))?;
        let input = DecisionInput::parse(input)?;
        let questions = fields.array("questions")?.ok_or_else(|| fields.missing("questions"))?;
        if !(1..=MAX_QUESTIONS).contains(&questions.len()) {
            let message = format!("must have between 1 and {MAX_QUESTIONS} questions, got {}", questions.len());
            return Err(FieldError::new("questions", "out_of_range", &message));
        }
        let question = |(index, value)| DecisionQuestion::parse(value, &format!("questions[{index}]"));
        let questions = questions.into_iter().enumerate().map(question).collect::<Result<_, _>>()?;
        let abstain_below = fields.number("abstain_below", 0.0..=1.0)?;
        let calibrate = fields.boolean("calibrate")?;
        harmless::check(&fields)?;
        Ok(Self { model, input, questions, abstain_below, calibrate, rest: fields.rest() })
    }
}

impl DecisionQuestion {
    fn parse(value: Value, path: &str) -> Result<Self, FieldError> {
        let mut fields = Fields::from_value(value, path)?;
        let kind = fields.required_string("type")?;
        let name = fields.string("name")?;
        let at = fields.path("instructions");
        let instructions = fields.take("instructions").ok_or_else(|| fields.missing("instructions"))?;
        let instructions = input::text(instructions, &at, &["input_text", "input_json"])?;
        if instructions.trim().is_empty() {
            return Err(FieldError::new(&at, "invalid_value", "must not be empty"));
        }
        let kind = match kind.as_str() {
            "predicate" => QuestionKind::Predicate,
            "choice" => QuestionKind::Choice(labels(&mut fields, "choices", choice)?),
            "score" => QuestionKind::Score(labels(&mut fields, "levels", level)?),
            _ => {
                let message = "must be 'predicate', 'choice' or 'score'";
                return Err(FieldError::new(&fields.path("type"), "invalid_value", message));
            }
        };
        Ok(Self { name, instructions, kind })
    }
}

/// Labels with their descriptions, each once.
fn labels<T: Clone + Eq + std::hash::Hash>(
    fields: &mut Fields,
    name: &str,
    read: impl Fn(&mut Fields) -> Result<T, FieldError>,
) -> Result<Vec<(T, Option<String>)>, FieldError> {
    let path = fields.path(name);
    let items = fields.array(name)?.ok_or_else(|| fields.missing(name))?;
    if !(2..=MAX_LABELS).contains(&items.len()) {
        let message = format!("must have between 2 and {MAX_LABELS} entries, got {}", items.len());
        return Err(FieldError::new(&path, "out_of_range", &message));
    }
    let mut seen = HashSet::new();
    let label = |(index, item): (usize, Value)| {
        let path = format!("{path}[{index}]");
        let mut fields = Fields::from_value(item, &path)?;
        let label = read(&mut fields)?;
        if !seen.insert(label.clone()) {
            return Err(FieldError::new(&path, "invalid_value", "must be unique, but stands there twice"));
        }
        Ok((label, fields.string("description")?))
    };
    items.into_iter().enumerate().map(label).collect()
}

fn choice(fields: &mut Fields) -> Result<ChoiceValue, FieldError> {
    match fields.take("value") {
        Some(Value::Bool(flag)) => Ok(ChoiceValue::Bool(flag)),
        Some(Value::String(text)) if !text.trim().is_empty() => Ok(ChoiceValue::Text(text)),
        Some(Value::String(_)) => Err(FieldError::new(&fields.path("value"), "invalid_value", "must not be empty")),
        Some(_) => Err(FieldError::new(&fields.path("value"), "invalid_type", "expected a string or a boolean")),
        None => Err(fields.missing("value")),
    }
}

fn level(fields: &mut Fields) -> Result<String, FieldError> {
    let label = fields.required_string("label")?;
    if label.trim().is_empty() {
        return Err(FieldError::new(&fields.path("label"), "invalid_value", "must not be empty"));
    }
    Ok(label)
}

/// The answer.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DecisionList {
    /// One per question, in their order.
    pub answers: Vec<DecisionAnswer>,
    /// The model that was used.
    pub model: String,
    /// Token counts.
    pub usage: DecisionUsage,
    /// How the probabilities were got (our addition): `scored`, `native`, `first_token` or `generated`.
    pub method: &'static str,
}

/// The answer to one question.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DecisionAnswer {
    /// The question's name.
    pub name: Option<String>,
    /// What was found.
    #[serde(flatten)]
    pub found: Found,
    /// False: the model only named an answer, so the probabilities are 1 and 0 (our addition).
    pub measured: bool,
    /// How much of what the model might have said are the labels (our addition); 0 to 1.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label_mass: Option<f64>,
    /// The confidence is below `abstain_below` (our addition); only with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub abstained: Option<bool>,
}

/// What was found, by the type of the question.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", rename_all = "lowercase")]
pub enum Found {
    /// See [`QuestionKind::Predicate`].
    Predicate {
        /// How likely the statement is true.
        probability: f64,
    },
    /// See [`QuestionKind::Choice`].
    Choice {
        /// The likeliest.
        choice: ChoiceValue,
        /// 0: all are equally likely; 1: this one is certain.
        confidence: f64,
        /// Of each choice, in their order; their sum is 1.
        probabilities: Vec<ChoiceProbability>,
    },
    /// See [`QuestionKind::Score`].
    Score {
        /// The expected level, counted from 0.
        score: f64,
        /// 0: all levels are equally likely; 1: one is certain.
        confidence: f64,
        /// Of each level, in their order; their sum is 1.
        probabilities: Vec<LevelProbability>,
    },
}

/// How likely a choice is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct ChoiceProbability {
    /// The choice.
    pub value: ChoiceValue,
    /// 0 to 1.
    pub probability: f64,
}

/// How likely a level is.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct LevelProbability {
    /// Its label.
    pub label: String,
    /// 0 to 1.
    pub probability: f64,
    /// Its number, from 0.
    pub value: u32,
}

/// Tokens of all questions together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct DecisionUsage {
    /// Tokens of the prompts of all questions, what they share counted for each.
    pub input_tokens: u32,
    /// Of the input.
    pub input_tokens_details: InputTokensDetails,
    /// Tokens that were generated or read at the answers' places.
    pub output_tokens: u32,
    /// Of the output.
    pub output_tokens_details: OutputTokensDetails,
    /// Sum of both.
    pub total_tokens: u32,
}

/// Breakdown of `input_tokens`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct InputTokensDetails {
    /// Tokens that were put into the cache.
    pub cache_write_tokens: u32,
    /// Tokens that came from it.
    pub cached_tokens: u32,
}

/// Breakdown of `output_tokens`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct OutputTokensDetails {
    /// Nothing is thought about.
    pub reasoning_tokens: u32,
}
