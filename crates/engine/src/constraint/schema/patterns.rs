//! Regular expressions in a schema: `pattern`, `patternProperties`, and the formats that we write
//! ourselves.

use llguidance::derivre::{RegexAst, RegexBuilder};
use llguidance::regex_to_lark;
use serde_json::{Map, Value, json};

use super::super::error::{GrammarError, first_line};
use super::{invalid, join, unsupported};

/// Formats of strings that the grammar enforces.
pub(super) const FORMATS: &[&str] =
    &["date-time", "date", "time", "duration", "email", "hostname", "ipv4", "ipv6", "uuid", "uri"];
/// Days that there are; llguidance's own expression has the 29th of February in every year.
const DATE: &str = "(?:[0-9]{4}-(?:(?:0[13578]|1[02])-(?:0[1-9]|[12][0-9]|3[01])\
    |(?:0[469]|11)-(?:0[1-9]|[12][0-9]|30)|02-(?:0[1-9]|1[0-9]|2[0-8]))\
    |(?:[0-9]{2}(?:0[48]|[2468][048]|[13579][26])|(?:[02468][048]|[13579][26])00)-02-29)";
/// Without leap seconds, which are right at the end of some months only.
const TIME: &str = "(?:(?:[01][0-9]|2[0-3]):[0-5][0-9]:[0-5][0-9](?:\\.[0-9]{1,9})?\
    (?:[zZ]|[+-](?:[01][0-9]|2[0-3]):[0-5][0-9]))";
/// A part of a host's name.
const LABEL: &str = "[a-zA-Z0-9](?:[a-zA-Z0-9-]{0,61}[a-zA-Z0-9])?";
/// A part of a mailbox's name.
const ATOM: &str = "[a-zA-Z0-9!#$%&'*+/=?^_`{|}~-]+";
const LONGEST: usize = 4096;
/// Work that llguidance's library may spend on one comparison of patterns.
const COMPARISON: u64 = 10_000;

/// A pattern searches in the text: it is not anchored.
pub(super) fn pattern(pattern: &str, path: &str) -> Result<(), GrammarError> {
    if pattern.len() > LONGEST {
        let message = format!("a pattern may have {LONGEST} bytes, got {}", pattern.len());
        return Err(GrammarError::new(path, "grammar_too_complex", message));
    }
    if pattern.bytes().rev().take_while(|&byte| byte == b'\\').count() % 2 == 1 {
        return Err(invalid(path, "the pattern ends with a single backslash"));
    }
    if names_control(pattern) {
        return Err(unsupported(path, "control characters can be named in a class of several characters only"));
    }
    let mut builder = RegexBuilder::new();
    builder
        .mk_regex_for_serach(&regex_to_lark(pattern, "dw"))
        .map(drop)
        .map_err(|error| unsupported(path, format!("the pattern can not be used: {}", first_line(&error.to_string()))))
}

/// Whether a control character stands alone. JSON strings are written without `\uXXXX`, so it could
/// not be written; llguidance would leave it out.
fn names_control(pattern: &str) -> bool {
    let mut rest = pattern.chars().peekable();
    // Inside a class: how many characters and escapes it holds, and whether a control is one of them.
    let mut class: Option<(usize, bool)> = None;
    while let Some(character) = rest.next() {
        let control = match character {
            '\\' => match rest.next() {
                Some('x' | 'u') => {
                    let digits: String =
                        std::iter::from_fn(|| rest.next_if(|c| c.is_ascii_hexdigit() || "{}".contains(*c))).collect();
                    let value = u32::from_str_radix(digits.trim_matches(['{', '}']), 16).unwrap_or(0);
                    is_control(char::from_u32(value).unwrap_or(' '))
                }
                Some(escape) => matches!(escape, '0' | 'a' | 'c' | 'e' | 'v'),
                None => false,
            },
            '[' if class.is_none() => {
                class = Some((0, false));
                continue;
            }
            ']' if class.is_some_and(|(count, _)| count > 0) => {
                if class.take() == Some((1, true)) {
                    return true;
                }
                continue;
            }
            other => is_control(other),
        };
        match &mut class {
            Some((count, any)) => {
                *count += 1;
                *any |= control;
            }
            None if control => return true,
            None => {}
        }
    }
    false
}

