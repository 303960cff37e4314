//! `POST /v1/systemone`: typed questions about a state, as TypeSafe's contract has it and vLLM, Ollama and
//! llama-server serve it. We are its server and its client.
//!
//! What every implementation has is typed; what only some have (`id`, `object`, `created` and `diagnostics`
//! of vLLM, a `noul`'s `probabilities`) is written, and not needed when reading.

use std::collections::HashSet;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::fields::{FieldError, Fields};

/// Most questions of one request.
pub const MAX_QUESTIONS: usize = 400;
/// Most options of a choice, and most levels of a score.
pub const MAX_LABELS: usize = 255;

/// A request.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SystemOneRequest {
    /// Which model.
    pub model: String,
    /// What the questions are about: a text, or JSON that stands for its text.
    pub state: Value,
    /// Id and question, in the order of the request; 1 to 400.
    #[serde(serialize_with = "as_map")]
    pub questions: Vec<(String, SystemOneQuestion)>,
    /// Text ahead of the state (vLLM's addition).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instructions: Option<String>,
    /// Below this confidence an answer is marked `abstained` (our addition; 0 to 1).
    #[serde(skip)]
    pub abstain_below: Option<f64>,
    /// Whether label bias is subtracted (our addition); `None`: yes.
    #[serde(skip)]
    pub calibrate: Option<bool>,
    /// Fields that are not acted on here (`chat_template_kwargs`, `keep_alive`, `cache_salt`, ...).
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// One question. Its instructions are a text, or JSON that stands for its text.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct SystemOneQuestion {
    /// What is asked.
    pub instructions: Value,
    /// How it may be answered.
    #[serde(flatten)]
    pub criteria: Criteria,
}

/// What an answer may be.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "type", content = "criteria", rename_all = "lowercase")]
pub enum Criteria {
    /// One of some options: name and description; 1 to 255.
    Choice(Map<String, Value>),
    /// How likely is yes? With what yes and no mean, if that was said.
    Noul(NoulCriteria),
    /// A place on a scale, its levels from low to high; 2 to 255.
    Score(Vec<String>),
}

/// What yes and no mean.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct NoulCriteria {
    /// Yes.
    #[serde(rename = "true", skip_serializing_if = "Option::is_none")]
    pub yes: Option<String>,
    /// No.
    #[serde(rename = "false", skip_serializing_if = "Option::is_none")]
    pub no: Option<String>,
}

fn as_map<S: serde::Serializer>(questions: &[(String, SystemOneQuestion)], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_map(questions.iter().map(|(id, question)| (id, question)))
}

impl SystemOneRequest {
    /// Reads a request body.
    ///
    /// # Errors
    /// Names the first field that is missing, of a wrong type or out of range.
    pub fn parse(body: &[u8]) -> Result<Self, FieldError> {
        let mut fields = Fields::from_body(body)?;
        let model = fields.required_string("model")?;
        let state = fields.take("state").ok_or_else(|| fields.missing("state"))?;
        if state.as_str().is_some_and(str::is_empty) {
            return Err(FieldError::new("state", "invalid_value", "must not be empty"));
        }
        let Some(asked) = fields.object("questions")? else { return Err(fields.missing("questions")) };
        let asked = asked.rest();
        if !(1..=MAX_QUESTIONS).contains(&asked.len()) {
            let message = format!("must have between 1 and {MAX_QUESTIONS} questions, got {}", asked.len());
            return Err(FieldError::new("questions", "out_of_range", &message));
        }
        let question = |(id, value): (String, Value)| {
            if id.is_empty() {
                return Err(FieldError::new("questions", "invalid_value", "the id of a question must not be empty"));
            }
            let question = SystemOneQuestion::parse(value, &format!("questions.{id}"))?;
            Ok((id, question))
        };
        let questions = asked.into_iter().map(question).collect::<Result<_, _>>()?;
        Ok(Self {
            model,
            state,
            questions,
            instructions: fields.string("instructions")?,
            abstain_below: fields.number("abstain_below", 0.0..=1.0)?,
            calibrate: fields.boolean("calibrate")?,
            rest: fields.rest(),
        })
    }
}

impl SystemOneQuestion {
    fn parse(value: Value, path: &str) -> Result<Self, FieldError> {
        let mut fields = Fields::from_value(value, path)?;
        let kind = fields.required_string("type")?;
        let instructions = fields.take("instructions").unwrap_or_else(|| Value::String(String::new()));
        let at = fields.path("criteria");
        let criteria = fields.take("criteria");
        if let Some(name) = fields.rest().keys().next() {
            let message = "a question has the fields 'type', 'instructions' and 'criteria'";
            return Err(FieldError::new(&format!("{path}.{name}"), "unknown_parameter", message));
        }
        let criteria = match kind.as_str() {
            "choice" => choice(criteria, &at)?,
            "noul" => noul(criteria, &at)?,
            "score" => score(criteria, &at)?,
            _ => {
                let message = "must be 'choice', 'noul' or 'score'";
                return Err(FieldError::new(&format!("{path}.type"), "invalid_value", message));
            }
        };
        Ok(Self { instructions, criteria })
    }
}

fn choice(criteria: Option<Value>, at: &str) -> Result<Criteria, FieldError> {
    match criteria {
        Some(Value::Object(options)) if (1..=MAX_LABELS).contains(&options.len()) => {
            if options.keys().any(|name| name.trim().is_empty()) {
                return Err(FieldError::new(at, "invalid_value", "the name of an option must not be empty"));
            }
            Ok(Criteria::Choice(options))
        }
        Some(Value::Object(options)) => {
            let message = format!("must have between 1 and {MAX_LABELS} options, got {}", options.len());
            Err(FieldError::new(at, "out_of_range", &message))
        }
        _ => Err(FieldError::new(at, "invalid_type", "expected an object from option names to descriptions or null")),
    }
}

