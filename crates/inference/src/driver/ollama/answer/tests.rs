use serde_json::json;

use super::*;
use crate::ErrorKind;

fn read(shape: Shape, lines: &[Value]) -> Result<Vec<Event>, Error> {
    let mut assembly = Assembly::new("b", 0, shape);
    let mut events = Vec::new();
    for line in lines {
        let mut piece: Piece = serde_json::from_value(line.clone()).expect("a piece");
        if assembly.take(&mut piece, &mut events)?.is_some() {
            events.push(assembly.finish(piece.done_reason.as_deref())?);
        }
    }
    Ok(events)
}

const CHAT: Shape = Shape::Chat { one_call: false };

fn extra(name: &str, value: Value) -> Event {
    Event::Delta(Delta { extra: Map::from_iter([(name.to_owned(), value)]), ..Delta::default() })
}

fn finish(reason: FinishReason) -> Event {
    Event::Finish { index: 0, reason }
}

#[test]
fn texts_and_thoughts() {
    let events = read(
        CHAT,
        &[
            json!({"message": {"role": "assistant", "content": "", "thinking": "hm"}, "done": false}),
            json!({"message": {"role": "assistant", "content": "a"}, "done": false}),
            json!({"message": {"role": "assistant", "content": "b"}, "done": true, "done_reason": "stop"}),
        ],
    );
    let expected = vec![
        extra("reasoning_content", json!("hm")),
        Event::text(0, "a"),
        Event::text(0, "b"),
        finish(FinishReason::Stop),
    ];
    assert_eq!(events, Ok(expected));
    let text = json!({"response": "x", "thinking": "", "done": true, "done_reason": "length"});
    let events = read(Shape::Completion { top: false }, &[text]);
    assert_eq!(events, Ok(vec![Event::text(0, "x"), finish(FinishReason::Length)]));
}

#[test]
fn calls_become_deltas_of_openai() {
    let call = |id: Option<&str>, name: &str| {
        let mut call = json!({"function": {"index": 0, "name": name, "arguments": {"z": 1, "a": [true]}}});
        if let Some(id) = id {
            call["id"] = id.into();
        }
        call
    };
    let lines = [
        json!({"message": {"content": "", "tool_calls": [call(Some("call_1"), "f"), call(None, "g")]}, "done": false}),
        json!({"message": {"content": "", "tool_calls": [call(Some("call_3"), "h")]}, "done": false}),
        json!({"message": {"content": ""}, "done": true, "done_reason": "stop"}),
    ];
    let events = read(CHAT, &lines).expect("whole");
    let calls: Vec<Value> = events[..3]
        .iter()
        .map(|event| match event {
            Event::Delta(delta) => delta.extra["tool_calls"][0].clone(),
            other => panic!("{other:?}"),
        })
        .collect();
    let function = json!({"name": "f", "arguments": r#"{"z":1,"a":[true]}"#});
    assert_eq!(calls[0], json!({"index": 0, "id": "call_1", "type": "function", "function": function}));
    assert!(calls[1]["id"].as_str().expect("id").starts_with("call_"), "older versions give none");
    assert_eq!((&calls[1]["index"], &calls[2]["index"]), (&json!(1), &json!(2)));
    assert_eq!(events[3..], [finish(FinishReason::ToolCalls)]);
    assert_eq!(read(Shape::Chat { one_call: true }, &lines).expect("whole").len(), 2);
}

#[test]
fn log_probabilities_have_the_shape_of_their_api() {
    let token = |token: &str, logprob: f64| json!({"token": token, "logprob": logprob, "bytes": token.as_bytes()});
    let mut first = token("é", -0.5);
    first["top_logprobs"] = json!([token("é", -0.5), token("e", -1.5)]);
    let last = json!({"token": "", "logprob": -2.0});
    let line = |text: &str, tokens: Value| json!({"message": {"content": text}, "response": text, "logprobs": tokens});
    let lines = [line("é", json!([first])), line("x", json!([token("x", -1.0), last]))];
    let chat = read(CHAT, &lines).expect("good");
    let Event::Delta(delta) = &chat[0] else { panic!("{chat:?}") };
    let top =
        json!([{"token": "é", "logprob": -0.5, "bytes": [195, 169]}, {"token": "e", "logprob": -1.5, "bytes": [101]}]);
    let content = json!([{"token": "é", "logprob": -0.5, "bytes": [195, 169], "top_logprobs": top}]);
    assert_eq!(delta.logprobs, Some(json!({"content": content, "refusal": null})));
    let completion = read(Shape::Completion { top: true }, &lines).expect("good");
    let [Event::Delta(first), Event::Delta(second)] = &completion[..] else { panic!("{completion:?}") };
    let expected = json!({"tokens": ["é"], "token_logprobs": [-0.5], "top_logprobs": [{"é": -0.5, "e": -1.5}], "text_offset": [0]});
    assert_eq!(first.logprobs, Some(expected));
    let expected = json!({"tokens": ["x", ""], "token_logprobs": [-1.0, -2.0], "top_logprobs": [{"x": -1.0}, {"": -2.0}],
        "text_offset": [1, 2]});
    assert_eq!(second.logprobs, Some(expected));
}

#[test]
fn what_is_no_answer_is_an_error() {
    for (line, part) in [
        (json!({"error": "model runner has unexpectedly stopped"}), "unexpectedly"),
        (json!({"message": {"content": ""}, "done": true, "done_reason": "load"}), "'load'"),
        (json!({"message": {"content": ""}, "done": true, "done_reason": "unload"}), "'unload'"),
    ] {
        let error = read(CHAT, &[line]).expect_err(part);
        assert_eq!(error.kind(), ErrorKind::Upstream);
        assert!(error.to_string().contains(part), "{error}");
    }
}
