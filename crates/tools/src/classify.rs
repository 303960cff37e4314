//! `classify`: which of the caller's labels a text has.
//!
//! Where the backend can tell how likely texts are, every label is scored behind the text (`scored.rs`) and compared
//! with what it scores behind texts that say nothing (`background.rs`, `evidence.rs`). Elsewhere the model is asked
//! for the label (`prompted.rs`), and the result says that its scores are not measured.

use async_trait::async_trait;
use indexmap::IndexMap;
use lla_protocol::FieldError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::background::Backgrounds;
use self::scored::Reading;
use crate::call::Call;
use crate::error::ToolError;
use crate::source;
use crate::tool::Tool;

mod background;
mod evidence;
mod excerpt;
mod glossary;
mod labels;
mod prompted;
mod scored;
#[cfg(test)]
mod tests;

/// Labels that one call may have.
const MAX_LABELS: usize = 255;

/// See [`Tool::DESCRIPTION`].
#[derive(Debug, Default)]
pub struct Classify {
    backgrounds: Backgrounds,
}

/// The arguments of `classify`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The text to classify. Give this or `path`.
    #[schemars(length(min = 1, max = 4_000_000))]
    pub text: Option<String>,
    /// A file to classify instead of `text`, or a pattern such as `notes/*.md`; only inside the allowed folders.
    #[schemars(length(min = 1, max = 4096))]
    pub path: Option<String>,
    /// The labels to choose from: a list of names, or an object of name and description.
    pub labels: Labels,
    /// What labels mean, by name. A short description per label makes answers better.
    #[schemars(extend("maxProperties" = 255), inner(length(max = 2000)))]
    pub descriptions: Option<IndexMap<String, String>>,
    /// Whether the text may have several labels, or none. Default false: exactly one.
    pub multi_label: Option<bool>,
    /// Texts whose label is known, as examples.
    #[schemars(length(max = 64))]
    pub examples: Option<Vec<Example>>,
    /// 0 to 1. With one label: below this confidence the answer is "abstained". With several: labels with at least this score are given. Default: 0 with one label, 0.5 with several.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub threshold: Option<f64>,
}

/// Labels with or without descriptions.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Labels {
    /// Names.
    Names(#[schemars(length(min = 2, max = 255), inner(length(min = 1, max = 200)))] Vec<String>),
    /// Names with what each means.
    Described(
        #[schemars(extend("minProperties" = 2, "maxProperties" = 255), inner(length(max = 2000)))]
        IndexMap<String, String>,
    ),
}

/// A text whose label is known.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Example {
    /// The text.
    #[schemars(length(min = 1, max = 10_000))]
    pub text: String,
    /// Its label, one of `labels`.
    #[schemars(length(min = 1, max = 200))]
    pub label: String,
}

/// The result of `classify`.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Classified {
    /// The best label; null when abstained, or when `multi_label` found none.
    pub label: Option<String>,
    /// All labels that hold, the best first: with `multi_label` any number, else one or none.
    pub labels: Vec<String>,
    /// A score from 0 to 1 for every label, in the order in which they were given; they sum to 1 unless `multi_label`.
    pub scores: IndexMap<String, f64>,
    /// The score of the best label.
    pub confidence: f64,
    /// Whether the confidence is below `threshold`, so that no label is given.
    pub abstained: bool,
    /// Whether the scores were measured from the model's probabilities; if not, the chosen labels have 1 and the others 0.
    pub scores_measured: bool,
    /// The share of the text that the model has read, 0 to 1. Below 1 the text is long: the beginning and the end were read.
    pub read_share: f64,
}

/// The arguments with their meaning settled.
struct Wanted {
    /// Names in order, with descriptions (empty where there is none).
    labels: IndexMap<String, String>,
    multi: bool,
    examples: Vec<Example>,
    threshold: f64,
}

#[async_trait]
impl Tool for Classify {
    const NAME: &'static str = "classify";
    const TITLE: &'static str = "Classify a text";
    const DESCRIPTION: &'static str = "Chooses which of your labels fits a text or a file, with a score for each label. \
        Use it to sort, route or filter text without reading it yourself: tickets, mails, log lines, review comments. \
        Runs on a small local model.";
    type Params = Params;
    type Result = Classified;

