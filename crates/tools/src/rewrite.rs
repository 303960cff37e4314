//! `rewrite`: a text in other words, with what must stay. What rules can do, rules do; the model decides where
//! only the context tells, and writes where it has shown that it can, under guard.

use std::borrow::Cow;

use async_trait::async_trait;
use lla_protocol::FieldError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::call::Call;
use crate::error::ToolError;
use crate::source;
use crate::tool::Tool;
use crate::writing::Writers;

pub use diff::Diff;
use intent::{Intent, Way};
use keep::Must;
use pieces::Pieces;

mod diff;
mod draft;
mod grammar;
mod intent;
mod keep;
mod lists;
mod phrases;
mod pieces;
mod register;
mod shorten;
#[cfg(test)]
mod tests;
mod voice;
mod written;

/// See [`Tool::DESCRIPTION`].
#[derive(Debug, Clone, Default)]
pub struct Rewrite(Writers);

impl Rewrite {
    /// Shares what is known of models.
    pub(crate) fn with(writers: Writers) -> Self {
        Self(writers)
    }
}

/// The arguments of `rewrite`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The text to rewrite. Give this or `path`.
    #[schemars(length(min = 1, max = 4_000_000))]
    pub text: Option<String>,
    /// A file to rewrite instead of `text` (the file itself stays as it is); only inside the allowed folders.
    #[schemars(length(min = 1, max = 4096))]
    pub path: Option<String>,
    /// How to rewrite, in words. Give this or `style`.
    #[schemars(length(min = 1, max = 2000))]
    pub instruction: Option<String>,
    /// How to rewrite, as a word. Give this or `instruction`.
    pub style: Option<Style>,
    /// Strings that must stay as they are. Numbers, names, URLs and code in backticks stay by default.
    #[schemars(length(max = 200), inner(length(min = 1, max = 500)))]
    pub keep: Option<Vec<String>>,
}

/// Ways to rewrite that have a name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Style {
    /// Polite and without contractions.
    Formal,
    /// As among colleagues.
    Casual,
    /// Shorter.
    Concise,
    /// Short sentences and common words.
    Plain,
    /// A list of points.
    Bullets,
    /// Spelling and grammar corrected, nothing else.
    Grammar,
}

impl Style {
    fn instruction(self) -> &'static str {
        match self {
            Self::Formal => "Rewrite in a formal tone, without contractions.",
            Self::Casual => "Rewrite in a casual, friendly tone.",
            Self::Concise => "Make this concise.",
            Self::Plain => "Rewrite in plain language.",
            Self::Bullets => "Turn this into a bullet list.",
            Self::Grammar => "Fix the grammar and spelling.",
        }
    }
}

/// The result of `rewrite`.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Rewritten {
    /// The new text; the old one when nothing could be changed.
    pub text: String,
    /// Whether it differs from the old one.
    pub changed: bool,
    /// Who changed it: rules, or the model.
    pub method: Method,
    /// What differs.
    pub diff: Diff,
    /// Strings of `keep`; they are in the new text.
    pub kept: Vec<String>,
    /// Strings that had been changed and were put back.
    pub restored: Vec<String>,
    /// Strings that had to stay and are not in the new text: only numbers and names that a word limit left no
    /// room for, never those of `keep`.
    pub lost: Vec<String>,
    /// What could not be done, for a person.
    pub notes: Vec<String>,
}

/// How a text was rewritten.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Method {
    /// By rules; the model at most chose between words.
    Rules,
    /// By the model.
    Model,
    /// Not at all.
    None,
}

#[async_trait]
impl Tool for Rewrite {
    const NAME: &'static str = "rewrite";
    const TITLE: &'static str = "Rewrite a text";
    const DESCRIPTION: &'static str = "Rewrites a text by an instruction or in a style (formal, casual, concise, plain, \
        bullets, grammar), keeps names, numbers and the strings you name, and says what changed. \
        Changes no file. Runs on a small local model.";
    type Params = Params;
    type Result = Rewritten;

    async fn run(&self, params: Params, call: &Call) -> Result<Rewritten, ToolError> {
        let instruction = match (params.instruction, params.style) {
            (Some(words), None) => words,
            (None, Some(style)) => style.instruction().to_owned(),
            (Some(_), Some(_)) => {
                let message = "can not stand beside 'instruction': give one of them";
                return Err(FieldError::new("style", "invalid_value", message).into());
            }
            (None, None) => {
                let message = "give 'instruction', or 'style'";
                return Err(FieldError::new("instruction", "missing_required_parameter", message).into());
            }
        };
        let text = source::text(call, params.text, params.path.as_deref()).await?;
        let keep = params.keep.unwrap_or_default();
        let task = Task::read(text, keep, instruction)?;
        let (after, method) = self.rewritten(&task, call).await?;
        Ok(result(&task, after, method))
    }
}

/// What is to be rewritten, and how.
struct Task {
    text: String,
    instruction: String,
    intent: Intent,
    /// What the caller wants to stay.
    keep: Vec<String>,
    /// That, and what stays by default.
    must: Must,
}

