//! How two texts differ.

use std::collections::{HashMap, HashSet};

use schemars::JsonSchema;
use serde::Serialize;

use crate::prose::sentences::split;

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
    /// Sentences of the old text that are not in the new one.
    pub sentences_changed: usize,
    /// One sentence for a person.
    pub summary: String,
}

/// Counts words that are in one of the texts only, each as often as it is there.
pub(super) fn diff(before: &str, after: &str) -> Diff {
    let mut surplus: HashMap<&str, i64> = HashMap::new();
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
    let now: HashSet<String> = split(after).into_iter().map(|sentence| sentence.text).collect();
    let sentences_changed = split(before).iter().filter(|sentence| !now.contains(&sentence.text)).count();
    let summary = format!("{words_removed} of {words_before} words replaced or removed, {words_added} new");
    Diff { words_added, words_removed, words_before, words_after, sentences_changed, summary }
}
