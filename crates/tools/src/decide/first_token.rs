//! Decisions from the log-probabilities of an answer's first token, for backends that report them.

use futures_util::future::BoxFuture;
use futures_util::{FutureExt as _, StreamExt as _, TryStreamExt as _, stream};
use lla_inference::{Backend, Error, Event};
use lla_protocol::openai::ChatLogprobs;
use serde_json::{Map, Value};

use super::distribution::{log_sum, softmax};
use super::letters::{chat, short_names};
use super::{AT_ONCE, DecideRequest, DecideUsage, Decisions, Method, Question, Verdict};

/// Tokens that a backend reports for a place; more are asked of none.
const TOP: u32 = 20;
/// What is not among them is at most as likely as the last one; taken for this much less.
const BELOW: f64 = 1.0;

/// `None`: the backend reports no log-probabilities, or a question has too many labels.
pub(super) async fn decide(backend: &dyn Backend, request: &DecideRequest) -> Result<Option<Decisions>, Error> {
    let Some((first, others)) = request.questions.split_first() else { return Ok(None) };
    if !request.questions.iter().all(|question| short_names(question).is_some()) {
        return Ok(None);
    }
    // The first one alone: whether the backend can do this shows there.
    let Some(begun) = ask(backend, request, first).await? else { return Ok(None) };
    // Boxed: the compiler can not see through a stream of unnamed futures that borrow.
    let asked: Vec<BoxFuture<'_, _>> = others.iter().map(|question| ask(backend, request, question).boxed()).collect();
    let Some(rest) =
        stream::iter(asked).buffered(AT_ONCE).try_collect::<Vec<_>>().await?.into_iter().collect::<Option<Vec<_>>>()
    else {
        return Ok(None);
    };
    let mut usage = DecideUsage::default();
    let verdicts = [begun].into_iter().chain(rest).map(|(verdict, tokens)| {
        usage.add(tokens);
        verdict
    });
    Ok(Some(Decisions { verdicts: verdicts.collect(), method: Method::FirstToken, usage }))
}

async fn ask(
    backend: &dyn Backend,
    request: &DecideRequest,
    question: &Question,
) -> Result<Option<(Verdict, DecideUsage)>, Error> {
    let names = short_names(question).unwrap_or_default();
    let extra =
        Map::from_iter([("logprobs".to_owned(), Value::Bool(true)), ("top_logprobs".to_owned(), Value::from(TOP))]);
    let mut events = match backend.chat(chat(request, question, &names, 1, extra)).await {
        Ok(events) => events,
        // It may be these two fields that it does not take; if not, the next way meets the same error.
        Err(Error::InvalidRequest { .. }) => return Ok(None),
        Err(error) => return Err(error),
    };
    let (mut verdict, mut usage) = (None, DecideUsage { output_tokens: 1, ..DecideUsage::default() });
    while let Some(event) = events.next().await {
        match event? {
            Event::Delta(delta) if verdict.is_none() => {
                verdict = delta.logprobs.and_then(|found| read(found, &names));
            }
            Event::Usage(counts) => {
                let cached = counts.prompt_tokens_details.and_then(|details| details.cached_tokens);
                usage = DecideUsage {
                    input_tokens: counts.prompt_tokens,
                    cached_tokens: cached.unwrap_or(0),
                    output_tokens: counts.completion_tokens,
                };
            }
            Event::Delta(_) | Event::Finish { .. } | Event::Progress(_) => {}
        }
    }
    Ok(verdict.map(|verdict| (verdict, usage)))
}

/// What the likeliest tokens of the first place say about the labels; `None` when none of them is there.
fn read(logprobs: Value, names: &[String]) -> Option<Verdict> {
    let found: ChatLogprobs = serde_json::from_value(logprobs).ok()?;
    let place = found.content?.into_iter().next()?;
    let tokens: Vec<(usize, f64)> = place
        .top_logprobs
        .iter()
        .filter_map(|top| Some((names.iter().position(|name| is_named(&top.token, name))?, top.logprob)))
        .collect();
    if place.top_logprobs.is_empty() {
        return None;
    }
    let least = place.top_logprobs.iter().map(|top| top.logprob).fold(f64::INFINITY, f64::min);
    let score = |label: usize| {
        let said = tokens.iter().filter(|&&(of, _)| of == label).map(|&(_, logprob)| logprob);
        let sum = log_sum(said);
        if sum.is_finite() { sum } else { least - BELOW }
    };
    let scores: Vec<f64> = (0..names.len()).map(score).collect();
    let mass = tokens.iter().map(|(_, logprob)| logprob.exp()).sum::<f64>().min(1.0);
    let argmax = place.top_logprobs.first().is_some_and(|top| names.iter().any(|name| is_named(&top.token, name)));
    Some(Verdict { probabilities: softmax(&scores), label_mass: Some(mass), argmax_is_label: Some(argmax) })
}

/// Whether a token is a name: spaces and marks around it, and the case of its letters, do not count.
fn is_named(token: &str, name: &str) -> bool {
    token.trim_matches(|letter: char| !letter.is_alphanumeric()).eq_ignore_ascii_case(name)
}
