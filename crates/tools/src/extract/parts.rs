//! A text in parts that are read one at a time, so that the work grows with the text and not with its square.

use std::collections::HashSet;
use std::ops::Range;

use super::choose::{self, Findings, Row, Taken};
use super::find::{self, Candidate};
use super::form::{Form, Node};
use super::places::Places;
use super::reading::{Reading, decimal_comma};
use super::{flags, lists, records};

/// Most bytes of a part.
const LONGEST: usize = 16 << 10;
/// Best choices of a field that a part gives, where there are several parts.
const KEPT: usize = 60;

/// A part of the text, read.
#[derive(Debug)]
pub(super) struct Part<'a> {
    /// Where it begins in the text, in bytes.
    pub(super) offset: usize,
    pub(super) reading: Reading<'a>,
    candidates: Vec<Candidate>,
}

/// Reads a text. Other tasks of the thread get their turn between the parts.
pub(super) async fn read(text: &str) -> Vec<Part<'_>> {
    let decimal_comma = decimal_comma(text);
    let mut parts = Vec::new();
    let mut offset = 0;
    while offset < text.len() {
        let end = end_of(text, offset);
        let reading = Reading::with(&text[offset..end], decimal_comma);
        let candidates = find::candidates(&reading);
        parts.push(Part { offset, reading, candidates });
        offset = end;
        tokio::task::yield_now().await;
    }
    parts
}

/// Where a part ends: behind a line, a sentence, a word, or any letter, whichever there is.
fn end_of(text: &str, start: usize) -> usize {
    if text.len() - start <= LONGEST {
        return text.len();
    }
    let mut most = start + LONGEST;
    while !text.is_char_boundary(most) {
        most -= 1;
    }
    let part = &text[start..most];
    let ends = ["\n\n", "\n", ". ", " "].iter().filter_map(|sign| part.rfind(sign).map(|at| at + sign.len()));
    ends.into_iter().find(|&end| end > LONGEST / 2).map_or(most, |end| start + end)
}

impl Part<'_> {
    fn shifted(&self, taken: Taken) -> Taken {
        Taken { at: taken.at.start + self.offset..taken.at.end + self.offset, ..taken }
    }

    /// Places of the whole text that are in this part, as places of the part.
    fn inside(&self, places: &Places) -> Vec<Range<usize>> {
        let mine = places.inside(self.offset..self.offset + self.reading.text.len());
        mine.map(|at| at.start - self.offset..at.end - self.offset).collect()
    }
}

/// The text and number fields with what may be their values, in places of the whole text.
pub(super) async fn rows<'a>(leaves: &[(String, &'a Node)], parts: &[Part<'_>]) -> Vec<Row<'a>> {
    let mut all = Vec::new();
    for leaf in leaves {
        let mut joined: Option<Row<'a>> = None;
        for part in parts {
            let Some(mut row) = choose::row(leaf, &part.reading, &part.candidates) else { break };
            if parts.len() > 1 {
                row.choices.truncate(KEPT);
            }
            for choice in &mut row.choices {
                let at = &choice.candidate.at;
                choice.candidate.at = at.start + part.offset..at.end + part.offset;
            }
            match &mut joined {
                Some(joined) => joined.choices.extend(row.choices),
                None => joined = Some(row),
            }
            tokio::task::yield_now().await;
        }
        all.extend(joined);
    }
    for row in &mut all {
        row.choices.sort_by(|one, other| other.score().total_cmp(&one.score()));
        tokio::task::yield_now().await;
    }
    all
}

/// What needs no model: yes and no, and words of an enum that stand in the text; of the first part that has it.
pub(super) async fn plain(leaves: &[(String, &Node)], parts: &[Part<'_>]) -> Findings {
    let mut found = Findings::new();
    for (pointer, node) in leaves {
        for part in parts {
            let taken = match &node.form {
                Form::Flag => flags::flag(node, &part.reading),
                Form::Choice(values) => flags::choice(node, values, &part.reading),
                _ => break,
            };
            if let Some(taken) = taken {
                found.insert(pointer.clone(), part.shifted(taken));
                break;
            }
            tokio::task::yield_now().await;
        }
    }
    found
}

/// Whether the text names a list, so that its items are known before the single fields.
pub(super) async fn names_list(node: &Node, parts: &[Part<'_>]) -> bool {
    for part in parts {
        if lists::is_named(node, &part.reading) {
            return true;
        }
        tokio::task::yield_now().await;
    }
    false
}

/// The items of a list with their pointers from the list on: of the parts that name it if any does (`named`),
/// else of all.
pub(super) async fn list(node: &Node, item: &Node, named: bool, parts: &[Part<'_>], used: &Places) -> Findings {
    let limit = |name: &str| node.schema.get(name).and_then(serde_json::Value::as_u64);
    let most = limit("maxItems").and_then(|most| usize::try_from(most).ok()).unwrap_or(usize::MAX);
    let unique = node.schema.get("uniqueItems").is_some_and(|unique| unique == true);
    let mut found = Findings::new();
    let mut seen: HashSet<serde_json::Value> = HashSet::new();
    let mut count = 0;
    for part in parts {
        tokio::task::yield_now().await;
        if count >= most {
            break;
        }
        if named && !lists::is_named(node, &part.reading) {
            continue;
        }
        let items: Vec<Findings> = match &item.form {
            Form::Object(_) => records::records(node, item, &part.reading),
            _ => {
                let items = lists::items(node, item, &part.reading, &part.candidates, &part.inside(used));
                items.into_iter().map(|taken| Findings::from([(String::new(), taken)])).collect()
            }
        };
        for item in items {
            let value = item.get("").map(|taken| taken.value.clone());
            if count >= most || (unique && value.is_some_and(|value| !seen.insert(value))) {
                continue;
            }
            found.extend(item.into_iter().map(|(inner, taken)| (format!("/{count}{inner}"), part.shifted(taken))));
            count += 1;
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn parts_make_the_whole_text_and_are_cut_between_words() {
        let text = "Größe eins zwei. ".repeat(4000);
        let parts = read(&text).await;
        assert!(parts.len() > 3);
        let joined: String = parts.iter().map(|part| part.reading.text).collect();
        assert_eq!(joined, text);
        assert!(parts.iter().all(|part| part.reading.text.len() <= LONGEST && part.reading.text.ends_with(' ')));
        let endless = "é".repeat(LONGEST);
        assert_eq!(read(&endless).await.len(), 2);
    }
}
