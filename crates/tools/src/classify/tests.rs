use std::sync::Arc;

use lla_inference::{Backend, Error as Failure, MockBackend, ScoreItem, ScorePrompt, Script, Tier};
use serde_json::{Value, json};

use crate::call::Context;
use crate::error::ToolError;
use crate::models::{Model, Models};
use crate::registry::Registry;

struct One(Arc<MockBackend>);

impl Models for One {
    fn of(&self, tier: Tier) -> Result<Model, Failure> {
        let backend = Arc::clone(&self.0) as Arc<dyn Backend>;
        let name = self.0.name().to_owned();
        Ok(Model { backend, public_name: name.clone(), name, tier: Some(tier), window: Some(8192) })
    }
}

/// A model that always likes `noise` best, and finds `lifts` and `money` likelier where a text is about them.
fn biased(item: &ScoreItem, continuation: &str) -> Vec<f32> {
    let ScorePrompt::Text { prompt } = &item.prompt else { return vec![-99.0] };
    let said = |word: &str| prompt.to_lowercase().contains(word);
    match continuation.trim() {
        "noise" => vec![-1.0],
        "lifts" if said("elevator") => vec![-4.0],
        "money" if said("invoice") => vec![-4.0, -4.0],
        _ => vec![-8.0, -8.0],
    }
}

fn world() -> (Arc<MockBackend>, Registry) {
    (Arc::new(MockBackend::new("m").with_scorer(biased)), Registry::standard())
}

async fn classify(world: &(Arc<MockBackend>, Registry), arguments: Value) -> Result<Value, ToolError> {
    world.1.call("classify", arguments, Context::new(Arc::new(One(Arc::clone(&world.0))))).await
}

#[tokio::test]
async fn what_the_model_likes_anyway_does_not_count() {
    let world = world();
    let labels = json!(["noise", "lifts", "money"]);
    for (text, label) in [("The elevator is stuck.", "lifts"), ("Your invoice is wrong.", "money")] {
        let found = classify(&world, json!({"text": text, "labels": labels})).await.expect("classified");
        assert_eq!(found["label"], label, "{found}");
        assert_eq!(found["labels"], json!([label]));
        let scores: Vec<f64> = labels
            .as_array()
            .expect("list")
            .iter()
            .filter_map(|name| found["scores"][name.as_str()?].as_f64())
            .collect();
        assert!((scores.iter().sum::<f64>() - 1.0).abs() < 1e-9 && scores.len() == 3, "{found}");
        assert_eq!(found["confidence"], scores.iter().copied().fold(0.0, f64::max));
        assert_eq!((&found["scores_measured"], &found["read_share"]), (&json!(true), &json!(1.0)));
    }
    assert!(world.0.chats().is_empty(), "nothing is written");
    assert_eq!(world.0.scores().len(), 3, "the background of a label set is scored once");
}

#[tokio::test]
async fn the_text_stands_first_and_labels_are_said_in_words() {
    let world = world();
    let labels = json!({"bug_report": "it is broken", "praise": ""});
    classify(&world, json!({"text": "It works.", "labels": labels})).await.expect("classified");
    let asked = world.0.scores();
    let (text, _) = asked.iter().partition::<Vec<_>, _>(|request| {
        matches!(&request.items[0].prompt, ScorePrompt::Text { prompt } if prompt.starts_with("It works.\n\n"))
    });
    assert_eq!(text.len(), 1, "{asked:?}");
    assert!(text[0].items[0].continuations.starts_with(&[" bug report".to_owned()]), "{:?}", text[0].items[0]);
    assert!(text[0].items[0].continuations.contains(&" it is broken".to_owned()));
    assert!(!text[0].items[1].continuations.contains(&" it is broken".to_owned()), "long texts are scored once");
}

#[tokio::test]
async fn thresholds_and_several_labels() {
    let world = world();
    let labels = json!(["noise", "lifts", "money"]);
    let both = "The invoice for the elevator is wrong.";
    let several = json!({"text": both, "labels": labels, "multi_label": true});
    let found = classify(&world, several).await.expect("classified");
    assert_eq!(found["abstained"], false);
    let mut names: Vec<&str> = found["labels"].as_array().expect("list").iter().filter_map(Value::as_str).collect();
    names.sort_unstable();
    assert_eq!(names, ["lifts", "money"], "{found}");
    for (text, multi) in [("Nothing of it.", true), ("Nothing of it.", false)] {
        let unsure = json!({"text": text, "labels": labels, "multi_label": multi, "threshold": 0.9});
        let found = classify(&world, unsure).await.expect("classified");
        assert_eq!((&found["label"], &found["labels"]), (&Value::Null, &json!([])), "{found}");
        assert_eq!(found["abstained"], !multi);
    }
}

#[tokio::test]
async fn backends_that_can_not_score_are_asked() {
    let world = (Arc::new(MockBackend::new("m").with_script(Script::text(r#"{"label": "b"}"#))), Registry::standard());
    let found = classify(&world, json!({"text": "t", "labels": ["a", "b"]})).await.expect("classified");
    assert_eq!((&found["label"], &found["scores_measured"]), (&json!("b"), &json!(false)));
}

#[tokio::test]
async fn a_failure_of_the_backend_is_told() {
    let full = Failure::ContextLength { message: "too long".to_owned() };
    let mock = MockBackend::new("m").with_scorer(biased).with_script(Script::Refuse(full));
    let world = (Arc::new(mock), Registry::standard());
    let found = classify(&world, json!({"text": "word ".repeat(60_000), "labels": ["a", "b"]})).await;
    assert_eq!(found.expect_err("never fits").to_string(), "too long");
    let tries = world.0.scores().len();
    assert!((8..=80).contains(&tries), "{tries}");
}
