//! Calls, or else an answer of a form that was asked for: as a grammar, and read.

use super::*;
use crate::constraint::tests::END;
use crate::constraint::{Constraint, Restriction};

const FAMILIES: [Family; 8] = [
    Family::Hermes,
    Family::Llama3,
    Family::Mistral,
    Family::MistralArgs,
    Family::DeepSeek,
    Family::QwenTags,
    Family::GlmTags,
    Family::Generic,
];

/// A call of `now` as a model of the family writes it.
fn call(family: Family) -> &'static str {
    match family {
        Family::Hermes => "<tool_call>\n{\"name\": \"now\", \"arguments\": {\"zone\": \"UTC\"}}\n</tool_call>",
        Family::Llama3 => "{\"name\": \"now\", \"parameters\": {\"zone\": \"UTC\"}}",
        Family::Mistral => "[TOOL_CALLS][{\"name\": \"now\", \"arguments\": {\"zone\": \"UTC\"}}]",
        Family::MistralArgs => "[TOOL_CALLS]now[ARGS]{\"zone\": \"UTC\"}",
        Family::DeepSeek => {
            "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>now<｜tool▁sep｜>{\"zone\": \"UTC\"}<｜tool▁call▁end｜><｜tool▁calls▁end｜>"
        }
        Family::QwenTags => {
            "<tool_call>\n<function=now>\n<parameter=zone>\nUTC\n</parameter>\n</function>\n</tool_call>"
        }
        Family::GlmTags => "<tool_call>now\n<arg_key>zone</arg_key>\n<arg_value>UTC</arg_value>\n</tool_call>",
        Family::Generic => "{\"name\": \"now\", \"arguments\": {\"zone\": \"UTC\"}}",
    }
}

fn either(family: Family, answer: &Grammar, open: bool) -> Restriction {
    let tools = tools(&json!("auto"), true, true);
    restriction(&format(family, &[]), &tools, open, Some(answer)).expect("restricted")
}

/// As the server makes it, from the beginning of the restriction on.
fn compiled(family: Family, answer: &Grammar, open: bool) -> Constraint {
    let at_once = |grammar| {
        Constraint::compile(&vocabulary(), &Restriction { grammar, starts: Starts::AtOnce }).expect("compiles")
    };
    at_once(either(family, answer, open).grammar).closed_as(&at_once(answer.clone()))
}

fn write(constraint: &mut Constraint, text: &str) -> Result<(), usize> {
    text.bytes().enumerate().try_for_each(|(at, byte)| constraint.accept(byte.into()).map_err(|_| at))
}

fn accepts(constraint: &Constraint, text: &str) -> bool {
    let mut constraint = constraint.clone();
    write(&mut constraint, text).is_ok() && constraint.may_end() && constraint.accept(END).is_ok()
}

fn weather() -> Value {
    json!({"type": "object", "properties": {"name": {"type": "string"}, "degrees": {"type": "integer"}},
        "required": ["name", "degrees"], "additionalProperties": false})
}

#[test]
fn the_answer_stands_beside_the_calls() {
    let answer = Grammar::JsonSchema(weather());
    for (family, start) in [
        (Family::Hermes, "start: (@answer | \"<tool_call>\" \"\\n\" call \"\\n\" \"</tool_call>\" ("),
        (Family::Mistral, "start: (@answer | \"[TOOL_CALLS]\" \"[\" call"),
        (Family::Llama3, "start: (@answer | call)\n"),
    ] {
        let Grammar::CallsOr { calls, answer: beside } = either(family, &answer, false).grammar else {
            panic!("either")
        };
        assert!(calls.starts_with(start), "{calls}");
        assert_eq!(*beside, answer);
    }
    let restriction = either(Family::Generic, &answer, true);
    assert_eq!(restriction.starts, Starts::After("</think>".to_owned()));
    let Grammar::CallsOr { calls, .. } = restriction.grammar else { panic!("either") };
    assert!(calls.starts_with("start: LEAD? (@answer | call)\n"), "{calls}");
    assert!(calls.contains("\ncall_0: \"{\" \"\\\"name\\\"\" \": \" \"\\\"now\\\", "), "{calls}");
    let forced = restriction_of("required");
    assert!(matches!(forced.expect("restricted").grammar, Grammar::Lark(_)), "a forced call leaves no choice");
    assert_eq!(restriction_of("none"), None);
}

fn restriction_of(choice: &str) -> Option<Restriction> {
    let answer = Grammar::JsonSchema(weather());
    restriction(&format(Family::Hermes, &[]), &tools(&json!(choice), true, true), false, Some(&answer))
}

