//! Forced calls in the formats with tags.

use super::*;
use crate::constraint::Constraint;
use crate::constraint::tests::CONTROL;

/// What a forced call may look like in the formats with tags.
#[test]
fn tagged_calls_are_held_to_the_schema() {
    let schema = json!({
        "type": "object", "required": ["zone", "count"],
        "properties": {
            "zone": {"type": "string"},
            "unit": {"enum": ["s", "sec"]},
            "count": {"$ref": "#/$defs/count"},
            "list": {"type": "array", "items": {"type": "boolean"}},
            "either": {"type": ["string", "integer"]},
        },
        "$defs": {"count": {"type": "integer", "minimum": 1, "maximum": 20}},
    });
    let function = |name: &str| json!({"type": "function", "function": {"name": name, "parameters": schema}});
    let mut rest = json!({"tools": [function("now"), function("now_or_never")], "tool_choice": "required"});
    let tools = Tools::take(rest.as_object_mut().expect("object")).expect("tools");
    for family in [Family::QwenTags, Family::GlmTags] {
        let restriction = restriction(&format(family, &[]), &tools, false, None).expect("restricted");
        let constraint = Constraint::compile(&vocabulary(), &restriction).expect("compiles");
        let write = |name: &str, parameters: &[(&str, &str)]| match family {
            Family::QwenTags => {
                let parameter = |(key, value): &(&str, &str)| format!("<parameter={key}>\n{value}\n</parameter>\n");
                let parameters: String = parameters.iter().map(parameter).collect();
                format!("<tool_call>\n<function={name}>\n{parameters}</function>\n</tool_call>")
            }
            _ => {
                let parameter =
                    |(key, value): &(&str, &str)| format!("<arg_key>{key}</arg_key>\n<arg_value>{value}</arg_value>\n");
                let parameters: String = parameters.iter().map(parameter).collect();
                format!("<tool_call>{name}\n{parameters}</tool_call>")
            }
        };
        let accepts = |text: &str| {
            let mut constraint = constraint.clone();
            text.bytes().all(|byte| constraint.accept(byte.into()).is_ok()) && constraint.may_end()
        };
        for (right, parameters) in [
            (true, &[("zone", "a <b>\n\nc </par"), ("count", "7")][..]),
            (true, &[("zone", ""), ("unit", "s"), ("count", "20"), ("list", "[true, false]"), ("either", "x")]),
            (true, &[("zone", "UTC"), ("unit", "sec"), ("count", "1")]),
            (false, &[("zone", "UTC")]),
            (false, &[("count", "7"), ("zone", "UTC")]),
            (false, &[("zone", "UTC"), ("count", "21")]),
            (false, &[("zone", "UTC"), ("unit", "h"), ("count", "1")]),
            (false, &[("zone", "UTC"), ("count", "1"), ("list", "[1]")]),
            (false, &[("zone", "UTC"), ("count", "1"), ("more", "1")]),
        ] {
            for name in ["now", "now_or_never"] {
                assert_eq!(accepts(&write(name, parameters)), right, "{family:?} {name} {parameters:?}");
            }
            assert!(!accepts(&write("never", parameters)));
            let two = [write("now", parameters), write("now_or_never", parameters)].join("\n");
            assert_eq!(accepts(&two), right, "{two}");
            if right {
                let format = format(family, &[]);
                let reading = Reading::new(&format, &tools, false, false).expect("calls");
                let whole = read(reading, &[&two], FinishReason::Stop).expect("read");
                assert_eq!(whole.calls.len(), 2, "{two}");
                let arguments: Value = serde_json::from_str(&whole.calls[1].2).expect("JSON");
                let validator = jsonschema::validator_for(&schema).expect("a schema");
                assert!(validator.is_valid(&arguments), "{arguments}");
                assert_eq!(arguments["zone"], parameters[0].1);
            }
        }
    }
}

/// Tags that are tokens of their own are asked for by their ids.
#[test]
fn tags_may_be_control_tokens() {
    let required = tools(&json!("required"), false, true);
    let tokens = &[("<arg_value>", CONTROL)];
    let restriction = restriction(&format(Family::GlmTags, tokens), &required, false, None).expect("restricted");
    let mut constraint = Constraint::compile(&vocabulary(), &restriction).expect("compiles");
    let mut write = |text: &str| text.bytes().all(|byte| constraint.accept(byte.into()).is_ok());
    assert!(write("<tool_call>now\n<arg_key>zone</arg_key>\n"));
    assert_eq!(constraint.accept(CONTROL), Ok(()));
    let mut write = |text: &str| text.bytes().all(|byte| constraint.accept(byte.into()).is_ok());
    assert!(write("UTC</arg_value>\n</tool_call>"));
    assert!(constraint.may_end());
}

