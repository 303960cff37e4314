use lla_inference::{ChatRequest, MockBackend, ScoreItem, ScorePrompt, Script};
use lla_inference::{Delta, Event};
use lla_protocol::openai::{FinishReason, Usage};
use lla_protocol::systemone::{SystemOneAnswer, SystemOneUsage};
use serde_json::json;

use super::*;

fn label(name: &str, description: Option<&str>) -> Label {
    Label { name: name.to_owned(), description: description.map(str::to_owned) }
}

fn question(answers: Answers) -> Question {
    Question { instructions: "Which team?".to_owned(), answers }
}

fn teams() -> Question {
    question(Answers::OneOf(vec![label("billing", Some("money")), label("lifts", None)]))
}

fn truth() -> Question {
    question(Answers::Truth { wording: Wording::YesNo, yes: Some("now".to_owned()), no: None })
}

fn request(questions: Vec<Question>) -> DecideRequest {
    DecideRequest {
        model: "m".to_owned(),
        context: Some("You sort notes.".to_owned()),
        state: "The lift is stuck.".to_owned(),
        questions,
        calibrate: true,
        extra: Map::new(),
    }
}

fn prompt_of(item: &ScoreItem) -> String {
    match &item.prompt {
        ScorePrompt::Text { prompt } => prompt.clone(),
        ScorePrompt::Chat { messages, .. } => messages[0].text_content().expect("text"),
    }
}

/// The model likes `billing` best, whatever the text says; the lift moves it a little.
fn biased(item: &ScoreItem, continuation: &str) -> Vec<f32> {
    let about_lifts = prompt_of(item).contains("lift is stuck");
    match continuation.trim() {
        "billing" => vec![-1.0],
        "lifts" if about_lifts => vec![-2.0, -0.5],
        "lifts" => vec![-4.0, -0.5],
        "yes" | "no" => vec![-2.0],
        _ => vec![-3.0, -3.0],
    }
}

#[tokio::test]
async fn bias_is_subtracted_and_remembered() {
    let mock = MockBackend::new("m").with_scorer(biased);
    let calibration = Calibration::default();
    let raw = DecideRequest { calibrate: false, ..request(vec![teams()]) };
    let raw = decide(&mock, &calibration, &raw).await.expect("decided");
    assert_eq!((raw.verdicts[0].best(), mock.scores().len()), (0, 1));
    let found = decide(&mock, &calibration, &request(vec![teams(), truth()])).await.expect("decided");
    assert_eq!((found.method, found.verdicts[0].best()), (Method::Scored, 1));
    let odds = found.verdicts[0].probabilities[1] / found.verdicts[0].probabilities[0];
    assert!((odds - 2.0_f64.exp()).abs() < 1e-6, "{odds}");
    let mass = (-1.0_f64).exp() + (-2.5_f64).exp();
    assert!((found.verdicts[0].label_mass.expect("known") - mass).abs() < 1e-6);
    assert_eq!(found.verdicts[0].argmax_is_label, Some(true));
    assert_eq!(found.verdicts[1].probabilities, [0.5, 0.5]);
    let asked = mock.scores().len();
    decide(&mock, &calibration, &request(vec![teams(), truth()])).await.expect("decided");
    assert_eq!(mock.scores().len(), asked + 1, "the bias is known");
}

#[tokio::test]
async fn all_questions_begin_with_the_state() {
    let mock = MockBackend::new("m").with_scorer(biased);
    decide(&mock, &Calibration::default(), &request(vec![teams(), truth()])).await.expect("decided");
    let scores = mock.scores();
    let asked = scores.iter().find(|request| request.items.len() == 2).expect("one request for all questions");
    for item in &asked.items {
        assert!(prompt_of(item).starts_with("You sort notes.\n\nThe lift is stuck.\n\n"), "{}", prompt_of(item));
    }
    assert_eq!(asked.items[0].continuations, [" billing", " money", " lifts"]);
    assert_eq!(asked.items[1].continuations, [" yes", " Yes", " no", " No"]);
}

