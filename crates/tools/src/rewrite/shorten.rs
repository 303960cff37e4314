//! A text in fewer words, without losing what must stay.

use tokio::task::yield_now;

use super::draft::Draft;
use super::keep::Must;
use super::phrases::{CONCISE, replace};
use super::pieces::{Piece, Pieces};
use super::register::finish;
use crate::prose::compress::{forms, lean};
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
pub(super) async fn shorten(text: &str, most: Option<usize>, must: &Must) -> String {
    let mut draft = Draft::of(text, must);
    let all = draft.sentences.len();
    for index in 0..all {
        yield_now().await;
        if let Some(bare) = without_lead(draft.text(index)) {
            draft.put(index, bare);
        }
        let tight = tightened(draft.text(index), must);
        let lean = lean(&tight);
        draft.put(index, tight);
        draft.put(index, lean);
    }
    let fits = |draft: &Draft<'_>| most.is_some_and(|most| draft.words <= most);
    let courteous = |sentence: &str| {
        let first = crate::prose::words::words(sentence).next().unwrap_or_default().to_lowercase();
        COURTESY.contains(&first.as_str())
    };
    for index in (0..all).rev() {
        let sentence = draft.text(index);
        if draft.number > 1 && !fits(&draft) && courteous(sentence) && count(sentence) <= 8 {
            draft.leave_out(index);
        }
    }
    let Some(most) = most else { return draft.to_string() };
    for index in (1..all).rev() {
        if draft.words > most {
            draft.leave_out(index);
        }
    }
    for index in (0..all).rev() {
        if draft.words <= most {
            break;
        }
        yield_now().await;
        let words = count(draft.text(index));
        let mut shorter = forms(draft.text(index));
        let room = most.saturating_sub(draft.words - words);
        // The longest that fits; where none does, the shortest.
        shorter.sort_by_key(|form| {
            (count(form) > room, if count(form) > room { count(form) } else { room - count(form) })
        });
        for form in shorter {
            if count(&form) < words && draft.put(index, form) {
                break;
            }
        }
    }
    without_loose_words(&draft.to_string(), most, must)
}

/// With the table of long phrases, until it finds none.
fn tightened(sentence: &str, must: &Must) -> String {
    let mut text = sentence.to_owned();
    for _ in 0..3 {
        let mut pieces = replace(&Pieces::of(&text, &must.places(&text)), &CONCISE);
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
fn without_loose_words(text: &str, most: usize, must: &Must) -> String {
    let mut pieces = Pieces::of(text, &must.places(text));
    let mut words = count(text);
    let adverb = |word: &str| word.ends_with("ly") && word.len() > 4;
    let mut rounds: Vec<Loose> = vec![Box::new(adverb)];
    rounds.extend(LOOSE.iter().map(|list| Box::new(move |word: &str| list.contains(&word)) as Loose));
    rounds.push(Box::new(|_| true));
    for loose in rounds {
        if words <= most {
            break;
        }
        // From the last to the first, and so they stay in `kept`.
        let mut kept: Vec<Piece> = Vec::with_capacity(pieces.0.len());
        while let Some(piece) = pieces.0.pop() {
            if words <= most || piece.fixed || !piece.is_word() || !loose(&piece.plain()) {
                kept.push(piece);
                continue;
            }
            let is_first = pieces.0.is_empty();
            // A word of the text begins at the first piece, and behind white space.
            let mut begins = is_first || !piece.lead.is_empty();
            if let Some(next) = kept.last_mut().filter(|next| is_first || next.lead.is_empty() && next.is_word()) {
                if !next.text.is_empty() {
                    // It begins now what this one began.
                    begins = !next.lead.is_empty();
                }
                next.lead = piece.lead;
            }
            words -= usize::from(begins);
        }
        kept.reverse();
        pieces = Pieces(kept);
    }
    let mut whole = pieces;
    // A mark that has lost its word.
    whole.0.dedup_by(|next, before| !next.fixed && !before.fixed && next.text == "," && !before.is_word());
    finish(&mut whole);
    whole.to_string().trim().to_owned()
}
