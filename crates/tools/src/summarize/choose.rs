//! Which sentences, in which form, fit the words best: the most valuable things per word, each paid once.

use std::cmp::Ordering;
use std::collections::{BinaryHeap, HashSet};

use super::rank::Worth;
use crate::prose::compress::forms;
use crate::prose::sentences::{Kind, Sentence};
use crate::prose::words::count;

/// How much the length of a form counts against it: 1 pays by the word, 0 does not look at it.
const LENGTH: f64 = 0.9;

/// A form of a sentence.
#[derive(Debug, Clone)]
struct Form {
    sentence: usize,
    text: String,
    words: usize,
    units: Vec<usize>,
}

/// What a form can bring at most: with every chosen form others bring less, never more, so that only the first
/// of a queue has to be looked at again.
#[derive(Debug)]
struct Promise {
    gain: f64,
    /// Among equals the first one comes first.
    index: usize,
}

impl Ord for Promise {
    fn cmp(&self, other: &Self) -> Ordering {
        self.gain.total_cmp(&other.gain).then(other.index.cmp(&self.index))
    }
}

impl PartialOrd for Promise {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Promise {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Promise {}

/// How much there may be.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limit {
    /// Words of all sentences together.
    pub(super) words: usize,
    /// Words that each sentence costs beside its own (a bullet).
    pub(super) each: usize,
    /// Most sentences.
    pub(super) sentences: usize,
}

/// Chooses among the sentences with these numbers, and returns their numbers with the chosen form, in order.
pub(super) fn choose(sentences: &[Sentence], among: &[usize], worth: &Worth, limit: Limit) -> Vec<(usize, String)> {
    let candidates: Vec<Form> = among.iter().flat_map(|&index| forms_of(index, &sentences[index], worth)).collect();
    let mut covered: HashSet<usize> = HashSet::new();
    let mut chosen: Vec<Form> = Vec::new();
    let mut taken: HashSet<usize> = HashSet::new();
    let mut left = limit.words;
    let gain = |form: &Form, covered: &HashSet<usize>| {
        worth.factors[form.sentence] * new_value(form, covered, worth) / length(form.words + limit.each)
    };
    let entry = |index: usize, gain: f64| (gain > 0.0).then_some(Promise { gain, index });
    let mut queue: BinaryHeap<Promise> =
        candidates.iter().enumerate().filter_map(|(index, form)| entry(index, gain(form, &covered))).collect();
    while chosen.len() < limit.sentences {
        let Some(promise) = queue.pop() else { break };
        let form = &candidates[promise.index];
        if form.words + limit.each > left || taken.contains(&form.sentence) {
            continue;
        }
        let now = gain(form, &covered);
        if now < promise.gain {
            // Something of it has been said since.
            queue.extend(entry(promise.index, now));
            continue;
        }
        left -= form.words + limit.each;
        covered.extend(&form.units);
        taken.insert(form.sentence);
        chosen.push(form.clone());
    }
    widen(&mut chosen, sentences, worth, &covered, left);
    chosen.sort_by_key(|form| form.sentence);
    chosen.into_iter().map(|form| (form.sentence, form.text)).collect()
}

/// Gives sentences their fuller form where there is room and something in it.
fn widen(chosen: &mut [Form], sentences: &[Sentence], worth: &Worth, covered: &HashSet<usize>, mut left: usize) {
    for form in chosen {
        let wider = forms_of(form.sentence, &sentences[form.sentence], worth).into_iter().filter(|wider| {
            wider.words > form.words && wider.words - form.words <= left && new_value(wider, covered, worth) > 0.0
        });
        if let Some(wider) = wider.max_by_key(|wider| wider.words) {
            left -= wider.words - form.words;
            *form = wider;
        }
    }
}

fn forms_of(index: usize, sentence: &Sentence, worth: &Worth) -> Vec<Form> {
    let texts = match sentence.kind {
        Kind::Prose | Kind::Item | Kind::Record => forms(&sentence.text),
        Kind::Heading | Kind::Code => vec![sentence.text.clone()],
    };
    let form = |text: String| Form { sentence: index, words: count(&text), units: worth.units(&text), text };
    texts.into_iter().map(form).collect()
}

fn new_value(form: &Form, covered: &HashSet<usize>, worth: &Worth) -> f64 {
    form.units.iter().filter(|unit| !covered.contains(unit)).map(|&unit| worth.weight(unit)).sum()
}

#[expect(clippy::cast_precision_loss, reason = "a count of words")]
fn length(words: usize) -> f64 {
    (words as f64 + 3.0).powf(LENGTH)
}
