//! `POST /v1/decisions` and `POST /v1/systemone` over the mock.

use std::sync::Arc;

use lla_gateway::ServerConfig;
use lla_inference::mock::{MockBackend, Script};
use lla_inference::{Backend, Error, ScoreItem, ScorePrompt};
use serde_json::{Value, json};

use crate::harness::{Gateway, over, post, until_idle};

/// Likes what stands in the text.
fn reader(item: &ScoreItem, continuation: &str) -> Vec<f32> {
    let ScorePrompt::Chat { messages, .. } = &item.prompt else { panic!("no chat") };
    let text = messages[0].text_content().expect("text");
    let state = text.split("\n\n").next().expect("a state");
    if state.contains(continuation.trim()) { vec![-0.25, -0.25] } else { vec![-2.0] }
}

async fn gateway() -> Gateway {
    let mock = Arc::new(MockBackend::new("mock").with_models(&["tiny"]).with_scorer(reader));
    let (state, router) = over(Arc::clone(&mock) as Arc<dyn Backend>, ServerConfig::default()).await;
    Gateway { mock, state, router }
}

fn decisions(extra: &Value) -> Value {
    let mut body = json!({
        "model": "tiny",
        "input": "a true story about lifts, rather loud",
        "questions": [
            {"type": "predicate", "name": "real", "instructions": "It happened."},
            {"type": "choice", "instructions": "About what?", "choices": [{"value": "boats"}, {"value": "lifts"}, {"value": true}]},
            {"type": "score", "name": "noise", "instructions": "How loud?", "levels": [{"label": "quiet"}, {"label": "loud"}]},
        ],
    });
    body.as_object_mut().expect("object").extend(extra.as_object().expect("object").clone());
    body
}

fn systemone(extra: &Value) -> Value {
    let mut body = json!({
        "model": "tiny",
        "state": {"note": "lifts, yes"},
        "questions": {
            "what": {"type": "choice", "instructions": "About what?", "criteria": {"boats": null, "lifts": "going up"}},
            "real": {"type": "noul", "instructions": {"ask": "Real?"}},
            "noise": {"type": "score", "instructions": "How loud?", "criteria": ["quiet", "loud"]},
        },
    });
    body.as_object_mut().expect("object").extend(extra.as_object().expect("object").clone());
    body
}

#[tokio::test]
async fn decisions_come_in_order_with_probabilities() {
    let gateway = gateway().await;
    let answer = gateway.post("/v1/decisions", &decisions(&json!({"safety_identifier": "x"}))).await.json();
    let answers = answer["answers"].as_array().expect("answers");
    let types: Vec<_> = answers.iter().map(|answer| (&answer["type"], &answer["name"])).collect();
    let wanted =
        [(&json!("predicate"), &json!("real")), (&json!("choice"), &Value::Null), (&json!("score"), &json!("noise"))];
    assert_eq!(types, wanted);
    assert!(answers[0]["probability"].as_f64().expect("number") > 0.5);
    // The boolean and the text are told apart; both `lifts` and `true` stand in the text.
    assert_eq!(answers[1]["choice"], "lifts");
    assert_eq!(answers[1]["probabilities"][2]["value"], true);
    let sum: f64 =
        (0..3).map(|index| answers[1]["probabilities"][index]["probability"].as_f64().expect("number")).sum();
    assert!((sum - 1.0).abs() < 1e-9);
    assert!(answers[2]["score"].as_f64().expect("number") > 0.5);
    assert_eq!(answers[2]["probabilities"][1]["label"], "loud");
    assert_eq!(answers[2]["probabilities"][1]["value"], 1);
    assert_eq!((&answer["model"], &answer["method"]), (&json!("tiny"), &json!("scored")));
    assert_eq!(answer["usage"]["input_tokens"], 3);
    assert_eq!(answer["usage"]["total_tokens"], 6);
    assert!(answers.iter().all(|answer| answer["measured"] == true && answer.get("abstained").is_none()));
}

#[tokio::test]
async fn a_threshold_marks_what_is_uncertain() {
    let gateway = gateway().await;
    let answer = gateway.post("/v1/decisions", &decisions(&json!({"abstain_below": 0.99}))).await.json();
    assert_eq!(answer["answers"][0]["abstained"], true);
    let answer = gateway.post("/v1/systemone", &systemone(&json!({"abstain_below": 0.0}))).await.json();
    assert_eq!(answer["diagnostics"]["what"]["abstained"], false);
}

