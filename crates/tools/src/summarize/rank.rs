//! What a sentence is worth: the words, names and numbers it brings, and where it stands.

use std::collections::{HashMap, HashSet};

use crate::prose::facts;
use crate::prose::sentences::{Kind, Sentence};
use crate::prose::words::{is_number, is_stop, stem, words};

/// Words that announce what a text is about: outcomes, causes, plans, sums.
const CUES: &[&str] = &[
    "decid",
    "decision",
    "chose",
    "chosen",
    "agre",
    "approv",
    "because",
    "caus",
    "reason",
    "result",
    "fix",
    "conclu",
    "recommend",
    "propos",
    "total",
    "cost",
    "budget",
    "deadlin",
    "lost",
    "los",
    "damag",
    "fail",
    "failur",
    "increas",
    "decreas",
    "fell",
    "rose",
    "grew",
    "drop",
    "must",
    "requir",
    "plan",
    "from",
    "until",
    "due",
    "root",
    "resolv",
    "solv",
    "found",
    "show",
    "sign",
    "important",
    "most",
    "instead",
    "therefor",
    "announc",
    "will",
    "start",
    "end",
    "complet",
    "launch",
    "block",
    "responsib",
    "signific",
    "record",
    "first",
    "decidió",
    "decisión",
    "causa",
    "resultado",
    "propon",
    "coste",
    "bajó",
    "subió",
    "aument",
    "debido",
    "plazo",
    "acord",
    "aprobó",
    "total",
];

/// Values of the things that a text states, and of its sentences.
#[derive(Debug)]
pub(super) struct Worth {
    /// A number for each thing that is stated.
    ids: HashMap<String, usize>,
    weights: Vec<f64>,
    /// Which of them are numbers and names.
    is_fact: Vec<bool>,
    names: HashSet<String>,
    /// One factor per sentence.
    pub(super) factors: Vec<f64>,
}

impl Worth {
    /// Reads a whole text once.
    pub(super) fn of(sentences: &[Sentence], focus: Option<&str>) -> Self {
        let texts: Vec<&str> = sentences.iter().map(|sentence| sentence.text.as_str()).collect();
        let names = facts::names(&texts);
        let mut seen: HashMap<String, usize> = HashMap::new();
        for text in &texts {
            for unit in units(text, &names) {
                *seen.entry(unit).or_default() += 1;
            }
        }
        let focus: HashSet<String> = focus.map(|focus| units(focus, &names)).unwrap_or_default();
        let mut seen: Vec<(String, usize)> = seen.into_iter().collect();
        // Sums of floats depend on their order, and that of a hash map is random.
        seen.sort_unstable();
        let weigh = |(unit, count): &(String, usize)| {
            let spread = float(*count).ln_1p();
            let base = if is_number(unit) {
                2.0
            } else if names.contains(unit) {
                0.6 + spread.min(1.6)
            } else {
                spread.min(2.0)
            };
            base * if focus.contains(unit) { 4.0 } else { 1.0 }
        };
        let weights = seen.iter().map(weigh).collect();
        let is_fact = seen.iter().map(|(unit, _)| is_number(unit) || names.contains(unit)).collect();
        let common = common_runs(&texts);
        let last = sentences.last().map_or(0, |sentence| sentence.paragraph);
        let factors = sentences
            .iter()
            .enumerate()
            .map(|(index, sentence)| {
                let before = index.checked_sub(1).map(|before| &sentences[before]);
                let opens =
                    before.is_none_or(|before| before.paragraph != sentence.paragraph || before.kind == Kind::Heading);
                let focused = focus.is_empty() || units(&sentence.text, &names).iter().any(|unit| focus.contains(unit));
                place(index, opens, sentence, last)
                    * manner(sentence)
                    * common_factor(&sentence.text, &common)
                    * if focused { 1.0 } else { 0.25 }
            })
            .collect();
        let ids = seen.into_iter().map(|(unit, _)| unit).zip(0..).collect();
        Self { ids, weights, is_fact, names, factors }
    }

