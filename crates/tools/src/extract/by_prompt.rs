//! The whole data in one generated answer: for schemas that are no list of fields, and for backends that can
//! not score.

use lla_protocol::openai::FinishReason;
use serde_json::{Map, Value};

use super::Span;
use super::letters::Letters;
use crate::call::{Call, Question};
use crate::error::ToolError;

/// Most tokens of the data.
const MAX_TOKENS: u32 = 1024;

/// Asks for the data in a prompt, with the schema as the form of the answer. `None`: the answer was cut or is
/// no JSON.
///
/// # Errors
/// When the model refuses or fails.
pub(super) async fn ask(
    schema: &Map<String, Value>,
    instructions: Option<&str>,
    text: &str,
    call: &Call,
) -> Result<Option<Value>, ToolError> {
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
        return Ok(None);
    }
    Ok(serde_json::from_str(&answer.text).ok())
}

/// Finds every string and number of the data in the text; the pointers of those that do not stand there.
pub(super) fn locate(data: &Value, text: &str) -> (Vec<Span>, Vec<String>) {
    let letters = Letters::of(text);
    let (mut spans, mut missing) = (Vec::new(), Vec::new());
    walk(data, "", &mut |pointer, value| match find(text, value) {
        Some(at) => spans.push(Span::of(pointer, at, &letters)),
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
                walk(field, &super::choose::inside(pointer, name), visit);
            }
        }
        _ => {}
    }
}

/// Where `value` stands in `text`, as written or in other letter case; a number not inside a longer one.
pub(super) fn find(text: &str, value: &str) -> Option<std::ops::Range<usize>> {
    let digit = |letter: Option<char>| letter.is_some_and(|letter| letter.is_ascii_digit());
    let whole = |at: &std::ops::Range<usize>| {
        let number = value.starts_with(|letter: char| letter.is_ascii_digit());
        !number || !(digit(text[..at.start].chars().next_back()) || digit(text[at.end..].chars().next()))
    };
    let exact = text.match_indices(value).map(|(at, found)| at..at + found.len());
    exact.into_iter().find(|at| whole(at)).or_else(|| {
        let same =
            |at: &std::ops::Range<usize>| text.get(at.clone()).is_some_and(|window| window.eq_ignore_ascii_case(value));
        let first = value.bytes().next()?;
        let begins = text.bytes().enumerate().filter(|(_, byte)| byte.eq_ignore_ascii_case(&first));
        begins.map(|(at, _)| at..at + value.len()).find(same)
    })
}
