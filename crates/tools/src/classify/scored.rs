//! The label by scoring: how likely is each label behind the text? Nothing is written by the model.
//!
//! The text stands first and its several endings ("Topic:", …) after it, so that all endings and labels share the
//! text, which is read once. The labels are never listed: a small model then prefers a place in the list.

use std::sync::Arc;

use futures_util::future::try_join;
use lla_inference::{ChatRequest, Error, ScoreItem, ScorePrompt, ScoreRequest, ScoreUsage, Scores};
use lla_protocol::openai::{Message, PromptTokensDetails, Role, Sampling, Usage};
use serde_json::Map;

use super::background::Backgrounds;
use super::evidence::{self, Background};
use super::excerpt::excerpt;
use super::labels::{self, Sayings};
use super::{Example, Wanted};
use crate::answer;
use crate::call::Call;
use crate::error::ToolError;
use crate::models::Model;

/// What follows on the text. Behind the first one stand also the labels' descriptions, which are long.
const ENDINGS: [&str; 4] = ["This text is about", "The purpose of this message is", "The author feels", "Tags:"];
/// With more labels only the first [`ENDINGS_OF_MANY`] are used, so that a call stays short.
const MANY_LABELS: usize = 24;
const ENDINGS_OF_MANY: usize = 2;
/// Texts that say nothing. Whole sentences, as the texts to come are: what a label scores behind "N/A" tells less.
const NOTHING: [&str; 4] = [
    "I wrote this down yesterday and I am sending it to you now.",
    "Hello, here is the message you asked for.",
    "Here is the text that I told you about, please read it and let me know.",
    "Ayer escribí esto y ahora te lo envío.",
];
/// Tokens of a window that are kept for endings and labels.
const ROOM: u32 = 256;
/// Bytes of a text that are read at most, about 2,000 words: more tells little about the label, and takes long.
const MOST: usize = 12 << 10;
/// A text that does not fit is tried again with this share of it.
const SHRINK: f64 = 0.7;
/// With so few bytes of the text it is the labels or examples that do not fit.
const LEAST: usize = 64;

/// What was found about a text.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Reading {
    /// How much speaks for each label, in their order: comparable differences of log-probabilities, around 0.
    pub(super) evidence: Vec<f64>,
    /// The share of the text that was read, 0 to 1.
    pub(super) share: f64,
}

/// Scores the labels. `None`: the backend can not.
pub(super) async fn read(
    backgrounds: &Backgrounds,
    wanted: &Wanted,
    text: &str,
    call: &Call,
) -> Result<Option<Reading>, ToolError> {
    let asking = Asking::about(wanted);
    let mut part = excerpt(text, MOST);
    let model = model(call, format!("{}{}", asking.examples, part.text)).await?;
    loop {
        let asked = model.backend.score(request(&model, asking.items(&part.text)));
        let (scores, background) = match try_join(asked, background(backgrounds, &model, &asking)).await {
            Err(error) if error.is_unsupported() => return Ok(None),
            Err(Error::ContextLength { .. }) if part.text.len() > LEAST => {
                #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a length")]
                #[expect(clippy::cast_precision_loss, reason = "a length")]
                let less = (part.text.len() as f64 * SHRINK) as usize;
                part = excerpt(text, less);
                continue;
            }
            Err(error) => return Err(answer::Error::from(error).into()),
            Ok(both) => both,
        };
        call.note_work(&model, Some(&usage(scores.usage)));
        let evidence = evidence::evidence(&asking.by_ending(&scores, 0), &background);
        return Ok(Some(Reading { evidence, share: part.share }));
    }
}

/// The small model, or the main one where only its window has room for the text.
async fn model(call: &Call, text: String) -> Result<Model, ToolError> {
    let request = ChatRequest {
        model: String::new(),
        messages: vec![Message::text(Role::User, text)],
        sampling: Sampling::default(),
        max_tokens: None,
        n: None,
        extra: Map::new(),
    };
    call.model_for(&request, ROOM).await
}

/// What is asked about every text of a call, and about those that say nothing.
struct Asking {
    said: Vec<Sayings>,
    /// Stands in front of every text; may be empty.
    examples: String,
}

impl Asking {
    fn about(wanted: &Wanted) -> Self {
        let said = wanted.labels.iter().map(|(name, meaning)| labels::sayings(name, meaning)).collect();
        let example = |example: &Example| {
            format!("{}\n\n{} {}\n\n", example.text.trim(), ENDINGS[0], labels::words(&example.label))
        };
        Self { said, examples: wanted.examples.iter().map(example).collect() }
    }

    /// The endings that are used for so many labels.
    fn endings(&self) -> &'static [&'static str] {
        if self.said.len() > MANY_LABELS { &ENDINGS[..ENDINGS_OF_MANY] } else { &ENDINGS }
    }

    /// One item per ending.
    fn items(&self, text: &str) -> Vec<ScoreItem> {
        let item = |(index, ending): (usize, &&str)| ScoreItem {
            prompt: ScorePrompt::Text { prompt: format!("{}{text}\n\n{ending}", self.examples) },
            continuations: evidence::continuations(&self.said, index == 0),
        };
        self.endings().iter().enumerate().map(item).collect()
    }

    /// The labels' scores behind each ending, of the items that begin with `first`.
    fn by_ending(&self, scores: &Scores, first: usize) -> Vec<Vec<f64>> {
        let of = |index: usize| {
            let found = scores.logprobs.get(first + index).map_or(&[][..], Vec::as_slice);
            evidence::scores(&self.said, index == 0, found)
        };
        (0..self.endings().len()).map(of).collect()
    }

    /// All that the background depends on.
    fn key(&self, model: &Model) -> String {
        let mut parts = vec![model.backend.name(), &model.name, &self.examples];
        for label in &self.said {
            parts.extend(label.ways.iter().map(String::as_str));
            parts.push(label.meaning.as_deref().unwrap_or_default());
        }
        parts.join("\u{0}")
    }
}

/// What labels score behind texts that say nothing.
async fn background(backgrounds: &Backgrounds, model: &Model, asking: &Asking) -> Result<Arc<Background>, Error> {
    let key = asking.key(model);
    if let Some(known) = backgrounds.get(&key) {
        return Ok(known);
    }
    let items = NOTHING.iter().flat_map(|text| asking.items(text)).collect();
    let scores = model.backend.score(request(model, items)).await?;
    let endings = asking.endings().len();
    let texts: Vec<_> = (0..NOTHING.len()).map(|text| asking.by_ending(&scores, text * endings)).collect();
    let found = Arc::new(evidence::background(&texts));
    backgrounds.put(key, Arc::clone(&found));
    Ok(found)
}

fn request(model: &Model, items: Vec<ScoreItem>) -> ScoreRequest {
    ScoreRequest { model: model.name.clone(), items }
}

fn usage(scores: ScoreUsage) -> Usage {
    let cached_tokens = Some(scores.cached_tokens);
    Usage {
        prompt_tokens: scores.prompt_tokens,
        completion_tokens: 0,
        total_tokens: scores.prompt_tokens,
        prompt_tokens_details: Some(PromptTokensDetails { cached_tokens }),
    }
}