#[tokio::test]
async fn a_backend_that_decides_by_itself_is_asked_first() {
    let answers = json!({
        "q0": {"type": "choice", "choice": "lifts", "probabilities": {"billing": 0.2, "lifts": 0.8}, "confidence": 0.3},
        "q1": {"type": "noul", "noul": 0.9},
    });
    let decision = SystemOneAnswer {
        answers: answers.as_object().expect("object").clone(),
        usage: SystemOneUsage { input_tokens: 7, output_tokens: 2 },
        diagnostics: json!({"q0": {"label_mass": 0.5, "argmax_is_label": true}}).as_object().expect("object").clone(),
        ..SystemOneAnswer::default()
    };
    let mock = MockBackend::new("m").with_decision(decision);
    let found = decide(&mock, &Calibration::default(), &request(vec![teams(), truth()])).await.expect("decided");
    assert_eq!((found.method, found.usage.input_tokens), (Method::Native, 7));
    assert_eq!(found.verdicts[0].probabilities, [0.2, 0.8]);
    assert_eq!(found.verdicts[0].label_mass, Some(0.5));
    assert!((found.verdicts[1].probabilities[1] - 0.1).abs() < 1e-9);
    let sent = mock.decides().pop().expect("asked");
    assert_eq!(sent.instructions.as_deref(), Some("You sort notes."));
    // More options than such a route takes: another way.
    let many = question(Answers::OneOf((0..30).map(|number| label(&format!("l{number}"), None)).collect()));
    mock.set_script(Script::text(r#"{"answer":"l7"}"#));
    let found = decide(&mock, &Calibration::default(), &request(vec![many])).await.expect("decided");
    assert_eq!((found.method, found.verdicts[0].best()), (Method::Generated, 7));
}

#[tokio::test]
async fn first_tokens_are_read_whatever_they_look_like() {
    let top = |token: &str, probability: f64| json!({"token": token, "logprob": probability.ln(), "bytes": null});
    let place = json!({"content": [{"token": "B", "logprob": -0.5, "bytes": null, "top_logprobs": [
        top(" B", 0.5), top("b", 0.1), top("The", 0.2), top("A)", 0.2)
    ]}]});
    let script = Script::Events(vec![
        Ok(Event::Delta(Delta { logprobs: Some(place), text: "B".to_owned(), ..Delta::default() })),
        Ok(Event::Finish { index: 0, reason: FinishReason::Length }),
        Ok(Event::Usage(Usage::new(9, 1))),
    ]);
    let mock = MockBackend::new("m").with_script(script);
    let found = decide(&mock, &Calibration::default(), &request(vec![teams()])).await.expect("decided");
    assert_eq!((found.method, found.usage.input_tokens, found.usage.output_tokens), (Method::FirstToken, 9, 1));
    let verdict = &found.verdicts[0];
    assert!((verdict.probabilities[1] - 0.75).abs() < 1e-9, "{verdict:?}");
    assert!((verdict.label_mass.expect("known") - 0.8).abs() < 1e-9 && verdict.argmax_is_label == Some(true));
    let ChatRequest { max_tokens, extra, messages, .. } = mock.chats().remove(0);
    assert_eq!((max_tokens, &extra["top_logprobs"]), (Some(1), &json!(20)));
    assert!(messages[0].text_content().expect("text").contains("\nA) billing: money\nB) lifts"));
}

#[tokio::test]
async fn without_probabilities_the_answer_says_so() {
    let mock = MockBackend::new("m").with_script(Script::text(r#"{"answer": "lifts"}"#));
    let found = decide(&mock, &Calibration::default(), &request(vec![teams()])).await.expect("decided");
    assert_eq!((found.method, found.method.is_measured()), (Method::Generated, false));
    assert_eq!(found.verdicts[0].probabilities, [0.0, 1.0]);
    let schema = &mock.chats().pop().expect("asked").extra["response_format"]["json_schema"]["schema"];
    assert_eq!(schema["properties"]["answer"]["enum"], json!(["billing", "lifts"]));
    mock.set_script(Script::text("who knows"));
    let error = decide(&mock, &Calibration::default(), &request(vec![teams()])).await.expect_err("no label");
    assert!(matches!(error, Error::Upstream { .. }), "{error}");
}

#[tokio::test]
async fn a_model_without_a_template_reads_plain_text() {
    let mock = MockBackend::new("m").with_scorer(biased);
    let no_template = Error::InvalidRequest {
        message: "no template".to_owned(),
        param: None,
        code: Some("no_chat_template".to_owned()),
    };
    mock.set_script(Script::Refuse(no_template));
    assert!(decide(&mock, &Calibration::default(), &request(vec![teams()])).await.is_err());
    let last = mock.scores().pop().expect("asked");
    assert!(prompt_of(&last.items[0]).starts_with("Text: You sort notes."));
}
