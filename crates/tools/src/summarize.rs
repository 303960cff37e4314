//! `summarize`: a text in few words. The text's own sentences, chosen and shortened; a model that has shown that
//! it can write gets its chance, and is believed when it loses nothing.

use async_trait::async_trait;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::call::Call;
use crate::error::ToolError;
use crate::prose::words::count;
use crate::source;
use crate::summarize::extractive::Reading;
use crate::tool::Tool;
use crate::writing::Writers;

mod choose;
mod extractive;
mod rank;
#[cfg(test)]
mod tests;
mod written;

/// See [`Tool::DESCRIPTION`].
#[derive(Debug, Clone, Default)]
pub struct Summarize(Writers);

impl Summarize {
    /// Shares what is known of models.
    pub(crate) fn with(writers: Writers) -> Self {
        Self(writers)
    }
}

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

impl Style {
    /// What the model is told of the form.
    fn wish(self) -> &'static str {
        match self {
            Self::Paragraph => "Write one paragraph.",
            Self::Bullets => "Write bullet points, each on its own line and beginning with \"- \".",
            Self::Headline => "Write one headline and nothing else.",
        }
    }

    /// Most words when the caller does not say.
    fn words(self) -> u32 {
        match self {
            Self::Headline => 15,
            Self::Paragraph | Self::Bullets => 120,
        }
    }
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
    /// Whether the summary is made of the text's own sentences or was written by the model.
    pub method: Method,
}

/// How a summary was made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[schemars(inline)]
pub enum Method {
    /// Sentences of the text, chosen and shortened by rules.
    Extracted,
    /// Written by the model, and checked against the text.
    Written,
}

/// What was asked for.
#[derive(Debug, Clone)]
struct Wish {
    max_words: usize,
    style: Style,
    focus: Option<String>,
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
        let style = params.style.unwrap_or_default();
        let max_words = params.max_words.unwrap_or(style.words()) as usize;
        let text = source::text(call, params.text, params.path.as_deref()).await?;
        let progress = &call.context().progress;
        progress.step(0, None, "reading");
        let reading = Reading::of(&text, params.focus.as_deref());
        let extract = reading.summary(max_words, style, progress).await;
        let source_words = count(&text);
        let wish = Wish { max_words, style, focus: params.focus };
        let written =
            if self.0.can_write(call).await? { written::summary(&reading, &extract, &wish, call).await? } else { None };
        let method = if written.is_some() { Method::Written } else { Method::Extracted };
        let summary = written.unwrap_or(extract);
        progress.step(1, Some(1), "done");
        Ok(Summary { words: count(&summary), source_words, summary, method })
    }
}
