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
