//! What the model says: how likely each candidate is behind the text and the field's name, less how likely it is
//! behind the same text and a name that asks for nothing.
//!
//! The text stands first, so that it is computed once for all fields. A long text is cut into windows of counted
//! tokens; a candidate is scored in its own window, and all windows are read.

use std::ops::Range;

use lla_inference::{ScoreItem, ScorePrompt, ScoreRequest};
use lla_protocol::openai::Usage;
use serde_json::Value;

use super::choose::Row;
use super::form::Node;
use super::parts::Part;
use super::vocabulary;
use crate::call::Call;
use crate::error::ToolError;
use crate::models::Model;

mod windows;

/// Candidates of a field that are scored, in each window.
const SCORED: usize = 10;
/// A field whose best candidate leads by this much is not asked about.
const CLEAR: f64 = 4.0;
/// How much a unit of log-probability counts.
const WEIGHT: f64 = 0.35;
/// Log-probabilities differ by at most this much: one odd token says no more than that.
const MOST: f64 = 6.0;
/// Differences of log-probability are rounded to this.
const STEP: f64 = 0.5;
/// Windows that are scored in one request.
const AT_ONCE: usize = 4;
/// An enum whose values do not stand in the text is decided on the first so many requests: every window of a long
/// text would be read for a word that is in none.
const OPEN: usize = 4;
/// Evidence says clearly what leads by this much.
const LEAD: f64 = 1.0;
/// What stands in the place of a field's name when nothing is asked.
const NOTHING: &str = "Note";

/// What came of weighing, beside the weights of the choices.
#[derive(Debug, Default)]
pub(super) struct Weighed {
    /// Values of the enums that were open, by pointer.
    pub(super) chosen: Vec<(String, Value)>,
    /// Whether the model's judgement agrees with what the evidence says clearly.
    pub(super) agrees: bool,
}

/// Values of a field of which one is to be chosen, and none stands in the text.
#[derive(Debug)]
pub(super) struct OpenChoice<'a> {
    pub(super) pointer: String,
    pub(super) node: &'a Node,
    pub(super) values: &'a [Value],
}

