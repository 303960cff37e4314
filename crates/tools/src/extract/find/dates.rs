//! Dates and times in many spellings, and their ISO 8601 form.

use std::sync::LazyLock;

use regex::{Captures, Regex};

use super::super::pattern;
use super::{Candidate, Sort};

/// Beginnings of the months' names, by number: English, Spanish, German, French.
const MONTHS: [&[&str]; 12] = [
    &["jan", "ene", "jän"],
    &["feb", "fév", "fev"],
    &["mar", "mär", "mrz"],
    &["apr", "abr", "avr"],
    &["may", "mai", "mayo"],
    &["jun", "juin"],
    &["jul", "juil"],
    &["aug", "ago", "aoû", "aou"],
    &["sep", "set"],
    &["oct", "okt"],
    &["nov"],
    &["dec", "dez", "dic", "déc"],
];

const CLOCK: &str = r"(?P<hour>[01]?\d|2[0-3]):(?P<minute>[0-5]\d)(?::(?P<second>[0-5]\d)(?P<fraction>[.,]\d{1,9})?)?";
const ZONE: &str = r"(?P<zone> ?(?:Z|UTC|GMT)\b| ?[+-]\d{2}:?\d{2}\b)?";
const NAME: &str = r"(?P<name>jan(?:uary|uar|vier|\.)?|ene(?:ro|\.)?|jän(?:ner|\.)?|feb(?:ruary|ruar|rero|\.)?|fév(?:rier|\.)?|mar(?:ch|zo|s|\.)?|mär(?:z|\.)?|apr(?:il|\.)?|abr(?:il|\.)?|avr(?:il|\.)?|may(?:o)?|mai|jun(?:e|i|io|\.)?|juin|jul(?:y|i|io|\.)?|juil(?:let|\.)?|aug(?:ust|\.)?|ago(?:sto|\.)?|août|sep(?:tember|tiembre|tembre|t|\.)?|oct(?:ober|ubre|obre|\.)?|okt(?:ober|\.)?|nov(?:ember|iembre|embre|\.)?|dec(?:ember|\.)?|dez(?:ember|\.)?|dic(?:iembre|\.)?|déc(?:embre|\.)?)";

static ISO: LazyLock<Regex> = LazyLock::new(|| {
    pattern(&format!(
        r"\b(?P<year>\d{{4}})[-/.](?P<month>0[1-9]|1[0-2])[-/.](?P<day>0[1-9]|[12]\d|3[01])(?:[T ](?P<clock>{CLOCK}{ZONE}))?"
    ))
});
static NUMERIC: LazyLock<Regex> =
    LazyLock::new(|| pattern(r"\b(?P<one>\d{1,2})(?P<mark>[./-])(?P<two>\d{1,2})[./-](?P<year>\d{4}|\d{2})\b"));
static DAY_FIRST: LazyLock<Regex> = LazyLock::new(|| {
    pattern(&format!(
        r"(?i)\b(?P<day>\d{{1,2}})(?:st|nd|rd|th|\.|er)?(?:[ -]| of | de |/){NAME}(?:\b|$)(?:(?:,? |-|/| de | del )(?P<year>\d{{4}})\b)?(?::{CLOCK}{ZONE})?"
    ))
});
static MONTH_FIRST: LazyLock<Regex> = LazyLock::new(|| {
    pattern(&format!(
        r"(?i)\b{NAME} (?P<day>\d{{1,2}})(?:st|nd|rd|th)?\b(?:,? (?P<year>\d{{4}})\b)?(?: (?P<clock>\d{{2}}:\d{{2}}:\d{{2}}))?"
    ))
});
static TIME: LazyLock<Regex> = LazyLock::new(|| {
    pattern(&format!(
        r"(?i)\b{CLOCK}(?: ?(?P<half>[ap])\.?m\b\.?)?|\b(?P<hour_only>1[0-2]|0?[1-9])(?:[.:](?P<minute_only>[0-5]\d))? ?(?P<half_only>[ap])\.?m\b|\b(?P<hour_h>[01]?\d|2[0-3])h(?P<minute_h>[0-5]\d)?\b"
    ))
});