    /// The things of the whole text that this part of it states, by which it is valued; in order.
    pub(super) fn units(&self, text: &str) -> Vec<usize> {
        let mut found: Vec<usize> =
            units(text, &self.names).iter().filter_map(|unit| self.ids.get(unit).copied()).collect();
        found.sort_unstable();
        found
    }

    /// The value of one of them.
    pub(super) fn weight(&self, unit: usize) -> f64 {
        self.weights.get(unit).copied().unwrap_or(0.0)
    }

    /// How many numbers and names of the whole text are in this one.
    pub(super) fn facts(&self, text: &str) -> usize {
        self.units(text).into_iter().filter(|unit| self.is_fact.get(*unit) == Some(&true)).count()
    }
}

/// Numbers, names as they are, other words by their stem.
fn units(text: &str, names: &HashSet<String>) -> HashSet<String> {
    words(text)
        .filter(|word| !is_stop(word))
        .map(|word| {
            if is_number(word) {
                facts::plain_number(word)
            } else if names.contains(word) {
                word.to_owned()
            } else {
                stem(word)
            }
        })
        .filter(|unit| unit.chars().count() > 1 || is_number(unit))
        .collect()
}

/// The first sentence says what it is about; a paragraph's first one what it is about; the last
/// paragraph what comes of it.
fn place(index: usize, opens: bool, sentence: &Sentence, last: usize) -> f64 {
    let first = if index == 0 { 1.5 } else { 1.0 };
    let opening = if opens && sentence.kind != Kind::Record { 1.15 } else { 1.0 };
    let ending = if sentence.paragraph == last && last > 1 { 1.25 } else { 1.0 };
    first * opening * ending
}

/// What a sentence sounds like.
fn manner(sentence: &Sentence) -> f64 {
    let text = &sentence.text;
    let kind = match sentence.kind {
        Kind::Heading => 0.3,
        Kind::Code => 0.2,
        Kind::Prose | Kind::Item | Kind::Record => 1.0,
    };
    let asks = if text.ends_with('?') || text.contains("? ") { 0.35 } else { 1.0 };
    let stems: HashSet<String> = words(text).map(stem).collect();
    let cues = CUES.iter().filter(|cue| stems.contains(**cue)).count();
    let firsts = ["i", "i'm", "i'll", "you", "thanks", "ack", "ok", "hi", "hello", "please"];
    let chat = if words(text).any(|word| firsts.contains(&word.to_lowercase().as_str())) { 0.8 } else { 1.0 };
    kind * asks * chat * (1.0 + 0.2 * float(cues.min(3)))
}

/// Runs of three words that stand in several sentences, digits not told apart: what is written again and
/// again (signatures, alarms, small talk of a log) says little.
fn common_runs(texts: &[&str]) -> HashMap<u64, u32> {
    let mut found: HashMap<u64, u32> = HashMap::new();
    for text in texts {
        let runs: HashSet<u64> = runs(text).into_iter().collect();
        for run in runs {
            *found.entry(run).or_default() += 1;
        }
    }
    found
}

fn runs(text: &str) -> Vec<u64> {
    use std::hash::{DefaultHasher, Hash as _, Hasher as _};
    let shape: Vec<String> = words(text)
        .filter(|word| !word.contains(':'))
        .map(|word| if is_number(word) { "0".to_owned() } else { word.to_lowercase() })
        .collect();
    let hash = |run: &[String]| {
        let mut hasher = DefaultHasher::new();
        run.hash(&mut hasher);
        hasher.finish()
    };
    shape.windows(3).map(hash).collect()
}

fn common_factor(text: &str, common: &HashMap<u64, u32>) -> f64 {
    let runs = runs(text);
    if runs.is_empty() {
        return 0.3;
    }
    let repeated = runs.iter().filter(|run| common.get(run).is_some_and(|count| *count > 1)).count();
    let share = float(repeated) / float(runs.len());
    if share > 0.3 { 0.15 } else { 1.0 - share }
}

#[expect(clippy::cast_precision_loss, reason = "counts of words and sentences")]
fn float(count: usize) -> f64 {
    count as f64
}
