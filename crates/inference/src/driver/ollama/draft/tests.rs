use lla_protocol::openai::{ChatCompletionRequest, CompletionRequest as WireCompletion};
use serde_json::json;

use super::*;

const WINDOW: Window = Window { num_ctx: 4096, num_predict: 9, is_loaded: true };

fn chat_drafts(fields: &Value) -> Result<Vec<Draft>, FieldError> {
    let mut body = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}]});
    for (name, value) in fields.as_object().expect("fields") {
        body[name] = value.clone();
    }
    let wire = ChatCompletionRequest::parse(body.to_string().as_bytes()).expect("the gateway lets it pass");
    chat(ChatRequest {
        model: wire.model,
        messages: wire.messages,
        sampling: wire.sampling,
        max_tokens: wire.max_tokens,
        n: wire.n,
        extra: wire.rest,
    })
}

fn completion_drafts(fields: &Value) -> Result<Vec<Draft>, FieldError> {
    let mut body = json!({"model": "m", "prompt": "a"});
    for (name, value) in fields.as_object().expect("fields") {
        body[name] = value.clone();
    }
    let wire = WireCompletion::parse(body.to_string().as_bytes()).expect("the gateway lets it pass");
    completion(CompletionRequest {
        model: wire.model,
        prompt: wire.prompt,
        sampling: wire.sampling,
        max_tokens: wire.max_tokens,
        n: wire.n,
        extra: wire.rest,
    })
}

fn body(draft: &Draft) -> Value {
    serde_json::to_value(draft.body(WINDOW, &OllamaConfig::default())).expect("json")
}

fn card(capabilities: &[&str]) -> Card {
    Card::new(&serde_json::from_value(json!({"capabilities": capabilities})).expect("a model"))
}

#[test]
fn a_chat_says_everything_that_matters() {
    let drafts = chat_drafts(&json!({
        "temperature": 0.5, "top_p": 0.9, "top_k": -1, "min_p": 0.1, "seed": 7, "stop": "x", "repetition_penalty": 1.1,
        "presence_penalty": 0.2, "frequency_penalty": 0.3, "max_tokens": 9, "logprobs": true, "top_logprobs": 3,
        "user": "u", "reasoning_effort": "low", "response_format": {"type": "json_object"},
        "tools": [{"type": "function", "function": {"name": "f", "parameters": {"type": "object", "properties": {}}}}],
    }))
    .expect("good");
    let config = OllamaConfig { keep_alive: Some(std::time::Duration::from_secs(60)), ..OllamaConfig::default() };
    let sent = serde_json::to_value(drafts[0].body(WINDOW, &config)).expect("json");
    let function = json!({"name": "f", "description": "", "parameters": {"type": "object", "properties": {}}});
    let expected = json!({
        "model": "m", "messages": [{"role": "user", "content": "hi"}],
        "tools": [{"type": "function", "function": function}], "format": "json",
        "options": {"num_ctx": 4096, "num_predict": 9, "temperature": 0.5, "top_p": 0.9, "top_k": 0, "min_p": 0.1, "seed": 7,
            "stop": ["x"], "repeat_penalty": 1.1, "presence_penalty": 0.2, "frequency_penalty": 0.3},
        "keep_alive": "60000ms", "think": "low", "truncate": false, "logprobs": true, "top_logprobs": 3, "stream": true,
    });
    assert_eq!(sent, expected);
    assert_eq!(drafts[0].path(), "api/chat");
}

#[test]
fn what_is_not_said_is_left_to_the_model() {
    let drafts = chat_drafts(&json!({})).expect("good");
    let options = json!({"num_ctx": 4096, "num_predict": 9});
    let expected = json!({"model": "m", "messages": [{"role": "user", "content": "hi"}], "options": options, "truncate": false, "stream": true});
    assert_eq!(body(&drafts[0]), expected);
}

#[test]
fn several_answers_are_several_requests() {
    let drafts = chat_drafts(&json!({"n": 3, "seed": 5})).expect("good");
    let of = |draft: &Draft| (draft.choice, draft.prompt, body(draft)["options"]["seed"].clone());
    let found: Vec<_> = drafts.iter().map(of).collect();
    assert_eq!(found, [(0, 0, json!(5)), (1, 0, json!(6)), (2, 0, json!(7))]);
    let drafts = completion_drafts(&json!({"n": 2, "seed": 5, "prompt": ["a", "b"]})).expect("good");
    let found: Vec<_> = drafts.iter().map(of).collect();
    assert_eq!(found, [(0, 0, json!(5)), (1, 0, json!(6)), (2, 1, json!(5)), (3, 1, json!(6))]);
    assert_eq!(body(&drafts[2])["prompt"], "b");
}