fn noul(criteria: Option<Value>, at: &str) -> Result<Criteria, FieldError> {
    let Some(criteria) = criteria else { return Ok(Criteria::Noul(NoulCriteria::default())) };
    let mut fields = Fields::from_value(criteria, at)?;
    let mut side = |name: &str| fields.take(name).map(|value| text_of(&value));
    let (yes, no) = (side("true"), side("false"));
    match fields.rest().keys().next() {
        None => Ok(Criteria::Noul(NoulCriteria { yes, no })),
        Some(name) => {
            let message = "the criteria of a 'noul' are 'true' and 'false'";
            Err(FieldError::new(&format!("{at}.{name}"), "unknown_parameter", message))
        }
    }
}

fn score(criteria: Option<Value>, at: &str) -> Result<Criteria, FieldError> {
    let Some(Value::Array(levels)) = criteria else {
        return Err(FieldError::new(at, "invalid_type", "expected an array of levels, the lowest first"));
    };
    if !(2..=MAX_LABELS).contains(&levels.len()) {
        let message = format!("must have between 2 and {MAX_LABELS} levels, got {}", levels.len());
        return Err(FieldError::new(at, "out_of_range", &message));
    }
    let levels: Vec<String> = levels.iter().map(text_of).collect();
    let mut seen = HashSet::new();
    match levels.iter().position(|level| level.trim().is_empty() || !seen.insert(level)) {
        None => Ok(Criteria::Score(levels)),
        Some(index) => {
            let message = "a level must not be empty or named twice";
            Err(FieldError::new(&format!("{at}[{index}]"), "invalid_value", message))
        }
    }
}

/// A text as it is, other JSON as its text.
#[must_use]
pub fn text_of(value: &Value) -> String {
    value.as_str().map_or_else(|| value.to_string(), str::to_owned)
}

/// An answer.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct SystemOneAnswer {
    /// Name of the answer.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub id: String,
    /// `structured_decision`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub object: String,
    /// Unix seconds.
    #[serde(default)]
    pub created: i64,
    /// The model that was used.
    #[serde(default)]
    pub model: String,
    /// One per question, under its id.
    pub answers: Map<String, Value>,
    /// Token counts.
    #[serde(default)]
    pub usage: SystemOneUsage,
    /// What stands behind each answer, under its question's id.
    #[serde(default, skip_serializing_if = "Map::is_empty")]
    pub diagnostics: Map<String, Value>,
    /// What else is told.
    #[serde(flatten)]
    pub rest: Map<String, Value>,
}

/// Tokens of all questions together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SystemOneUsage {
    /// Tokens of the prompts of all questions, what they share counted for each.
    #[serde(default)]
    pub input_tokens: u32,
    /// Tokens that were generated or read at the answers' places.
    #[serde(default)]
    pub output_tokens: u32,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The example of vLLM's documentation in its shape, with words of our own.
    const REQUEST: &str = r#"{"model":"m","state":{"note":"The lift is stuck."},"questions":{"team":{"instructions":"Who?","type":"choice","criteria":{"lifts":"all lifts","cleaning":null}},"urgent":{"instructions":"Today?","type":"noul","criteria":{"true":"someone is inside"}},"mood":{"instructions":"How upset?","type":"score","criteria":["calm","angry"]}},"keep_alive":"5m"}"#;

    #[test]
    fn what_is_read_is_what_is_written_for_others() {
        let request = SystemOneRequest::parse(REQUEST.as_bytes()).expect("good");
        let ids: Vec<_> = request.questions.iter().map(|(id, _)| id.as_str()).collect();
        assert_eq!(ids, ["team", "urgent", "mood"]);
        assert_eq!(serde_json::to_string(&request).expect("json"), REQUEST);
    }

    #[test]
    fn errors_name_the_field_and_the_place() {
        let many: Vec<String> = (0..401).map(|id| format!(r#""q{id}":{{"type":"noul"}}"#)).collect();
        let many = format!(r#""state":"s","questions":{{{}}}"#, many.join(","));
        let question = |question: &str| format!(r#""state":"s","questions":{{"q":{question}}}"#);
        for (fields, param) in [
            (r#""questions":{"q":{"type":"noul"}}"#.to_owned(), "state"),
            (r#""state":"","questions":{"q":{"type":"noul"}}"#.to_owned(), "state"),
            (r#""state":"s""#.to_owned(), "questions"),
            (r#""state":"s","questions":{}"#.to_owned(), "questions"),
            (many, "questions"),
            (question(r#"{"type":"guess"}"#), "questions.q.type"),
            (question(r#"{"type":"noul","weight":1}"#), "questions.q.weight"),
            (question(r#"{"type":"noul","criteria":{"maybe":"x"}}"#), "questions.q.criteria.maybe"),
            (question(r#"{"type":"choice","criteria":{}}"#), "questions.q.criteria"),
            (question(r#"{"type":"choice","criteria":["a"]}"#), "questions.q.criteria"),
            (question(r#"{"type":"score","criteria":["a"]}"#), "questions.q.criteria"),
            (question(r#"{"type":"score","criteria":["a","b","a"]}"#), "questions.q.criteria[2]"),
        ] {
            let body = format!(r#"{{"model":"m",{fields}}}"#);
            let error = SystemOneRequest::parse(body.as_bytes()).expect_err(&body);
            assert_eq!(error.param.as_deref(), Some(param), "{}", error.message);
        }
    }
}
