//! How a text sounds: formal, casual, friendly, calm. By tables, and a few rules of grammar.

use super::phrases::{CASUAL, CONFIDENT, FORMAL, FRIENDLY, PLAIN, replace};
use super::pieces::{Piece, Pieces, capital, small};
use crate::prose::words::words;

/// Verbs that an order begins with.
const ORDERS: &[&str] = &[
    "send", "give", "call", "fix", "read", "pay", "return", "submit", "finish", "bring", "make", "take", "tell", "do",
    "get", "check", "update", "clean", "move", "leave", "wait", "come", "go", "use", "keep", "let", "put", "turn",
    "remove", "delete", "answer", "reply", "write", "explain", "show", "close", "open", "sign", "review", "complete",
    "provide", "respond", "stay", "look", "try", "add", "change", "deliver", "hand", "replace", "refund", "cancel",
    "book", "order", "print", "ask", "talk", "speak", "listen", "follow", "confirm", "forward", "email", "be", "stop",
    "prepare", "arrange", "learn", "redo",
];

/// Without contractions and informal words.
pub(super) fn formal(pieces: &Pieces) -> Pieces {
    let mut said = replace(&expanded(pieces), &FORMAL);
    // What a table says may be contracted or doubled; the sentences get their capitals and stops.
    said = expanded(&said);
    calm_marks(&mut said);
    finish(&mut said);
    said
}

/// `we're` as `we are`; a possessive stays.
fn expanded(pieces: &Pieces) -> Pieces {
    let mut said = Pieces::default();
    for (index, piece) in pieces.0.iter().enumerate() {
        let next = pieces.0.get(index + 1).map(Piece::plain).unwrap_or_default();
        match (!piece.fixed).then(|| expansion(&piece.plain(), &next)).flatten() {
            Some(words) => {
                let is_capital = piece.text.starts_with(char::is_uppercase) && !words.starts_with('I');
                let text = if is_capital { capital(&words) } else { words };
                let mut new = Pieces::of(&text, &[]).0;
                if let Some(first) = new.first_mut() {
                    first.lead.clone_from(&piece.lead);
                }
                said.0.extend(new);
            }
            None => said.0.push(piece.clone()),
        }
    }
    said
}

fn expansion(word: &str, next: &str) -> Option<String> {
    let whole = match word {
        "can't" => "cannot",
        "won't" => "will not",
        "shan't" => "shall not",
        "ain't" => "is not",
        "let's" => "let us",
        "i'm" => "I am",
        "y'all" => "all of you",
        "o'clock" => return None,
        _ => "",
    };
    if !whole.is_empty() {
        return Some(whole.to_owned());
    }
    let participle =
        next.ends_with("ed") || matches!(next, "been" | "got" | "gone" | "had" | "become" | "done" | "better");
    let (stem, ending) = word.rsplit_once('\'')?;
    if let Some(verb) = word.strip_suffix("n't") {
        return Some(format!("{verb} not"));
    }
    let subject = matches!(
        stem,
        "it" | "he"
            | "she"
            | "that"
            | "there"
            | "here"
            | "what"
            | "who"
            | "where"
            | "how"
            | "when"
            | "why"
            | "this"
            | "everything"
            | "everyone"
            | "everybody"
            | "nobody"
            | "someone"
            | "something"
            | "nothing"
    );
    let verb = match ending {
        "re" => "are",
        "ve" => "have",
        "ll" => "will",
        "m" => "am",
        "d" if participle => "had",
        "d" => "would",
        "s" if subject && matches!(next, "been" | "got" | "gone" | "had" | "become") => "has",
        "s" if subject => "is",
        _ => return None,
    };
    let stem = if stem == "i" { "I" } else { stem };
    Some(format!("{stem} {verb}"))
}

/// As among colleagues.
pub(super) fn casual(pieces: &Pieces) -> Pieces {
    replace(pieces, &CASUAL)
}

/// Without words of doubt.
pub(super) fn confident(pieces: &Pieces) -> Pieces {
    replace(pieces, &CONFIDENT)
}

/// Common words, one statement a sentence.
pub(super) fn plain(pieces: &Pieces) -> Pieces {
    let mut said = replace(&replace(pieces, &PLAIN), &PLAIN);
    let mut begins = false;
    for piece in said.0.iter_mut().filter(|piece| !piece.fixed) {
        if begins && piece.is_word() {
            piece.text = capital(&piece.text);
        }
        begins = piece.text == ";";
        if begins {
            ".".clone_into(&mut piece.text);
        }
    }
    articles(&mut said);
    said
}

/// Stops instead of exclamation marks.
pub(super) fn calm(pieces: &Pieces) -> Pieces {
    let mut said = pieces.clone();
    calm_marks(&mut said);
    said
}

/// Stops instead of exclamation marks, one of each.
fn calm_marks(pieces: &mut Pieces) {
    for piece in pieces.0.iter_mut().filter(|piece| !piece.fixed && piece.text == "!") {
        ".".clone_into(&mut piece.text);
    }
    pieces.0.dedup_by(|next, before| next.text == before.text && next.text == "." && next.lead.is_empty());
}

