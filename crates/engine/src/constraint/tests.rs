//! The state of a generation, with a vocabulary of single bytes and a few words.

use std::sync::Arc;

use serde_json::{Value, json};

use super::*;

mod suite;

/// Bytes, then these words, then the token that ends an answer, then a control token.
const WORDS: &[&str] = &["true", "</think>", "</think>{", "\n\n", "{\"", "ab", "é", "99", "e99", "2e999"];
pub(crate) const END: u32 = 256 + 10;
pub(crate) const CONTROL: u32 = END + 1;

pub(crate) fn vocabulary() -> Arc<ConstraintVocabulary> {
    static SHARED: std::sync::OnceLock<Arc<ConstraintVocabulary>> = std::sync::OnceLock::new();
    let build = || Arc::new(ConstraintVocabulary::new(byte_words()).expect("a vocabulary"));
    Arc::clone(SHARED.get_or_init(build))
}

/// A small vocabulary whose tokenizer takes byte by byte.
pub(crate) fn byte_words() -> Words {
    let mut bytes: Vec<Vec<u8>> = (0..=255u8).map(|byte| vec![byte]).collect();
    bytes.extend(WORDS.iter().map(|word| word.as_bytes().to_vec()));
    bytes.extend([b"<end>".to_vec(), Vec::new()]);
    Words {
        bytes,
        control: [(CONTROL, b"<tool>".to_vec())].into(),
        ends: vec![END],
        tokenize: Box::new(|text| text.bytes().map(u32::from).collect()),
    }
}

pub(super) fn compiled(grammar: Grammar) -> Constraint {
    let restriction = Restriction { grammar, starts: Starts::AtOnce };
    Constraint::compile(&vocabulary(), &restriction).expect("compiles")
}

fn after(marker: &str) -> Constraint {
    let restriction = Restriction { grammar: Grammar::JsonObject, starts: Starts::After(marker.to_owned()) };
    Constraint::compile(&vocabulary(), &restriction).expect("compiles")
}

fn schema(schema: Value) -> Constraint {
    compiled(Grammar::JsonSchema(schema))
}

/// Takes a text byte by byte; tells where it was refused.
fn write(constraint: &mut Constraint, text: &str) -> Result<(), usize> {
    text.bytes().enumerate().try_for_each(|(at, byte)| {
        let allowed = constraint.mask().expect("a mask").is_none_or(|mask| mask.allows(u32::from(byte)));
        if allowed { constraint.accept(u32::from(byte)).map_err(|_| at) } else { Err(at) }
    })
}

pub(super) fn accepts(mut constraint: Constraint, text: &str) -> bool {
    write(&mut constraint, text).is_ok() && constraint.may_end()
}