#[test]
fn every_family_may_call_or_answer_as_asked() {
    let answers = [
        (Grammar::JsonSchema(weather()), r#"{"name":"Rome","degrees":-3}"#),
        (Grammar::JsonSchema(weather()), r#"{"name":"now","degrees":1}"#),
        (Grammar::JsonSchema(json!({"enum": ["a", 1]})), "1"),
        (Grammar::JsonObject, r#"{"name":"now","parameters":{}}"#),
        (Grammar::JsonObject, r#"{"a":[{"name":"now"}]}"#),
        (Grammar::Choice(vec!["yes".into(), "no".into()]), "no"),
        (Grammar::Regex("[a-z]+ [0-9]".into()), "abc 1"),
        (Grammar::Lark("start: call \"!\"\ncall: \"hey\" | \"you\"".into()), "you!"),
    ];
    for family in FAMILIES {
        for (answer, text) in &answers {
            for (open, before) in [(false, ""), (true, "\n\n"), (true, "")] {
                let constraint = compiled(family, answer, open);
                for right in [*text, call(family)] {
                    assert!(accepts(&constraint, &format!("{before}{right}")), "{family:?} {answer:?} {open} {right}");
                }
                let both = [format!("{text}{}", call(family)), format!("{}{text}", call(family))];
                for wrong in both.iter().map(String::as_str).chain(["", "Hello", "[TOOL_CALLS]", "<tool_call>1"]) {
                    assert!(!accepts(&constraint, wrong), "{family:?} {answer:?} {wrong}");
                }
            }
        }
        let strict = compiled(family, &answers[0].0, false);
        let wrong = call(family).replace("\"UTC\"", "1").replace("=zone", "=other").replace(">zone", ">other");
        assert!(!accepts(&strict, &wrong), "{family:?}: arguments of a strict tool");
    }
}

#[test]
fn what_was_cut_is_closed_as_an_answer_while_it_can_be_one() {
    let whole = r#"{"name":"Rome","degrees":12}"#;
    let validator = jsonschema::validator_for(&weather()).expect("a schema");
    for family in FAMILIES {
        for open in [false, true] {
            for at in 0..whole.len() {
                let mut constraint = compiled(family, &Grammar::JsonSchema(weather()), open);
                let text = format!("{}{}", if open { "\n" } else { "" }, &whole[..at]);
                assert_eq!(write(&mut constraint, &text), Ok(()));
                let closed = format!("{text}{}", constraint.closing(&text));
                let value: Value = serde_json::from_str(&closed).unwrap_or_else(|error| panic!("{error}: {closed}"));
                assert!(validator.is_valid(&value), "{family:?}: {closed}");
            }
            let (start, _) = call(family).split_once("UTC").expect("a zone");
            let mut constraint = compiled(family, &Grammar::JsonSchema(weather()), open);
            assert_eq!(write(&mut constraint, start), Ok(()));
            let closed = format!("{start}{}", constraint.closing(start));
            let whole =
                read(Reading { either: true, ..reading(family) }, &[&closed], FinishReason::Length).expect("read");
            let begun = (Some(FinishReason::Length), "");
            assert_eq!((whole.reason, whole.content.as_str()), begun, "{family:?}: {closed}");
            assert!(whole.calls[0].2.starts_with("{\"zone\": "), "{closed}");
        }
    }
}

#[test]
fn what_is_no_call_is_left_alone() {
    let now = |arguments: &str| vec![format!("now {arguments}")];
    for family in FAMILIES {
        let either = || Reading { either: true, ..reading(family) };
        for answer in [
            r#"{"name":"now","arguments":{}}"#,
            r#"{"name":"now","parameters":{"zone":"UTC"}}"#,
            "{\"a\":\"<tool_call>{} [TOOL_CALLS][] <｜tool▁call▁begin｜>now<｜tool▁sep｜>{}\"}",
            "[1,2]",
            "<other>",
        ] {
            let whole = read(either(), &[answer], FinishReason::Stop).expect("read");
            assert_eq!((whole.content.as_str(), whole.reason), (answer, Some(FinishReason::Stop)), "{family:?}");
        }
        let whole = read(either(), &[call(family)], FinishReason::Stop).expect("read");
        let wanted = (String::new(), now("{\"zone\": \"UTC\"}"));
        assert_eq!((summary(&whole), whole.reason), (wanted, Some(FinishReason::ToolCalls)), "{family:?}");
    }
}

/// A forced call that was cut anywhere still has arguments that parse, in the formats of JSON.
#[test]
fn a_forced_call_of_json_that_was_cut_is_closed() {
    for family in FAMILIES {
        for strict in [true, false] {
            let tools = tools(&json!("required"), strict, true);
            let format = format(family, &[]);
            let restriction = restriction(&format, &tools, false, None).expect("restricted");
            let constraint = Constraint::compile(&vocabulary(), &restriction).expect("compiles");
            let constraint = constraint.ended_by(family.value_end());
            let whole = call(family);
            for at in (1..whole.len()).filter(|&at| whole.is_char_boundary(at)) {
                let mut constraint = constraint.clone();
                assert_eq!(write(&mut constraint, &whole[..at]), Ok(()), "{family:?}");
                let text = format!("{}{}", &whole[..at], constraint.closing(""));
                let reading = Reading::new(&format, &tools, false, false).expect("calls");
                let read = read(reading, &[&text], FinishReason::Length).expect("read");
                let arguments = read.calls.first().map(|call| serde_json::from_str::<Value>(&call.2));
                assert!(arguments.is_some_and(|arguments| arguments.is_ok()), "{family:?} {text}");
            }
        }
    }
}
