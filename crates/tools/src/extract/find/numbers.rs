//! Numbers: with signs, separators of thousands, units, currencies; small ones also in words.

use std::sync::LazyLock;

use regex::Regex;

use super::super::pattern;
use super::super::vocabulary::stem;
use super::{Candidate, Sort};

/// A number of the text.
#[derive(Debug, Clone, PartialEq)]
pub(in super::super) struct Quantity {
    pub(in super::super) value: f64,
    /// Stem of the unit behind or before it.
    pub(in super::super) unit: Option<String>,
    pub(in super::super) money: bool,
    pub(in super::super) percent: bool,
    /// Whether a `#` stands before it.
    pub(in super::super) hash: bool,
    /// Whether it is written in words.
    pub(in super::super) spelled: bool,
    /// Whether the unit is written right behind it.
    pub(in super::super) unit_inside: bool,
    /// Whether it is written with more than digits.
    pub(in super::super) fraction: bool,
}

static NUMBER: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"\d{1,3}(?:[\u{a0}\u{202f}']\d{3})+(?:[.,]\d{1,2})?\b|\d{1,3}(?:,\d{3})+(?:\.\d+)?|\d{1,3}(?:\.\d{3})+(?:,\d+)?|\d+(?:[.,]\d+)?",
    )
});
static SPELLED: LazyLock<Regex> = LazyLock::new(|| {
    pattern(
        r"(?i)\b(?:one|two|three|four|five|six|seven|eight|nine|ten|eleven|twelve|dos|tres|cuatro|cinco|seis|siete|ocho|nueve|diez|zwei|drei|vier|fünf|sechs|sieben|acht|neun|zehn|deux|trois|quatre|cinq|huit|neuf|dix)\b",
    )
});
const SPELLINGS: [(&str, f64); 12] = [
    ("one", 1.0),
    ("two dos zwei deux", 2.0),
    ("three tres drei trois", 3.0),
    ("four cuatro vier quatre", 4.0),
    ("five cinco fünf cinq", 5.0),
    ("six seis sechs", 6.0),
    ("seven siete sieben", 7.0),
    ("eight ocho acht huit", 8.0),
    ("nine nueve neun neuf", 9.0),
    ("ten diez zehn dix", 10.0),
    ("eleven", 11.0),
    ("twelve", 12.0),
];

/// Currencies by what is written for them.
pub(in super::super) const CURRENCIES: [(&str, &str); 22] = [
    ("$", "USD"),
    ("€", "EUR"),
    ("£", "GBP"),
    ("¥", "JPY"),
    ("₹", "INR"),
    ("usd", "USD"),
    ("eur", "EUR"),
    ("gbp", "GBP"),
    ("chf", "CHF"),
    ("jpy", "JPY"),
    ("cad", "CAD"),
    ("aud", "AUD"),
    ("sek", "SEK"),
    ("nok", "NOK"),
    ("dkk", "DKK"),
    ("pln", "PLN"),
    ("mxn", "MXN"),
    ("inr", "INR"),
    ("euro", "EUR"),
    ("euros", "EUR"),
    ("dollars", "USD"),
    ("pounds", "GBP"),
];

const UNITS: [&str; 48] = [
    "ms", "s", "sec", "min", "h", "hrs", "kg", "g", "mg", "lb", "lbs", "oz", "km", "m", "cm", "mm", "in", "ft", "mi",
    "l", "ml", "kwh", "kw", "w", "v", "a", "mah", "gb", "mb", "kb", "tb", "gib", "mib", "kib", "b", "px", "dpi", "hz",
    "khz", "mhz", "ghz", "m2", "m²", "m3", "c", "f", "°c", "°f",
];

pub(in super::super) fn is_currency(word: &str) -> bool {
    let word = word.to_lowercase();
    CURRENCIES.iter().any(|(sign, _)| *sign == word)
}

pub(super) fn is_unit(word: &str) -> bool {
    UNITS.contains(&&*word.to_lowercase())
}

/// Every number of the text that stands by itself or before its unit.
pub(super) fn numbers(text: &str, decimal_comma: bool) -> Vec<Candidate> {
    let mut found: Vec<Candidate> =
        NUMBER.find_iter(text).filter_map(|place| written(text, place.range(), decimal_comma)).collect();
    for place in SPELLED.find_iter(text) {
        let word = place.as_str().to_lowercase();
        let value = SPELLINGS.iter().find(|(words, _)| words.split(' ').any(|known| known == word));
        let Some(&(_, value)) = value else { continue };
        let unit = unit_behind(text, place.end()).0;
        let number = Quantity {
            value,
            unit,
            money: false,
            percent: false,
            hash: false,
            spelled: true,
            unit_inside: false,
            fraction: false,
        };
        found.push(Candidate { number: Some(number), ..Candidate::new(place.range(), Sort::Number) });
    }
    found
}

