use std::sync::Arc;

use lla_inference::{Backend, Error, MockBackend, Script, Tier};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::intent::{self, Intent, Way};
use crate::call::Context;
use crate::models::{Model, Models};
use crate::registry::Registry;

struct Only(Arc<MockBackend>);

impl Models for Only {
    fn of(&self, tier: Tier) -> Result<Model, Error> {
        let backend = Arc::clone(&self.0) as Arc<dyn Backend>;
        Ok(Model { backend, public_name: "m".into(), name: "m".into(), tier: Some(tier), window: Some(1 << 20) })
    }
}

async fn call(mock: MockBackend, arguments: Value) -> Value {
    let context = Context::new(Arc::new(Only(Arc::new(mock))));
    Registry::standard().call("rewrite", arguments, context).await.expect("a text")
}

async fn by_rules(text: &str, instruction: &str) -> String {
    let mock = MockBackend::new("m").with_script(Script::text("no"));
    let result = call(mock, json!({"text": text, "instruction": instruction})).await;
    result["text"].as_str().expect("text").to_owned()
}

#[test]
fn instructions_are_understood() {
    let table: &[(&str, &[Way], Option<usize>)] = &[
        ("Rewrite in a formal tone, without contractions.", &[Way::Formal], None),
        ("Make it less formal.", &[Way::Casual], None),
        ("Make this concise, at most 18 words.", &[Way::Concise], Some(18)),
        ("Say it in under twenty words.", &[Way::Concise], Some(19)),
        ("Máximo 15 palabras.", &[Way::Concise], Some(15)),
        ("A polite bullet list, please.", &[Way::Friendly, Way::Bullets], None),
        ("Turn it into numbered steps.", &[Way::Numbered], None),
        ("Use the active voice.", &[Way::Active], None),
        ("Corrige la ortografía.", &[Way::Grammar], None),
        ("Write it as a poem.", &[], None),
    ];
    for (instruction, ways, max_words) in table {
        assert_eq!(intent::read(instruction), Intent { ways: ways.to_vec(), max_words: *max_words }, "{instruction}");
    }
}

#[tokio::test]
async fn rules_do_what_they_can() {
    let table = [
        ("hey Ann, we're late, can't come at 5", "formal", "Hello Ann, we are late, cannot come at 5."),
        ("She'd better go! It's Bo's car.", "formal", "She had better go. It is Bo's car."),
        ("The cake was eaten by Ann on Monday.", "active voice", "Ann ate the cake on Monday."),
        ("Letters are signed by the two clerks.", "active voice", "The two clerks sign letters."),
        (
            "Stop shouting. Send it to Ann.",
            "friendlier",
            "Hi there, could you please hold off on shouting? Could you please send it to Ann? Thank you!",
        ),
        ("Take a pen, open book B and read page 3.", "bullets", "- Take a pen\n- Open book B\n- Read page 3"),
        ("He dont likes  a apple .", "fix the grammar", "He doesn't like  an apple."),
        ("Utilize the ramp prior to noon.", "plain language", "Use the ramp before noon."),
        ("I think we might win 2 games.", "more confident", "We will win 2 games."),
        ("Stay off floor 3!", "no exclamation marks", "Stay off floor 3."),
        ("Keep `rm -rf` out of Bo's way", "uppercase", "KEEP `rm -rf` OUT OF BO'S WAY"),
    ];
    for (text, instruction, expected) in table {
        assert_eq!(by_rules(text, instruction).await, expected, "{instruction}");
    }
}

#[tokio::test]
async fn a_word_limit_is_obeyed_unless_what_must_stay_takes_more() {
    let text =
        "I would like to let you know that the lift in tower 2 will be closed on Friday, because it is inspected.";
    assert_eq!(by_rules(text, "At most 12 words.").await, "The lift in tower 2 will be closed on Friday.");
    let mock = MockBackend::new("m").with_script(Script::text("no"));
    let keep = "lift in tower 2 will be closed";
    let result = call(mock, json!({"text": text, "instruction": "At most 3 words.", "keep": [keep]})).await;
    assert!(result["text"].as_str().expect("text").contains(keep), "{result}");
    assert!(result["notes"][0].as_str().expect("a note").contains("instead of 3"), "{result}");
}

#[tokio::test]
async fn the_model_decides_between_words_where_it_can_score() {
    let likes = |_: &lla_inference::ScoreItem, text: &str| {
        vec![if text.starts_with(" where the") || text.starts_with(" are") { -1.0 } else { -9.0 }]
    };
    let mock = MockBackend::new("m").with_scorer(likes).with_script(Script::text("no"));
    let result = call(mock, json!({"text": "I ask were the keys of room 12 is.", "style": "grammar"})).await;
    assert_eq!(result["text"], "I ask where the keys of room 12 are.");
    assert_eq!((&result["method"], &result["changed"]), (&json!("rules"), &json!(true)));
}

#[tokio::test]
async fn nothing_done_is_said_so() {
    let mock = MockBackend::new("m").with_script(Script::text("Ann Ann Ann Ann Ann Ann Ann Ann"));
    let result = call(mock, json!({"text": "Ann has 3 cats.", "instruction": "Write it as a poem."})).await;
    assert_eq!((&result["text"], &result["changed"]), (&json!("Ann has 3 cats."), &json!(false)));
    assert_eq!((&result["method"], &result["notes"][0]), (&json!("none"), &json!("no acceptable change was found")));
}

#[tokio::test]
async fn the_models_text_is_taken_when_it_is_sound_and_gets_its_letters_back() {
    let mock = MockBackend::new("m").with_script(Script::text("Here is it:\nthree cats belong to ann: 3 cats."));
    let result = call(mock, json!({"text": "3 cats belong to Ann.", "instruction": "Turn it around."})).await;
    assert_eq!((&result["text"], &result["method"]), (&json!("three cats belong to Ann: 3 cats."), &json!("model")));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]
    #[test]
    fn what_must_stay_survives_whatever_the_model_says(
        text in "([A-Za-z0-9`'\"$%-]{1,8}[ ,;:.!?\n]{1,2}){1,40}",
        from in 0_usize..200,
        length in 1_usize..30,
        said in "[A-Za-z0-9 .,!?\n-]{0,120}",
        instruction in prop::sample::select(vec![
            "formal", "casual", "concise", "at most 5 words", "plain", "friendly", "bullet list", "numbered list", "active voice",
            "fix the grammar", "uppercase", "lowercase", "confident", "no exclamation marks", "as a poem", "formal bullet list",
        ]),
    ) {
        prop_assume!(!text.trim().is_empty());
        let from = from.min(text.len() - 1);
        let keep = &text[from..(from + length).min(text.len())];
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("runtime");
        let mock = MockBackend::new("m").with_script(Script::text(said));
        let result = runtime.block_on(call(mock, json!({"text": text, "instruction": instruction, "keep": [keep]})));
        prop_assert!(result["text"].as_str().expect("text").contains(keep), "{result}");
        prop_assert!(!result["lost"].as_array().expect("a list").iter().any(|lost| lost == keep));
    }
}
