//! Decisions of backends that report no probabilities: the model may only name a label. That measures nothing.

use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};
use lla_inference::{Backend, Error};
use serde_json::{Map, Value, json};

use super::letters::chat;
use super::{AT_ONCE, DecideRequest, DecideUsage, Decisions, Method, Question, Verdict};
use crate::answer::{self, complete_text};

/// Room for the longest label in its JSON.
const MAX_TOKENS: u32 = 256;

pub(super) async fn decide(backend: &dyn Backend, request: &DecideRequest) -> Result<Decisions, Error> {
    // Boxed: the compiler can not see through a stream of unnamed futures that borrow.
    let asked: Vec<BoxFuture<'_, _>> =
        request.questions.iter().map(|question| ask(backend, request, question).boxed()).collect();
    let answers: Vec<(Verdict, DecideUsage)> = stream::iter(asked).buffered(AT_ONCE).try_collect().await?;
    let mut usage = DecideUsage::default();
    let verdicts = answers.into_iter().map(|(verdict, tokens)| {
        usage.add(tokens);
        verdict
    });
    Ok(Decisions { verdicts: verdicts.collect(), method: Method::Generated, usage })
}

async fn ask(
    backend: &dyn Backend,
    request: &DecideRequest,
    question: &Question,
) -> Result<(Verdict, DecideUsage), Error> {
    let names: Vec<String> = question.labels().into_iter().map(str::to_owned).collect();
    let schema = json!({
        "type": "object",
        "properties": {"answer": {"type": "string", "enum": names}},
        "required": ["answer"],
        "additionalProperties": false,
    });
    let format = json!({"type": "json_schema", "json_schema": {"name": "decision", "strict": true, "schema": schema}});
    let extra = Map::from_iter([("response_format".to_owned(), format)]);
    let answer = complete_text(backend, chat(request, question, &names, MAX_TOKENS, extra)).await;
    let answer = answer.map_err(|error| match error {
        answer::Error::Inference(error) => error,
        other => Error::upstream(backend.name(), other.to_string()),
    })?;
    let named = read(&answer.text, &names)
        .ok_or_else(|| Error::upstream(backend.name(), "it answered a decision with something else than a label"))?;
    let usage = answer.usage.map_or_else(DecideUsage::default, |counts| DecideUsage {
        input_tokens: counts.prompt_tokens,
        cached_tokens: 0,
        output_tokens: counts.completion_tokens,
    });
    Ok((Verdict::certain(names.len(), named), usage))
}

/// The label that an answer names: as JSON, or, from servers that ignore schemas, as bare text.
fn read(text: &str, names: &[String]) -> Option<usize> {
    let json: Option<Value> = serde_json::from_str(text.trim()).ok();
    let said = json.as_ref().and_then(|json| json.get("answer")?.as_str()).unwrap_or(text).trim();
    let said = said.trim_matches(|letter: char| letter == '"' || letter == '.').trim();
    let exact = names.iter().position(|name| name == said);
    exact.or_else(|| names.iter().position(|name| name.to_lowercase() == said.to_lowercase()))
}
