//! Words and phrases that are said otherwise, from tables of our own (`data/`): one a line,
//! `phrase => what is said instead`, with nothing on the right where it is left out.

use std::collections::HashMap;
use std::sync::LazyLock;

use super::pieces::{Piece, Pieces, capital};

/// A table: by the first word, the longest phrase first.
pub(super) type Table = LazyLock<HashMap<&'static str, Vec<(Vec<&'static str>, &'static str)>>>;

macro_rules! table {
    ($(#[$doc:meta])* $name:ident, $file:literal) => {
        $(#[$doc])*
        pub(super) static $name: Table = LazyLock::new(|| read(include_str!(concat!("data/", $file))));
    };
}

table!(/** Said formally. */ FORMAL, "formal.txt");
table!(/** Said as among colleagues. */ CASUAL, "casual.txt");
table!(/** Said in fewer words. */ CONCISE, "concise.txt");
table!(/** Said in common words. */ PLAIN, "plain.txt");
table!(/** Said in a friendly way. */ FRIENDLY, "friendly.txt");
table!(/** Said without doubt. */ CONFIDENT, "confident.txt");
table!(/** Common mistakes, put right. */ MISTAKES, "mistakes.txt");

fn read(text: &'static str) -> HashMap<&'static str, Vec<(Vec<&'static str>, &'static str)>> {
    let mut table: HashMap<&str, Vec<(Vec<&str>, &str)>> = HashMap::new();
    for line in text.lines().filter(|line| !line.starts_with('#')) {
        let Some((phrase, instead)) = line.split_once("=>") else { continue };
        let words: Vec<&str> = phrase.split_whitespace().collect();
        if let Some(first) = words.first() {
            table.entry(first).or_default().push((words, instead.trim()));
        }
    }
    for phrases in table.values_mut() {
        phrases.sort_by_key(|(words, _)| std::cmp::Reverse(words.len()));
    }
    table
}

/// Says every phrase of a table otherwise, once from left to right.
pub(super) fn replace(pieces: &Pieces, table: &Table) -> Pieces {
    let mut said = Pieces::default();
    let mut at = 0;
    while let Some(piece) = pieces.0.get(at) {
        let phrase = (!piece.fixed)
            .then(|| piece.plain())
            .and_then(|first| table.get(first.as_str())?.iter().find(|(words, _)| matches(&pieces.0[at..], words)));
        let Some((words, instead)) = phrase else {
            said.0.push(piece.clone());
            at += 1;
            continue;
        };
        let begins = pieces.begins_sentence(at);
        let is_capital = piece.text.starts_with(char::is_uppercase) && (begins || piece.text != "I");
        at += words.len();
        if instead.is_empty() {
            leave_out(pieces, &mut at, piece, begins, is_capital, &mut said);
        } else {
            let text = if is_capital { capital(instead) } else { (*instead).to_owned() };
            let mut new = Pieces::of(&text, &[]).0;
            if let Some(first) = new.first_mut() {
                first.lead.clone_from(&piece.lead);
            }
            said.0.extend(new);
        }
    }
    said
}

/// Goes on behind a phrase that is left out: without its comma, and with its capital on the next word.
fn leave_out(pieces: &Pieces, at: &mut usize, left: &Piece, begins: bool, is_capital: bool, said: &mut Pieces) {
    if begins && pieces.0.get(*at).is_some_and(|next| next.text == ",") {
        *at += 1;
    }
    let Some(next) = pieces.0.get(*at) else { return };
    // `by May, maybe.`
    if next.ends_sentence() && said.0.last().is_some_and(|before| before.text == ",") {
        said.0.pop();
    }
    if !next.is_word() || next.fixed {
        let lead = if begins { left.lead.clone() } else { next.lead.clone() };
        said.0.push(Piece { lead, ..next.clone() });
        *at += 1;
        return;
    }
    // The next word may begin a phrase itself, so it is only looked at when it does not.
    let text = if begins && is_capital { capital(&next.text) } else { next.text.clone() };
    said.0.push(Piece { lead: left.lead.clone(), text, fixed: false });
    *at += 1;
}

fn matches(pieces: &[Piece], words: &[&str]) -> bool {
    pieces.len() >= words.len() && pieces.iter().zip(words).all(|(piece, word)| !piece.fixed && piece.plain() == *word)
}
