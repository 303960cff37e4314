//! A real vLLM: `VLLM_URL`. Adapters `label` and `upper` (see `docs/backends.md`) are tested where they are loaded,
//! tools the model may choose where it was started with them.

use serde_json::json;

use crate::answers;
use crate::gateway::{Live, text};

const URL: &str = "VLLM_URL";
const RUNNING: &str = "vllm:num_requests_running";

#[tokio::test]
async fn vllm_is_recognised_and_asked() {
    let Some(live) = Live::over(URL).await else { return };
    let backend = live.backend().await;
    let health = &backend["health"];
    assert_eq!((&backend["state"], &health["reachable"]), (&json!("ready"), &json!(true)), "{backend}");
    assert!(health["version"].is_string(), "{backend}");
    let found = &health["capabilities"];
    assert_eq!(found["server"], "vllm");
    for name in ["structured_output", "logprobs", "token_counts", "metrics"] {
        assert_eq!(found[name], "yes", "{name}: {found}");
    }
    assert!(found["window"].as_u64().is_some_and(|window| window > 0), "{found}");
    println!("vllm {} says: {found}", health["version"]);
}

#[tokio::test]
async fn vllm_answers() {
    let Some(live) = Live::over(URL).await else { return };
    let model = live.base().await;
    answers::chats(&live, &model).await;
    answers::streams(&live, &model).await;
    answers::completes(&live, &model).await;
    answers::holds_to_a_schema(&live, &model).await;
    answers::tells_logprobs(&live, &model).await;
    answers::refuses_well(&live, &model).await;
    answers::hides_what_is_not_for_callers(&live).await;
}

#[tokio::test]
async fn vllm_calls_tools() {
    let Some(live) = Live::over(URL).await else { return };
    let model = live.base().await;
    answers::must_call_tools(&live, &model).await;
    let tools = live.backend().await["health"]["capabilities"]["tools"].clone();
    if tools == "no" {
        println!("skipped tools that the model may choose: this vLLM was started without them");
        return;
    }
    answers::may_call_tools(&live, &model).await;
}

#[tokio::test]
async fn vllm_decides() {
    let Some(live) = Live::over(URL).await else { return };
    let served = live.backend().await["health"]["capabilities"]["decisions"].clone();
    let method = answers::decides(&live, &live.base().await).await;
    println!("decisions: its own route: {served}; got by: {method}");
    assert_eq!(method, if served == "yes" { "native" } else { "first_token" });
}

#[tokio::test]
async fn vllm_adapters_are_models() {
    let Some(live) = Live::over(URL).await else { return };
    let models = live.models().await;
    if !models.iter().any(|model| model == "label") {
        println!("skipped vllm_adapters_are_models: this vLLM has no adapter 'label'");
        return;
    }
    assert_eq!(live.backend().await["health"]["capabilities"]["adapters"], "yes");
    assert_eq!(live.parent("label").await, json!(live.base().await));
    let answer = live.chat("label", "The match ended two to one.", json!({})).await.ok();
    assert!(text(&answer).starts_with("LABEL:"), "{answer}");
    assert_eq!(answer["model"], "label");
    let answer = live.chat(&live.base().await, "The match ended two to one.", json!({})).await.ok();
    assert!(!text(&answer).starts_with("LABEL:"), "{answer}");
}

#[tokio::test]
async fn vllm_batches_sixteen() {
    let Some(live) = Live::over(URL).await else { return };
    let fields = json!({"max_tokens": 48, "ignore_eos": true});
    let most = live.batched(&live.base().await, 16, &fields, RUNNING).await;
    println!("batching: {RUNNING} showed up to {most}");
    assert!(most >= 12.0, "{most} of 16 at once");
}

#[tokio::test]
async fn vllm_sees_that_the_caller_left() {
    let Some(live) = Live::over(URL).await else { return };
    let endless = json!({"max_tokens": 1500, "ignore_eos": true});
    answers::ends_when_the_caller_leaves(&live, &live.base().await, endless, RUNNING).await;
}
