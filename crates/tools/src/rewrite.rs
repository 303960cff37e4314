//! `rewrite`: a text in other words, with what must stay.

use async_trait::async_trait;
use lla_protocol::FieldError;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::call::{Call, Question};
use crate::error::ToolError;
use crate::source;
use crate::tool::Tool;

/// See [`Tool::DESCRIPTION`].
#[derive(Debug, Clone, Copy)]
pub struct Rewrite;

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
    /// Strings that must stay as they are. Numbers, URLs and code in backticks stay by default.
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
    /// The new text.
    pub text: String,
    /// Whether it differs from the old one.
    pub changed: bool,
    /// What differs.
    pub diff: Diff,
    /// Strings that had to stay and did.
    pub kept: Vec<String>,
    /// Strings that had to stay and are not in the new text.
    pub lost: Vec<String>,
}

/// How two texts differ, counted in words.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Diff {
    /// Words that are only in the new text.
    pub words_added: usize,
    /// Words that are only in the old text.
    pub words_removed: usize,
    /// Words of the old text.
    pub words_before: usize,
    /// Words of the new text.
    pub words_after: usize,
    /// One sentence for a person.
    pub summary: String,
}

#[async_trait]
impl Tool for Rewrite {
    const NAME: &'static str = "rewrite";
    const TITLE: &'static str = "Rewrite a text";
    const DESCRIPTION: &'static str = "Rewrites a text by an instruction or in a style (formal, casual, concise, plain, \
        bullets, grammar), checks that names, numbers and the strings you name stay, and says what changed. \
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
        let after = by_prompt(&before, &instruction, call).await?;
        let (kept, lost) = keep.into_iter().partition(|string| after.contains(string.as_str()));
        Ok(Rewritten { changed: after.trim() != before.trim(), diff: diff(&before, &after), text: after, kept, lost })
    }
}

/// Asks for the new text in a prompt.
async fn by_prompt(text: &str, instruction: &str, call: &Call) -> Result<String, ToolError> {
    let words = u32::try_from(text.split_whitespace().count()).unwrap_or(u32::MAX);
    let question = Question {
        system: "You rewrite texts. You answer with the rewritten text and nothing else.",
        user: format!("{instruction} Keep all names and numbers.\n\nText:\n{text}\n\nRewritten text:"),
        schema: None,
        max_tokens: words.saturating_mul(4).max(96),
    };
    Ok(call.ask(question).await?.text.trim().to_owned())
}

/// Counts words that are in one of the texts only, each as often as it is there.
fn diff(before: &str, after: &str) -> Diff {
    let mut surplus: std::collections::HashMap<&str, i64> = std::collections::HashMap::new();
    let (mut words_before, mut words_after) = (0, 0);
    for word in before.split_whitespace() {
        *surplus.entry(word).or_default() -= 1;
        words_before += 1;
    }
    for word in after.split_whitespace() {
        *surplus.entry(word).or_default() += 1;
        words_after += 1;
    }
    let sum = |sign: i64| -> usize {
        surplus.values().map(|count| usize::try_from((count * sign).max(0)).unwrap_or(0)).sum()
    };
    let (words_added, words_removed) = (sum(1), sum(-1));
    let summary = format!("{words_removed} of {words_before} words replaced or removed, {words_added} new");
    Diff { words_added, words_removed, words_before, words_after, summary }
}