fn written(text: &str, at: std::ops::Range<usize>, decimal_comma: bool) -> Option<Candidate> {
    let (before, after) = (&text[..at.start], &text[at.end..]);
    let last = before.chars().next_back();
    if last.is_some_and(|letter| letter.is_alphabetic() || letter == '_') {
        return None;
    }
    let (unit, inside, length) = unit_behind(text, at.end);
    let next = after.chars().next();
    let suffix =
        after.starts_with("st ") || after.starts_with("nd ") || after.starts_with("rd ") || after.starts_with("th ");
    if next.is_some_and(|letter| letter.is_alphabetic() || letter == '_') && !inside && !suffix {
        return None;
    }
    let negative = last == Some('-') || last == Some('−');
    let sign = last.map_or(0, char::len_utf8);
    let alone = before[..before.len() - sign]
        .chars()
        .next_back()
        .is_none_or(|letter| letter.is_whitespace() || "([:=$€£".contains(letter));
    let magnitude = value_of(&text[at.clone()], decimal_comma)?;
    let (value, start) = if negative && alone { (-magnitude, at.start - sign) } else { (magnitude, at.start) };
    let word_before = text[..start]
        .trim_end()
        .rsplit(|letter: char| letter.is_whitespace() || letter == '(')
        .next()
        .unwrap_or_default();
    let symbol_before = word_before.chars().next_back().map(String::from).filter(|sign| is_currency(sign));
    let money_after =
        after.trim_start().split(|c: char| !c.is_alphabetic() && !"€$£¥₹".contains(c)).next().unwrap_or_default();
    let number = Quantity {
        value,
        money: symbol_before.is_some() || is_currency(word_before) || is_currency(money_after),
        percent: after.trim_start().starts_with('%') || after.trim_start().starts_with("percent"),
        hash: last == Some('#'),
        unit,
        spelled: false,
        unit_inside: inside && length > 0,
        fraction: text[at.clone()].contains([',', '.']),
    };
    Some(Candidate { number: Some(number), ..Candidate::new(start..at.end, Sort::Number) })
}

/// The stem of the word behind a number, whether it is joined to it, and how long it is.
fn unit_behind(text: &str, end: usize) -> (Option<String>, bool, usize) {
    let after = &text[end..];
    let joined: String =
        after.chars().take_while(|letter| letter.is_alphanumeric() || "°²".contains(*letter)).collect();
    if is_unit(&joined) {
        return (Some(stem(&joined)), true, joined.len());
    }
    let spaced = after.strip_prefix([' ', '-', '\u{a0}']).unwrap_or_default();
    let word: String = spaced.chars().take_while(|letter| letter.is_alphanumeric() || "°²".contains(*letter)).collect();
    ((!word.is_empty()).then(|| stem(&word)), false, 0)
}

/// Reads digits with separators.
fn value_of(digits: &str, decimal_comma: bool) -> Option<f64> {
    let plain: String = digits.chars().filter(|letter| letter.is_ascii_digit() || ",.".contains(*letter)).collect();
    let groups = |sign: char| {
        let mut parts = plain.split(sign);
        let first = parts.next().is_some_and(|part| (1..=3).contains(&part.len()) && part != "0");
        let mut rest = parts.peekable();
        first && rest.peek().is_some() && rest.all(|part| part.len() == 3)
    };
    let plain = match (plain.rfind(','), plain.rfind('.')) {
        (Some(comma), Some(point)) if comma > point => plain.replace('.', "").replace(',', "."),
        (Some(_), Some(_)) => plain.replace(',', ""),
        (Some(_), None) if groups(',') && (!decimal_comma || plain.matches(',').count() > 1) => plain.replace(',', ""),
        (Some(_), None) => plain.replace(',', "."),
        (None, Some(_)) if groups('.') && (decimal_comma || plain.matches('.').count() > 1) => plain.replace('.', ""),
        _ => plain,
    };
    plain.parse().ok().filter(|value: &f64| value.is_finite())
}
