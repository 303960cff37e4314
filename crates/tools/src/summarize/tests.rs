use std::sync::{Arc, Mutex};
use std::time::Duration;

use lla_inference::{Backend, Error, MockBackend, Script, Tier};
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::call::Context;
use crate::models::{Model, Models};
use crate::progress::{Progress, Step};
use crate::prose::guard::is_degenerate;
use crate::registry::Registry;

struct Only(Arc<MockBackend>);

impl Models for Only {
    fn of(&self, tier: Tier) -> Result<Model, Error> {
        let backend = Arc::clone(&self.0) as Arc<dyn Backend>;
        Ok(Model { backend, public_name: "m".into(), name: "m".into(), tier: Some(tier), window: Some(1 << 20) })
    }
}

/// What a model says that passes both trials.
const ABLE: [&str; 2] = [
    "The library of Ostwick closes on 12 May for new heating, which costs 34,000 euros.",
    "The team chose Verano instead of Lindholm from October for two years.",
];

fn able(then: Script) -> Arc<MockBackend> {
    let scripts = ABLE.map(Script::text).into_iter().chain([then]);
    Arc::new(MockBackend::new("m").with_scripts(scripts))
}

async fn call(mock: &Arc<MockBackend>, arguments: Value) -> Value {
    let context = Context::new(Arc::new(Only(Arc::clone(mock))));
    Registry::standard().call("summarize", arguments, context).await.expect("a summary")
}

/// 30,000 words, no two sentences alike.
fn book() -> String {
    (0..3000)
        .map(|number| {
            format!("In year {number} the town of Place{} built {} new houses there. ", number * 7, number * 3)
        })
        .collect()
}

const TEXT: &str = "The bridge over the Tamsel stays. The council voted 47 to 39 for it. Nobody ate the cake. Repairs cost 7.8 million.";

#[tokio::test]
async fn what_a_weak_model_writes_is_not_asked_for_twice() {
    let mock = Arc::new(MockBackend::new("m").with_script(Script::text("nice nice nice nice nice nice")));
    let registry = Registry::standard();
    for _ in 0..2 {
        let context = Context::new(Arc::new(Only(Arc::clone(&mock))));
        let result =
            registry.call("summarize", json!({"text": TEXT, "max_words": 12}), context).await.expect("a summary");
        assert_eq!(result["method"], "extracted");
        assert!(result["words"].as_u64() <= Some(12));
    }
    assert_eq!(mock.chats().len(), 1, "one trial, failed, remembered");
}

#[tokio::test]
async fn an_able_model_is_believed_when_it_loses_nothing() {
    let table = [
        ("The council kept the Tamsel bridge by 47 to 39; repairs cost 7.8 million.", "written"),
        ("The council kept the Tamsel bridge by 48 to 39; repairs cost 7.8 million.", "extracted"),
        ("The council kept the bridge.", "extracted"),
        (
            "The Tamsel: 47 to 39, 7.8 million, and many other words that are far too many for the limit that was set.",
            "extracted",
        ),
    ];
    for (said, method) in table {
        let result = call(&able(Script::text(said)), json!({"text": TEXT, "max_words": 16})).await;
        assert_eq!(result["method"], method, "{said}: {result}");
        assert!(result["words"].as_u64() <= Some(16), "{result}");
    }
}

#[tokio::test]
async fn forms_are_obeyed() {
    let mock = Arc::new(MockBackend::new("m").with_script(Script::text("no")));
    let bullets = call(&mock, json!({"text": TEXT, "style": "bullets", "max_words": 20})).await;
    let lines: Vec<&str> = bullets["summary"].as_str().expect("text").lines().collect();
    assert!(lines.len() >= 2 && lines.iter().all(|line| line.starts_with("- ")), "{bullets}");
    let headline = call(&mock, json!({"text": TEXT, "style": "headline"})).await;
    assert!(!headline["summary"].as_str().expect("text").ends_with('.'), "{headline}");
    let focused = call(&mock, json!({"text": TEXT, "focus": "cake", "max_words": 5})).await;
    assert_eq!(focused["summary"], "Nobody ate the cake.");
}

#[tokio::test(start_paused = true)]
async fn a_book_is_worked_on_in_parts_and_all_work_ends_with_the_caller() {
    let mock = able(Script::NeverEnds { text: "a".to_owned() });
    let steps: Arc<Mutex<Vec<Step>>> = Arc::default();
    let told = Arc::clone(&steps);
    let mut context = Context::new(Arc::new(Only(Arc::clone(&mock))));
    context.progress = Progress::to(move |step| told.lock().expect("steps").push(step));
    let registry = Registry::standard();
    let work = registry.call("summarize", json!({"text": book()}), context);
    assert!(tokio::time::timeout(Duration::from_secs(60), work).await.is_err(), "it hangs until it is dropped");
    assert_eq!(mock.chats().len(), 2 + 4, "two trials, four parts at the same time");
    assert_eq!(mock.running(), 0, "all work has ended");
    let steps = steps.lock().expect("steps");
    assert!(steps.iter().any(|step| step.message.starts_with("reading part 2")), "{steps:?}");
    assert!(steps.iter().any(|step| step.total > Some(10) && step.message.starts_with("round 1")), "{steps:?}");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn a_summary_is_within_its_words_and_sound(
        text in "([A-Za-z0-9,;:()'\"-]{1,9}[ .!?\n]{1,2}){1,120}",
        max_words in 5_u32..40,
        style in prop::sample::select(vec!["paragraph", "bullets", "headline"]),
    ) {
        prop_assume!(!text.trim().is_empty());
        let runtime = tokio::runtime::Builder::new_current_thread().enable_time().build().expect("runtime");
        let mock = Arc::new(MockBackend::new("m").with_script(Script::text("no")));
        let arguments = json!({"text": text, "max_words": max_words, "style": style});
        let result = runtime.block_on(call(&mock, arguments.clone()));
        let summary = result["summary"].as_str().expect("text").to_owned();
        prop_assert!(summary.split_whitespace().count() <= max_words as usize, "{summary}");
        prop_assert!(!summary.trim().is_empty());
        prop_assert_eq!(&runtime.block_on(call(&mock, arguments))["summary"], summary.as_str(), "deterministic");
    }
}

#[tokio::test]
async fn repeated_sentences_are_said_once() {
    let mock = Arc::new(MockBackend::new("m").with_script(Script::text("no")));
    let text = "The pump in hall 3 has failed again today. ".repeat(40) + "Marek ordered a new one for 900 euros.";
    let result = call(&mock, json!({"text": text, "max_words": 60})).await;
    let summary = result["summary"].as_str().expect("text");
    assert!(!is_degenerate(summary) && summary.contains("900"), "{summary}");
}
