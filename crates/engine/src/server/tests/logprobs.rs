//! Log-probabilities and echoes, in the shapes of both routes.

use serde_json::json;

use super::*;

fn completion_body(extra: &Value) -> Value {
    let mut body = json!({"model": "tiny", "prompt": [4, 5]});
    body.as_object_mut().expect("object").extend(extra.as_object().expect("object").clone());
    body
}

/// The entry of a chat for one of the fake engine's tokens.
fn entry(text: &str, top: &[Value]) -> Value {
    json!({"token": text, "logprob": -0.5, "bytes": text.as_bytes(), "top_logprobs": top})
}

#[tokio::test]
async fn chats_carry_them_whole_and_streamed() {
    let (server, engine) = served(Behaviour::Say(&["Hel", "lo"])).await;
    let first = json!({"token": "t0", "logprob": -1.0, "bytes": [116, 48]});
    for (top_logprobs, top) in [(json!(1), vec![first]), (json!(0), vec![]), (json!(null), vec![])] {
        let extra = json!({"logprobs": true, "top_logprobs": top_logprobs});
        let whole = server.post("/v1/chat/completions", &chat_body(&extra)).await.json();
        let content = json!([entry("Hel", &top), entry("lo", &top)]);
        assert_eq!(whole["choices"][0]["logprobs"], json!({"content": content, "refusal": null}));
        let mut body = chat_body(&extra);
        body["stream"] = json!(true);
        let events = server.post("/v1/chat/completions", &body).await.events();
        let streamed: Vec<_> = events[..4].iter().map(|event| &event["choices"][0]["logprobs"]).collect();
        let part = |text| json!({"content": [entry(text, &top)], "refusal": null});
        assert_eq!(streamed, [&json!(null), &part("Hel"), &part("lo"), &json!(null)]);
    }
    let asked: Vec<_> = engine.requests.lock().expect("lock").iter().map(|request| request.logprobs).collect();
    assert_eq!(asked, [Some(1), Some(1), Some(0), Some(0), Some(0), Some(0)]);
    let without = server.post("/v1/chat/completions", &chat_body(&json!({"logprobs": false}))).await.json();
    assert_eq!(without["choices"][0]["logprobs"], json!(null));
    let error = server.post("/v1/chat/completions", &chat_body(&json!({"top_logprobs": 2}))).await;
    assert_eq!((error.status, &error_of(&error)["param"]), (400, &json!("top_logprobs")));
}

#[tokio::test]
async fn an_empty_answer_has_an_empty_list() {
    let (server, _engine) = served(Behaviour::Say(&[])).await;
    let whole = server.post("/v1/chat/completions", &chat_body(&json!({"logprobs": true}))).await.json();
    assert_eq!(whole["choices"][0]["logprobs"], json!({"content": [], "refusal": null}));
}

#[tokio::test]
async fn completions_have_the_older_shape() {
    let (server, _engine) = served(Behaviour::Say(&["Hé", "lo"])).await;
    let whole = server.post("/v1/completions", &completion_body(&json!({"logprobs": 1}))).await.json();
    let top = json!([{"t0": -1.0, "Hé": -0.5}, {"t0": -1.0, "lo": -0.5}]);
    let wanted =
        json!({"tokens": ["Hé", "lo"], "token_logprobs": [-0.5, -0.5], "top_logprobs": top, "text_offset": [0, 2]});
    assert_eq!((&whole["choices"][0]["text"], &whole["choices"][0]["logprobs"]), (&json!("Hélo"), &wanted));
    let body = completion_body(&json!({"logprobs": 0, "stream": true}));
    let events = server.post("/v1/completions", &body).await.events();
    let second =
        json!({"tokens": ["lo"], "token_logprobs": [-0.5], "top_logprobs": [{"lo": -0.5}], "text_offset": [2]});
    assert_eq!(events[1]["choices"][0]["logprobs"], second);
    assert_eq!(events[2]["choices"][0], json!({"index": 0, "text": "", "logprobs": null, "finish_reason": "stop"}));
}

#[tokio::test]
async fn an_echo_puts_the_prompt_in_front() {
    let (server, engine) = served(Behaviour::Say(&["x"])).await;
    let body = json!({"model": "tiny", "prompt": ["ab cd", "e"], "n": 2, "echo": true});
    let whole = server.post("/v1/completions", &body).await.json();
    let texts: Vec<_> = (0..4).map(|index| whole["choices"][index]["text"].clone()).collect();
    assert_eq!(texts, ["ab cdx", "ab cdx", "ex", "ex"]);
    assert!(engine.requests.lock().expect("lock").iter().all(|request| !request.prompt_logprobs));
    let events =
        server.post("/v1/completions", &completion_body(&json!({"echo": true, "stream": true}))).await.events();
    let texts: Vec<_> = events[..3].iter().map(|event| event["choices"][0]["text"].clone()).collect();
    assert_eq!(texts, ["<4><5>", "x", ""]);
}

#[tokio::test]
async fn prompts_are_scored() {
    let (server, engine) = served(Behaviour::Say(&["x"])).await;
    let prompt = json!({"tokens": ["<4>", "<5>"], "token_logprobs": [null, -0.5], "top_logprobs": [null, {"<5>": -0.5}],
                        "text_offset": [0, 3]});
    let scoring = json!({"echo": true, "logprobs": 0, "max_tokens": 0});
    let whole = server.post("/v1/completions", &completion_body(&scoring)).await.json();
    let choice = json!({"index": 0, "text": "<4><5>", "logprobs": prompt, "finish_reason": "length"});
    assert_eq!(whole["choices"][0], choice);
    assert_eq!(whole["usage"]["completion_tokens"], 0);
    assert_eq!(engine.requests.lock().expect("lock")[0].max_tokens, Some(0));
    let body = completion_body(&json!({"echo": true, "logprobs": 0, "stream": true}));
    let events = server.post("/v1/completions", &body).await.events();
    assert_eq!(events[0]["choices"][0]["logprobs"], prompt);
    assert_eq!(events[1]["choices"][0]["logprobs"]["text_offset"], json!([6]));
    let whole = server.post("/v1/completions", &completion_body(&json!({"echo": true, "logprobs": 0}))).await.json();
    assert_eq!(whole["choices"][0]["logprobs"]["tokens"], json!(["<4>", "<5>", "x"]));
    for (extra, param) in [
        (json!({"max_tokens": 0}), "max_tokens"),
        (json!({"logprobs": 21}), "logprobs"),
        (json!({"logprobs": true}), "logprobs"),
        (json!({"echo": 1}), "echo"),
    ] {
        let answer = server.post("/v1/completions", &completion_body(&extra)).await;
        assert_eq!((answer.status, &error_of(&answer)["param"]), (400, &json!(param)), "{extra}");
    }
}
