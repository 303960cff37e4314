//! `extract`: data from a text, in the form of the caller's JSON Schema.
//!
//! Values are taken from the text, not written by the model: candidates are found by their form
//! (`extract/find.rs`), weighed by what stands near them (`extract/evidence.rs`) and by how likely the model
//! finds them behind the field's name (`extract/likelihood.rs`), and given to the fields, the surest first
//! (`extract/choose.rs`). Where that is not possible the model writes the whole data
//! (`extract/by_prompt.rs`). What is returned is always checked against the schema.

use std::ops::Range;

use async_trait::async_trait;
use jsonschema::Validator;
use lla_protocol::FieldError;
use regex::Regex;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::call::Call;
use crate::error::ToolError;
use crate::source;
use crate::tool::Tool;
use letters::Letters;

mod by_prompt;
mod by_values;
mod choose;
mod evidence;
mod fill;
mod find;
mod flags;
mod form;
mod letters;
mod likelihood;
mod lists;
mod parts;
mod places;
mod reading;
mod records;
#[cfg(test)]
mod tests;
mod vocabulary;
mod written;

/// See [`Tool::DESCRIPTION`].
#[derive(Debug, Clone, Copy)]
pub struct Extract;

/// The arguments of `extract`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The text to take data from. Give this or `path`.
    #[schemars(length(min = 1, max = 4_000_000))]
    pub text: Option<String>,
    /// A file to take data from instead of `text`, or a pattern such as `notes/*.md`; only inside the allowed folders.
    #[schemars(length(min = 1, max = 4096))]
    pub path: Option<String>,
    /// The form of the data: a JSON Schema of type object, with `properties`. Names and descriptions of the fields say what is looked for.
    #[schemars(extend("minProperties" = 1))]
    pub schema: Map<String, Value>,
    /// What to look for, in words, where names and descriptions of the schema do not say it.
    #[schemars(length(min = 1, max = 4000))]
    pub instructions: Option<String>,
}

/// The result of `extract`.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Extracted {
    /// The data; always valid against `schema`. What the text does not say is null or absent where the schema allows that.
    pub data: Value,
    /// Where each value stands in the text, by its place in the data.
    pub spans: Vec<Span>,
    /// Places of values that do not stand in the text: the schema demands a value and nothing was found, or the model has made it up.
    pub not_found: Vec<String>,
}

/// Where a value was taken from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Span {
    /// Place in the data, as a JSON pointer (`/items/0/name`).
    pub pointer: String,
    /// Where it begins in the text, in characters (Unicode code points) from 0.
    pub start: usize,
    /// Where it ends: the first character after it.
    pub end: usize,
    /// The text there, as written; the value may be its normal form (a number, an ISO date, a word of an enum).
    pub quote: String,
}

impl Span {
    /// The span of a place in bytes.
    fn of(pointer: &str, at: Range<usize>, letters: &Letters<'_>) -> Self {
        let quote = letters.text.get(at.clone()).unwrap_or_default();
        let start = letters.before(at.start);
        Self { pointer: pointer.to_owned(), start, end: start + quote.chars().count(), quote: quote.to_owned() }
    }
}

#[async_trait]
impl Tool for Extract {
    const NAME: &'static str = "extract";
    const TITLE: &'static str = "Extract data";
    const DESCRIPTION: &'static str = "Takes data out of a text or a file, in the form of your JSON Schema: always valid, \
        null for what the text does not say, with the place in the text of every value. \
        Use it to turn mails, invoices, logs or pages into fields without reading them yourself. \
        Runs on a small local model.";
    type Params = Params;
    type Result = Extracted;

    async fn run(&self, params: Params, call: &Call) -> Result<Extracted, ToolError> {
        let validator = compile(&params.schema)?;
        let text = source::text(call, params.text, params.path.as_deref()).await?;
        let instructions = params.instructions.as_deref();
        let found = match form::read(&params.schema, instructions) {
            Some(root) => by_values::extract(&root, instructions, &text, &params.schema, call).await?,
            None => {
                let data = by_prompt::ask(&params.schema, instructions, &text, call).await?.unwrap_or(Value::Null);
                let (spans, not_found) = by_prompt::locate(&data, &text);
                Extracted { data, spans, not_found }
            }
        };
        valid(found, &params.schema, &validator)
    }
}

/// Makes sure that the data is valid; what had to be changed for that is not in the text.
fn valid(found: Extracted, schema: &Map<String, Value>, validator: &Validator) -> Result<Extracted, ToolError> {
    if validator.is_valid(&found.data) {
        return Ok(found);
    }
    let schema = Value::Object(schema.clone());
    let Some((data, changed)) = fill::repaired(found.data, &schema, validator) else {
        let message = "no data could be found or made that is valid against it: simplify it, or allow null";
        return Err(FieldError::new("schema", "unsupported_schema", message).into());
    };
    let is_changed = |pointer: &str| {
        changed
            .iter()
            .any(|place| pointer.strip_prefix(&**place).is_some_and(|rest| rest.is_empty() || rest.starts_with('/')))
    };
    let spans = found.spans.into_iter().filter(|span| !is_changed(&span.pointer)).collect();
    let kept = found.not_found.into_iter().filter(|pointer| !is_changed(pointer));
    let mut not_found: Vec<String> = kept.chain(changed.iter().cloned()).collect();
    not_found.dedup();
    Ok(Extracted { data, spans, not_found })
}

fn compile(schema: &Map<String, Value>) -> Result<Validator, FieldError> {
    if schema.get("type").is_some_and(|kind| kind != "object") {
        return Err(FieldError::new("schema.type", "invalid_value", "must be \"object\""));
    }
    // References to other documents are not followed.
    jsonschema::options()
        .should_validate_formats(true)
        .build(&Value::Object(schema.clone()))
        .map_err(|error| FieldError::new("schema", "invalid_schema", &format!("is no JSON Schema: {error}")))
}

/// The validator of a field; `None` when it has none of its own.
fn compile_part(schema: &Value) -> Option<Validator> {
    jsonschema::options().should_validate_formats(true).build(schema).ok()
}

/// The pattern of a field, to be looked for anywhere in a text.
fn pattern_of(schema: &Value) -> Option<Regex> {
    let written = schema.get("pattern")?.as_str()?;
    let bare = written.strip_prefix('^').unwrap_or(written);
    let bare = bare.strip_suffix('$').unwrap_or(bare);
    // A caller's pattern must not be able to take the memory.
    let built = regex::RegexBuilder::new(bare).size_limit(1 << 20).build().ok()?;
    (!built.is_match("")).then_some(built)
}

/// A pattern of ours.
#[expect(clippy::expect_used, reason = "every pattern is built by a test")]
fn pattern(written: &str) -> Regex {
    Regex::new(written).expect("a pattern of ours")
}