/// Capitals where sentences begin, `I`, a stop at the end.
pub(super) fn finish(pieces: &mut Pieces) {
    for index in 0..pieces.0.len() {
        let begins = pieces.begins_sentence(index);
        let piece = &mut pieces.0[index];
        if !piece.fixed && piece.is_word() && (begins || piece.text == "i") {
            piece.text = capital(&piece.text);
        }
    }
    let stop = Piece { lead: String::new(), text: ".".to_owned(), fixed: false };
    match pieces.0.last() {
        Some(last) if last.text.is_empty() => {
            let at = pieces.0.len() - 1;
            if at > 0 && pieces.0[at - 1].is_word() {
                pieces.0.insert(at, stop);
            }
        }
        Some(last) if last.is_word() => pieces.0.push(stop),
        _ => {}
    }
}

/// `a` and `an` by the letter that follows.
pub(super) fn articles(pieces: &mut Pieces) {
    for index in 1..pieces.0.len() {
        let next = pieces.0[index].plain();
        let article = &mut pieces.0[index - 1];
        let now = article.plain();
        if article.fixed || !matches!(now.as_str(), "a" | "an") || !next.starts_with(char::is_alphabetic) {
            continue;
        }
        let sounds_consonant =
            ["uni", "use", "usu", "eu", "one", "once", "ut"].iter().any(|start| next.starts_with(start));
        let sounds_vowel = ["hour", "honest", "honor", "heir"].iter().any(|start| next.starts_with(start));
        let vowel = sounds_vowel || (next.starts_with(['a', 'e', 'i', 'o', 'u']) && !sounds_consonant);
        let right = if vowel { "an" } else { "a" };
        // A single letter has the sound of its name: leave what was written.
        if now != right && next.chars().count() > 1 {
            article.text = if article.text.starts_with('A') { capital(right) } else { right.to_owned() };
        }
    }
}

/// Soft words; orders become requests; a greeting and thanks where there are none.
pub(super) fn friendly(pieces: &Pieces) -> Pieces {
    let is_spanish = is_spanish(&pieces.to_string());
    let mut said = replace(pieces, &FRIENDLY);
    calm_marks(&mut said);
    finish(&mut said);
    if !is_spanish {
        said = requests(&said);
    }
    let text = said.to_string().to_lowercase();
    let first = words(&text).next().unwrap_or_default().to_owned();
    let greets = matches!(first.as_str(), "hi" | "hello" | "dear" | "hey" | "hola" | "good" | "buenos" | "buenas");
    let (greeting, thanks) = if is_spanish { ("Hola:", "Muchas gracias.") } else { ("Hi there,", "Thank you!") };
    let mut framed = Pieces::default();
    if !greets {
        framed.0.push(Piece { lead: String::new(), text: greeting.to_owned(), fixed: false });
        if let Some(first) = said.0.first_mut() {
            " ".clone_into(&mut first.lead);
            if !first.fixed && !is_spanish {
                first.text = small(&first.text);
            }
        }
    }
    framed.0.append(&mut said.0);
    if !text.contains("thank") && !text.contains("gracias") {
        framed.0.push(Piece { lead: " ".to_owned(), text: thanks.to_owned(), fixed: false });
    }
    framed
}

/// Whether a text has more Spanish than English in it.
pub(super) fn is_spanish(text: &str) -> bool {
    let small: Vec<String> = words(text).map(str::to_lowercase).collect();
    let count = |list: &[&str]| small.iter().filter(|word| list.contains(&word.as_str())).count();
    let spanish = count(&[
        "el", "la", "los", "las", "que", "de", "en", "un", "una", "por", "con", "para", "es", "y", "se", "del", "al",
        "lo",
    ]);
    spanish
        > count(&[
            "the", "of", "and", "to", "in", "is", "that", "for", "it", "with", "as", "was", "on", "you", "we", "i",
            "this", "be",
        ])
}

/// `Send it.` as `Could you please send it?`, `Stop calling.` as `Could you please hold off on calling for now?`.
fn requests(pieces: &Pieces) -> Pieces {
    let mut said = Pieces::default();
    let mut asks = false;
    for (index, piece) in pieces.0.iter().enumerate() {
        let mut piece = piece.clone();
        let begins = pieces.begins_sentence(index);
        let next = pieces.0.get(index + 1).map(Piece::plain).unwrap_or_default();
        let word = piece.plain();
        if begins && !piece.fixed {
            let politely = if word == "stop" && next.ends_with("ing") {
                Some("could you please hold off on")
            } else if matches!(word.as_str(), "don't" | "never") || (word == "do" && next == "not") {
                let rest = if word == "do" { "please do" } else { "please don't" };
                said.0.push(Piece { lead: piece.lead.clone(), text: capital(rest), fixed: false });
                continue;
            } else if ORDERS.contains(&word.as_str()) && !matches!(next.as_str(), "," | ":" | "is" | "was") {
                said.0.push(Piece { lead: piece.lead.clone(), text: "Could you please".to_owned(), fixed: false });
                said.0.push(Piece { lead: " ".to_owned(), text: small(&piece.text), fixed: false });
                asks = true;
                continue;
            } else {
                None
            };
            if let Some(politely) = politely {
                said.0.push(Piece { lead: piece.lead.clone(), text: capital(politely), fixed: false });
                asks = true;
                continue;
            }
        }
        if piece.ends_sentence() && asks {
            "?".clone_into(&mut piece.text);
            asks = false;
        }
        said.0.push(piece);
    }
    said
}
