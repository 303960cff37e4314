//! What every server has to give through the gateway, whatever it is.

use serde_json::{Value, json};

use crate::gateway::{Live, text};

pub(crate) async fn chats(live: &Live, model: &str) {
    let answer = live.chat(model, "Say hello.", json!({})).await.ok();
    assert!(!text(&answer).is_empty(), "{answer}");
    assert_eq!((&answer["model"], &answer["object"]), (&json!(model), &json!("chat.completion")));
    assert!(["stop", "length"].contains(&answer["choices"][0]["finish_reason"].as_str().expect("a reason")));
    counts(&answer["usage"]);
}

pub(crate) async fn streams(live: &Live, model: &str) {
    let whole = live.chat(model, "Say hello.", json!({})).await.ok();
    let events = live.stream(model, "Say hello.", json!({})).await;
    let pieces: String = events.iter().filter_map(|event| event["choices"][0]["delta"]["content"].as_str()).collect();
    assert_eq!(pieces, text(&whole), "greedy, so that the pieces are the whole");
    let ends = events.iter().filter(|event| event["choices"][0]["finish_reason"].is_string()).count();
    assert_eq!(ends, 1);
    let last = events.last().expect("events");
    assert_eq!(last["choices"], json!([]));
    counts(&last["usage"]);
}

pub(crate) async fn completes(live: &Live, model: &str) {
    let body = json!({"model": model, "prompt": "One, two, three,", "max_tokens": 8, "temperature": 0});
    let answer = live.post("/v1/completions", &body).await.ok();
    assert!(answer["choices"][0]["text"].as_str().is_some_and(|text| !text.is_empty()), "{answer}");
    counts(&answer["usage"]);
}

fn counts(usage: &Value) {
    for name in ["prompt_tokens", "completion_tokens", "total_tokens"] {
        assert!(usage[name].as_u64().is_some_and(|count| count > 0), "{name}: {usage}");
    }
}

pub(crate) async fn holds_to_a_schema(live: &Live, model: &str) {
    let schema = json!({
        "type": "object",
        "properties": {"name": {"type": "string", "maxLength": 12}, "age": {"type": "integer", "minimum": 0, "maximum": 99}},
        "required": ["name", "age"],
        "additionalProperties": false,
    });
    let format = json!({"type": "json_schema", "json_schema": {"name": "person", "strict": true, "schema": schema}});
    let fields = json!({"response_format": format, "max_tokens": 80});
    let answer = live.chat(model, "Ada is 36 years old.", fields).await.ok();
    let said: Value = serde_json::from_str(text(&answer)).unwrap_or_else(|error| panic!("{error}: {answer}"));
    assert!(jsonschema::is_valid(&schema, &said), "{said}");
}

pub(crate) fn weather() -> Value {
    json!([{"type": "function", "function": {
        "name": "weather",
        "strict": true,
        "description": "The weather in a city",
        "parameters": {
            "type": "object",
            "properties": {"city": {"type": "string", "maxLength": 16}},
            "required": ["city"],
            "additionalProperties": false,
        },
    }}])
}

/// The model may call or not: the answer is one or the other.
pub(crate) async fn may_call_tools(live: &Live, model: &str) {
    let fields = json!({"tools": weather(), "tool_choice": "auto", "max_tokens": 60});
    let answer = live.chat(model, "What is the weather in Oslo?", fields).await.ok();
    let message = &answer["choices"][0]["message"];
    assert!(!text(&answer).is_empty() || message["tool_calls"].is_array(), "{answer}");
}

/// The model has to call; whole and streamed.
pub(crate) async fn must_call_tools(live: &Live, model: &str) {
    let named = json!({"type": "function", "function": {"name": "weather"}});
    for choice in [json!("required"), named] {
        let fields = json!({"tools": weather(), "tool_choice": choice, "max_tokens": 100});
        let answer = live.chat(model, "What is the weather in Oslo?", fields.clone()).await.ok();
        let call = &answer["choices"][0]["message"]["tool_calls"][0]["function"];
        check_call(call["name"].as_str(), call["arguments"].as_str(), &answer);
        let events = live.stream(model, "What is the weather in Oslo?", fields).await;
        let calls = || events.iter().map(|event| &event["choices"][0]["delta"]["tool_calls"][0]["function"]);
        let arguments: String = calls().filter_map(|call| call["arguments"].as_str()).collect();
        check_call(calls().find_map(|call| call["name"].as_str()), Some(&arguments), &json!(events));
    }
}

/// The model has to call one of two tools.
pub(crate) async fn must_call_one_of(live: &Live, model: &str) {
    let mut tools = weather();
    let mut time = tools[0].clone();
    time["function"]["name"] = "time".into();
    time["function"]["description"] = "The time in a city".into();
    tools.as_array_mut().expect("a list").push(time);
    let fields = json!({"tools": tools, "tool_choice": "required", "max_tokens": 100});
    let answer = live.chat(model, "What is the weather in Oslo?", fields).await.ok();
    let choice = &answer["choices"][0];
    let call = &choice["message"]["tool_calls"][0]["function"];
    assert!(["weather", "time"].contains(&call["name"].as_str().expect("a name")), "{answer}");
    check_call(Some("weather"), call["arguments"].as_str(), &answer);
    assert_eq!((&choice["finish_reason"], &choice["message"]["content"]), (&json!("tool_calls"), &Value::Null));
    println!("one of two: {call}");
}