/// Control characters that JSON has no short escape for.
pub(super) fn is_control(character: char) -> bool {
    character.is_ascii_control() && !"\n\r\t\u{8}\u{c}".contains(character)
}

/// Checks the names of `patternProperties`: no name may fit two of them.
pub(super) fn disjoint(patterns: &Map<String, Value>, path: &str) -> Result<(), GrammarError> {
    let names: Vec<&String> = patterns.keys().collect();
    for (index, one) in names.iter().enumerate() {
        pattern(one, &join(path, one))?;
        for two in names.iter().take(index) {
            if !never_both(one, two) {
                let message = "names may fit this pattern as well as another one: they must not overlap";
                return Err(unsupported(&join(path, one), message));
            }
        }
    }
    Ok(())
}

fn never_both(one: &str, two: &str) -> bool {
    let mut builder = RegexBuilder::new();
    let mut search = |pattern: &str| builder.mk_regex_for_serach(&regex_to_lark(pattern, "dw")).map(RegexAst::ExprRef);
    let (Ok(one), Ok(two)) = (search(one), search(two)) else { return false };
    let both = builder.mk(&RegexAst::And(vec![one, two]));
    both.and_then(|both| builder.to_regex_limited(both, COMPARISON)).is_ok_and(|mut both| both.always_empty())
}

/// Formats say something about strings only: elsewhere (`int64`) they are notes.
pub(super) fn check_format(schema: &mut Map<String, Value>, path: &str) -> Result<(), GrammarError> {
    let Some(format) = schema.get("format").and_then(Value::as_str) else { return Ok(()) };
    let of_string = match schema.get("type") {
        Some(Value::String(name)) => name == "string",
        Some(Value::Array(names)) => names.iter().any(|name| name == "string"),
        _ => true,
    };
    let own = if of_string { own_patterns(format) } else { Vec::new() };
    if own.is_empty() && of_string {
        if FORMATS.contains(&format) {
            return Ok(());
        }
        let name: String = format.chars().take(60).collect();
        let message = format!("the format '{name}' is not supported; these are: {}", FORMATS.join(", "));
        return Err(unsupported(&join(path, "format"), message));
    }
    schema.shift_remove("format");
    for pattern in own {
        if schema.contains_key("pattern") {
            let all = schema.entry("allOf").or_insert_with(|| json!([]));
            if let Some(all) = all.as_array_mut() {
                all.push(json!({"pattern": pattern}));
            }
        } else {
            schema.insert("pattern".to_owned(), Value::from(pattern));
        }
    }
    Ok(())
}

/// Patterns that must all match, for formats where llguidance's own expression lets wrong texts pass.
fn own_patterns(format: &str) -> Vec<String> {
    match format {
        "date" => vec![format!("^{DATE}$")],
        "time" => vec![format!("^{TIME}$")],
        "date-time" => vec![format!("^{DATE}[tT]{TIME}$")],
        "hostname" => vec![format!("^{LABEL}(?:\\.{LABEL})*$"), "^.{1,253}$".to_owned()],
        "email" => vec![format!("^{ATOM}(?:\\.{ATOM})*@{LABEL}(?:\\.{LABEL})*$"), "^[^@]{1,64}@.{1,190}$".to_owned()],
        _ => Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lone_control_characters_are_found() {
        for (pattern, found) in [
            (r"a\x01b", true),
            (r"\0", true),
            (r"[\x01]", true),
            (r"a\u{1f}", true),
            ("a\u{1}", true),
            (r"[^\x00-\x1f]+", false),
            (r"\\x01", false),
            (r"[\s\v]", false),
            (r"\x41\n\t", false),
            (r"[]a]\x41", false),
        ] {
            assert_eq!(names_control(pattern), found, "{pattern}");
        }
    }
}
