//! What models for embeddings promise: order, length, independence of the batch, limits, cancelling.

use lla_engine::{Embedder, EngineError, EngineOptions, Loaded};

use crate::tiny_bert::{self, WIDTH, WINDOW};

fn start(queue: u32) -> Embedder {
    let folder = tempfile::tempdir().expect("a folder");
    let options =
        EngineOptions { model: tiny_bert::write(folder.path()), queue, threads: Some(1), ..EngineOptions::default() };
    match Loaded::start(&options).expect("starts") {
        Loaded::Embeddings(embedder) => embedder,
        Loaded::Text(_) => panic!("taken for a model that generates"),
    }
}

fn tokens(embedder: &Embedder, texts: &[&str]) -> Vec<Vec<u32>> {
    texts.iter().map(|text| embedder.tokenize(text, true, false)).collect()
}

fn likeness(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

#[tokio::test]
async fn vectors_are_of_length_1_in_order_and_do_not_depend_on_their_neighbours() {
    let embedder = start(8);
    assert_eq!((embedder.vectors().width as usize, embedder.card().window), (WIDTH, WINDOW));
    // 12 texts of up to 12 tokens: more than one step holds.
    let texts = ["a", "bc", "a b c d", "hello you", "z z z z z", "abcdefghij"].repeat(2);
    let inputs = tokens(&embedder, &texts);
    assert_eq!(inputs[0].len(), 3, "the model's own tokens stand around the text");
    let together = embedder.embed(inputs.clone()).await.expect("vectors");
    assert_eq!(together.len(), texts.len());
    for (index, input) in inputs.into_iter().enumerate() {
        let alone = embedder.embed(vec![input]).await.expect("a vector").remove(0);
        assert_eq!(alone.len(), WIDTH);
        assert!((likeness(&alone, &alone) - 1.0).abs() < 1e-5);
        assert!(likeness(&alone, &together[index]) > 0.9999, "{}", texts[index]);
    }
    assert!(likeness(&together[0], &together[6]) > 0.9999, "the same text");
    assert!(likeness(&together[0], &together[4]) < 0.999, "another text");
}

#[tokio::test]
async fn requests_at_the_same_time_get_their_own() {
    let embedder = start(64);
    let texts = ["a", "b c", "d e f", "g h i j"];
    let wanted = embedder.embed(tokens(&embedder, &texts)).await.expect("vectors");
    let tasks: Vec<_> = (0..32)
        .map(|number| {
            let (embedder, input) = (embedder.clone(), tokens(&embedder, &texts[number % 4..=number % 4]));
            tokio::spawn(async move { embedder.embed(input).await.expect("a vector").remove(0) })
        })
        .collect();
    for (number, task) in tasks.into_iter().enumerate() {
        assert!(likeness(&task.await.expect("no panic"), &wanted[number % 4]) > 0.9999);
    }
}

#[tokio::test]
async fn limits_are_errors_and_an_end_is_one_too() {
    let embedder = start(1);
    let error = embedder.embed(vec![vec![5; 3], vec![5; 33]]).await.expect_err("too long");
    assert!(matches!(error, EngineError::InputTooLong { index: 1, tokens: 33, window: WINDOW }), "{error}");
    embedder.embed(vec![vec![5; 32]]).await.expect("the whole window");
    // A list that takes a while, and one more request than may wait.
    let mut long = Box::pin(embedder.embed(vec![vec![5; 32]; 20_000]));
    assert!(futures_util::poll!(&mut long).is_pending());
    let error = embedder.embed(vec![vec![5]]).await.expect_err("full");
    assert!(matches!(error, EngineError::QueueFull { limit: 1, .. }), "{error}");
    // Who leaves gives the place back.
    drop(long);
    while let Err(error) = embedder.embed(vec![vec![5]]).await {
        assert!(matches!(error, EngineError::QueueFull { .. }), "{error}");
        tokio::task::yield_now().await;
    }
    embedder.shutdown();
    embedder.stopped().await;
    assert!(!embedder.is_alive());
    assert!(matches!(embedder.embed(vec![vec![5]]).await, Err(EngineError::ShuttingDown)));
}

#[test]
fn a_model_that_generates_is_no_embedder() {
    let Some(model) = crate::model::model_path() else { return };
    assert!(!lla_engine::embed::is_embedding_model(&model).expect("read"));
    let error = Embedder::start(&EngineOptions { model, ..EngineOptions::default() }).err().expect("refused");
    assert!(matches!(error, EngineError::ModelLoad { .. }), "{error}");
}