fn check_call(name: Option<&str>, arguments: Option<&str>, answer: &Value) {
    assert_eq!(name, Some("weather"), "{answer}");
    let arguments: Value = serde_json::from_str(arguments.expect("arguments")).expect("JSON");
    assert!(arguments["city"].is_string(), "{arguments}");
}

pub(crate) async fn tells_logprobs(live: &Live, model: &str) {
    let fields = json!({"logprobs": true, "top_logprobs": 3, "max_tokens": 4});
    let answer = live.chat(model, "Say hello.", fields.clone()).await.ok();
    check_logprobs(answer["choices"][0]["logprobs"]["content"].as_array().expect("tokens"));
    let events = live.stream(model, "Say hello.", fields).await;
    let streamed: Vec<Value> = events
        .iter()
        .filter_map(|event| event["choices"][0]["logprobs"]["content"].as_array())
        .flatten()
        .cloned()
        .collect();
    check_logprobs(&streamed);
}

fn check_logprobs(tokens: &[Value]) {
    assert!(!tokens.is_empty());
    for token in tokens {
        assert!(token["token"].is_string() && token["logprob"].as_f64().is_some_and(|value| value <= 0.0), "{token}");
        assert_eq!(token["top_logprobs"].as_array().map(Vec::len), Some(3), "{token}");
    }
}

/// Decisions in both forms; how they were got.
pub(crate) async fn decides(live: &Live, model: &str) -> String {
    let body = json!({
        "model": model,
        "input": "The parcel came broken and nobody answers the phone.",
        "questions": [
            {"type": "predicate", "name": "angry", "instructions": "The customer is unhappy."},
            {"type": "choice", "name": "about", "instructions": "What is it about?", "choices": [{"value": "delivery"}, {"value": "invoice"}, {"value": "login"}]},
            {"type": "score", "name": "urgent", "instructions": "How urgent is it?", "levels": [{"label": "low"}, {"label": "middle"}, {"label": "high"}]},
        ],
    });
    let answer = live.post("/v1/decisions", &body).await.ok();
    let answers = answer["answers"].as_array().expect("answers");
    assert!((0.0..=1.0).contains(&answers[0]["probability"].as_f64().expect("a probability")));
    for answer in &answers[1..] {
        let all = answer["probabilities"].as_array().expect("probabilities");
        let sum: f64 = all.iter().map(|one| one["probability"].as_f64().expect("a number")).sum();
        assert!((sum - 1.0).abs() < 1e-3, "{answer}");
    }
    assert!(answers.iter().all(|answer| answer["measured"] == true), "{answer}");
    let method = answer["method"].as_str().expect("a method").to_owned();
    let body = json!({"model": model, "state": "It is on fire.", "questions": {"q": {"type": "noul", "instructions": "Is it urgent?"}}});
    let answer = live.post("/v1/systemone", &body).await.ok();
    assert!((0.0..=1.0).contains(&answer["answers"]["q"]["noul"].as_f64().expect("a probability")), "{answer}");
    method
}

pub(crate) async fn refuses_well(live: &Live, model: &str) {
    let unknown = live.chat("no-such-model", "Hi", json!({})).await;
    assert_eq!(unknown.refused(), (404, "model_not_found"), "{}", unknown.body);
    let long = live.chat(model, &"word ".repeat(20_000), json!({})).await;
    assert_eq!(long.refused(), (400, "context_length_exceeded"), "{}", long.body);
    assert!(long.body["error"]["message"].as_str().is_some_and(|text| text.bytes().any(|byte| byte.is_ascii_digit())));
}

/// The routes of servers that change them, or show more than a caller should see, lead nowhere.
pub(crate) async fn hides_what_is_not_for_callers(live: &Live) {
    for path in [
        "/v1/load_lora_adapter",
        "/v1/unload_lora_adapter",
        "/sleep",
        "/reset_prefix_cache",
        "/collective_rpc",
        "/lora-adapters",
        "/props",
        "/slots/0",
        "/models/load",
    ] {
        assert_eq!(live.post(path, &json!({})).await.status, 404, "{path}");
    }
}

/// A stream that its caller leaves ends on the server: `metric` counts what runs there.
pub(crate) async fn ends_when_the_caller_leaves(live: &Live, model: &str, endless: Value, metric: &str) {
    live.until_metric(metric, |running| running == 0.0).await;
    let mut stream = live.open(model, "Count as far as you can.", endless).await;
    assert!(stream.chunk().await.expect("a chunk").is_some());
    let running = live.until_metric(metric, |running| running >= 1.0).await;
    drop(stream);
    let left = live.until_metric(metric, |running| running == 0.0).await;
    println!("abort: {metric} went from {running} to {left}");
}
