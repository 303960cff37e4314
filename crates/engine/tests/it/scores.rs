//! Scores against the model: the same as those of `echo`, whatever the order, the cache and the neighbours.

use lla_engine::score::ScoreTokens;
use lla_engine::score::join::join;
use lla_engine::{Engine, EngineError, GenerateRequest, Output};

use crate::model::{engine, engine_alone, read};

const TEXT: &str = "The parcel was late, the box was torn, and nobody answered my three letters. I want my money \
                    back. The mood of this text is:";
const LABELS: [&str; 5] = [" happy", " angry and disappointed", " angry", " neutral", " disappointed by the service"];

fn item(engine: &Engine, text: &str, labels: &[&str]) -> ScoreTokens {
    let labels: Vec<String> = labels.iter().map(|&label| label.to_owned()).collect();
    join(&|text, special| engine.tokenize(text, special, false), &[], text, &labels)
}

/// What `echo` says about the tokens of a continuation.
async fn echoed(engine: &Engine, prompt: &[u32], continuation: &[u32]) -> Vec<f32> {
    let request = GenerateRequest {
        prompt: [prompt, continuation].concat(),
        max_tokens: Some(0),
        logprobs: Some(0),
        prompt_logprobs: true,
        ..GenerateRequest::default()
    };
    let mut receiver = engine.generate(request).expect("accepted");
    while let Some(output) = receiver.recv().await {
        if let Output::Prompt(places) = output {
            return places[prompt.len() - 1..].iter().map(|place| place.chosen.logprob).collect();
        }
    }
    panic!("no log-probabilities");
}

fn assert_close(found: &[f32], wanted: &[f32], what: &str) {
    assert_eq!(found.len(), wanted.len(), "{what}");
    for (found, wanted) in found.iter().zip(wanted) {
        // Batches of other shapes add in another order: see "What a seed promises" in ARCHITECTURE.md.
        let noise = 0.1 + wanted.abs() / 20.0;
        assert!((found - wanted).abs() < noise, "{what}: {found} is not {wanted}");
    }
}

#[tokio::test]
async fn scores_are_those_of_echo_in_any_order() {
    let Some(engine) = engine() else { return };
    let item = item(engine, TEXT, &LABELS);
    assert!(item.continuations.iter().any(|tokens| tokens.len() > 2), "labels of several tokens");
    let mut turned = item.clone();
    turned.continuations.reverse();
    let scored = engine.score(vec![item.clone(), turned]).await.expect("scored");
    for (index, label) in LABELS.iter().enumerate() {
        let wanted = echoed(engine, &item.prompt, &item.continuations[index]).await;
        assert_close(&scored.logprobs[0][index], &wanted, label);
        assert_close(&scored.logprobs[1][LABELS.len() - 1 - index], &wanted, label);
    }
}

#[tokio::test]
async fn a_text_is_computed_once_for_all_questions_and_not_again() {
    let Some(engine) = &engine_alone(true) else { return };
    let text = "The train to the coast leaves at nine and the sea is cold in the morning. ".repeat(12);
    let questions: Vec<String> = (0..20).map(|number| format!("{text}\nQuestion {number}: is it warm?")).collect();
    let items: Vec<ScoreTokens> =
        questions.iter().map(|text| item(engine, text, &[" yes", " no", " maybe not"])).collect();
    let prompts: usize = items.iter().map(|item| item.prompt.len()).sum();
    let one = items[0].prompt.len();
    let first = engine.score(items.clone()).await.expect("scored");
    let computed = first.computed_tokens as usize;
    assert!(computed < 3 * one && computed >= one, "{computed} of {prompts} for {one}");
    assert_eq!(first.cached_tokens as usize + computed, prompts + 20, "each third label has a token of its own");
    let again = engine.score(items).await.expect("scored");
    assert!(again.computed_tokens < first.computed_tokens / 2, "{} again", again.computed_tokens);
    for (first, again) in first.logprobs.iter().flatten().zip(again.logprobs.iter().flatten()) {
        assert_close(again, first, "again");
    }
}

#[tokio::test]
async fn many_labels_cost_their_tokens_only() {
    let Some(engine) = &engine_alone(true) else { return };
    let labels: Vec<String> = (0..25).map(|number| format!(" label {number}")).collect();
    let labels: Vec<&str> = labels.iter().map(String::as_str).collect();
    let item = item(engine, TEXT, &labels);
    let own: usize = item.continuations.iter().map(|tokens| tokens.len() - 1).sum();
    let scored = engine.score(vec![item.clone()]).await.expect("scored");
    let computed = scored.computed_tokens as usize;
    assert!(computed <= item.prompt.len() + own, "{computed} for {} and {own}", item.prompt.len());
}

#[tokio::test]
async fn what_does_not_fit_is_refused_with_the_numbers() {
    let Some(engine) = engine() else { return };
    let long = ScoreTokens { prompt: vec![5; 1023], continuations: vec![vec![6, 7]] };
    let error = engine.score(vec![long.clone()]).await.expect_err("too long");
    assert!(
        matches!(error, EngineError::ContextLength { prompt_tokens: 1023, max_tokens: 2, window: 1024 }),
        "{error}"
    );
    let fits = ScoreTokens { continuations: vec![vec![6]], ..long };
    assert_eq!(engine.score(vec![fits]).await.expect("scored").logprobs[0][0].len(), 1);
    for broken in [
        ScoreTokens { prompt: vec![], continuations: vec![vec![1]] },
        ScoreTokens { prompt: vec![1], continuations: vec![vec![]] },
    ] {
        assert!(matches!(engine.score(vec![broken]).await, Err(EngineError::Field(_))));
    }
}

#[tokio::test]
async fn a_chat_goes_on_beside_many_scores() {
    let Some(engine) = &engine_alone(true) else { return };
    let chat = GenerateRequest {
        prompt: engine.tokenize("Once upon a time", true, true),
        max_tokens: Some(20),
        ignore_eos: true,
        ..GenerateRequest::default()
    };
    let chat = read(engine.generate(chat).expect("accepted"));
    let items: Vec<ScoreTokens> =
        (0..40).map(|number| item(engine, &format!("{number} {}", "word ".repeat(200)), &[" a", " b c"])).collect();
    // The chat needs 20 steps, the scores more than 100.
    tokio::select! {
        answer = chat => assert_eq!(answer.usage.completion_tokens, 20),
        scored = engine.score(items) => panic!("the chat stood still: {scored:?}"),
    }
}

#[tokio::test]
async fn a_caller_that_leaves_frees_its_place() {
    let Some(engine) = &engine_alone(true) else { return };
    let items: Vec<ScoreTokens> =
        (0..40).map(|number| item(engine, &format!("{number} {}", "word ".repeat(900)), &[" a", " b c"])).collect();
    for _ in 0..20 {
        let score = engine.score(items.clone());
        // Polled once: everything that may wait at a time waits now.
        let given_up = tokio::time::timeout(std::time::Duration::ZERO, score).await;
        assert!(given_up.is_err());
    }
    // 20 times 40 long prompts would take minutes: the rest was never computed.
    let short = engine.score(vec![item(engine, "One two", &[" three"])]).await.expect("scored");
    assert_eq!(short.logprobs.len(), 1);
    assert!(engine.metrics().render().expect("text").contains("lla_engine_cancelled_total"));
}
