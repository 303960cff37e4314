//! One engine per test process: loading is cheap, but the CPU variant is chosen once.

use std::path::PathBuf;
use std::sync::OnceLock;

use lla_engine::{Engine, EngineOptions, Output};
use lla_protocol::openai::{FinishReason, Usage};

/// The shared engine: a small KV budget, so that preemption happens in tests.
pub(crate) fn engine() -> Option<&'static Engine> {
    static ENGINE: OnceLock<Option<Engine>> = OnceLock::new();
    ENGINE
        .get_or_init(|| {
            let path = model_path()?;
            let options = EngineOptions {
                model: path,
                context: Some(1024),
                kv_tokens: Some(1024),
                slots: 16,
                queue: 64,
                ..EngineOptions::default()
            };
            Some(Engine::start(&options).expect("the engine starts"))
        })
        .as_ref()
}

/// An engine that no other test uses: what depends on nobody else being in the batch.
pub(crate) fn engine_alone(drafts: bool) -> Option<Engine> {
    let options =
        EngineOptions { model: model_path()?, context: Some(1024), slots: 2, drafts, ..EngineOptions::default() };
    Some(Engine::start(&options).expect("the engine starts"))
}

pub(crate) fn model_path() -> Option<PathBuf> {
    match std::env::var_os("LLA_TEST_MODEL") {
        Some(path) => Some(path.into()),
        None => {
            assert!(std::env::var_os("LLA_REQUIRE_MODEL").is_none(), "LLA_TEST_MODEL is not set");
            println!("skipped: LLA_TEST_MODEL is not set");
            None
        }
    }
}

/// What a generation came to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Answer {
    pub(crate) text: String,
    pub(crate) pieces: usize,
    pub(crate) reason: FinishReason,
    pub(crate) usage: Usage,
}

/// Reads a generation to its end; panics when it fails or ends twice.
pub(crate) async fn read(mut receiver: tokio::sync::mpsc::UnboundedReceiver<Output>) -> Answer {
    let mut text = String::new();
    let mut pieces = 0;
    let mut end = None;
    while let Some(output) = receiver.recv().await {
        assert!(end.is_none(), "something came after the end");
        match output {
            Output::Prompt(_) | Output::Scores(_) => {}
            Output::Text { text: piece, .. } => {
                assert!(!piece.is_empty());
                text.push_str(&piece);
                pieces += 1;
            }
            Output::Finished { reason, usage } => end = Some((reason, usage)),
            Output::Failed(error) => panic!("{error}"),
        }
    }
    let (reason, usage) = end.expect("an end");
    Answer { text, pieces, reason, usage }
}
