//! Mistakes put right: by rules, and where only the context tells, by what the model finds more likely.

use lla_inference::{ScoreItem, ScorePrompt, ScoreRequest, Scores};
use lla_protocol::openai::Usage;

use super::keep::Must;
use super::phrases::{MISTAKES, replace};
use super::pieces::{Piece, Pieces, capital};
use super::register::{articles, finish, is_spanish};
use crate::call::Call;
use crate::error::ToolError;
use crate::prose::words::is_stop;

/// Words that are taken for each other.
const CONFUSED: &[&[&str]] = &[
    &["were", "where", "was", "we're"],
    &["there", "their", "they're"],
    &["your", "you're"],
    &["its", "it's"],
    &["then", "than"],
    &["to", "too", "two"],
    &["is", "are"],
    &["was", "were"],
    &["has", "have"],
    &["do", "does"],
    &["don't", "doesn't"],
    &["lose", "loose"],
    &["affect", "effect"],
    &["of", "off"],
    &["quiet", "quite"],
    &["whose", "who's"],
    &["accept", "except"],
    &["advice", "advise"],
    &["passed", "past"],
    &["here", "hear"],
    &["by", "buy"],
    &["know", "now"],
    &["knew", "new"],
    &["weather", "whether"],
    &["write", "right"],
    &["piece", "peace"],
    &["brake", "break"],
    &["good", "well"],
    &["much", "many"],
    &["less", "fewer"],
    &["go", "goes", "went"],
    &["come", "comes", "came"],
    &["went", "gone"],
    &["saw", "seen"],
    &["did", "done"],
    &["in", "on", "at"],
    &["a", "an", "the"],
    &["this", "these"],
    &["that", "those"],
    &["who", "which"],
    &["since", "for"],
    &["say", "says", "said"],
];

/// Helpers after which a verb has its bare form, and forms that have one.
const HELPERS: &[&str] = &[
    "don't",
    "doesn't",
    "didn't",
    "does",
    "did",
    "can",
    "can't",
    "will",
    "won't",
    "would",
    "could",
    "should",
    "must",
    "couldn't",
    "wouldn't",
    "shouldn't",
];
const BARE: &[(&str, &str)] = &[
    ("knows", "know"),
    ("goes", "go"),
    ("went", "go"),
    ("has", "have"),
    ("had", "have"),
    ("comes", "come"),
    ("came", "come"),
    ("sees", "see"),
    ("saw", "see"),
    ("wants", "want"),
    ("wanted", "want"),
    ("needs", "need"),
    ("needed", "need"),
    ("likes", "like"),
    ("liked", "like"),
    ("works", "work"),
    ("worked", "work"),
    ("makes", "make"),
    ("made", "make"),
    ("takes", "take"),
    ("took", "take"),
    ("gets", "get"),
    ("got", "get"),
    ("gives", "give"),
    ("gave", "give"),
    ("finds", "find"),
    ("found", "find"),
    ("thinks", "think"),
    ("thought", "think"),
    ("says", "say"),
    ("said", "say"),
    ("tells", "tell"),
    ("told", "tell"),
    ("sends", "send"),
    ("sent", "send"),
    ("arrives", "arrive"),
    ("arrived", "arrive"),
    ("opens", "open"),
    ("opened", "open"),
    ("starts", "start"),
    ("started", "start"),
    ("understands", "understand"),
    ("understood", "understand"),
    ("receives", "receive"),
    ("received", "receive"),
    ("finished", "finish"),
    ("brings", "bring"),
    ("brought", "bring"),
    ("buys", "buy"),
    ("bought", "buy"),
    ("writes", "write"),
    ("wrote", "write"),
    ("eats", "eat"),
    ("ate", "eat"),
    ("remembers", "remember"),
    ("calls", "call"),
    ("called", "call"),
    ("answers", "answer"),
    ("answered", "answer"),
    ("pays", "pay"),
    ("paid", "pay"),
    ("fits", "fit"),
];

/// How much likelier another word must be (natural logarithm): a word that exists, and a spelling.
const MARGIN: f64 = 1.5;
const SPELLING_MARGIN: f64 = 6.0;
/// Words behind a changed one that are looked at.
const WINDOW: usize = 3;
/// Spellings that are tried for a word, and all other words that are tried in one round.
const SPELLINGS: usize = 24;
const MOST: usize = 240;
/// A word that the model finds less likely than this where it stands may be misspelt.
const SUSPICIOUS: f64 = -7.0;
/// Words of a text up to which the model is asked; a longer one only gets the rules.
const LONGEST: usize = 200;
/// The same in bytes: there may be a word as long as a book.
const LONGEST_BYTES: usize = 8 << 10;
/// Letters of a word whose spelling is looked at.
const LETTERS: std::ops::RangeInclusive<usize> = 3..=32;
const ROUNDS: usize = 3;