#[test]
fn a_complete_text_allows_only_the_end() {
    let mut constraint = schema(json!({"type": "object", "properties": {"a": {"type": "boolean"}}, "required": ["a"],
        "additionalProperties": false}));
    assert_eq!(write(&mut constraint, r#"{"a":tru"#), Ok(()));
    assert!(!constraint.is_complete() && !constraint.may_end());
    assert_eq!(write(&mut constraint, "e}"), Ok(()));
    assert!(constraint.is_complete() && constraint.may_end());
    let mask = constraint.mask().expect("a mask").expect("begun");
    assert_eq!(mask.tokens().collect::<Vec<_>>(), [END]);
    assert_eq!((mask.count(), mask.allows(END), mask.allows(CONTROL), mask.allows(9999)), (1, true, false, false));
    assert_eq!(constraint.closing(""), "");
    assert_eq!(constraint.forced(), [] as [u32; 0]);
    assert_eq!(constraint.accept(END), Ok(()));
    assert_eq!(constraint.accept(b'x'.into()), Err(ConstraintError::Refused { token: b'x'.into() }));
}

#[test]
fn forced_tokens_are_not_accepted_yet() {
    let mut constraint =
        schema(json!({"type": "object", "properties": {"ab": {"enum": [true, false]}}, "required": ["ab"],
        "additionalProperties": false}));
    let forced = constraint.forced();
    let text: Vec<u8> = forced.iter().map(|&token| u8::try_from(token).expect("a byte")).collect();
    assert_eq!(String::from_utf8_lossy(&text), "{\"ab\":");
    assert_eq!(constraint.forced(), forced);
    for token in forced {
        assert_eq!(constraint.mask().expect("a mask").expect("begun").tokens().collect::<Vec<_>>(), [token]);
        assert_eq!(constraint.accept(token), Ok(()));
    }
    assert!(constraint.forced().is_empty());
}

#[test]
fn a_restriction_begins_after_its_marker() {
    let mut constraint = after("</think>");
    assert!(constraint.mask().expect("a mask").is_none() && constraint.forced().is_empty());
    assert!(constraint.may_end() && !constraint.is_complete());
    assert_eq!(constraint.closing("thinking"), "");
    assert_eq!(write(&mut constraint, "I think </thi"), Ok(()));
    assert_eq!(write(&mut constraint, "</thin"), Ok(()));
    assert!(constraint.mask().expect("a mask").is_none());
    assert_eq!(write(&mut constraint, "k>"), Ok(()));
    assert!(constraint.mask().expect("a mask").is_some() && !constraint.may_end());
    assert_eq!(write(&mut constraint, "\n"), Err(0));
    assert_eq!(write(&mut constraint, "{\"a\":"), Ok(()));
    assert_eq!(constraint.closing("I think </think>{\"a\":"), "\"\"}");
}

#[test]
fn text_after_the_marker_in_its_token_counts_when_it_fits() {
    let mut constraint = after("think>");
    assert_eq!(constraint.accept(258), Ok(()));
    assert_eq!(write(&mut constraint, "}"), Ok(()));
    assert!(constraint.is_complete());
    let mut constraint = after("</thi");
    assert_eq!(constraint.accept(257), Ok(()));
    assert_eq!(write(&mut constraint, "{}"), Ok(()), "'nk>' belongs to the marker");
    let mut constraint = after("<tool>");
    assert_eq!(constraint.accept(CONTROL), Ok(()));
    assert_eq!(write(&mut constraint, "{}"), Ok(()), "control tokens are markers by their text");
}

#[test]
fn clones_go_on_by_themselves() {
    let mut one = schema(json!({"enum": ["left", "right"]}));
    assert_eq!(write(&mut one, "\""), Ok(()));
    let mut two = one.clone();
    assert_eq!(write(&mut one, "left\""), Ok(()));
    let two_done =
        std::thread::spawn(move || (write(&mut two, "right\""), two.is_complete())).join().expect("a thread");
    assert_eq!((one.is_complete(), two_done), (true, (Ok(()), true)));
    assert!(!format!("{one:?}").contains("left"));
}

#[test]
fn expressions_choices_and_grammars_hold_as_a_whole() {
    for (grammar, right, wrong) in [
        (Grammar::Regex("[a-c]{2}".into()), "ab", "ad"),
        (Grammar::Regex("^\\d[\\w.]$".into()), "1.", "१."),
        (Grammar::Regex("^a/b\\$$".into()), "a/b$", "a/b"),
        (Grammar::Regex("^(é|x)+$".into()), "éx", "e"),
        (Grammar::Choice(vec!["yes".into(), "yes, but".into()]), "yes, but", "yes,"),
        (Grammar::Choice(vec!["yes".into(), "yes, but".into()]), "yes", "no"),
        (Grammar::Choice(vec!["a.b(c)*\n\"é\" /|\\".into()]), "a.b(c)*\n\"é\" /|\\", "axb"),
        (Grammar::Lark("start: \"a\" b\nb: /[0-9]+/".into()), "a17", "b"),
        (Grammar::JsonObject, r#"{"a":[1,{"b":null}]}"#, "[]"),
        (Grammar::JsonSchema(json!({})), "-1.5e3", "nul"),
    ] {
        assert!(accepts(compiled(grammar.clone()), right), "{grammar:?} {right}");
        assert!(!accepts(compiled(grammar.clone()), wrong), "{grammar:?} {wrong}");
    }
}

#[test]
fn grammars_that_can_not_be_used_say_why() {
    let brackets = "(".repeat(100);
    for (grammar, code) in [
        (Grammar::Regex("(".into()), "invalid_grammar"),
        (Grammar::Regex("a\\".into()), "invalid_grammar"),
        (Grammar::Regex(String::new()), "invalid_grammar"),
        (Grammar::Regex("^$".into()), "invalid_grammar"),
        (Grammar::Regex(format!("{brackets}a")), "grammar_too_complex"),
        (Grammar::Regex("(?=a)b".into()), "invalid_grammar"),
        (Grammar::Choice(Vec::new()), "invalid_grammar"),
        (Grammar::Choice(vec!["a".into(), String::new()]), "invalid_grammar"),
        (Grammar::Choice(vec!["a".into(); 1001]), "grammar_too_complex"),
        (Grammar::Regex("(a{1000}){100}".into()), "grammar_too_complex"),
        (Grammar::Lark("start: nothing".into()), "invalid_grammar"),
        (Grammar::Lark("start: start".into()), "invalid_grammar"),
        (Grammar::Lark("start: <|im_end|>".into()), "invalid_grammar"),
        (Grammar::Lark("start: %json {\"not\": {}}".into()), "unsupported_schema"),
        (Grammar::Lark("start: %json {\"not\"".into()), "invalid_grammar"),
        (Grammar::Lark("begin: \"a\"".into()), "invalid_grammar"),
        (Grammar::Lark("root ::= \"a\"".into()), "invalid_grammar"),
        (Grammar::Lark(" ".repeat(70_000)), "grammar_too_complex"),
        (Grammar::JsonSchema(json!({"type": "string", "minLength": 3, "maxLength": 2})), "invalid_schema"),
    ] {
        let restriction = Restriction { grammar, starts: Starts::AtOnce };
        let error = Constraint::compile(&vocabulary(), &restriction).expect_err(&format!("{restriction:?}"));
        assert_eq!(error.code, code, "{restriction:?}: {error}");
        assert!(
            !error.message.contains("state>") && !error.message.contains("panic") && !error.message.contains('\n'),
            "{error}"
        );
    }
    let error = GrammarError::new("[1]", "invalid_grammar", "x").under("guided_choice");
    assert_eq!(error.to_string(), "'guided_choice[1]': x");
    let error = GrammarError::new("", "invalid_grammar", "x").under("guided_regex");
    assert_eq!(error.path.as_deref(), Some("guided_regex"));
}

#[test]
fn a_cut_answer_is_closed_by_the_grammar() {
    let person = json!({
        "type": "object",
        "properties": {
            "name": {"type": "string", "minLength": 2},
            "mail": {"type": "string", "pattern": "^[a-z]+@[a-z]+\\.org$"},
            "born": {"type": "string", "format": "date"},
            "tags": {"type": "array", "items": {"enum": ["red", "blue"]}, "minItems": 2},
            "age": {"type": "integer", "minimum": 10, "maximum": 99},
        },
        "required": ["name", "mail", "born", "tags", "age"],
        "additionalProperties": false,
    });
    let whole = r#"{"name":"Änne","mail":"a@b.org","born":"2001-02-03","tags":["red","blue"],"age":12}"#;
    let validator = jsonschema::validator_for(&person).expect("a schema");
    for at in 0..whole.len() {
        let mut constraint = schema(person.clone());
        for &byte in &whole.as_bytes()[..at] {
            constraint.accept(byte.into()).expect("allowed");
        }
        let shown = String::from_utf8_lossy(&whole.as_bytes()[..at]);
        for text in [shown.as_ref(), shown.trim_end_matches('\u{fffd}')] {
            let closed = format!("{text}{}", constraint.closing(text));
            let value: Value = serde_json::from_str(&closed).unwrap_or_else(|error| panic!("{error}: {closed}"));
            assert!(validator.is_valid(&value), "{closed}");
        }
    }
}

#[test]
fn other_languages_are_closed_when_an_end_is_near() {
    for (grammar, text, closing) in [
        (Grammar::Choice(vec!["maybe".into(), "never".into()]), "ma", Some("ybe")),
        (Grammar::Regex("[a-z]+@x".into()), "", None),
        (Grammar::Regex("a*".into()), "aa", Some("")),
        (Grammar::Regex("a{5000}b".into()), "a", Some("")),
    ] {
        let mut constraint = compiled(grammar.clone());
        assert_eq!(write(&mut constraint, text), Ok(()));
        let found = constraint.closing(text);
        assert!(closing.is_none_or(|closing| closing == found), "{grammar:?}: {found:?}");
        if closing.is_none() {
            assert!(accepts(compiled(grammar), &format!("{text}{found}")), "{found}");
        }
    }
}