/// A strict schema with texts of which not all will do.
fn texts() -> Tools {
    let schema = json!({
        "type": "object", "required": ["code", "day", "kind"],
        "properties": {
            "code": {"type": "string", "pattern": "^[A-Z]+/[0-9]", "maxLength": 6},
            "day": {"type": "string", "format": "date"},
            "kind": {"enum": ["a b", 1, null]},
            "note": {"type": ["string", "null"]},
        },
    });
    let schema = crate::constraint::prepare_schema(&schema).expect("supported");
    crate::tool_calls::check_parameters(&format(Family::QwenTags, &[]), &schema).expect("can be held");
    let function = json!({"type": "function", "function": {"name": "now", "parameters": schema}});
    let mut rest = json!({"tools": [function], "tool_choice": "required", "parallel_tool_calls": false});
    Tools::take(rest.as_object_mut().expect("object")).expect("tools")
}

fn written(family: Family, parameters: &[(&str, &str)]) -> String {
    let parameter = |(key, value): &(&str, &str)| match family {
        Family::QwenTags => format!("<parameter={key}>\n{value}\n</parameter>\n"),
        _ => format!("<arg_key>{key}</arg_key>\n<arg_value>{value}</arg_value>\n"),
    };
    let parameters: String = parameters.iter().map(parameter).collect();
    match family {
        Family::QwenTags => format!("<tool_call>\n<function=now>\n{parameters}</function>\n</tool_call>"),
        _ => format!("<tool_call>now\n{parameters}</tool_call>"),
    }
}

#[test]
fn texts_are_held_to_lengths_and_patterns() {
    let tools = texts();
    for family in [Family::QwenTags, Family::GlmTags] {
        let restriction = restriction(&format(family, &[]), &tools, false, None).expect("restricted");
        let constraint = Constraint::compile(&vocabulary(), &restriction).expect("compiles");
        let accepts = |code: &str, day: &str, kind: &str| {
            let mut constraint = constraint.clone();
            let text = written(family, &[("code", code), ("day", day), ("kind", kind), ("note", "x")]);
            text.bytes().all(|byte| constraint.accept(byte.into()).is_ok()) && constraint.may_end()
        };
        for (right, code, day, kind) in [
            (true, "A/1", "2024-02-29", "a b"),
            (true, "AB/1\n<", "2024-02-29", "1"),
            (true, "A/1é€x", "2024-02-29", "null"),
            (false, "A/1éé€xx", "2024-02-29", "a b"),
            (false, "a/1", "2024-02-29", "a b"),
            (false, "A/", "2024-02-29", "a b"),
            (false, "A/1", "2023-02-29", "a b"),
            (false, "A/1", "2024-02-29", "2"),
            (false, "A/1", "", "a b"),
        ] {
            assert_eq!(accepts(code, day, kind), right, "{family:?} {code:?} {day} {kind}");
        }
    }
}

/// Where the arguments were cut, what is appended makes them whole.
#[test]
fn a_call_that_was_cut_has_arguments_that_parse() {
    let tools = texts();
    let arguments = [("code", "AB/1"), ("day", "2024-02-29"), ("kind", "a b"), ("note", "so far")];
    for family in [Family::QwenTags, Family::GlmTags] {
        let restriction = restriction(&format(family, &[]), &tools, false, None).expect("restricted");
        let constraint = Constraint::compile(&vocabulary(), &restriction).expect("compiles");
        let constraint = constraint.ended_by(family.value_end());
        let whole = written(family, &arguments);
        for at in 1..whole.len() {
            let mut constraint = constraint.clone();
            assert!(whole.bytes().take(at).all(|byte| constraint.accept(byte.into()).is_ok()));
            let text = format!("{}{}", &whole[..at], constraint.closing(""));
            let format = format(family, &[]);
            let reading = Reading::new(&format, &tools, false, false).expect("calls");
            let read = read(reading, &[&text], FinishReason::Length).expect("read");
            let call = read.calls.first().unwrap_or_else(|| panic!("no call: {family:?} {text}"));
            let arguments: Value = serde_json::from_str(&call.2).unwrap_or_else(|_| panic!("{text}"));
            let validator = jsonschema::validator_for(&tools.tools[0].schema()).expect("a schema");
            assert!(validator.is_valid(&arguments), "{family:?} {text}: {arguments}");
        }
    }
}