/// What rules can put right.
pub(super) fn by_rule(pieces: &Pieces) -> Pieces {
    let mut said = replace(pieces, &MISTAKES);
    said.0.dedup_by(|next, before| {
        next.is_word()
            && !next.fixed
            && next.plain() == before.plain()
            && !matches!(next.plain().as_str(), "that" | "had")
    });
    for index in 1..said.0.len() {
        let before = said.0[index - 1].plain();
        let mark = matches!(said.0[index].text.as_str(), "," | "." | "!" | "?" | ";");
        if mark && !said.0[index].lead.contains('\n') && !is_spanish_dot(&said, index) {
            said.0[index].lead.clear();
        }
        let bare =
            BARE.iter().find(|(form, _)| *form == said.0[index].text).filter(|_| HELPERS.contains(&before.as_str()));
        if let Some((_, bare)) = bare {
            (*bare).clone_into(&mut said.0[index].text);
        }
    }
    articles(&mut said);
    finish(&mut said);
    said
}

/// `.5` and the like begin with a mark and are no end.
fn is_spanish_dot(pieces: &Pieces, index: usize) -> bool {
    pieces.0.get(index + 1).is_some_and(|next| next.lead.is_empty() && next.is_word())
}

/// What the model finds much likelier in its place. The text itself where the backend can not score.
///
/// # Errors
/// When there is no model, or it fails.
pub(super) async fn by_likelihood(text: String, must: &Must, call: &Call) -> Result<String, ToolError> {
    if text.len() > LONGEST_BYTES || text.split_whitespace().nth(LONGEST).is_some() {
        return Ok(text);
    }
    let mut pieces = Pieces::of(&text, &must.places(&text));
    if pieces.0.len() > LONGEST {
        return Ok(text);
    }
    let spanish = is_spanish(&text);
    let places: Vec<usize> = (0..pieces.0.len()).filter(|&at| may_be_misspelt(&pieces, at)).collect();
    let as_it_is = places.iter().map(|&at| item(&pieces, at, &[], 0)).collect();
    let Some(scores) = scored(as_it_is, call).await? else { return Ok(text) };
    let likelihood = |index: usize| scores.sums(index).first().copied().unwrap_or(0.0);
    let suspicious: Vec<usize> =
        places.iter().enumerate().filter(|(index, _)| likelihood(*index) < SUSPICIOUS).map(|(_, at)| *at).collect();
    let mut tried = candidates(&pieces, spanish, &suspicious);
    for _ in 0..ROUNDS {
        let items = tried.iter().map(|(at, words)| item(&pieces, *at, words, WINDOW)).collect();
        let Some(scores) = scored(items, call).await? else { break };
        let better = better(&tried, &scores);
        let mut changed: Vec<usize> = Vec::new();
        for (_, at, word) in better {
            // What was scored beside a changed word is not known any more: the next round tells.
            if changed.iter().all(|other| other.abs_diff(at) > WINDOW) {
                pieces.0[at].text = word;
                changed.push(at);
            }
        }
        tried = candidates(&pieces, spanish, &suspicious);
        tried.retain(|(at, _)| changed.iter().any(|other| other != at && other.abs_diff(*at) <= WINDOW));
    }
    Ok(pieces.to_string())
}

