//! A summary that the model writes: of a long text in parts, several at the same time, then of what it wrote.
//! Whatever fails the checks is replaced by the text's own sentences.

use futures_util::{StreamExt as _, TryStreamExt as _, stream};
use lla_inference::ChatRequest;
use lla_protocol::openai::{Message, Role, Sampling};

use super::extractive::Reading;
use super::{Style, Wish};
use crate::call::Call;
use crate::error::ToolError;
use crate::progress::Progress;
use crate::prose::guard::{is_degenerate, is_grounded};
use crate::prose::words::count;
use crate::writing::question;

/// Tokens of a part of a long text.
const PART: u32 = 1500;
/// Parts that are worked on at the same time.
const AT_ONCE: usize = 4;
/// Words of a part's summary.
const PART_WORDS: usize = 100;
/// Rounds of summaries of summaries; with each the text gets about ten times shorter.
const ROUNDS: usize = 4;

/// The model's summary, where it is within the limit, made of what the text says, and has as many of its
/// numbers and names as `extract`.
///
/// # Errors
/// When there is no model, or it fails.
pub(super) async fn summary(
    reading: &Reading,
    extract: &str,
    wish: &Wish,
    call: &Call,
) -> Result<Option<String>, ToolError> {
    let focus = wish.focus.as_ref().map(|focus| format!(" Look above all at: {focus}.")).unwrap_or_default();
    let mut sentences: Vec<String> = reading.sentences.iter().map(|sentence| sentence.text.clone()).collect();
    let source = sentences.join(" ");
    for round in 0..ROUNDS {
        let parts = parts(&sentences, call).await?;
        if parts.len() <= 1 {
            break;
        }
        let total = u32::try_from(parts.len()).unwrap_or(u32::MAX);
        let progress = &call.context().progress;
        let done = std::sync::atomic::AtomicU32::new(0);
        progress.step(0, Some(total), format!("round {}: {total} parts", round + 1));
        let work = parts.iter().map(|part| {
            let (focus, done) = (&focus, &done);
            async move {
                let said = part_summary(part, focus, call).await?;
                let now = done.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1;
                progress.step(now, Some(total), format!("part {now} of {total} is summarized"));
                Ok::<String, ToolError>(said)
            }
        });
        sentences = stream::iter(work.collect::<Vec<_>>()).buffered(AT_ONCE).try_collect().await?;
    }
    let answer = call.ask(question(&sentences.join("\n"), wish.max_words, wish.style.wish(), &focus)).await?.text;
    let answer = answer.trim();
    let in_form = wish.style != Style::Bullets || answer.lines().all(|line| line.starts_with("- "));
    let good = in_form
        && count(answer) <= wish.max_words
        && !is_degenerate(answer)
        && is_grounded(answer, &source)
        && reading.worth.facts(answer) >= reading.worth.facts(extract);
    Ok(good.then(|| answer.to_owned()))
}

async fn part_summary(part: &str, focus: &str, call: &Call) -> Result<String, ToolError> {
    let answer = call.ask(question(part, PART_WORDS, "", focus)).await?.text;
    if !is_degenerate(&answer) && count(&answer) <= 2 * PART_WORDS && is_grounded(&answer, part) {
        return Ok(answer.trim().to_owned());
    }
    Ok(Reading::of(part, None).summary(PART_WORDS, Style::Paragraph, &Progress::default()).await)
}

/// The sentences in parts of about [`PART`] tokens each, by how many tokens the text has for its bytes.
async fn parts(sentences: &[String], call: &Call) -> Result<Vec<String>, ToolError> {
    let text = sentences.join("\n");
    let model = call.context().models.of(call.context().tier)?;
    let request = ChatRequest {
        model: model.name.clone(),
        messages: vec![Message::text(Role::User, text.clone())],
        sampling: Sampling::default(),
        max_tokens: None,
        n: None,
        extra: serde_json::Map::new(),
    };
    let tokens = model.count_tokens(&request).await?.max(1);
    let number = tokens.div_ceil(PART) as usize;
    let most = text.len().div_ceil(number).max(1);
    let mut parts: Vec<String> = Vec::new();
    for sentence in sentences {
        match parts.last_mut() {
            Some(part) if part.len() + sentence.len() <= most => {
                part.push('\n');
                part.push_str(sentence);
            }
            _ => parts.push(sentence.clone()),
        }
    }
    Ok(if number == 1 { vec![text] } else { parts })
}
