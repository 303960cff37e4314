//! Whatever the body, the answer is a good one or the envelope; nothing panics, nothing hangs.

use lla_inference::mock::Script;
use proptest::prelude::*;
use serde_json::{Map, Value, json};

use crate::harness::{Gateway, chat};

fn any_json() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i64>().prop_map(Value::from),
        any::<f64>().prop_map(Value::from),
        ".{0,12}".prop_map(Value::from),
        prop::sample::select(vec!["tiny", "user", "text", "auto", "json_object"]).prop_map(Value::from),
    ];
    leaf.prop_recursive(3, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            prop::collection::btree_map(".{0,8}", inner, 0..4).prop_map(|map| map.into_iter().collect()),
        ]
    })
}

/// The names that are acted on.
const FIELDS: &[&str] = &[
    "model",
    "messages",
    "prompt",
    "temperature",
    "top_p",
    "top_k",
    "n",
    "stop",
    "stream",
    "stream_options",
    "seed",
    "logit_bias",
    "max_tokens",
    "max_completion_tokens",
    "response_format",
    "frequency_penalty",
    "tools",
];

/// A good request with some fields replaced by anything.
fn broken_request() -> impl Strategy<Value = Value> {
    prop::collection::vec((prop::sample::select(FIELDS), any_json()), 0..3).prop_map(|changes| {
        let mut body = chat(json!({"prompt": "x"}));
        for (name, value) in changes {
            body[name] = value;
        }
        body
    })
}

fn check(body: &[u8]) -> Result<(), TestCaseError> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("runtime");
    runtime.block_on(async {
        let gateway = Gateway::new(Script::text("x")).await;
        for path in ["/v1/chat/completions", "/v1/completions"] {
            let request = axum::http::Request::post(path)
                .header("content-type", "application/json")
                .body(axum::body::Body::from(body.to_vec()))
                .expect("request");
            let answer = gateway.send(request).await;
            if answer.status == 200 {
                prop_assert!(!answer.body.contains("\"error\""), "{}", answer.body);
            } else {
                let (status, kind, code, _) = answer.error();
                prop_assert!(matches!(status, 400 | 404), "{}", answer.body);
                prop_assert_eq!(kind, "invalid_request_error");
                prop_assert!(code.is_some());
            }
        }
        Ok(())
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 128, ..ProptestConfig::default() })]

    #[test]
    fn any_json_body(body in any_json()) {
        check(body.to_string().as_bytes())?;
    }

    #[test]
    fn any_change_to_a_good_body(body in broken_request()) {
        check(body.to_string().as_bytes())?;
    }

    #[test]
    fn any_bytes(body in prop::collection::vec(any::<u8>(), 0..64)) {
        check(&body)?;
    }
}

#[test]
fn deep_nesting_is_refused() {
    let body = format!("{{\"messages\":{}", "[".repeat(100_000));
    check(body.as_bytes()).expect("an envelope");
    let empty: Map<String, Value> = Map::new();
    check(Value::Object(empty).to_string().as_bytes()).expect("an envelope");
}
