//! A summary made of the text's own sentences. Needs no model; a long text is read in parts.

use super::Style;
use super::choose::{Limit, choose};
use super::rank::Worth;
use crate::progress::Progress;
use crate::prose::sentences::{Sentence, split};
use crate::prose::words::count;

/// Sentences that are looked at together. Of a longer text each part sends its best ones to the last round.
const PART: usize = 300;
/// How much more than its room a part may send.
const GENEROUS: usize = 2;

/// Most words of a sentence. What is longer is none (a table, data in one line), and is cut.
const LONGEST: usize = 80;

/// A text that has been read.
pub(super) struct Reading {
    /// Its sentences.
    pub(super) sentences: Vec<Sentence>,
    /// What is in it, and worth what.
    pub(super) worth: Worth,
}

impl Reading {
    /// Reads a text.
    pub(super) fn of(text: &str, focus: Option<&str>) -> Self {
        let sentences: Vec<Sentence> = split(text).into_iter().flat_map(pieces).collect();
        let worth = Worth::of(&sentences, focus);
        Self { sentences, worth }
    }

    /// The summary, at most `max_words` words. Gives way between parts, so that dropping it ends the work.
    pub(super) async fn summary(&self, max_words: usize, style: Style, progress: &Progress) -> String {
        let all: Vec<usize> = (0..self.sentences.len()).collect();
        let each = usize::from(style == Style::Bullets);
        let most = if style == Style::Headline { 1 } else { usize::MAX };
        let parts = all.chunks(PART).len();
        let total = u32::try_from(parts).unwrap_or(u32::MAX);
        let mut among = Vec::new();
        for (number, part) in (0_u32..).zip(all.chunks(PART)) {
            if parts == 1 {
                among.extend_from_slice(part);
                break;
            }
            progress.step(number, Some(total.saturating_add(1)), format!("reading part {} of {total}", number + 1));
            let limit = Limit { words: max_words.saturating_mul(GENEROUS), each, sentences: usize::MAX };
            among.extend(choose(&self.sentences, part, &self.worth, limit).into_iter().map(|(index, _)| index));
            tokio::task::yield_now().await;
        }
        let limit = Limit { words: max_words, each, sentences: most };
        let chosen = choose(&self.sentences, &among, &self.worth, limit);
        let chosen = chosen.into_iter().map(|(_, text)| text).collect::<Vec<_>>();
        let text = if chosen.is_empty() { vec![self.cut(max_words.saturating_sub(each))] } else { chosen };
        put_together(&text, style)
    }

    /// The first words of the most valuable sentence, for a limit that no sentence fits.
    fn cut(&self, max_words: usize) -> String {
        let factors = self.sentences.iter().zip(&self.worth.factors);
        let best = factors.reduce(|best, next| if next.1 > best.1 { next } else { best });
        let text = best.map_or("", |(sentence, _)| sentence.text.as_str());
        let words: Vec<&str> = text.split_whitespace().take(max_words).collect();
        let cut = words.join(" ");
        if words.len() < count(text) { cut.trim_end_matches([',', ';', ':', '(']).to_owned() } else { cut }
    }
}

/// A sentence that is too long in several, cut behind a comma or the like where there is one.
fn pieces(sentence: Sentence) -> Vec<Sentence> {
    if count(&sentence.text) <= LONGEST {
        return vec![sentence];
    }
    let words: Vec<&str> = sentence.text.split_whitespace().collect();
    let mut rest = words.as_slice();
    let mut found = Vec::new();
    while !rest.is_empty() {
        let window = &rest[..rest.len().min(LONGEST)];
        let ends = |word: &&str| word.ends_with([',', ';', ':', '.', '|']);
        let end = match window.iter().rposition(ends) {
            Some(at) if rest.len() > LONGEST && at >= LONGEST / 2 => at + 1,
            _ => window.len(),
        };
        found.push(Sentence { text: rest[..end].join(" "), ..sentence });
        rest = &rest[end..];
    }
    found
}

fn put_together(sentences: &[String], style: Style) -> String {
    match style {
        Style::Bullets => sentences.iter().map(|text| format!("- {text}")).collect::<Vec<_>>().join("\n"),
        Style::Headline => sentences.concat().trim_end_matches(['.', ';', ',']).to_owned(),
        Style::Paragraph => sentences
            .iter()
            .map(|text| if text.ends_with(['.', '!', '?', '…', ':']) { text.clone() } else { format!("{text}.") })
            .collect::<Vec<_>>()
            .join(" "),
    }
}