/// Lets the model weigh the candidates of the rows, and choose the values of `open`. `None`: the backend can
/// not score, and nothing was changed.
pub(super) async fn weigh(
    call: &Call,
    model: &Model,
    text: &str,
    parts: &[Part<'_>],
    rows: &mut [Row<'_>],
    open: &[OpenChoice<'_>],
) -> Result<Option<Weighed>, ToolError> {
    if open.is_empty() && !rows.iter().any(is_contested) {
        return Ok(Some(Weighed::default()));
    }
    let windows = windows::windows(model, parts).await?;
    let places: Vec<Vec<usize>> = rows.iter().map(by_place).collect();
    let mut chosen: Vec<Vec<f64>> = vec![Vec::new(); open.len()];
    let batches: Vec<&[Range<usize>]> = windows.chunks(AT_ONCE).collect();
    for (number, batch) in batches.iter().enumerate() {
        let asked = ask(text, rows, &places, if number < OPEN { open } else { &[] }, batch);
        if asked.items.is_empty() {
            continue;
        }
        let request = ScoreRequest { model: model.name.clone(), items: asked.items };
        let scores = match model.backend.score(request).await {
            Err(error) if error.is_unsupported() => return Ok(None),
            outcome => outcome?,
        };
        let usage = Usage::new(scores.usage.prompt_tokens, 0);
        call.note_work(model, Some(&usage));
        for question in asked.questions {
            let bias = scores.sums(question.bias);
            let sums = scores.sums(question.item);
            let gains: Vec<f64> = (0..sums.len()).map(|index| sums[index] - bias[question.first + index]).collect();
            match question.of {
                Of::Row(row, choices) => {
                    for (choice, gain) in choices.into_iter().zip(gains) {
                        rows[row].choices[choice].likely = gain;
                    }
                }
                Of::Open(index) => {
                    let best = &mut chosen[index];
                    best.resize(gains.len(), f64::NEG_INFINITY);
                    for (best, gain) in best.iter_mut().zip(gains) {
                        *best = best.max(gain);
                    }
                }
            }
        }
        let current = u32::try_from(number + 1).unwrap_or(u32::MAX);
        call.context().progress.step(current, u32::try_from(batches.len()).ok(), "reading the text");
    }
    let agrees = agrees(rows);
    rows.iter_mut().for_each(level);
    let best = |(open, gains): (&OpenChoice<'_>, Vec<f64>)| {
        let best = (0..gains.len()).max_by(|&one, &other| gains[one].total_cmp(&gains[other]).then(other.cmp(&one)))?;
        Some((open.pointer.clone(), open.values.get(best)?.clone()))
    };
    Ok(Some(Weighed { chosen: open.iter().zip(chosen).filter_map(best).collect(), agrees }))
}

/// Whether the model finds likeliest what the evidence alone says clearly, in nearly all of at least four fields:
/// then it can be trusted with fields for which there is no evidence. A very small model does not come so far.
fn agrees(rows: &[Row<'_>]) -> bool {
    let (mut clear, mut same) = (0, 0);
    for row in rows {
        let asked: Vec<&super::choose::Choice> = row.choices.iter().filter(|choice| choice.likely != 0.0).collect();
        let Some(first) = asked.first() else { continue };
        let others = asked.iter().filter(|choice| !choice.candidate.overlaps(&first.candidate.at));
        let second = others.map(|choice| choice.evidence.score()).fold(f64::NEG_INFINITY, f64::max);
        let likeliest = asked.iter().max_by(|one, other| one.likely.total_cmp(&other.likely));
        if second.is_finite() && first.evidence.score() - second >= LEAD {
            clear += 1;
            same += usize::from(likeliest.is_some_and(|choice| choice.candidate.overlaps(&first.candidate.at)));
        }
    }
    clear >= 4 && same * 10 >= clear * 9
}

/// Turns gains into what counts beside the evidence: 0 for the best one, less for the others.
fn level(row: &mut Row<'_>) {
    let asked = |likely: f64| likely != 0.0;
    let best = row
        .choices
        .iter()
        .map(|choice| choice.likely)
        .filter(|&likely| asked(likely))
        .fold(f64::NEG_INFINITY, f64::max);
    for choice in &mut row.choices {
        let behind = if asked(choice.likely) { (best - choice.likely).min(MOST) } else { MOST };
        // The last digits of a score depend on what else was in the batch: they must not decide.
        let behind = (behind / STEP).round() * STEP;
        choice.likely = if best.is_finite() { -WEIGHT * behind } else { 0.0 };
    }
}

struct Asked {
    items: Vec<ScoreItem>,
    questions: Vec<Asking>,
}

/// Where the scores of a question stand among those of the request.
struct Asking {
    of: Of,
    item: usize,
    /// The item without a question, and where the question's texts begin in it.
    bias: usize,
    first: usize,
}

enum Of {
    /// A row, with the places of the choices that are asked about.
    Row(usize, Vec<usize>),
    Open(usize),
}

/// `places` holds for each row what [`by_place`] gives.
fn ask(
    text: &str,
    rows: &[Row<'_>],
    places: &[Vec<usize>],
    open: &[OpenChoice<'_>],
    windows: &[Range<usize>],
) -> Asked {
    let mut asked = Asked { items: Vec::new(), questions: Vec::new() };
    for window in windows {
        let part = text.get(window.clone()).unwrap_or_default();
        let mut biased: Vec<String> = Vec::new();
        let mut questions: Vec<(Of, &Node, Vec<String>)> = Vec::new();
        for (index, (row, places)) in rows.iter().zip(places).enumerate() {
            let places = contested(row, places, window);
            let texts = places.iter().map(|&place| format!(" {}", row.choices[place].candidate.text(text))).collect();
            if !places.is_empty() && is_contested(row) {
                questions.push((Of::Row(index, places), row.node, texts));
            }
        }
        for (index, choice) in open.iter().enumerate() {
            let said = |value: &Value| value.as_str().map_or_else(|| format!(" {value}"), |text| format!(" {text}"));
            questions.push((Of::Open(index), choice.node, choice.values.iter().map(said).collect()));
        }
        let bias = asked.items.len() + questions.len();
        for (of, node, texts) in questions {
            let question = Asking { of, item: asked.items.len(), bias, first: biased.len() };
            biased.extend(texts.iter().cloned());
            asked.items.push(item(part, &label(node), texts));
            asked.questions.push(question);
        }
        if !biased.is_empty() {
            asked.items.push(item(part, NOTHING, biased));
        }
    }
    asked
}

/// Whether the evidence leaves more than one choice.
fn is_contested(row: &Row<'_>) -> bool {
    let [first, second, ..] = row.choices.as_slice() else { return false };
    first.score() - second.score() < CLEAR
}

/// The choices of a row in the order of their places: a long text has many windows, and each looks only at its own.
fn by_place(row: &Row<'_>) -> Vec<usize> {
    let mut places: Vec<usize> = (0..row.choices.len()).collect();
    places.sort_by_key(|&place| row.choices[place].candidate.at.start);
    places
}

/// The choices of a row in a window that the evidence alone does not decide. `places` is what [`by_place`] gives.
fn contested(row: &Row<'_>, places: &[usize], window: &Range<usize>) -> Vec<usize> {
    let Some(best) = row.choices.first().map(super::choose::Choice::score) else { return Vec::new() };
    let before = |end: usize| places.partition_point(|&place| row.choices[place].candidate.at.start < end);
    let mut inside = places[before(window.start)..before(window.end)].to_vec();
    inside.sort_unstable();
    let open = inside.into_iter().take_while(|&place| best - row.choices[place].score() < CLEAR);
    open.take(SCORED).collect()
}

fn item(text: &str, label: &str, continuations: Vec<String>) -> ScoreItem {
    ScoreItem { prompt: ScorePrompt::Text { prompt: format!("{}\n\n{label}:", text.trim_end()) }, continuations }
}

/// The field's name as a person would write it.
fn label(node: &Node) -> String {
    let words = vocabulary::words(&node.name).join(" ");
    let mut letters = words.chars();
    let name: String = letters.next().into_iter().flat_map(char::to_uppercase).chain(letters).collect();
    let name = if name.is_empty() { "Value".to_owned() } else { name };
    if node.description.is_empty() || node.description.len() > 200 {
        name
    } else {
        format!("{name} ({})", node.description)
    }
}
