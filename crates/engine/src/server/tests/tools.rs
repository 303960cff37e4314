//! Tools and reasoning, from the request to the bytes of the answer.

use serde_json::json;

use super::*;
use crate::constraint::{Grammar, Starts};

const HERMES: &str = "{% if tools %}<tool_call>{\"name\": x, \"arguments\": y}{% endif %}system";
const THINKER: &str = "{% if enable_thinking %}<think>{% endif %}system";
const CALL: &[&str] =
    &["I loo", "k.\n<tool", "_call>\n{\"name\": \"now\", \"argu", "ments\": {\"zone\": \"U", "TC\"}}\n</tool_call>"];

fn tools(extra: &Value) -> Value {
    let zone = json!({"type": "object", "properties": {"zone": {"type": "string"}}, "required": ["zone"]});
    let function = json!({"name": "now", "description": "The time.", "parameters": zone});
    let mut body = json!({"tools": [{"type": "function", "function": function}]});
    body.as_object_mut().expect("object").extend(extra.as_object().expect("object").clone());
    body
}

#[tokio::test]
async fn a_call_is_answered_whole() {
    let (server, engine) = served_as(Behaviour::Say(CALL), HERMES).await;
    let body = server.post("/v1/chat/completions", &chat_body(&tools(&json!({})))).await.json();
    let choice = &body["choices"][0];
    assert_eq!((&choice["finish_reason"], &choice["message"]["content"]), (&json!("tool_calls"), &json!("I look.")));
    let call = &choice["message"]["tool_calls"][0];
    assert!(call["id"].as_str().expect("id").starts_with("call_"), "{call}");
    assert_eq!((&call["type"], call.get("index")), (&json!("function"), None));
    assert_eq!(call["function"], json!({"name": "now", "arguments": "{\"zone\": \"UTC\"}"}));
    assert_eq!(engine.rendered.lock().expect("lock")["tools"][0]["function"]["name"], "now");
    assert!(engine.compiled.lock().expect("lock").is_empty(), "the model chooses");
}

#[tokio::test]
async fn a_call_is_streamed_piece_by_piece() {
    let (server, _engine) = served_as(Behaviour::Say(CALL), HERMES).await;
    let events = server.post("/v1/chat/completions", &chat_body(&tools(&json!({"stream": true})))).await.events();
    let deltas: Vec<_> = events[..events.len() - 1].iter().map(|event| event["choices"][0]["delta"].clone()).collect();
    let id = &deltas[3]["tool_calls"][0]["id"];
    let start = json!({"index": 0, "id": id, "type": "function", "function": {"name": "now", "arguments": ""}});
    let more = |text: &str| json!({"tool_calls": [{"index": 0, "function": {"arguments": text}}]});
    assert_eq!(
        deltas,
        [
            json!({"role": "assistant", "content": ""}),
            json!({"content": "I loo"}),
            json!({"content": "k."}),
            json!({"tool_calls": [start]}),
            more("{\"zone\": \"U"),
            more("TC\"}"),
            json!({}),
        ]
    );
    assert_eq!(events[deltas.len() - 1]["choices"][0]["finish_reason"], "tool_calls");
}

#[tokio::test]
async fn forced_calls_are_restricted_and_must_come() {
    let (server, engine) = served_as(Behaviour::Say(CALL), HERMES).await;
    let named = json!({"tool_choice": {"type": "function", "function": {"name": "now"}}});
    let body = server.post("/v1/chat/completions", &chat_body(&tools(&named))).await.json();
    assert_eq!(body["choices"][0]["finish_reason"], "stop", "as OpenAI for a named function");
    let restriction = engine.compiled.lock().expect("lock").pop().expect("restricted");
    assert!(matches!(restriction.grammar, Grammar::Lark(_)));
    assert_eq!(restriction.starts, Starts::AtOnce);

    let (server, _engine) = served_as(Behaviour::Say(&["No ", "thanks."]), HERMES).await;
    let required = chat_body(&tools(&json!({"tool_choice": "required"})));
    let answer = server.post("/v1/chat/completions", &required).await;
    let error = error_of(&answer);
    assert_eq!(
        (answer.status, &error["code"], &error["type"]),
        (500, &json!("tool_call_invalid"), &json!("model_error"))
    );
    assert!(!answer.body.contains("thanks"), "{}", answer.body);
    let required = chat_body(&tools(&json!({"tool_choice": "required", "stream": true})));
    let events = server.post("/v1/chat/completions", &required).await.events();
    assert_eq!(events.last().expect("an event")["error"]["code"], "tool_call_invalid");
}