impl Task {
    fn read(text: String, keep: Vec<String>, instruction: String) -> Result<Self, FieldError> {
        if let Some(index) = keep.iter().position(|string| !text.contains(string.as_str())) {
            let message = "is not in the text, so it can not stay";
            return Err(FieldError::new(&format!("keep[{index}]"), "invalid_value", message));
        }
        let must = Must::of(&text, &keep);
        Ok(Self { intent: intent::read(&instruction), instruction, must, keep, text })
    }
}

impl Rewrite {
    async fn rewritten(&self, task: &Task, call: &Call) -> Result<(String, Method), ToolError> {
        let ways = &task.intent.ways;
        let corrects = *ways == [Way::Grammar];
        if ways.is_empty() || !corrects && self.0.can_write(call).await? {
            let able = !ways.is_empty() || self.0.can_write(call).await?;
            if let Some(text) = written::by_model(task, able, call).await? {
                return Ok((text, Method::Model));
            }
        }
        let rules = Rules { must: &task.must };
        let mut text = task.text.clone();
        if ways.contains(&Way::Grammar) {
            text = rules.line_by_line(&text, |line| grammar::by_rule(&rules.cut(line)).to_string()).await;
            text = grammar::by_likelihood(text, &task.must, call).await?;
        }
        for way in ways {
            text = rules.change(&text, *way, task.intent.max_words).await;
        }
        Ok((text, Method::Rules))
    }
}

/// Changes by rule, with what must stay. They give way now and then, so that dropping them ends the work.
struct Rules<'a> {
    must: &'a Must,
}

impl Rules<'_> {
    fn cut(&self, line: &str) -> Pieces {
        Pieces::of(line, &self.must.places(line))
    }

    /// Changes a text in one way.
    async fn change(&self, text: &str, way: Way, max_words: Option<usize>) -> String {
        let lines = async |change: fn(&Pieces) -> Pieces| {
            self.line_by_line(text, |line| change(&self.cut(line)).to_string()).await
        };
        match way {
            Way::Grammar => text.to_owned(),
            Way::Formal => lines(register::formal).await,
            Way::Casual => lines(register::casual).await,
            Way::Plain => lines(register::plain).await,
            Way::Confident => lines(register::confident).await,
            Way::Calm => lines(register::calm).await,
            // A greeting stands once, at the beginning.
            Way::Friendly => register::friendly(&self.cut(text)).to_string(),
            Way::Active => self.line_by_line(text, voice::active).await,
            Way::Concise => shorten::shorten(text, max_words, self.must).await,
            Way::Bullets => lists::bullets(text, false),
            Way::Numbered => lists::bullets(text, true),
            Way::Upper => self.case(text, str::to_uppercase),
            Way::Lower => self.case(text, str::to_lowercase),
        }
    }

    fn case(&self, text: &str, change: impl Fn(&str) -> String) -> String {
        let mut pieces = self.cut(text);
        for piece in pieces.0.iter_mut().filter(|piece| !piece.fixed) {
            piece.text = change(&piece.text);
        }
        pieces.to_string()
    }

    /// Changes every line for itself, but code between fences, and leaves a line as it is that would lose what
    /// must stay.
    async fn line_by_line(&self, text: &str, change: impl Fn(&str) -> String) -> String {
        let mut fenced = false;
        let mut changed: Vec<Cow<'_, str>> = Vec::new();
        for line in text.split('\n') {
            let fence = line.trim_start().starts_with("```");
            fenced ^= fence;
            if fence || fenced || line.trim().is_empty() {
                changed.push(line.into());
                continue;
            }
            let mut new = change(line);
            let lost = self.must.lost(line, &new);
            let kept = self.must.restore(&mut new, &lost).len() == lost.len();
            changed.push(if kept { new.into() } else { line.into() });
            tokio::task::yield_now().await;
        }
        changed.join("\n")
    }
}

/// Checks what must stay, puts it back or takes the old text.
fn result(task: &Task, mut after: String, mut method: Method) -> Rewritten {
    let Task { text: before, keep, must, intent, .. } = task;
    let mut notes = Vec::new();
    let missing = must.missing(&after);
    let mut restored = must.restore(&mut after, &missing);
    if keep.iter().any(|string| !after.contains(string.as_str())) {
        notes.push("a string of 'keep' could not be kept otherwise, so the text is unchanged".to_owned());
        before.clone_into(&mut after);
        restored.clear();
    }
    let strings = |numbers: Vec<usize>| numbers.into_iter().map(|number| must.string(number).to_owned()).collect();
    let lost = strings(must.missing(&after));
    let words = after.split_whitespace().count();
    if let Some(most) = intent.max_words.filter(|most| words > *most) {
        notes.push(format!("{words} words instead of {most}: what must stay takes more"));
    }
    let changed = after.trim() != before.trim();
    if !changed {
        method = Method::None;
        if notes.is_empty() {
            notes.push("no acceptable change was found".to_owned());
        }
    }
    let (diff, restored) = (diff::diff(before, &after), strings(restored));
    Rewritten { changed, method, diff, text: after, kept: keep.clone(), restored, lost, notes }
}
