//! Shorter forms of a sentence, made by leaving out what grammar lets go: openers, brackets, relative
//! clauses, who said it, and clauses that stand for themselves.

use super::words::count;

/// Words that only tie a sentence to the one before; with the comma behind them.
const OPENERS: &[&str] = &[
    "however",
    "therefore",
    "thus",
    "moreover",
    "furthermore",
    "in addition",
    "additionally",
    "meanwhile",
    "of course",
    "in fact",
    "finally",
    "also",
    "unfortunately",
    "fortunately",
    "overall",
    "as a result",
    "for example",
    "for instance",
    "consequently",
    "nevertheless",
    "nonetheless",
    "on the other hand",
    "in other words",
    "in short",
    "in general",
    "as you know",
    "as mentioned",
    "needless to say",
    "to be fair",
    "by the way",
    "in the end",
    "so",
    "still",
    "then",
    "sin embargo",
    "además",
    "por lo tanto",
    "por tanto",
    "por ejemplo",
    "finalmente",
    "por último",
    "en resumen",
    "también",
    "no obstante",
    "en general",
    "en cambio",
];

/// Where a clause that can stand alone may end.
const BREAKS: &[&str] = &[
    "; ",
    ", but ",
    ", and ",
    ", so ",
    ", while ",
    ", although ",
    ", though ",
    ", because ",
    " because ",
    ", since ",
    ", as ",
    ", which ",
    ", who ",
    ", where ",
    ", with ",
    ", after ",
    ", before ",
    ", even ",
    ", if ",
    ", when ",
    ", in case ",
    " so that ",
    ", or ",
    " - ",
    " – ",
    " — ",
    ", pero ",
    ", porque ",
    " porque ",
    ", aunque ",
    ", ya que ",
    ", que ",
    ", y ",
    ", mientras ",
    ": ",
];

/// Where a clause begins that can stand alone, when a subject follows.
const JOINTS: &[&str] = &["; ", ", but ", ", and ", ", so ", ": ", ", pero ", ", y ", " – ", " — "];

/// What a clause of its own may begin with.
const SUBJECTS: &[&str] = &[
    "the", "a", "an", "it", "he", "she", "they", "we", "this", "that", "these", "those", "there", "our", "their",
    "his", "her", "its", "all", "each", "no", "el", "la", "los", "las", "un", "una", "se", "hay",
];

/// Fewest words of a form.
const FEWEST: usize = 4;
/// Most bytes of a sentence that is looked at: what is longer is no sentence, and would have thousands of forms.
const LONGEST: usize = 4096;

/// The forms of a sentence, the whole one first. Every one is shorter than those it comes from. One of more
/// than 4 KiB has only itself.
pub(crate) fn forms(sentence: &str) -> Vec<String> {
    let mut forms = vec![sentence.to_owned()];
    if sentence.len() > LONGEST {
        return forms;
    }
    let lean = lean(sentence);
    push(&mut forms, lean.clone());
    let stem = lean.trim_end_matches(['.', '!']);
    for joint in BREAKS {
        for (at, _) in stem.match_indices(joint) {
            push(&mut forms, closed(&stem[..at]));
        }
    }
    for joint in JOINTS {
        for (at, _) in stem.match_indices(joint) {
            let rest = &stem[at + joint.len()..];
            if stands_alone(rest) {
                push(&mut forms, closed(&capitalized(rest)));
            }
        }
    }
    forms
}

fn push(forms: &mut Vec<String>, form: String) {
    if count(&form) >= FEWEST && balanced(&form) && !forms.contains(&form) {
        forms.push(form);
    }
}

/// Without opener, brackets, inner relative clauses and who said it.
pub(crate) fn lean(sentence: &str) -> String {
    let mut text = sentence.to_owned();
    let lower = text.to_lowercase();
    if lower.len() == text.len()
        && let Some(rest) = OPENERS.iter().find_map(|opener| lower.strip_prefix(opener)?.strip_prefix(", "))
    {
        text = capitalized(&text[text.len() - rest.len()..]);
    }
    text = without_brackets(&text);
    for start in [
        ", which ",
        ", who ",
        ", whose ",
        ", according to ",
        ", for example ",
        ", however",
        ", of course",
        ", sin embargo",
        ", por ejemplo ",
    ] {
        text = without_inset(&text, start);
    }
    for said in [", he said", ", she said", ", they said", " according to "] {
        if let Some(at) = text.rfind(said).filter(|at| count(&text[*at..]) <= 6) {
            text = closed(&text[..at]);
        }
    }
    text
}

fn without_brackets(text: &str) -> String {
    let mut kept = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(begin) = rest.find(" (") {
        let Some(end) = rest[begin..].find(')').map(|end| begin + end) else { break };
        kept.push_str(&rest[..begin]);
        rest = &rest[end + 1..];
    }
    kept + rest
}

/// Without a clause between commas that begins with `start`.
fn without_inset(text: &str, start: &str) -> String {
    let Some(begin) = text.find(start) else { return text.to_owned() };
    let inside = &text[begin + start.len()..];
    match inside.find(", ") {
        Some(end) => format!("{}{}", &text[..begin], &inside[end + 1..]),
        None => text.to_owned(),
    }
}

fn stands_alone(clause: &str) -> bool {
    let mut words = clause.split_whitespace();
    let first = words.next().unwrap_or_default();
    (SUBJECTS.contains(&first) || first.starts_with(char::is_uppercase)) && words.count() >= FEWEST
}

pub(crate) fn capitalized(text: &str) -> String {
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

/// With a full stop at its end.
fn closed(text: &str) -> String {
    let text = text.trim_end().trim_end_matches([',', ';', ':', '-', '–', '—']).trim_end();
    if text.ends_with(['.', '!', '?', '…']) { text.to_owned() } else { format!("{text}.") }
}

/// Whether brackets and quotation marks come in pairs.
fn balanced(text: &str) -> bool {
    let count = |mark: char| text.matches(mark).count();
    count('(') == count(')')
        && count('[') == count(']')
        && count('"') % 2 == 0
        && count('“') == count('”')
        && count('`') % 2 == 0
}
