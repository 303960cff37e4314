//! A text rewritten by the model, when what it wrote may be used.

use std::collections::HashSet;

use super::Task;
use super::intent::Way;
use crate::call::{Call, Question};
use crate::error::ToolError;
use crate::prose::guard::{is_degenerate, is_grounded};
use crate::prose::words::{count, is_stop, stem, words};

/// Words of a text up to which a model that can write is asked, and one that can not.
const LONGEST: usize = 400;
const LONGEST_FOR_THE_WEAK: usize = 60;
/// Least share of the new text's words that the old one has.
const KIN: f64 = 0.4;

/// Asks the model, and gives its text if that keeps what must stay, says nothing new, does not go round in
/// circles, and does what was asked as far as rules can see.
///
/// # Errors
/// When there is no model, or it fails.
pub(super) async fn by_model(task: &Task, able: bool, call: &Call) -> Result<Option<String>, ToolError> {
    let Task { text, instruction, .. } = task;
    let longest = if able { LONGEST } else { LONGEST_FOR_THE_WEAK };
    let long = text.split_whitespace().take(longest + 1).count();
    if long > longest {
        return Ok(None);
    }
    let tokens = u32::try_from(long).unwrap_or(u32::MAX).saturating_mul(3).max(48);
    let question = Question {
        system: "You rewrite texts. You answer with the rewritten text and nothing else.",
        user: format!("{instruction} Keep all names and numbers.\n\nText:\n{text}\n\nRewritten text:"),
        schema: None,
        max_tokens: tokens,
    };
    let mut answer = cleaned(&call.ask(question).await?.text);
    let missing = task.must.missing(&answer);
    task.must.restore(&mut answer, &missing);
    Ok(is_usable(&answer, task).then_some(answer))
}

/// Without an introduction and quotation marks around it.
fn cleaned(answer: &str) -> String {
    let answer = answer.trim();
    let introduced =
        answer.split_once('\n').filter(|(line, rest)| line.trim_end().ends_with(':') && !rest.trim().is_empty());
    let lower = answer.to_lowercase();
    let answer = match introduced {
        Some((_, rest))
            if ["sure", "here", "certainly", "rewritten", "the rewritten", "of course"]
                .iter()
                .any(|start| lower.starts_with(start)) =>
        {
            rest.trim()
        }
        _ => answer,
    };
    let unquoted = answer.strip_prefix('"').and_then(|rest| rest.strip_suffix('"'));
    unquoted.filter(|rest| !rest.contains('"')).unwrap_or(answer).trim().to_owned()
}

fn is_usable(answer: &str, task: &Task) -> bool {
    let Task { text, intent, must, .. } = task;
    let stems = |text: &str| -> HashSet<String> { words(text).filter(|word| !is_stop(word)).map(stem).collect() };
    let (old, new) = (stems(text), stems(answer));
    #[expect(clippy::cast_precision_loss, reason = "a count of words")]
    let kin = new.intersection(&old).count() as f64 >= KIN * new.len().min(old.len()) as f64;
    let (before, after) = (count(text), count(answer));
    let asks = |way| intent.ways.contains(&way);
    let obeys = intent.max_words.is_none_or(|most| after <= most)
        && (!asks(Way::Formal) || !answer.contains(['\'', '’']))
        && (!asks(Way::Bullets)
            || answer.lines().filter(|line| line.trim_start().starts_with(['-', '*', '•'])).count() >= 2)
        && (!asks(Way::Concise) || after < before);
    let sized = after >= 1 && after <= 3 * before + 20 && 4 * after >= before;
    let same = |text: &str| text.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let new_text = same(answer) != same(text);
    kin && obeys
        && sized
        && new_text
        && !is_degenerate(answer)
        && is_grounded(answer, text)
        && must.missing(answer).is_empty()
}
