//! `/scores`: shapes, refusals, leaving.

use serde_json::json;

use super::*;

fn body(items: &Value) -> Value {
    json!({"model": "tiny", "items": items})
}

#[tokio::test]
async fn every_continuation_is_scored_token_by_token() {
    let (server, engine) = served(Behaviour::Say(&["x"])).await;
    let items = json!([
        {"prompt": "one two", "continuations": [" abc de", " f"]},
        {"messages": [{"role": "user", "content": "hello"}], "prefix": "It is", "continuations": [" so"]},
    ]);
    let answer = server.post("/scores", &body(&items)).await;
    let wanted = json!([{"logprobs": [[-3.0, -2.0], [-1.0]], "best": -0.5}, {"logprobs": [[-2.0]], "best": -0.5}]);
    let usage = json!({"prompt_tokens": 7, "computed_tokens": 7, "cached_tokens": 0});
    assert_eq!(answer.json(), json!({"model": "tiny", "items": wanted, "usage": usage}));
    let rendered = engine.rendered.lock().expect("lock").clone();
    assert_eq!(rendered["messages"][0]["content"], "hello");
}

#[tokio::test]
async fn what_can_not_be_scored_is_named() {
    let (server, _engine) = served(Behaviour::Say(&["x"])).await;
    let image = json!([{"type": "image_url", "image_url": {"url": "x"}}]);
    for (request, status, code, param) in [
        (body(&json!([])), 400, "out_of_range", "items"),
        (body(&json!([{"prompt": "a", "continuations": [""]}])), 400, "invalid_value", "items[0].continuations[0]"),
        (
            body(&json!([{"messages": [{"role": "user", "content": image}], "continuations": ["b"]}])),
            400,
            "unsupported_content",
            "items[0].messages[0].content[0]",
        ),
        (
            json!({"model": "other", "items": [{"prompt": "a", "continuations": ["b"]}]}),
            404,
            "model_not_found",
            "model",
        ),
    ] {
        let answer = server.post("/scores", &request).await;
        let error = error_of(&answer);
        assert_eq!((answer.status, &error["code"], &error["param"]), (status, &json!(code), &json!(param)), "{error}");
    }
    let (server, _engine) = served(Behaviour::Embed).await;
    let answer = server.post("/scores", &body(&json!([{"prompt": "a", "continuations": ["b"]}]))).await;
    assert_eq!((answer.status, &error_of(&answer)["code"]), (400, &json!("unsupported_model")));
}

#[tokio::test]
async fn a_caller_that_leaves_cancels_its_scores() {
    let (server, engine) = served(Behaviour::Hang).await;
    let bytes = body(&json!([{"prompt": "a", "continuations": ["b"]}])).to_string();
    let connection = server.open("POST", "/scores", "", bytes.as_bytes()).await;
    engine.something_hangs().await;
    drop(connection);
    engine.all_abandoned().await;
}