/// Reads a match, see [`iso`].
type Reader = fn(&Captures<'_>) -> Option<Option<String>>;

/// Dates, also with a time and without a year.
pub(in super::super) fn dates(text: &str) -> Vec<Candidate> {
    let mut found: Vec<Candidate> = Vec::new();
    let readers: [(&LazyLock<Regex>, Reader); 4] =
        [(&ISO, iso), (&NUMERIC, numeric), (&DAY_FIRST, named), (&MONTH_FIRST, named)];
    for (form, read) in readers {
        for captures in form.captures_iter(text) {
            let Some(whole) = captures.get(0) else { continue };
            let Some(iso) = read(&captures) else { continue };
            if found.iter().all(|earlier| !earlier.overlaps(&whole.range())) {
                let at = super::trimmed(text, whole.range());
                found.push(Candidate { iso, ..Candidate::new(at, Sort::Date) });
            }
        }
    }
    found
}

/// Times of day.
pub(in super::super) fn times(text: &str) -> Vec<Candidate> {
    TIME.captures_iter(text)
        .filter_map(|captures| {
            let whole = captures.get(0)?;
            // `theme.js:9:30` is no time, nor is the middle of a longer run.
            let before = text[..whole.start()].chars().next_back();
            let after = text[whole.end()..].chars().next();
            if before.is_some_and(|c| c.is_alphanumeric() || ":./-".contains(c)) || after == Some(':') {
                return None;
            }
            Some(Candidate { iso: clock(&captures), ..Candidate::new(whole.range(), Sort::Time) })
        })
        .collect()
}

fn clock(captures: &Captures<'_>) -> Option<String> {
    let part = |name: &str| captures.name(name).map(|part| part.as_str());
    let hour: u32 = part("hour").or(part("hour_only")).or(part("hour_h"))?.parse().ok()?;
    let minute = part("minute").or(part("minute_only")).or(part("minute_h")).unwrap_or("00");
    let half = part("half").or(part("half_only")).map(str::to_lowercase);
    let hour = match half.as_deref() {
        Some("p") if hour < 12 => hour + 12,
        Some("a") if hour == 12 => 0,
        _ => hour,
    };
    Some(format!("{hour:02}:{minute}:{}", part("second").unwrap_or("00")))
}

/// The outer `None`: this is no date. The inner one: it has no year.
fn iso(captures: &Captures<'_>) -> Option<Option<String>> {
    let date = format!("{}-{}-{}", &captures["year"], &captures["month"], &captures["day"]);
    let Some(time) = captures.name("clock").and_then(|_| clock(captures)) else { return Some(Some(date)) };
    let fraction = captures.name("fraction").map_or(String::new(), |part| part.as_str().replace(',', "."));
    let zone = captures.name("zone").map_or("Z", |zone| zone.as_str().trim());
    let zone = match zone {
        "UTC" | "GMT" | "Z" => "Z".to_owned(),
        zone if zone.len() == 5 => format!("{}:{}", &zone[..3], &zone[3..]),
        zone => zone.to_owned(),
    };
    Some(Some(format!("{date}T{time}{fraction}{zone}")))
}

fn numeric(captures: &Captures<'_>) -> Option<Option<String>> {
    let number = |name: &str| captures[name].parse::<u32>().ok();
    let (one, two) = (number("one")?, number("two")?);
    // Day first, as most of the world writes, unless it can not be.
    let (day, month) = if two > 12 && &captures["mark"] == "/" { (two, one) } else { (one, two) };
    if !(1..=31).contains(&day) || !(1..=12).contains(&month) {
        return None;
    }
    Some(complete(number("year"), month, day))
}

fn named(captures: &Captures<'_>) -> Option<Option<String>> {
    let name = captures["name"].to_lowercase();
    let month = MONTHS.iter().position(|names| names.iter().any(|start| name.starts_with(start)))?;
    let day: u32 = captures["day"].parse().ok().filter(|day| (1..=31).contains(day))?;
    let year = captures.name("year").and_then(|year| year.as_str().parse().ok());
    Some(complete(year, u32::try_from(month).ok()? + 1, day))
}

fn complete(year: Option<u32>, month: u32, day: u32) -> Option<String> {
    let year = year?;
    let year = if year < 100 { year + 2000 } else { year };
    Some(format!("{year:04}-{month:02}-{day:02}"))
}
