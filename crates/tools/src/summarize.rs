//! `summarize`: a text in few words.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::call::{Call, Question};
use crate::error::ToolError;
use crate::source;
use crate::tool::Tool;

/// Words of a summary when the caller does not say.
const MAX_WORDS: u32 = 120;
/// Tokens that a word may take.
const TOKENS_PER_WORD: u32 = 3;

/// See [`Tool::DESCRIPTION`].
#[derive(Debug, Clone, Copy)]
pub struct Summarize;

/// The arguments of `summarize`.
#[derive(Debug, Clone, PartialEq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// The text to summarize, of any length. Give this or `path`.
    #[schemars(length(min = 1, max = 4_000_000))]
    pub text: Option<String>,
    /// A file to summarize instead of `text`, or a pattern such as `notes/*.md`; only inside the allowed folders.
    #[schemars(length(min = 1, max = 4096))]
    pub path: Option<String>,
    /// Most words of the summary, 5 to 2000. Default 120.
    #[schemars(range(min = 5, max = 2000))]
    pub max_words: Option<u32>,
    /// The form: a paragraph, bullet points, or a headline. Default paragraph.
    pub style: Option<Style>,
    /// What the summary is to look at above all (a topic, a question).
    #[schemars(length(min = 1, max = 1000))]
    pub focus: Option<String>,
}

/// The form of a summary.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Style {
    /// Running text.
    #[default]
    Paragraph,
    /// One fact per line, each line beginning with `- `.
    Bullets,
    /// One line.
    Headline,
}

/// The result of `summarize`.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct Summary {
    /// The summary; never more than `max_words` words.
    pub summary: String,
    /// Its words, separated by white space.
    pub words: usize,
    /// The words of the text that was summarized.
    pub source_words: usize,
}

#[async_trait]
impl Tool for Summarize {
    const NAME: &'static str = "summarize";
    const TITLE: &'static str = "Summarize a text";
    const DESCRIPTION: &'static str = "Summarizes a text or files of any length within a number of words, as a paragraph, \
        bullet points or a headline. Use it to learn what is in a long file, log or thread without reading it yourself. \
        Runs on a small local model.";
    type Params = Params;
    type Result = Summary;

    async fn run(&self, params: Params, call: &Call) -> Result<Summary, ToolError> {
        let max_words = params.max_words.unwrap_or(MAX_WORDS);
        let style = params.style.unwrap_or_default();
        let text = source::text(call, params.text, params.path.as_deref()).await?;
        call.context().progress.step(0, Some(1), "summarizing");
        let answer = by_prompt(&text, max_words, style, params.focus.as_deref(), call).await?;
        let summary = within(&answer, max_words);
        call.context().progress.step(1, Some(1), "done");
        let count = |text: &str| text.split_whitespace().count();
        Ok(Summary { words: count(&summary), source_words: count(&text), summary })
    }
}

/// Asks for the summary in a prompt.
async fn by_prompt(
    text: &str,
    max_words: u32,
    style: Style,
    focus: Option<&str>,
    call: &Call,
) -> Result<String, ToolError> {
    let form = match style {
        Style::Paragraph => "Write one paragraph.",
        Style::Bullets => "Write bullet points, each on its own line and beginning with \"- \".",
        Style::Headline => "Write one headline and nothing else.",
    };
    let focus = focus.map(|focus| format!(" Look above all at: {focus}.")).unwrap_or_default();
    let question = Question {
        system: "You write short, factual summaries.",
        user: format!(
            "Summarize the text in at most {max_words} words, in the language of the text. {form}{focus} Include the \
             most important facts, numbers, names and decisions. Answer with the summary only.\n\nText:\n{text}\n\n\
             Summary:"
        ),
        schema: None,
        max_tokens: max_words.saturating_mul(TOKENS_PER_WORD).max(32),
    };
    Ok(call.ask(question).await?.text)
}

/// The first `max_words` words, with the line ends between them.
fn within(text: &str, max_words: u32) -> String {
    let text = text.trim();
    let mut words = 0;
    let mut inside = false;
    for (at, character) in text.char_indices() {
        let begins = !character.is_whitespace() && !inside;
        inside = !character.is_whitespace();
        if begins {
            words += 1;
            if words > max_words {
                return text[..at].trim_end().to_owned();
            }
        }
    }
    text.to_owned()
}
