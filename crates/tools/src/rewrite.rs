//! `rewrite`: a text in other words, with what must stay. What rules can do, rules do; the model decides where
//! only the context tells, and writes where it has shown that it can, under guard.

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
use pieces::Pieces;

mod diff;
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
        let before = source::text(call, params.text, params.path.as_deref()).await?;
        let keep = params.keep.unwrap_or_default();
        if let Some(index) = keep.iter().position(|string| !before.contains(string.as_str())) {
            let message = "is not in the text, so it can not stay";
            return Err(FieldError::new(&format!("keep[{index}]"), "invalid_value", message).into());
        }
        let intent = intent::read(&instruction);
        let mut must = keep.clone();
        must.extend(keep::by_default(&before).into_iter().filter(|string| !keep.contains(string)));
        let (after, method) = self.rewritten(&before, &instruction, &intent, &must, call).await?;
        Ok(result(&before, after, method, keep, &must, &intent))
    }
}

impl Rewrite {
    async fn rewritten(
        &self,
        before: &str,
        instruction: &str,
        intent: &Intent,
        must: &[String],
        call: &Call,
    ) -> Result<(String, Method), ToolError> {
        let corrects = intent.ways == [Way::Grammar];
        if intent.ways.is_empty() || !corrects && self.0.can_write(call).await? {
            let able = !intent.ways.is_empty() || self.0.can_write(call).await?;
            if let Some(text) = written::by_model(before, instruction, intent, must, able, call).await? {
                return Ok((text, Method::Model));
            }
        }
        let mut text = before.to_owned();
        if intent.ways.contains(&Way::Grammar) {
            text = line_by_line(&text, must, |line| grammar::by_rule(&cut(line, must)).to_string());
            text = grammar::by_likelihood(&text, must, call).await?;
        }
        for way in &intent.ways {
            text = by_rule(&text, *way, intent, must);
        }
        Ok((text, Method::Rules))
    }
}

fn cut(line: &str, must: &[String]) -> Pieces {
    Pieces::of(line, &keep::places(line, must))
}

/// Changes a text in one way.
fn by_rule(text: &str, way: Way, intent: &Intent, must: &[String]) -> String {
    let lines =
        |change: &dyn Fn(&Pieces) -> Pieces| line_by_line(text, must, |line| change(&cut(line, must)).to_string());
    match way {
        Way::Grammar => text.to_owned(),
        Way::Formal => lines(&register::formal),
        Way::Casual => lines(&register::casual),
        Way::Plain => lines(&register::plain),
        Way::Confident => lines(&register::confident),
        Way::Calm => lines(&|pieces| {
            let mut said = pieces.clone();
            register::calm_marks(&mut said);
            said
        }),
        // A greeting stands once, at the beginning.
        Way::Friendly => register::friendly(&cut(text, must)).to_string(),
        Way::Active => line_by_line(text, must, voice::active),
        Way::Concise => shorten::shorten(text, intent.max_words, must),
        Way::Bullets => lists::bullets(text, false),
        Way::Numbered => lists::bullets(text, true),
        Way::Upper => case(text, must, str::to_uppercase),
        Way::Lower => case(text, must, str::to_lowercase),
    }
}

fn case(text: &str, must: &[String], change: impl Fn(&str) -> String) -> String {
    let mut pieces = cut(text, must);
    for piece in pieces.0.iter_mut().filter(|piece| !piece.fixed) {
        piece.text = change(&piece.text);
    }
    pieces.to_string()
}

/// Changes every line for itself, but code between fences, and leaves a line as it is that would lose what
/// must stay.
fn line_by_line(text: &str, must: &[String], change: impl Fn(&str) -> String) -> String {
    let mut fenced = false;
    text.split('\n')
        .map(|line| {
            let fence = line.trim_start().starts_with("```");
            fenced ^= fence;
            if fence || fenced || line.trim().is_empty() {
                return line.to_owned();
            }
            let mut new = change(line);
            let here = must.iter().filter(|string| line.contains(string.as_str()));
            if here.clone().all(|string| keep::restore(&mut new, string)) { new } else { line.to_owned() }
        })
        .collect::<Vec<_>>()
        .join("\n")
}

/// Checks what must stay, puts it back or takes the old text.
fn result(
    before: &str,
    mut after: String,
    mut method: Method,
    keep: Vec<String>,
    must: &[String],
    intent: &Intent,
) -> Rewritten {
    let mut notes = Vec::new();
    let mut restored = Vec::new();
    for string in must {
        if !after.contains(string.as_str()) && keep::restore(&mut after, string) {
            restored.push(string.clone());
        }
    }
    if keep.iter().any(|string| !after.contains(string.as_str())) {
        notes.push("a string of 'keep' could not be kept otherwise, so the text is unchanged".to_owned());
        before.clone_into(&mut after);
        restored.clear();
    }
    let lost: Vec<String> = keep::missing(&after, must).into_iter().cloned().collect();
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
    Rewritten { changed, method, diff: diff::diff(before, &after), text: after, kept: keep, restored, lost, notes }
}
