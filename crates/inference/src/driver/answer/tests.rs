use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::ErrorKind;

fn assembly(choices: usize) -> Assembly {
    Assembly::new("b", Expected { choices, model: "m".to_owned() })
}

fn read(choices: usize, documents: &[Value]) -> Result<Vec<Event>, Error> {
    let mut assembly = assembly(choices);
    for document in documents {
        assembly.take(document.to_string().as_bytes())?;
    }
    assembly.end()?;
    Ok(assembly.ready.into_iter().collect())
}

fn stop(index: u32) -> Event {
    Event::Finish { index, reason: FinishReason::Stop }
}

#[test]
fn a_chat_stream_becomes_deltas_a_finish_and_one_usage() {
    let events = read(
        1,
        &[
            json!({"choices": [{"index": 0, "delta": {"role": "assistant", "content": "", "refusal": null}}]}),
            json!({"choices": [{"index": 0, "delta": {"content": "a"}, "logprobs": null}], "usage": null}),
            json!({"choices": [{"delta": {"tool_calls": [{"index": 0}]}}]}),
            json!({"choices": [{"delta": {}, "finish_reason": "stop"}],
                   "usage": {"prompt_tokens": 1, "completion_tokens": 1, "total_tokens": 2}}),
            json!({"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2, "total_tokens": 3}}),
        ],
    );
    let mut extra = Map::new();
    extra.insert("tool_calls".to_owned(), json!([{"index": 0}]));
    let tool_call = Event::Delta(Delta { extra, ..Delta::default() });
    assert_eq!(events, Ok(vec![Event::text(0, "a"), tool_call, stop(0), Event::Usage(Usage::new(1, 2))]));
}

#[test]
fn completions_and_whole_answers_are_read_too() {
    let completion = read(
        2,
        &[json!({"choices": [{"index": 1, "text": "b", "finish_reason": "stop"},
        {"index": 0, "text": "a", "finish_reason": "eos"}]})],
    );
    assert_eq!(completion, Ok(vec![Event::text(1, "b"), stop(1), Event::text(0, "a"), stop(0)]));
    let message = json!({"role": "assistant", "content": "a", "tool_calls": []});
    let whole = read(1, &[json!({"choices": [{"index": 0, "message": message, "finish_reason": "stop"}]})]);
    assert_eq!(whole, Ok(vec![Event::text(0, "a"), stop(0)]));
}

#[test]
fn an_answer_that_is_not_whole_is_an_error() {
    let choice = |index: u32, finish: Value| json!({"choices": [{"index": index, "delta": {"content": "a"}, "finish_reason": finish}]});
    let table: Vec<(usize, Vec<Value>, &str)> = vec![
        (1, vec![], "0 of 1"),
        (1, vec![choice(0, Value::Null)], "0 of 1"),
        (2, vec![choice(0, json!("stop"))], "1 of 2"),
        (1, vec![choice(0, json!("abort"))], "abort"),
        (1, vec![choice(1, Value::Null)], "not asked for"),
        (1, vec![choice(0, json!("stop")), choice(0, Value::Null)], "after its end"),
        (1, vec![json!([1])], "no chunk"),
        (1, vec![json!({"choices": [{"delta": {"content": 5}}]})], "no chunk"),
    ];
    for (choices, documents, part) in table {
        let error = read(choices, &documents).expect_err(part);
        assert_eq!(error.kind(), ErrorKind::Upstream);
        assert!(error.to_string().contains(part), "{error}");
    }
}

#[test]
fn an_error_in_the_stream_is_typed() {
    let error =
        read(1, &[json!({"error": {"message": "x", "type": "invalid_request_error", "param": "p", "code": "c"}})]);
    let (param, code) = (Some("p".to_owned()), Some("c".to_owned()));
    assert_eq!(error, Err(Error::InvalidRequest { message: "x".to_owned(), param, code }));
}

#[test]
fn usage_of_another_shape_is_left_out() {
    let events =
        read(1, &[json!({"choices": [{"text": "", "finish_reason": "length"}], "usage": {"prompt_tokens": null}})]);
    assert_eq!(events, Ok(vec![Event::Finish { index: 0, reason: FinishReason::Length }]));
}

/// Chunks of every kind that a careless server might send, right or wrong.
fn any_document() -> impl Strategy<Value = Value> {
    let text = prop::sample::select(vec![json!(null), json!(""), json!("a"), json!(5)]);
    let finish = prop::sample::select(vec![json!(null), json!("stop"), json!("abort"), json!("length")]);
    let usage = prop::sample::select(vec![json!(null), json!({}), json!({"prompt_tokens": 1, "total_tokens": 1})]);
    (0..3_u32, text, finish, usage, any::<bool>()).prop_map(|(index, text, finish, usage, chat)| {
        let mut choice = json!({"index": index, "finish_reason": finish});
        if chat {
            choice["delta"] = json!({"content": text});
        } else {
            choice["text"] = text;
        }
        json!({"choices": [choice], "usage": usage})
    })
}

proptest! {
    #[test]
    fn whatever_a_server_sends_the_contract_holds(documents in prop::collection::vec(any_document(), 0..12)) {
        let Ok(events) = read(2, &documents) else { return Ok(()) };
        let mut finished = Vec::new();
        for (position, event) in events.iter().enumerate() {
            match event {
                Event::Delta(delta) => prop_assert!(!finished.contains(&delta.index)),
                Event::Finish { index, .. } => {
                    prop_assert!(!finished.contains(index));
                    finished.push(*index);
                }
                Event::Usage(_) => prop_assert_eq!(position + 1, events.len()),
                Event::Progress(_) => prop_assert!(false, "no server of this kind tells of progress"),
            }
        }
        prop_assert_eq!(finished.len(), 2);
    }

    #[test]
    fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        drop(assembly(1).take(&bytes));
        drop(failure::read_envelope(&bytes));
    }
}