#[test]
fn a_completion_is_raw() {
    let drafts = completion_drafts(&json!({"logprobs": 2})).expect("good");
    let options = json!({"num_ctx": 4096, "num_predict": 9});
    let expected = json!({"model": "m", "prompt": "a", "raw": true, "options": options, "truncate": false,
        "logprobs": true, "top_logprobs": 2, "stream": true});
    assert_eq!(body(&drafts[0]), expected);
    assert_eq!((drafts[0].path(), drafts[0].shape), ("api/generate", Shape::Completion { top: true }));
}

#[test]
fn tools_are_sent_only_when_they_may_be_called() {
    let tools = json!([{"type": "function", "function": {"name": "f"}}]);
    let none = chat_drafts(&json!({"tools": tools, "tool_choice": "none"})).expect("good");
    assert_eq!(body(&none[0]).get("tools"), None);
    let one = chat_drafts(&json!({"tools": tools, "parallel_tool_calls": false})).expect("good");
    assert_eq!(one[0].shape, Shape::Chat { one_call: true });
}

#[test]
fn what_ollama_has_no_place_for_is_named() {
    for (fields, param) in [
        (json!({"logit_bias": {"5": 1}}), "logit_bias"),
        (json!({"ignore_eos": true}), "ignore_eos"),
        (json!({"stop_token_ids": [1]}), "stop_token_ids"),
        (json!({"thinking_token_budget": 5}), "thinking_token_budget"),
        (json!({"keep_alive": "5m"}), "keep_alive"),
    ] {
        assert_eq!(chat_drafts(&fields).expect_err("refused").param.as_deref(), Some(param));
    }
    for (fields, param) in [
        (json!({"prompt": [1, 2]}), "prompt"),
        (json!({"prompt": ""}), "prompt"),
        (json!({"prompt": ["a", ""]}), "prompt[1]"),
        (json!({"echo": true}), "echo"),
        (json!({"suffix": "x"}), "suffix"),
    ] {
        assert_eq!(completion_drafts(&fields).expect_err("refused").param.as_deref(), Some(param), "{fields}");
    }
}

#[test]
fn a_request_is_fitted_to_what_the_model_can() {
    let tools = json!({"tools": [{"type": "function", "function": {"name": "f"}}]});
    let image = json!({"type": "image_url", "image_url": {"url": "data:image/png;base64,aGk="}});
    let image = json!({"messages": [{"role": "user", "content": [image]}]});
    let param = |fields: &Value, capabilities: &[&str]| {
        let mut draft = chat_drafts(fields).expect("good").remove(0);
        match draft.fit(&card(capabilities), "m") {
            Ok(()) => None,
            Err(Error::InvalidRequest { param, .. }) => param,
            Err(other) => panic!("{other}"),
        }
    };
    assert_eq!(param(&tools, &["completion"]).as_deref(), Some("tools"));
    assert_eq!(param(&tools, &["completion", "tools"]), None);
    assert_eq!(param(&tools, &[]), None, "an Ollama that does not tell");
    assert_eq!(param(&image, &["completion"]).as_deref(), Some("messages[0].content"));
    assert_eq!(param(&image, &["completion", "vision"]), None);
    assert_eq!(param(&json!({}), &["embedding"]).as_deref(), Some("model"));

    let thinks = json!({"reasoning_effort": "high"});
    for (capabilities, think) in [(&["completion"][..], None), (&["completion", "thinking"][..], Some(json!("high")))] {
        let mut draft = chat_drafts(&thinks).expect("good").remove(0);
        draft.fit(&card(capabilities), "m").expect("fits");
        assert_eq!(body(&draft).get("think"), think.as_ref());
    }
    let mut raw = completion_drafts(&json!({})).expect("good").remove(0);
    raw.fit(&card(&["completion", "thinking"]), "m").expect("fits");
    assert_eq!(body(&raw)["think"], json!(false), "the whole text is the answer");
}
