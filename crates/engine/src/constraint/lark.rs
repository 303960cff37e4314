//! Checks of a grammar in llguidance's Lark, and of the JSON Schemas inside of it.

use serde_json::{Map, Value};

use super::compile::{check_depth, invalid, too_long};
use super::error::GrammarError;
use super::schema;

/// Longest grammar in bytes.
const LONGEST: usize = 64 << 10;
const JSON: &str = "%json";

/// The grammar with its schemas made ready, as those of [`super::Grammar::JsonSchema`] are.
pub(super) fn checked(lark: &str) -> Result<String, GrammarError> {
    if lark.len() > LONGEST {
        return Err(too_long("the grammar", lark.len(), LONGEST));
    }
    if lark.contains("::=") {
        return Err(invalid("'::=' is the notation of GBNF; this engine reads Lark ('start: \"a\" | \"b\"')"));
    }
    check_depth(lark)?;
    let mut checked = String::with_capacity(lark.len());
    let (mut rest, mut number) = (lark, 0);
    while let Some(place) = next_schema(rest) {
        let (before, behind) = rest.split_at(place + JSON.len());
        checked.push_str(before);
        rest = behind;
        let mut values = serde_json::Deserializer::from_str(rest).into_iter::<Value>();
        // What is no JSON is llguidance's to refuse, with the line.
        if let Some(Ok(schema)) = values.next() {
            let length = values.byte_offset();
            checked.push(' ');
            checked.push_str(&prepared(&schema, number)?.to_string());
            rest = rest.get(length..).unwrap_or_default();
            number += 1;
        }
    }
    checked.push_str(rest);
    Ok(checked)
}

/// A schema as llguidance should see it; how its values are to be written is left to the grammar.
fn prepared(schema: &Value, number: usize) -> Result<Value, GrammarError> {
    let mut prepared = schema::prepare(schema).map_err(|error| error.under(&format!("{JSON}[{number}]")))?;
    let form = schema.get("x-guidance").cloned().unwrap_or_else(|| Map::new().into());
    if let (Value::Object(prepared), Value::Object(mut form)) = (&mut prepared, form) {
        // See `json_grammar` for both.
        form.entry("coerce_one_of").or_insert_with(|| true.into());
        form.entry("json_allowed_escapes").or_insert_with(|| "nrbtf\\\"".into());
        prepared.insert("x-guidance".to_owned(), form.into());
    }
    Ok(prepared)
}

/// Where the next `%json` stands, outside of strings and regular expressions.
///
/// Those in comments count as well: better too many than one that is not seen.
fn next_schema(text: &str) -> Option<usize> {
    let mut in_comment = false;
    let mut place = 0;
    while let Some(rest) = text.get(place..).filter(|rest| !rest.is_empty()) {
        let first = rest.chars().next()?;
        if rest.starts_with(JSON) {
            return Some(place);
        }
        in_comment = first != '\n' && (in_comment || first == '#' || rest.starts_with("//"));
        let skipped = match first {
            '"' if !in_comment => end_of(rest, '"', true),
            '/' if !in_comment => end_of(rest, '/', false),
            _ => None,
        };
        place += skipped.unwrap_or(first.len_utf8());
    }
    None
}

/// How long the string or regular expression is that `text` begins with; `None`: it has no end.
fn end_of(text: &str, quote: char, one_line: bool) -> Option<usize> {
    let mut escaped = false;
    for (place, char) in text.char_indices().skip(1) {
        match char {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '\n' if one_line => return None,
            _ if char == quote => return Some(place + char.len_utf8()),
            _ => {}
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use super::super::tests::{accepts, compiled};
    use super::*;
    use crate::constraint::Grammar;

    #[test]
    fn schemas_are_found_and_checked_where_they_stand() {
        for (lark, path) in [
            ("start: %json {\"not\": {}}", Some("%json[0].not")),
            (
                "start: a\na: %json {\n \"type\": \"object\",\n \"properties\": {\"x\": {\"if\": {}}}}",
                Some("%json[0].properties.x.if"),
            ),
            ("start: %json {\"type\": \"null\"} | %json{\"uniqueItems\": true}", Some("%json[1].uniqueItems")),
            ("start: \"%json {\\\"not\\\": {}}\"", None),
            ("start: \"\\\"\" %json {\"not\": {}}", Some("%json[0].not")),
            ("start: /\"%json \\/ {/ \"a\"", None),
            ("// don't \"\nstart: %json {\"not\": {}}", Some("%json[0].not")),
            ("# a / b\nstart: %json {\"not\": {}} /x/", Some("%json[0].not")),
            ("start: \"a\"", None),
        ] {
            let found = checked(lark).map_err(|error| (error.code, error.path));
            match path {
                Some(path) => assert_eq!(found, Err(("unsupported_schema", Some(path.to_owned()))), "{lark}"),
                None => assert_eq!(found.as_deref(), Ok(lark)),
            }
        }
        let error = checked("start: %json {\"not\": {}}").expect_err("not").under("guided_grammar");
        assert_eq!(error.path.as_deref(), Some("guided_grammar.%json[0].not"));
    }

    #[test]
    fn schemas_in_a_grammar_hold_as_elsewhere() {
        let kinds = r#"{"oneOf": [{"type": "integer"}, {"type": "string", "description": "x"}]}"#;
        let grammar = |form: &str| Grammar::Lark(format!("start: \"<\" %json {} \">\"", kinds.replacen('{', form, 1)));
        for (text, wanted) in [("<1>", true), ("<\"a\">", true), ("<null>", false), ("<\"\\u0041\">", false)] {
            assert_eq!(accepts(compiled(grammar("{")), text), wanted, "{text}");
        }
        let list = |form: &str| {
            Grammar::Lark(format!("start: %json {{\"type\": \"array\", \"items\": {{\"type\": \"null\"}}{form}}}"))
        };
        assert!(accepts(compiled(list("")), "[null, null]"));
        let tight = list(", \"x-guidance\": {\"whitespace_flexible\": false}");
        assert!(!accepts(compiled(tight.clone()), "[null, null]") && accepts(compiled(tight), "[null,null]"));
    }
}