#[tokio::test]
async fn tools_and_a_form_of_the_answer_leave_both_open() {
    let schema = json!({"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]});
    let format = json!({"type": "json_schema", "json_schema": {"name": "x", "schema": schema}});
    let request = chat_body(&tools(&json!({"response_format": format})));
    let said: &[&str] = &["{\"city\":", "\"<tool_call>\"}"];
    let (server, engine) = served_as(Behaviour::Say(said), HERMES).await;
    let choice = server.post("/v1/chat/completions", &request).await.json()["choices"][0].clone();
    assert_eq!((&choice["message"]["content"], &choice["finish_reason"]), (&json!(said.concat()), &json!("stop")));
    let compiled = std::mem::take(&mut *engine.compiled.lock().expect("lock"));
    assert!(matches!(compiled.last().expect("restricted").grammar, Grammar::CallsOr { .. }), "{compiled:?}");

    let call: &[&str] = &["<tool_call>\n{\"name\": \"now\", \"argu", "ments\": {\"zone\": \"UTC\"}}\n</tool_call>"];
    let (server, _engine) = served_as(Behaviour::Say(call), HERMES).await;
    let choice = server.post("/v1/chat/completions", &request).await.json()["choices"][0].clone();
    assert_eq!((&choice["message"]["content"], &choice["finish_reason"]), (&json!(null), &json!("tool_calls")));
    assert_eq!(choice["message"]["tool_calls"][0]["function"]["arguments"], "{\"zone\": \"UTC\"}");

    let (server, _engine) = served_as(Behaviour::Say(said), HERMES).await;
    let unsupported = json!({"response_format": {"type": "json_schema", "json_schema": {"schema": {"not": {}}}}});
    let error = error_of(&server.post("/v1/chat/completions", &chat_body(&tools(&unsupported))).await);
    assert_eq!(error["param"], "response_format.json_schema.schema.not");
}

#[tokio::test]
async fn what_is_no_call_is_text() {
    let broken: &[&str] = &["<tool_call>{\"name\": \"now\", \"arguments\": {\"zone\": ", "oops}}</tool_call>"];
    let (server, _engine) = served_as(Behaviour::Say(broken), HERMES).await;
    let body = server.post("/v1/chat/completions", &chat_body(&tools(&json!({})))).await.json();
    let choice = &body["choices"][0];
    assert_eq!((&choice["finish_reason"], choice["message"].get("tool_calls")), (&json!("stop"), None));
    assert_eq!(choice["message"]["content"], broken.concat());

    let none = chat_body(&tools(&json!({"tool_choice": "none"})));
    let (server, engine) = served_as(Behaviour::Say(CALL), HERMES).await;
    let body = server.post("/v1/chat/completions", &none).await.json();
    assert_eq!(body["choices"][0]["message"]["content"], CALL.concat());
    assert_eq!(engine.rendered.lock().expect("lock")["tools"], json!(null), "the model does not see them");
}

#[tokio::test]
async fn a_template_without_tools_gets_them_as_text() {
    let said: &[&str] = &["{\"name\": \"now\", ", "\"parameters\": {}}"];
    let (server, engine) = served_as(Behaviour::Say(said), "system").await;
    let mut request = chat_body(&tools(&json!({})));
    request["messages"] = json!([
        {"role": "user", "content": "a"},
        {"role": "assistant", "tool_calls": [{"id": "1", "type": "function", "function": {"name": "now", "arguments": "{}"}}]},
        {"role": "tool", "tool_call_id": "1", "content": "noon"},
    ]);
    let answer = server.post("/v1/chat/completions", &request).await;
    let rendered = engine.rendered.lock().expect("lock").clone();
    let messages = rendered["messages"].as_array().expect("messages");
    assert_eq!(messages[0]["role"], "system");
    assert!(messages[0]["content"].as_str().expect("text").contains("{\"name\":\"now\",\"description\":\"The time.\""));
    assert_eq!(messages[2], json!({"role": "assistant", "content": "{\"name\": \"now\", \"arguments\": {}}"}));
    assert_eq!(messages[3], json!({"role": "user", "content": "Result of now:\nnoon"}));
    let message = answer.json()["choices"][0]["message"].clone();
    assert_eq!(message["tool_calls"][0]["function"], json!({"name": "now", "arguments": "{}"}));
    assert_eq!(message["content"], json!(null));
}

#[tokio::test]
async fn reasoning_is_told_apart_in_both_modes() {
    let said: &[&str] = &["<thi", "nk>\nHm", "m.\n</think>\n", "\nYes."];
    let (server, engine) = served_as(Behaviour::Say(said), THINKER).await;
    let request = json!({"reasoning_effort": "high", "thinking_token_budget": 7});
    let message =
        server.post("/v1/chat/completions", &chat_body(&request)).await.json()["choices"][0]["message"].clone();
    assert_eq!(
        message,
        json!({"role": "assistant", "content": "Yes.", "refusal": null, "reasoning_content": "Hmm.", "reasoning": "Hmm."})
    );
    let kwargs = engine.rendered.lock().expect("lock")["kwargs"].clone();
    assert_eq!(kwargs, json!({"enable_thinking": true, "reasoning_effort": "high"}));
    let thinking = engine.requests.lock().expect("lock")[0].thinking.clone().expect("a budget");
    assert_eq!((thinking.budget, thinking.marker.as_str(), thinking.open), (Some(7), "</think>", false));
    let events = server.post("/v1/chat/completions", &chat_body(&json!({"stream": true}))).await.events();
    let text = |field: &str| -> String {
        events.iter().filter_map(|event| event["choices"][0]["delta"][field].as_str()).collect()
    };
    assert_eq!((text("reasoning_content"), text("content")), ("Hmm.".to_owned(), "Yes.".to_owned()));
}

#[tokio::test]
async fn what_a_call_can_not_be_held_to_is_refused_by_name() {
    const TAGS: &str = "{% if tools %}<tool_call><function=x><parameter=y>{% endif %}system";
    let forced = |parameters: Value, more: Value| {
        let function = json!({"name": "now", "parameters": parameters});
        let mut body = json!({"tools": [{"type": "function", "function": function}], "tool_choice": "required"});
        body.as_object_mut().expect("object").extend(more.as_object().expect("object").clone());
        chat_body(&body)
    };
    let text = |more: Value| {
        let mut schema = json!({"type": "string"});
        schema.as_object_mut().expect("object").extend(more.as_object().expect("object").clone());
        json!({"type": "object", "properties": {"zone": schema}})
    };
    let format = |schema: Value| json!({"response_format": {"type": "json_schema", "json_schema": {"schema": schema}}});
    let (tagged, _engine) = served_as(Behaviour::Say(&["x"]), TAGS).await;
    let (hermes, _engine) = served_as(Behaviour::Say(&["x"]), HERMES).await;
    for (server, request, param) in [
        (
            &tagged,
            forced(text(json!({"format": "uuid"})), json!({})),
            "tools[0].function.parameters.properties.zone.format",
        ),
        (
            &tagged,
            forced(json!({"type": "object", "minProperties": 1}), json!({})),
            "tools[0].function.parameters.minProperties",
        ),
        // A forced call leaves no room for the form of an answer, which is checked all the same.
        (&hermes, forced(text(json!({})), format(json!({"not": {}}))), "response_format.json_schema.schema.not"),
    ] {
        let answer = server.post("/v1/chat/completions", &request).await;
        let error = error_of(&answer);
        assert_eq!(
            (answer.status, error["param"].as_str(), &error["code"]),
            (400, Some(param), &json!("unsupported_schema")),
            "{error}"
        );
    }
    for (server, request) in [
        (&tagged, forced(text(json!({"pattern": "^U", "maxLength": 3})), json!({}))),
        (&hermes, forced(text(json!({"format": "uuid"})), format(json!({"type": "object"})))),
    ] {
        // The answer of this server is no call: the request was good.
        assert_eq!(error_of(&server.post("/v1/chat/completions", &request).await)["code"], "tool_call_invalid");
    }
}
