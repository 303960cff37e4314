//! A text in fewer words, without losing what must stay.

use super::keep::missing;
use super::phrases::{CONCISE, replace};
use super::pieces::Pieces;
use super::register::finish;
use crate::prose::compress::{forms, lean};
use crate::prose::sentences::split;
use crate::prose::words::count;

/// Words that may go without a trace, least needed first.
const LOOSE: &[&[&str]] = &[
    &[
        "please",
        "kindly",
        "also",
        "too",
        "already",
        "still",
        "even",
        "only",
        "both",
        "own",
        "all",
        "again",
        "currently",
        "now",
        "then",
        "so",
    ],
    &["that", "which", "there", "here", "some", "any", "much", "more", "most", "such"],
    &["the", "a", "an", "el", "la", "los", "las", "un", "una"],
    &[
        "i", "we", "you", "they", "it", "would", "like", "want", "is", "are", "was", "were", "be", "been", "being",
        "has", "have", "had", "will",
    ],
];

/// Sentences that only greet or thank begin so.
const COURTESY: &[&str] =
    &["hi", "hello", "dear", "thanks", "thank", "regards", "best", "cheers", "sincerely", "hope", "sorry"];

/// How sentences begin that only say that something will be said, behind `that`.
const LEADS: &[&str] = &[
    "i am writing",
    "i'm writing",
    "we are writing",
    "i would like to",
    "i'd like to",
    "we would like to",
    "i just want",
    "i want to let",
    "i wanted to",
    "we want to let",
    "we wanted to",
    "this is to",
    "this email is",
    "this message is",
    "this letter is",
    "please note",
    "please be",
    "it has come to",
    "it should be",
    "it is important to",
    "it is worth",
    "we regret to",
    "we are pleased to",
    "we are happy to",
    "i am happy to",
    "i am pleased to",
    "i am sorry to",
    "i have to tell",
    "let me",
    "allow me",
    "the purpose of this",
    "les escrib",
    "le escrib",
    "me gustaría",
    "quisiera",
    "nos complace",
    "quería",
];
/// Words within which `that` must come.
const LEAD: usize = 20;

/// Without a beginning that only says that something will be said.
fn without_lead(sentence: &str) -> Option<String> {
    let lower = sentence.to_lowercase();
    if lower.len() != sentence.len() || !LEADS.iter().any(|lead| lower.starts_with(lead)) {
        return None;
    }
    let (at, joint) = [" that ", " de que ", " que "].iter().find_map(|joint| Some((lower.find(joint)?, joint)))?;
    let rest = &sentence[at + joint.len()..];
    (count(&sentence[..at]) <= LEAD && count(rest) >= 3).then(|| super::pieces::capital(rest))
}

/// Says it in fewer words; in at most `most`, where that is given and what must stay leaves room.
pub(super) fn shorten(text: &str, most: Option<usize>, must: &[String]) -> String {
    let mut sentences: Vec<String> = split(text).into_iter().map(|sentence| sentence.text).collect();
    let whole = missing(text, must).len();
    let keeps = |sentences: &[String]| missing(&sentences.join(" "), must).len() <= whole;
    for index in 0..sentences.len() {
        let bare = without_lead(&sentences[index]);
        try_it(&mut sentences, index, bare.or_else(|| Some(String::new())), &keeps);
        let tight = tightened(&sentences[index], must);
        for shorter in [tight.clone(), lean(&tight)] {
            try_it(&mut sentences, index, Some(shorter), &keeps);
        }
    }
    let fits = |sentences: &[String]| most.is_some_and(|most| words(sentences) <= most);
    let courteous = |sentence: &String| {
        let first = crate::prose::words::words(sentence).next().unwrap_or_default().to_lowercase();
        COURTESY.contains(&first.as_str())
    };
    for index in (0..sentences.len()).rev() {
        if sentences.len() > 1 && !fits(&sentences) && courteous(&sentences[index]) && count(&sentences[index]) <= 8 {
            try_it(&mut sentences, index, None, &keeps);
        }
    }
    let Some(most) = most else { return sentences.join(" ") };
    for index in (1..sentences.len()).rev() {
        if words(&sentences) > most {
            try_it(&mut sentences, index, None, &keeps);
        }
    }
    for index in (0..sentences.len()).rev() {
        if words(&sentences) <= most {
            break;
        }
        let mut shorter = forms(&sentences[index]);
        let room = most.saturating_sub(words(&sentences) - count(&sentences[index]));
        // The longest that fits; where none does, the shortest.
        shorter.sort_by_key(|form| {
            (count(form) > room, if count(form) > room { count(form) } else { room - count(form) })
        });
        for form in shorter {
            if count(&form) < count(&sentences[index]) && try_it(&mut sentences, index, Some(form), &keeps) {
                break;
            }
        }
    }
    without_loose_words(&sentences.join(" "), most, must)
}

/// Puts another sentence (or none) in place where nothing is lost by it.
fn try_it(sentences: &mut Vec<String>, index: usize, other: Option<String>, keeps: &dyn Fn(&[String]) -> bool) -> bool {
    let mut tried = sentences.clone();
    match other {
        Some(other) if !other.trim().is_empty() => tried[index] = other,
        Some(_) => return false,
        None => drop(tried.remove(index)),
    }
    let good = keeps(&tried);
    if good {
        *sentences = tried;
    }
    good
}

fn words(sentences: &[String]) -> usize {
    sentences.iter().map(|sentence| count(sentence)).sum()
}

/// With the table of long phrases, until it finds none.
fn tightened(sentence: &str, must: &[String]) -> String {
    let mut text = sentence.to_owned();
    for _ in 0..3 {
        let mut pieces = replace(&Pieces::of(&text, &super::keep::places(&text, must)), &CONCISE);
        finish(&mut pieces);
        let tight = pieces.to_string().trim().to_owned();
        if tight == text {
            break;
        }
        text = tight;
    }
    text
}

/// Whether a word may go.
type Loose = Box<dyn Fn(&str) -> bool>;

/// Leaves out words one by one, the least needed first, and at last from the end.
fn without_loose_words(text: &str, most: usize, must: &[String]) -> String {
    let mut pieces = Pieces::of(text, &super::keep::places(text, must));
    let length = |pieces: &Pieces| count(&pieces.to_string());
    let adverb = |word: &str| word.ends_with("ly") && word.len() > 4;
    let mut rounds: Vec<Loose> = vec![Box::new(adverb)];
    rounds.extend(LOOSE.iter().map(|list| Box::new(move |word: &str| list.contains(&word)) as Loose));
    rounds.push(Box::new(|_| true));
    for loose in rounds {
        let mut at = pieces.0.len();
        while at > 0 && length(&pieces) > most {
            at -= 1;
            let piece = &pieces.0[at];
            if !piece.fixed && piece.is_word() && loose(&piece.plain()) {
                let gone = pieces.0.remove(at);
                if let Some(next) =
                    pieces.0.get_mut(at).filter(|next| at == 0 || next.lead.is_empty() && next.is_word())
                {
                    next.lead = gone.lead;
                }
            }
        }
    }
    let mut whole = pieces;
    // A mark that has lost its word.
    whole.0.dedup_by(|next, before| !next.fixed && !before.fixed && next.text == "," && !before.is_word());
    finish(&mut whole);
    whole.to_string().trim().to_owned()
}
