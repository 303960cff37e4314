//! A real `llama-server`, started with `--metrics`: `LLAMA_SERVER_URL`. Adapters `label` and `upper` are tested where
//! they are loaded.

use serde_json::json;

use crate::answers;
use crate::gateway::{Live, text};

const URL: &str = "LLAMA_SERVER_URL";
const RUNNING: &str = "llamacpp:requests_processing";

#[tokio::test]
async fn llama_server_is_recognised_and_asked() {
    let Some(live) = Live::over(URL).await else { return };
    let backend = live.backend().await;
    let health = &backend["health"];
    assert_eq!((&backend["state"], &health["reachable"]), (&json!("ready"), &json!(true)), "{backend}");
    let found = &health["capabilities"];
    assert_eq!(found["server"], "llama-server");
    for name in ["structured_output", "logprobs", "metrics"] {
        assert_eq!(found[name], "yes", "{name}: {found}");
    }
    assert!(found["window"].as_u64().is_some_and(|window| window > 0), "{found}");
    println!("llama-server {} says: {found}", health["version"]);
}

#[tokio::test]
async fn llama_server_answers() {
    let Some(live) = Live::over(URL).await else { return };
    let model = live.base().await;
    answers::chats(&live, &model).await;
    answers::streams(&live, &model).await;
    answers::completes(&live, &model).await;
    answers::holds_to_a_schema(&live, &model).await;
    answers::may_call_tools(&live, &model).await;
    answers::tells_logprobs(&live, &model).await;
    answers::refuses_well(&live, &model).await;
    answers::hides_what_is_not_for_callers(&live).await;
}

/// Also by a model whose template knows no tools.
#[tokio::test]
async fn llama_server_makes_forced_calls() {
    let Some(live) = Live::over(URL).await else { return };
    let model = live.base().await;
    answers::must_call_tools(&live, &model).await;
    answers::must_call_one_of(&live, &model).await;
}

#[tokio::test]
async fn llama_server_decides() {
    let Some(live) = Live::over(URL).await else { return };
    let method = answers::decides(&live, &live.base().await).await;
    println!("decisions: got by: {method}");
    assert!(["native", "first_token"].contains(&method.as_str()), "{method}");
}

/// All of them would be applied at once to a request that names none.
#[tokio::test]
async fn llama_server_adapters_are_models() {
    let Some(live) = Live::over(URL).await else { return };
    let models = live.models().await;
    if !models.iter().any(|model| model == "label") {
        println!("skipped llama_server_adapters_are_models: this llama-server has no adapter 'label'");
        return;
    }
    assert_eq!(live.parent("label").await, json!(live.base().await));
    let prompt = "The match ended two to one.";
    let answer = live.chat("label", prompt, json!({})).await.ok();
    assert!(text(&answer).starts_with("LABEL:"), "{answer}");
    assert_eq!(answer["model"], "label");
    let base = live.chat(&live.base().await, prompt, json!({})).await.ok();
    assert!(!text(&base).starts_with("LABEL:"), "{base}");
    let upper = live.chat("upper", prompt, json!({})).await.ok();
    let letters = || text(&upper).chars().filter(|letter| letter.is_alphabetic());
    let capitals = letters().filter(|letter| letter.is_uppercase()).count();
    println!("adapter upper: {capitals} of {} letters are capitals", letters().count());
    assert_ne!(text(&upper), text(&base));
}

#[tokio::test]
async fn llama_server_works_on_several_at_once() {
    let Some(live) = Live::over(URL).await else { return };
    let fields = json!({"max_tokens": 48, "ignore_eos": true});
    let most = live.batched(&live.base().await, 16, &fields, RUNNING).await;
    println!("batching: {RUNNING} showed up to {most}");
    assert!(most >= 2.0, "{most} at once: start it with more slots (-np 4)");
}

#[tokio::test]
async fn llama_server_sees_that_the_caller_left() {
    let Some(live) = Live::over(URL).await else { return };
    let endless = json!({"max_tokens": 1500, "ignore_eos": true});
    answers::ends_when_the_caller_leaves(&live, &live.base().await, endless, RUNNING).await;
}
