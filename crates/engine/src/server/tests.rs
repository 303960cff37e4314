//! The routes over real sockets, in front of an engine that follows a script.

use std::sync::Arc;

use serde_json::{Value, json};

use self::fake::{Behaviour, FakeEngine};
use self::http::{Answer, Served};

mod answers;
mod api_table;
mod embeddings;
mod fake;
mod http;
mod logprobs;
mod refusals;
mod scores;
mod structured;
mod tools;

/// Serves a fake engine on a free port.
async fn served(behaviour: Behaviour) -> (Served, Arc<FakeEngine>) {
    served_as(behaviour, "").await
}

/// The same, for a model with a chat template.
async fn served_as(behaviour: Behaviour, template: &str) -> (Served, Arc<FakeEngine>) {
    let engine = Arc::new(FakeEngine::new(behaviour, template));
    (Served::start(Arc::clone(&engine)).await, engine)
}

fn chat_body(extra: &Value) -> Value {
    let mut body = json!({"model": "tiny", "messages": [{"role": "user", "content": "hi you"}]});
    let fields = body.as_object_mut().expect("object");
    fields.extend(extra.as_object().expect("object").clone());
    body
}

fn error_of(answer: &Answer) -> Value {
    let error = answer.json()["error"].clone();
    for field in ["message", "type", "param", "code"] {
        assert!(error.get(field).is_some(), "{field} is missing in {error}");
    }
    error
}
