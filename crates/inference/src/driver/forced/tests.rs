use futures_util::FutureExt as _;
use lla_protocol::openai::{Sampling, Usage};

use super::*;

fn request(fields: Value) -> ChatRequest {
    let Value::Object(extra) = fields else { panic!("an object") };
    ChatRequest {
        model: "m".to_owned(),
        messages: vec![Message::text(Role::User, "Oslo?")],
        sampling: Sampling::default(),
        max_tokens: None,
        n: None,
        extra,
    }
}

fn tool(name: &str, parameters: &Value) -> Value {
    json!({"type": "function", "function": {"name": name, "description": format!("about {name}"), "parameters": parameters}})
}

fn weather() -> Value {
    let city = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
    json!([tool("weather", &city), tool("time", &city)])
}

fn named(name: &str) -> Value {
    json!({"type": "function", "function": {"name": name}})
}

fn forced(choice: &Value) -> Forced {
    let mut request = request(json!({"tools": weather(), "tool_choice": choice}));
    Forced::take(&mut request).expect("good").expect("forced")
}

#[test]
fn requests_that_leave_the_choice_to_the_model_stay_as_they_are() {
    let allowed = json!({"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [named("time")]}});
    for choice in [Value::Null, json!("auto"), json!("none"), allowed] {
        let mut asked = request(json!({"tools": weather(), "tool_choice": choice}));
        let before = asked.clone();
        assert!(Forced::take(&mut asked).expect("good").is_none(), "{choice}");
        assert_eq!(asked, before, "{choice}");
    }
    let error =
        Forced::take(&mut request(json!({"tools": weather(), "tool_choice": named("f")}))).expect_err("unknown");
    assert_eq!(error.param.as_deref(), Some("tool_choice.function.name"));
}

#[test]
fn a_forced_call_is_a_schema_and_an_instruction() {
    let form = json!({"type": "json_object"});
    let fields = json!({"tools": weather(), "tool_choice": named("time"), "parallel_tool_calls": true, "user": "u",
        "response_format": form, "guided_json": {}});
    let mut asked = request(fields);
    Forced::take(&mut asked).expect("good").expect("forced");
    let parameters = &weather()[1]["function"]["parameters"];
    let schema = json!({"name": "call", "strict": true, "schema": parameters});
    let expected = json!({"user": "u", "response_format": {"type": "json_schema", "json_schema": schema}});
    assert_eq!(Value::Object(asked.extra), expected);
    let said = |message: &Message| match &message.content {
        Content::Text(text) => text.clone(),
        other => panic!("{other:?}"),
    };
    let [system, user] = asked.messages.as_slice() else { panic!("{:?}", asked.messages) };
    assert_eq!((system.role, user.role, said(user)), (Role::System, Role::User, "Oslo?".to_owned()));
    assert!(said(system).contains(r#"{"name":"time","description":"about time""#), "{}", said(system));
    assert!(!said(system).contains("weather"), "{}", said(system));

    let mut asked = request(json!({"tools": weather(), "tool_choice": "required"}));
    asked.messages.insert(0, Message::text(Role::Developer, "Be brief."));
    Forced::take(&mut asked).expect("good").expect("forced");
    assert_eq!(asked.messages.len(), 2);
    assert!(said(&asked.messages[0]).starts_with("Be brief.\n\nCall one of these tools now:\n"));
}

#[test]
fn references_of_several_tools_still_find_their_targets() {
    let parameters = json!({"type": "object", "properties": {"a": {"$ref": "#/$defs/a"}, "b": {"items": [{"$ref": "#"}]}},
        "$defs": {"a": {"type": "string"}}});
    let tools = json!([tool("f", &parameters), tool("g", &parameters)]);
    let schema = Forced::take(&mut request(json!({"tools": tools, "tool_choice": "required"})));
    let schema = schema.expect("good").expect("forced").schema();
    for index in 0..2 {
        let place = format!("/anyOf/{index}/properties/arguments");
        let arguments = schema.pointer(&place).expect("arguments");
        let target = arguments["properties"]["a"]["$ref"].as_str().expect("a reference");
        assert_eq!(schema.pointer(&target[1..]), Some(&json!({"type": "string"})), "{target}");
        assert_eq!(arguments["properties"]["b"]["items"][0]["$ref"], format!("#{place}"));
    }
}

fn read(forced: Forced, events: Vec<Result<Event, Error>>) -> Vec<Result<Event, Error>> {
    let calls = forced.calls("box", Box::pin(stream::iter(events)));
    calls.collect::<Vec<_>>().now_or_never().expect("at once")
}

/// The calls, texts and reasons that come of a written text.
fn outcome(choice: &Value, text: &str, reason: FinishReason) -> Result<Value, Error> {
    let (one, other) = text.split_at(text.len() / 2);
    let written = vec![Ok(Event::text(3, one)), Ok(Event::text(3, other)), Ok(Event::Finish { index: 3, reason })];
    let mut said = Vec::new();
    for event in read(forced(choice), written) {
        said.push(match event? {
            Event::Delta(Delta { index: 3, text, extra, .. }) => match extra.get("tool_calls") {
                Some(calls) => json!([calls[0]["function"]["name"], calls[0]["function"]["arguments"]]),
                None => text.into(),
            },
            Event::Finish { index: 3, reason } => serde_json::to_value(reason).expect("a word"),
            other => panic!("{other:?}"),
        });
    }
    Ok(said.into())
}

#[test]
fn what_was_written_becomes_the_call() {
    use FinishReason::{Length, Stop};
    let (one, any) = (named("time"), json!("required"));
    for (choice, text, reason, expected) in [
        (&one, " {\"city\": \"Oslo\"}\n", Stop, Some(json!([["time", "{\"city\": \"Oslo\"}"], "stop"]))),
        (
            &any,
            r#"{"name": "weather", "arguments": {"x": 1e400}}"#,
            Stop,
            None, // No JSON number.
        ),
        (
            &any,
            r#"{"arguments": {"city": "Oslo"}, "name": "weather"}"#,
            Stop,
            Some(json!([["weather", r#"{"city": "Oslo"}"#], "tool_calls"])),
        ),
        (&one, r#"{"city": "Os"#, Length, Some(json!([["time", r#"{"city": "Os"#], "length"]))),
        (&any, r#"{"name": "weather", "arg"#, Length, Some(json!([r#"{"name": "weather", "arg"#, "length"]))),
        (&one, "It is sunny.", Stop, None),
        (&one, "[1]", Stop, None),
        (&any, r#"{"name": "f", "arguments": {}}"#, Stop, None),
        (&any, r#"{"name": "time", "arguments": 5}"#, Stop, None),
        (&any, "", Stop, None),
    ] {
        let found = outcome(choice, text, reason);
        match expected {
            Some(expected) => assert_eq!(found.expect(text), expected, "{text}"),
            None => assert!(matches!(found, Err(Error::Upstream { .. })), "{text}: {found:?}"),
        }
    }
}

#[test]
fn everything_else_passes() {
    let thought = Delta { extra: Map::from_iter([("reasoning_content".to_owned(), "hm".into())]), ..Delta::default() };
    let usage = Event::Usage(Usage::new(1, 2));
    let events = vec![
        Ok(Event::Progress("loading".to_owned())),
        Ok(Event::Delta(thought.clone())),
        Ok(Event::text(0, "{}")),
        Ok(Event::Finish { index: 0, reason: FinishReason::Stop }),
        Ok(usage.clone()),
    ];
    let read: Vec<Event> = read(forced(&named("time")), events).into_iter().map(|event| event.expect("good")).collect();
    assert_eq!(read[..2], [Event::Progress("loading".to_owned()), Event::Delta(thought)]);
    assert_eq!(read[3..], [Event::Finish { index: 0, reason: FinishReason::Stop }, usage]);
}

#[test]
fn nothing_comes_after_an_error() {
    let finish = |index| Ok(Event::Finish { index, reason: FinishReason::Stop });
    let events = vec![Ok(Event::text(0, "no call")), finish(0), Ok(Event::text(1, "{}")), finish(1)];
    let read = read(forced(&named("time")), events);
    assert!(matches!(read.as_slice(), [Err(Error::Upstream { .. })]), "{read:?}");
}
