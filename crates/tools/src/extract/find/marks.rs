//! What can be told by its signs: addresses of all sorts, phone numbers, versions, codes, names of programs.

use std::sync::LazyLock;

use regex::Regex;

use super::super::pattern;
use super::{Candidate, Sort};

static EMAIL: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"[\p{L}\p{N}._%+-]+@[\p{L}\p{N}-]+(?:\.[\p{L}\p{N}-]+)*\.\p{L}{2,}"));
static URL: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r#"(?:https?|ftp|wss?|ssh|git)://[^\s<>"'|)\]]+|\bwww\.[^\s<>"'|)\]]+|\b[a-z0-9-]+(?:\.[a-z0-9-]+)*\.(?:com|org|net|io|dev|example|test|invalid|de|es|fr|uk|eu|co)(?:/[^\s<>"'|)\],;]*)?\b/?"#,
    )
});
static IP: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"\b(?:(?:25[0-5]|2[0-4]\d|1?\d?\d)\.){3}(?:25[0-5]|2[0-4]\d|1?\d?\d)\b|\b(?:[0-9a-f]{1,4}:){7}[0-9a-f]{1,4}\b|\b(?:[0-9a-f]{1,4}:)+(?::[0-9a-f]{1,4})+\b",
    )
});
static PATH: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?:[A-Za-z]:\\|\\\\|~/|\.{0,2}/)[\w.@%+=~{}\\/-]*\w(?:\?[^\s\x22']*)?|\b[\w.-]+(?:/[\w.@-]+)*/[\w.@-]+\.\w{1,6}\b|\b[\w-]+(?:\.[\w-]+)*\.(?:rs|py|js|jsx|ts|tsx|go|java|kt|c|cc|cpp|h|hpp|cs|rb|php|swift|scala|sql|sh|html|css|json|ya?ml|toml|xml|csv|txt|md|pdf|docx?|xlsx?|pptx?|png|jpe?g|gif|svg|zip|gz|tar|log|conf|cfg|ini|lock|exe|dll|so)\b",
    )
});
static PHONE: LazyLock<Regex> = LazyLock::new(|| pattern(r"(?:\+|\b00|\(\+?)?\d[\d()]*(?:[ ./-]?\(?\d+\)?){1,7}"));
static VERSION: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"\b[vV]?(?P<version>\d+(?:\.\d+){2,3}(?:[-+][0-9A-Za-z.-]*[0-9A-Za-z])?)\b|\b[vV](?P<short>\d+(?:\.\d+)?)\b",
    )
});
static CODE: LazyLock<Regex> = LazyLock::new(|| {
    pattern(r"[\p{L}\p{N}]+(?:[-_/.][\p{L}\p{N}]+)*|\b[A-Z]{2}\d{2}(?: ?[0-9A-Z]{4}){2,7}(?: ?[0-9A-Z]{1,4})?\b")
});
static SPACED_CODE: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"\b[A-Z]{2}\d{2}(?: [0-9A-Z]{4}){2,7}(?: [0-9A-Z]{1,4})?\b|\b[A-Z]{2,3} \d{2,5}\b"));

/// E-mail addresses, URLs, IP addresses, paths; the first kind that fits a place has it.
pub(super) fn addresses(text: &str) -> Vec<Candidate> {
    let mut found: Vec<Candidate> = Vec::new();
    for (form, sort) in [(&EMAIL, Sort::Email), (&URL, Sort::Url), (&IP, Sort::Ip), (&PATH, Sort::Path)] {
        for place in form.find_iter(text) {
            let before = text[..place.start()].chars().next_back();
            let inside_word =
                before.is_some_and(|letter| letter.is_alphanumeric() || letter == '<' && sort == Sort::Path);
            let at = super::trimmed(text, place.range());
            if at.is_empty() || (sort == Sort::Path && (inside_word || !is_path(&text[at.clone()]))) {
                continue;
            }
            // Slashes and colons at the beginning belong to a path or an address.
            let at = if sort == Sort::Path || sort == Sort::Ip { place.start()..at.end } else { at };
            if found.iter().all(|earlier| !earlier.overlaps(&at)) {
                found.push(Candidate::new(at, sort));
            }
        }
    }
    found
}

/// Dates and fractions have slashes too.
fn is_path(text: &str) -> bool {
    text.chars().any(char::is_alphabetic) && text.len() > 2
}

/// Telephone numbers: 7 to 15 digits with signs between them.
pub(super) fn phones(text: &str) -> Vec<Candidate> {
    PHONE
        .find_iter(text)
        .filter_map(|place| {
            let mut start = place.start();
            let before = text[..start].chars().next_back();
            if before == Some('(') && place.as_str().contains(')') && !place.as_str().starts_with('(') {
                start -= 1;
            }
            let before = text[..start].chars().next_back();
            let after = text[place.end()..].chars().next();
            let inside = before.is_some_and(|c| c.is_alphanumeric() || "-_.#$€£".contains(c))
                || after.is_some_and(|c| c.is_alphanumeric() || c == '_');
            let digits = place.as_str().chars().filter(char::is_ascii_digit).count();
            let slashed = place.as_str().contains('/') && !place.as_str().starts_with(['+', '(', '0']);
            let signs = !slashed && place.as_str().contains([' ', '-', '(', '/', '+']);
            let international = place.as_str().starts_with(['+', '(']) || place.as_str().starts_with("00");
            let least = if international || place.as_str().contains('-') { 7 } else { 8 };
            let sentence = place.as_str().contains(". ");
            ((least..=15).contains(&digits) && (signs || international) && !inside && !sentence)
                .then(|| Candidate::new(start..place.end(), Sort::Phone))
        })
        .collect()
}

/// Versions, codes and names that programs use.
pub(super) fn codes(text: &str) -> Vec<Candidate> {
    let mut found = Vec::new();
    for captures in VERSION.captures_iter(text) {
        if let Some(version) = captures.name("version").or(captures.name("short")) {
            found.push(Candidate::new(version.range(), Sort::Version));
        }
    }
    for place in SPACED_CODE.find_iter(text) {
        // An amount of money has the same form: `USD 2199`.
        if !super::numbers::is_currency(place.as_str().split(' ').next().unwrap_or_default()) {
            found.push(Candidate::new(place.range(), Sort::Code));
        }
    }
    for place in CODE.find_iter(text) {
        let word = place.as_str();
        let digits = word.chars().filter(char::is_ascii_digit).count();
        let letters = word.chars().filter(|letter| letter.is_alphabetic()).count();
        let joined = word.contains(['-', '_', '/', '.']);
        let sort = if digits > 0 && (letters > 0 || word.contains(['/', '-'])) {
            if is_measure(word) { continue } else { Sort::Code }
        } else if letters > 0 && (joined || is_hump(word)) {
            Sort::Symbol
        } else {
            continue;
        };
        found.push(Candidate::new(place.range(), sort));
        // What is a code by its digits may be a program's name as well: `web01`.
        if sort == Sort::Code && word.starts_with(char::is_alphabetic) && word.chars().any(char::is_lowercase) {
            found.push(Candidate::new(place.range(), Sort::Symbol));
        }
    }
    found
}

/// `45kg`, `12W`: a number with its unit.
fn is_measure(word: &str) -> bool {
    let unit = word.trim_start_matches(|letter: char| letter.is_ascii_digit() || letter == '.');
    unit.len() < word.len() && super::numbers::is_unit(unit)
}

fn is_hump(word: &str) -> bool {
    word.chars().zip(word.chars().skip(1)).any(|(one, two)| one.is_lowercase() && two.is_uppercase())
}
