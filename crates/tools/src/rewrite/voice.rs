//! From the passive to the active voice, where the one who acts is named: `X was done by Y` as `Y did X`.

use super::pieces::{capital, small};
use crate::prose::sentences::in_line;
use crate::prose::words::count;

/// Past participles that are not formed with -ed, and the past tense.
const IRREGULAR: &[(&str, &str)] = &[
    ("broken", "broke"),
    ("written", "wrote"),
    ("taken", "took"),
    ("given", "gave"),
    ("made", "made"),
    ("done", "did"),
    ("seen", "saw"),
    ("found", "found"),
    ("sent", "sent"),
    ("built", "built"),
    ("bought", "bought"),
    ("sold", "sold"),
    ("told", "told"),
    ("held", "held"),
    ("kept", "kept"),
    ("left", "left"),
    ("lost", "lost"),
    ("led", "led"),
    ("read", "read"),
    ("paid", "paid"),
    ("said", "said"),
    ("shown", "showed"),
    ("chosen", "chose"),
    ("driven", "drove"),
    ("drawn", "drew"),
    ("eaten", "ate"),
    ("fed", "fed"),
    ("forgotten", "forgot"),
    ("frozen", "froze"),
    ("grown", "grew"),
    ("heard", "heard"),
    ("hidden", "hid"),
    ("hit", "hit"),
    ("hurt", "hurt"),
    ("known", "knew"),
    ("laid", "laid"),
    ("lent", "lent"),
    ("lit", "lit"),
    ("met", "met"),
    ("put", "put"),
    ("rung", "rang"),
    ("run", "ran"),
    ("set", "set"),
    ("shaken", "shook"),
    ("shot", "shot"),
    ("shut", "shut"),
    ("sung", "sang"),
    ("sunk", "sank"),
    ("spent", "spent"),
    ("spoken", "spoke"),
    ("split", "split"),
    ("stolen", "stole"),
    ("struck", "struck"),
    ("swept", "swept"),
    ("taught", "taught"),
    ("thrown", "threw"),
    ("torn", "tore"),
    ("understood", "understood"),
    ("won", "won"),
    ("worn", "wore"),
    ("withdrawn", "withdrew"),
    ("caught", "caught"),
    ("brought", "brought"),
    ("begun", "began"),
    ("bitten", "bit"),
    ("blown", "blew"),
    ("cut", "cut"),
    ("dug", "dug"),
    ("flown", "flew"),
    ("felt", "felt"),
    ("overseen", "oversaw"),
    ("rewritten", "rewrote"),
    ("undertaken", "undertook"),
    ("beaten", "beat"),
    ("ridden", "rode"),
    ("sewn", "sewed"),
    ("spread", "spread"),
    ("stung", "stung"),
    ("woken", "woke"),
];

/// Words that end the name of the one who acts.
const AFTER: &[&str] = &[
    "on",
    "in",
    "at",
    "during",
    "after",
    "before",
    "since",
    "until",
    "because",
    "when",
    "while",
    "last",
    "yesterday",
    "today",
    "this",
    "for",
    "to",
    "with",
    "and",
    "but",
    "near",
    "within",
    "from",
    "every",
    "so",
    "through",
    "without",
    "under",
    "over",
    "into",
    "as",
    "if",
    "although",
    "tomorrow",
    "next",
    "earlier",
    "twice",
    "using",
];

/// Puts every sentence into the active voice that can be.
pub(super) fn active(text: &str) -> String {
    let mut said = String::with_capacity(text.len());
    let mut rest = text;
    for sentence in in_line(text) {
        let Some(at) = rest.find(sentence) else { continue };
        said.push_str(&rest[..at]);
        said.push_str(&sentence_active(sentence).unwrap_or_else(|| sentence.to_owned()));
        rest = &rest[at + sentence.len()..];
    }
    said + rest
}