#[tokio::test]
async fn systemone_answers_under_the_ids_of_the_questions() {
    let gateway = gateway().await;
    let answer = gateway.post("/v1/systemone", &systemone(&json!({"keep_alive": "5m"}))).await.json();
    assert!(answer["id"].as_str().expect("id").starts_with("decision-"));
    assert_eq!(answer["object"], "structured_decision");
    let answers = answer["answers"].as_object().expect("answers");
    assert_eq!(answers.keys().collect::<Vec<_>>(), ["what", "real", "noise"]);
    assert_eq!(answers["what"]["choice"], "lifts");
    assert!(answers["real"]["noul"].as_f64().expect("number") > 0.5);
    assert_eq!(answers["noise"]["legend"], json!({"0": "quiet", "1": "loud"}));
    assert_eq!(answers["noise"]["probabilities"]["0"], 0.5);
    assert_eq!(answers["noise"]["confidence"], 0.0);
    assert!(answer["diagnostics"]["what"]["label_mass"].as_f64().expect("number") > 0.5);
    assert_eq!(answer["diagnostics"]["what"]["argmax_is_label"], true);
    assert_eq!(answer["usage"], json!({"input_tokens": 3, "output_tokens": 3}));
}

#[tokio::test]
async fn a_conversation_is_read_as_one_text() {
    let gateway = gateway().await;
    let input = json!([
        {"role": "system", "content": "Be kind.", "type": "message"},
        {"role": "user", "content": [{"type": "input_text", "text": "My lift is stuck."}], "type": "message"},
        {"type": "function_call", "call_id": "1", "name": "look", "arguments": "{}"},
        {"type": "function_call_output", "call_id": "1", "output": "stuck"},
    ]);
    let answer = gateway.post("/v1/decisions", &decisions(&json!({"input": input}))).await;
    assert_eq!(answer.status, 200, "{}", answer.body);
    let scores = gateway.mock.scores();
    let asked = scores.iter().flat_map(|request| &request.items).map(|item| match &item.prompt {
        ScorePrompt::Chat { messages, .. } => messages[0].text_content().expect("text"),
        ScorePrompt::Text { prompt } => prompt.clone(),
    });
    let wanted = "system: Be kind.\nuser: My lift is stuck.\nassistant calls look: {}\ntool: stuck\n\n";
    assert_eq!(asked.filter(|text| text.starts_with(wanted)).count(), 3);
}

#[tokio::test]
async fn errors_name_the_place() {
    let gateway = gateway().await;
    let image = json!([{"role": "user", "content": [{"type": "input_image", "image_url": "x"}]}]);
    for (path, body, status, code, param) in [
        ("/v1/decisions", decisions(&json!({"questions": []})), 400, "out_of_range", "questions"),
        ("/v1/decisions", decisions(&json!({"input": image})), 400, "unsupported_content", "input[0].content[0]"),
        ("/v1/decisions", decisions(&json!({"abstain_below": 2})), 400, "out_of_range", "abstain_below"),
        ("/v1/decisions", decisions(&json!({"model": "none"})), 404, "model_not_found", "model"),
        (
            "/v1/systemone",
            systemone(&json!({"questions": {"q": {"type": "x"}}})),
            400,
            "invalid_value",
            "questions.q.type",
        ),
        ("/v1/systemone", systemone(&json!({"state": null})), 400, "missing_required_parameter", "state"),
    ] {
        let (found, _, found_code, found_param) = gateway.post(path, &body).await.error();
        assert_eq!((found, found_code.as_deref(), found_param.as_deref()), (status, Some(code), Some(param)), "{body}");
    }
    gateway.mock.set_script(Script::Refuse(Error::ContextLength { message: "9000 of 8192 tokens".to_owned() }));
    for (path, body, param) in
        [("/v1/decisions", decisions(&json!({})), "input"), ("/v1/systemone", systemone(&json!({})), "state")]
    {
        let (status, _, code, found) = gateway.post(path, &body).await.error();
        assert_eq!((status, code.as_deref(), found.as_deref()), (400, Some("context_length_exceeded"), Some(param)));
    }
}

#[tokio::test]
async fn without_probabilities_the_answer_says_so() {
    let gateway = Gateway::new(Script::text(r#"{"answer": "true"}"#)).await;
    let body = json!({
        "model": "tiny", "input": "x",
        "questions": [{"type": "predicate", "instructions": "It happened."}],
    });
    let answer = gateway.post("/v1/decisions", &body).await.json();
    assert_eq!((&answer["method"], &answer["answers"][0]["measured"]), (&json!("generated"), &json!(false)));
    assert_eq!(answer["answers"][0]["probability"], 1.0);
    assert!(answer["answers"][0].get("label_mass").is_none());
}

#[tokio::test]
async fn a_caller_that_leaves_cancels_the_work() {
    let gateway = gateway().await;
    gateway.mock.set_script(Script::NeverEnds { text: String::new() });
    let router = gateway.router.clone();
    let request =
        tokio::spawn(
            async move { tower::ServiceExt::oneshot(router, post("/v1/decisions", &decisions(&json!({})))).await },
        );
    while gateway.mock.running() == 0 {
        tokio::task::yield_now().await;
    }
    request.abort();
    until_idle(&gateway.mock).await;
}