/// `None` where the backend can not score.
async fn scored(items: Vec<ScoreItem>, call: &Call) -> Result<Option<Scores>, ToolError> {
    if items.is_empty() {
        return Ok(Some(Scores::default()));
    }
    let model = call.context().models.of(call.context().tier)?;
    match model.backend.score(ScoreRequest { model: model.name.clone(), items }).await {
        Ok(scores) => {
            call.note_work(&model, Some(&Usage::new(scores.usage.prompt_tokens, 0)));
            Ok(Some(scores))
        }
        Err(error) if error.is_unsupported() => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// Words that are likelier by more than their margin: by how much more, where, and the word; the best first.
fn better(tried: &[(usize, Vec<(String, bool)>)], scores: &Scores) -> Vec<(f64, usize, String)> {
    let mut better: Vec<(f64, usize, String)> = Vec::new();
    for (index, (at, words)) in tried.iter().enumerate() {
        let sums = scores.sums(index);
        let Some(now) = sums.first() else { continue };
        for (word, sum) in words.iter().zip(&sums[1..]) {
            let gain = sum - now - if word.1 { SPELLING_MARGIN } else { MARGIN };
            if gain > 0.0 {
                better.push((gain, *at, word.0.clone()));
            }
        }
    }
    better.sort_by(|one, other| other.0.total_cmp(&one.0));
    better
}

/// Whether a word is one whose spelling can be looked at.
fn may_be_misspelt(pieces: &Pieces, at: usize) -> bool {
    let piece = &pieces.0[at];
    let plain = piece.plain();
    let is_simple = plain.chars().all(char::is_alphabetic) && LETTERS.contains(&plain.chars().count());
    let is_name = piece.text.starts_with(char::is_uppercase) && !pieces.begins_sentence(at);
    !piece.fixed && is_simple && !is_stop(&plain) && !is_name
}

/// For places of a text, what may be meant, and whether it is only another spelling.
fn candidates(pieces: &Pieces, spanish: bool, suspicious: &[usize]) -> Vec<(usize, Vec<(String, bool)>)> {
    let mut found = Vec::new();
    let mut number = 0;
    for (at, piece) in pieces.0.iter().enumerate().filter(|(_, piece)| !piece.fixed && piece.is_word()) {
        let plain = piece.plain();
        let is_capital = piece.text.starts_with(char::is_uppercase);
        let mut words: Vec<(String, bool)> = Vec::new();
        if !spanish {
            for group in CONFUSED.iter().filter(|group| group.contains(&plain.as_str())) {
                words.extend(group.iter().filter(|word| **word != plain).map(|word| ((*word).to_owned(), false)));
            }
        }
        if may_be_misspelt(pieces, at) {
            if suspicious.contains(&at) {
                words.extend(spellings(&plain, spanish).into_iter().map(|word| (word, true)));
            }
            if !spanish && plain.is_ascii() {
                words.extend(inflections(&plain).into_iter().map(|word| (word, false)));
            }
        }
        words.iter_mut().filter(|_| is_capital).for_each(|word| word.0 = capital(&word.0));
        words.sort_unstable();
        words.dedup_by(|next, before| next.0 == before.0);
        number += words.len();
        if number > MOST {
            break;
        }
        if !words.is_empty() {
            found.push((at, words));
        }
    }
    found
}

/// The same word in another number or person.
fn inflections(word: &str) -> Vec<String> {
    match word.strip_suffix('s') {
        Some(stem) if !stem.ends_with('s') => vec![stem.to_owned()],
        Some(_) => Vec::new(),
        None if word.ends_with(['y', 'h', 'x'])
            || word.ends_with("ed")
            || word.ends_with("ing")
            || word.ends_with("ly") =>
        {
            Vec::new()
        }
        None => vec![format!("{word}s")],
    }
}

/// Spellings that ear and finger take for each other.
fn spellings(word: &str, spanish: bool) -> Vec<String> {
    let letters: Vec<char> = word.chars().collect();
    let mut found = Vec::new();
    let mut add = |letters: Vec<char>| found.push(letters.into_iter().collect::<String>());
    for at in 0..letters.len().saturating_sub(1) {
        let mut swapped = letters.clone();
        swapped.swap(at, at + 1);
        add(swapped);
        if letters[at] == letters[at + 1] {
            let mut single = letters.clone();
            single.remove(at);
            add(single);
        }
    }
    let pairs: &[(char, char)] = if spanish {
        &[
            ('b', 'v'),
            ('v', 'b'),
            ('s', 'c'),
            ('c', 's'),
            ('z', 's'),
            ('s', 'z'),
            ('g', 'j'),
            ('j', 'g'),
            ('a', 'á'),
            ('e', 'é'),
            ('i', 'í'),
            ('o', 'ó'),
            ('u', 'ú'),
            ('n', 'ñ'),
        ]
    } else {
        &[('a', 'e'), ('e', 'a'), ('i', 'e'), ('e', 'i'), ('o', 'u'), ('u', 'o'), ('c', 's'), ('s', 'c'), ('i', 'a')]
    };
    for (at, letter) in letters.iter().enumerate() {
        for (from, to) in pairs {
            if letter == from {
                let mut other = letters.clone();
                other[at] = *to;
                add(other);
            }
        }
        if !spanish
            && "lmnprstcfg".contains(*letter)
            && at > 0
            && letters.get(at + 1) != Some(letter)
            && letters[at - 1] != *letter
        {
            let mut double = letters.clone();
            double.insert(at, *letter);
            add(double);
        }
    }
    found.sort_unstable();
    found.dedup();
    found.retain(|other| other != word);
    found.truncate(SPELLINGS);
    found
}

/// A place of the text with every word that may stand there, the present one first.
fn item(pieces: &Pieces, at: usize, words: &[(String, bool)], window: usize) -> ScoreItem {
    let piece = &pieces.0[at];
    let before: String = pieces.0[..at].iter().map(|piece| format!("{}{}", piece.lead, piece.text)).collect();
    let after: String =
        pieces.0[at + 1..].iter().take(window).map(|piece: &Piece| format!("{}{}", piece.lead, piece.text)).collect();
    let lead = if at == 0 { " " } else { piece.lead.as_str() };
    let behind = |word: &str| format!("{lead}{word}{after}");
    let continuations = std::iter::once(behind(&piece.text)).chain(words.iter().map(|word| behind(&word.0))).collect();
    ScoreItem {
        prompt: ScorePrompt::Text {
            prompt: format!("In correct spelling and grammar: {before}").trim_end().to_owned(),
        },
        continuations,
    }
}