    async fn run(&self, params: Params, call: &Call) -> Result<Classified, ToolError> {
        let wanted = Wanted::from(&params)?;
        let text = source::text(call, params.text, params.path.as_deref()).await?;
        if let Some(reading) = scored::read(&self.backgrounds, &wanted, &text, call).await? {
            return Ok(wanted.measured(&reading));
        }
        let chosen = prompted::ask(&wanted, &text, call).await?;
        Ok(wanted.named(&chosen))
    }
}

impl Wanted {
    fn from(params: &Params) -> Result<Self, FieldError> {
        let mut labels = IndexMap::new();
        let named: Vec<(&String, &str)> = match &params.labels {
            Labels::Names(names) => names.iter().map(|name| (name, "")).collect(),
            Labels::Described(map) => map.iter().map(|(name, text)| (name, text.as_str())).collect(),
        };
        for (name, description) in named {
            if name.trim().is_empty() {
                return Err(FieldError::new("labels", "invalid_value", "a label is empty"));
            }
            if labels.insert(name.clone(), description.to_owned()).is_some() {
                return Err(FieldError::new("labels", "invalid_value", "a label stands there twice"));
            }
        }
        if !(2..=MAX_LABELS).contains(&labels.len()) {
            let message = format!("needs 2 to {MAX_LABELS} labels, got {}", labels.len());
            return Err(FieldError::new("labels", "out_of_range", &message));
        }
        for (name, text) in params.descriptions.iter().flatten() {
            let Some(description) = labels.get_mut(name) else {
                return Err(FieldError::new(
                    &format!("descriptions.{name}"),
                    "invalid_value",
                    "is not one of 'labels'",
                ));
            };
            description.clone_from(text);
        }
        let examples = params.examples.clone().unwrap_or_default();
        if let Some(index) = examples.iter().position(|example| !labels.contains_key(&example.label)) {
            return Err(FieldError::new(
                &format!("examples[{index}].label"),
                "invalid_value",
                "is not one of 'labels'",
            ));
        }
        let multi = params.multi_label.unwrap_or(false);
        let threshold = params.threshold.unwrap_or(if multi { 0.5 } else { 0.0 });
        Ok(Self { labels, multi, examples, threshold })
    }

    /// The result from what was found about the text.
    fn measured(&self, reading: &Reading) -> Classified {
        let shares = if self.multi { evidence::each(&reading.evidence) } else { evidence::one_of(&reading.evidence) };
        let mut ranked: Vec<(&String, f64)> = self.labels.keys().zip(shares.iter().copied()).collect();
        // Stable: of equals the one that the caller has named first.
        ranked.sort_by(|(_, one), (_, other)| other.total_cmp(one));
        let confidence = ranked.first().map_or(0.0, |&(_, share)| share);
        let holding = ranked.iter().filter(|(_, share)| *share >= self.threshold);
        let most = if self.multi { ranked.len() } else { 1 };
        let labels: Vec<String> = holding.take(most).map(|&(name, _)| name.clone()).collect();
        Classified {
            label: labels.first().cloned(),
            abstained: !self.multi && labels.is_empty(),
            labels,
            scores: self.labels.keys().cloned().zip(shares).collect(),
            confidence,
            scores_measured: true,
            read_share: reading.share,
        }
    }

    /// The result when these labels were named by the model, without probabilities.
    fn named(&self, chosen: &[String]) -> Classified {
        let share = |name: &String| f64::from(u8::from(chosen.contains(name)));
        let scores: IndexMap<String, f64> = self.labels.keys().map(|name| (name.clone(), share(name))).collect();
        let confidence = scores.values().copied().fold(0.0, f64::max);
        let abstained = !self.multi && (chosen.is_empty() || confidence < self.threshold);
        let labels: Vec<String> = if abstained { Vec::new() } else { chosen.to_vec() };
        let label = labels.first().cloned();
        Classified { label, labels, scores, confidence, abstained, scores_measured: false, read_share: 1.0 }
    }
}