fn sentence_active(sentence: &str) -> Option<String> {
    let body = sentence.trim_end_matches(['.', '!']);
    let stop = &sentence[body.len()..];
    let words: Vec<&str> = body.split(' ').collect();
    let by = words.iter().position(|word| *word == "by").filter(|at| *at >= 3)?;
    let be = (1..by).rev().find(|&at| matches!(words[at], "was" | "were" | "is" | "are" | "be" | "been"))?;
    let verb = (be + 1..by).find(|&at| past(words[at]).is_some())?;
    let adverbs = &words[be + 1..verb];
    if adverbs
        .iter()
        .any(|word| !word.ends_with("ly") && !matches!(*word, "also" | "already" | "later" | "first" | "being"))
    {
        return None;
    }
    let mut subject_end = be;
    let mut helpers = Vec::new();
    while subject_end > 0
        && matches!(
            words[subject_end - 1],
            "will"
                | "has"
                | "have"
                | "had"
                | "can"
                | "must"
                | "should"
                | "may"
                | "could"
                | "would"
                | "been"
                | "to"
                | "going"
        )
    {
        subject_end -= 1;
        helpers.insert(0, words[subject_end]);
    }
    let subject = words[..subject_end].join(" ");
    let agent_end = (by + 2..words.len())
        .find(|&at| AFTER.contains(&words[at]) || words[at - 1].ends_with(','))
        .unwrap_or(words.len());
    let agent = words.get(by + 1..agent_end)?.join(" ");
    let agent = agent.trim_end_matches(',');
    if count(&subject) == 0 || agent.is_empty() || agent.ends_with("ing") || subject.contains(',') {
        return None;
    }
    let participle = words[verb];
    let doing = match (helpers.as_slice(), words[be]) {
        ([], "was" | "were") => past(participle)?,
        ([], "is" | "are") => present(participle, is_plural(agent))?,
        (["has" | "have"], "been") => format!("{} {participle}", if is_plural(agent) { "have" } else { "has" }),
        (["had"], "been") => format!("had {participle}"),
        ([modal @ ("will" | "can" | "must" | "should" | "may" | "could" | "would")], "be") => {
            format!("{modal} {}", base(participle)?)
        }
        _ => return None,
    };
    let adverbs: Vec<&str> = adverbs.iter().copied().filter(|word| *word != "being").collect();
    let between = &words[verb + 1..by];
    let object = match subject.to_lowercase().as_str() {
        "he" => "him".to_owned(),
        "she" => "her".to_owned(),
        "they" => "them".to_owned(),
        "we" => "us".to_owned(),
        "i" => "me".to_owned(),
        _ if starts_with_common(&subject) => small(&subject),
        _ => subject,
    };
    let agent = match agent {
        "him" => "he",
        "her" => "she",
        "them" => "they",
        "us" => "we",
        "me" => "I",
        other => other,
    };
    let tail = words[agent_end..].join(" ");
    let parts = [capital(agent), adverbs.join(" "), doing, object, between.join(" "), tail];
    let said: Vec<String> = parts.into_iter().filter(|part| !part.is_empty()).collect();
    Some(said.join(" ") + stop)
}

/// Whether a phrase begins with a word that has a capital only because the sentence begins there.
fn starts_with_common(phrase: &str) -> bool {
    let first = phrase.split(' ').next().unwrap_or_default().to_lowercase();
    let known = [
        "the", "a", "an", "this", "that", "these", "those", "our", "my", "your", "his", "her", "their", "its", "all",
        "some", "every", "each", "both", "most", "many", "two", "three", "four", "five", "several", "no", "it", "you",
        "new", "one",
    ];
    known.contains(&first.as_str()) || first.ends_with('s')
}

fn is_plural(agent: &str) -> bool {
    let last = agent.split(' ').next_back().unwrap_or_default();
    agent.contains(" and ")
        || matches!(agent, "them" | "us" | "me" | "you")
        || (last.ends_with('s')
            && !last.ends_with("ss")
            && !last.ends_with("us")
            && last.chars().next().is_some_and(char::is_lowercase))
}

fn past(participle: &str) -> Option<String> {
    let irregular = IRREGULAR.iter().find(|(form, _)| *form == participle).map(|(_, past)| (*past).to_owned());
    irregular.or_else(|| (participle.ends_with("ed") && participle.len() > 4).then(|| participle.to_owned()))
}

fn base(participle: &str) -> Option<String> {
    let known = [
        ("broken", "break"),
        ("written", "write"),
        ("taken", "take"),
        ("given", "give"),
        ("made", "make"),
        ("done", "do"),
        ("seen", "see"),
        ("found", "find"),
        ("sent", "send"),
        ("built", "build"),
        ("bought", "buy"),
        ("sold", "sell"),
        ("held", "hold"),
        ("kept", "keep"),
        ("led", "lead"),
        ("read", "read"),
        ("paid", "pay"),
        ("shown", "show"),
        ("chosen", "choose"),
        ("driven", "drive"),
        ("run", "run"),
        ("set", "set"),
        ("told", "tell"),
        ("taught", "teach"),
        ("drawn", "draw"),
        ("brought", "bring"),
        ("cut", "cut"),
        ("put", "put"),
    ];
    if let Some((_, base)) = known.iter().find(|(form, _)| *form == participle) {
        return Some((*base).to_owned());
    }
    let stem = participle.strip_suffix("ed")?;
    let letters: Vec<char> = stem.chars().rev().take(3).collect();
    let double = letters.len() > 1 && letters[0] == letters[1] && !"lsz".contains(letters[0]);
    if let Some(stem) = stem.strip_suffix('i') {
        return Some(format!("{stem}y"));
    }
    if double {
        return Some(stem[..stem.len() - 1].to_owned());
    }
    let silent = ["at", "iv", "v", "s", "c", "g", "u", "z", "ir", "ar", "as", "os", "id", "ut", "in", "l", "ag"];
    let sure = [
        "ss", "sh", "ch", "ck", "ll", "ain", "oin", "ear", "ean", "ign", "eat", "oad", "ool", "ail", "eal", "eel",
        "eng", "ing",
    ];
    let needs = silent.iter().any(|end| stem.ends_with(end)) && !sure.iter().any(|end| stem.ends_with(end));
    Some(if needs { format!("{stem}e") } else { stem.to_owned() })
}

fn present(participle: &str, plural: bool) -> Option<String> {
    let base = base(participle)?;
    if plural {
        return Some(base);
    }
    let sibilant = ["s", "sh", "ch", "x", "z", "o"].iter().any(|end| base.ends_with(end));
    Some(match base.strip_suffix('y') {
        Some(stem) if !stem.ends_with(['a', 'e', 'o', 'u']) => format!("{stem}ies"),
        _ if sibilant => format!("{base}es"),
        _ => format!("{base}s"),
    })
}
