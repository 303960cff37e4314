//! Texts that nobody wrote for reading, long enough that work which grows with their square would not end.

use std::sync::Arc;

use lla_inference::{Backend, Error, MockBackend, Script, Tier};
use serde_json::{Value, json};

use super::Registry;
use crate::call::Context;
use crate::models::{Model, Models};

const LENGTH: usize = 60_000;

struct Scoring(Arc<MockBackend>);

impl Models for Scoring {
    fn of(&self, tier: Tier) -> Result<Model, Error> {
        let backend = Arc::clone(&self.0) as Arc<dyn Backend>;
        Ok(Model { backend, public_name: "m".into(), name: "m".into(), tier: Some(tier), window: Some(4096) })
    }
}

/// Data in one line, endless sentences, a sentence per letter, one word, brackets that never close, short lines,
/// and a letter in which everything is a name, a number or an address.
fn texts() -> Vec<(&'static str, String)> {
    let records: Vec<Value> =
        (0..LENGTH / 40).map(|number| json!({"name": format!("n{number}"), "v": number})).collect();
    let letter = |number: usize| {
        let end = if number.is_multiple_of(3) { "\n" } else { " " };
        format!(
            "However, on {} May Dr. Ann{number} Lee (a{number}@example.org), who is ill, didn't pay no. {} of ${number}.50 to \
             Acme{number} Corp., because it wasn't due; in order to utilize it, call Bob{number} at 555-{number}.{end}",
            number % 28 + 1,
            number * 7,
        )
    };
    let filled = |unit: &str| unit.repeat(LENGTH / unit.len());
    vec![
        ("data", json!(records).to_string()),
        ("endless sentence", filled("alpha, and beta ")),
        ("initials", filled("a. B. ")),
        ("one word", filled("x")),
        ("brackets", filled("( ")),
        ("lines", filled("a\n")),
        ("letters", (0..LENGTH / 200).map(letter).collect()),
        ("a letter in one line", (0..LENGTH / 200).map(letter).collect::<String>().replace('\n', " ")),
    ]
}

async fn all_answer(tool: &str, variants: &[Value]) {
    let scorer = |_: &lla_inference::ScoreItem, text: &str| vec![-1.0; text.len().clamp(1, 9)];
    let mock = Arc::new(MockBackend::new("m").with_scorer(scorer).with_script(Script::text("no no no no no no no no")));
    let registry = Registry::standard();
    for (what, text) in texts() {
        for variant in variants {
            let mut arguments = variant.clone();
            arguments["text"] = text.as_str().into();
            let context = Context::new(Arc::new(Scoring(Arc::clone(&mock))));
            let answer = registry.call(tool, arguments, context).await;
            assert!(answer.is_ok(), "{tool} {variant} of {what}: {answer:?}");
        }
    }
}

#[tokio::test]
async fn summarize_answers() {
    all_answer("summarize", &[json!({}), json!({"style": "bullets", "max_words": 2000})]).await;
}

#[tokio::test]
async fn rewrite_shortens() {
    all_answer("rewrite", &[json!({"style": "concise"}), json!({"instruction": "At most 50 words."})]).await;
    all_answer("rewrite", &[json!({"instruction": "At most 9000 words."})]).await;
}

#[tokio::test]
async fn rewrite_changes_words() {
    let styles = ["formal", "casual", "plain", "bullets", "grammar"].map(|style| json!({"style": style}));
    all_answer("rewrite", &styles).await;
    let instructions = ["friendly", "active voice", "uppercase", "more confident", "no exclamation marks"];
    all_answer("rewrite", &instructions.map(|instruction| json!({"instruction": instruction}))).await;
}

#[tokio::test]
async fn extract_answers() {
    let properties = json!({
        "name": {"type": "string"}, "day": {"type": "string", "format": "date"}, "amount": {"type": "number"},
        "mails": {"type": "array", "items": {"type": "string", "format": "email"}},
        "people": {"type": "array", "items": {"type": "object", "properties": {"name": {"type": "string"}}}},
        "kind": {"enum": ["alpha", "letter"]}, "paid": {"type": "boolean"},
    });
    all_answer("extract", &[json!({"schema": {"type": "object", "properties": properties}})]).await;
}

#[tokio::test]
async fn classify_answers() {
    all_answer(
        "classify",
        &[json!({"labels": ["data", "letter"]}), json!({"labels": ["a", "b"], "multi_label": true})],
    )
    .await;
}
