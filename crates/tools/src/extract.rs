//! `extract`: data from a text, in the form of the caller's JSON Schema.

use async_trait::async_trait;
use jsonschema::Validator;
use lla_protocol::FieldError;
use lla_protocol::openai::FinishReason;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::call::{Call, Question};
use crate::error::ToolError;
use crate::source;
use crate::tool::Tool;

/// Most tokens of the data.
const MAX_TOKENS: u32 = 1024;

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
    /// The form of the data: a JSON Schema of type object, with `properties`.
    #[schemars(extend("minProperties" = 1))]
    pub schema: Map<String, Value>,
    /// What to look for, in words, where names and descriptions of the schema do not say it.
    #[schemars(length(min = 1, max = 4000))]
    pub instructions: Option<String>,
}

/// The result of `extract`.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Extracted {
    /// The data; always valid against `schema`.
    pub data: Value,
    /// Where each value stands in the text, by its place in the data.
    pub spans: Vec<Span>,
    /// Places of values that do not stand in the text: the model may have made them up.
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
    /// The text there.
    pub quote: String,
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
        let data = by_prompt(&params.schema, params.instructions.as_deref(), &text, call).await?;
        if !validator.is_valid(&data) {
            return Err(unusable("the model's answer does not fit 'schema'"));
        }
        let (spans, not_found) = locate(&data, &text);
        Ok(Extracted { data, spans, not_found })
    }
}

fn compile(schema: &Map<String, Value>) -> Result<Validator, FieldError> {
    if schema.get("type").is_some_and(|kind| kind != "object") {
        return Err(FieldError::new("schema.type", "invalid_value", "must be \"object\""));
    }
    // Formats and lengths that can not be had are found out by the model's side; here only whether the
    // schema is one. References to other documents are not followed.
    jsonschema::draft202012::new(&Value::Object(schema.clone()))
        .map_err(|error| FieldError::new("schema", "invalid_schema", &format!("is no JSON Schema: {error}")))
}

/// Asks for the data in a prompt, with the schema as the form of the answer.
async fn by_prompt(
    schema: &Map<String, Value>,
    instructions: Option<&str>,
    text: &str,
    call: &Call,
) -> Result<Value, ToolError> {
    let schema = Value::Object(schema.clone());
    let instructions = instructions.map(|words| format!("{words}\n\n")).unwrap_or_default();
    let question = Question {
        system: "You extract structured data from text. You answer with JSON only.",
        user: format!(
            "Extract the fields described by this JSON schema from the text. Copy values exactly as they appear in \
             the text. Use null for a nullable field that the text does not mention.\n\n{instructions}Schema:\n\
             {schema}\n\nText:\n\"\"\"\n{text}\n\"\"\"\n\nJSON:"
        ),
        schema: Some(schema),
        max_tokens: MAX_TOKENS,
    };
    let answer = call.ask(question).await?;
    if answer.finish == FinishReason::Length {
        return Err(unusable("the model's answer was cut at its longest length"));
    }
    serde_json::from_str(&answer.text).map_err(|_| unusable("the model's answer is no JSON"))
}

fn unusable(message: &str) -> ToolError {
    lla_inference::Error::upstream("extract", message).into()
}

/// Finds every string and number of the data in the text.
fn locate(data: &Value, text: &str) -> (Vec<Span>, Vec<String>) {
    let (mut spans, mut missing) = (Vec::new(), Vec::new());
    walk(data, "", &mut |pointer, value| match find(text, value) {
        Some((at, quote)) => {
            let start = text[..at].chars().count();
            let end = start + quote.chars().count();
            spans.push(Span { pointer: pointer.to_owned(), start, end, quote: quote.to_owned() });
        }
        None => missing.push(pointer.to_owned()),
    });
    (spans, missing)
}

fn walk(value: &Value, pointer: &str, visit: &mut dyn FnMut(&str, &str)) {
    match value {
        Value::String(text) if !text.is_empty() => visit(pointer, text),
        Value::Number(number) => visit(pointer, &number.to_string()),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                walk(item, &format!("{pointer}/{index}"), visit);
            }
        }
        Value::Object(fields) => {
            for (name, field) in fields {
                let name = name.replace('~', "~0").replace('/', "~1");
                walk(field, &format!("{pointer}/{name}"), visit);
            }
        }
        _ => {}
    }
}

/// Byte offset and words of `value` in `text`, as written or in other letter case.
fn find<'a>(text: &'a str, value: &str) -> Option<(usize, &'a str)> {
    if let Some(at) = text.find(value) {
        return Some((at, &text[at..at + value.len()]));
    }
    let same = |window: &str| window.eq_ignore_ascii_case(value);
    text.char_indices()
        .find_map(|(at, _)| text.get(at..at + value.len()).filter(|window| same(window)).map(|w| (at, w)))
}
