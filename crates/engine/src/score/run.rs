//! Runs paths: hands them to the worker, a few at a time, and collects what they come to.

use std::sync::Arc;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;
use tokio::sync::{OwnedSemaphorePermit, mpsc};

use super::{Mark, Path, PathScores, ScoreTokens, TextScores, paths};
use crate::error::EngineError;
use crate::sequence::{Output, Sequence};
use crate::worker::Engine;

/// Paths of one request that wait or run at the same time. More would not fit into a step, and a chat that
/// comes in between waits for these at most.
const IN_FLIGHT: usize = 48;

/// What a path came to.
struct Outcome {
    item: usize,
    /// It read the end of the prompt.
    is_first: bool,
    marks: Vec<Mark>,
    scores: Option<PathScores>,
    computed: usize,
    cached: usize,
}

impl Engine {
    /// Scores the continuations of each item, one place of the queue for all of them. The beginning that
    /// prompts share is computed once. Dropping the future cancels the work at the next step.
    ///
    /// # Errors
    /// When a prompt is empty, or does not fit the window with its longest continuation, when the queue is
    /// full, or when the worker has ended.
    pub async fn score(&self, items: Vec<ScoreTokens>) -> Result<TextScores, EngineError> {
        self.check(&items)?;
        let place = self.place()?;
        let blank = |item: &ScoreTokens| item.continuations.iter().map(|tokens| vec![0.0; tokens.len()]).collect();
        let mut scored = TextScores {
            logprobs: items.iter().map(blank).collect(),
            best: vec![0.0; items.len()],
            ..TextScores::default()
        };
        let mut running = FuturesUnordered::new();
        for (index, item) in items.iter().enumerate() {
            // Made when their turn has come: all at once, a long prompt would be there many times.
            for path in paths(item) {
                if running.len() >= IN_FLIGHT
                    && let Some(ended) = running.next().await
                {
                    note(&mut scored, ended?);
                }
                let (marks, is_first) = (path.marks.clone(), path.is_first);
                // Handed over in order, so that the path that reads the prompt comes first.
                let started = self.start_path(path, &place)?;
                running.push(outcome(index, is_first, marks, started));
            }
        }
        while let Some(ended) = running.next().await {
            note(&mut scored, ended?);
        }
        Ok(scored)
    }

    fn check(&self, items: &[ScoreTokens]) -> Result<(), EngineError> {
        let window = self.card().window;
        for (index, item) in items.iter().enumerate() {
            let field = |name: &str, message: &str| {
                let path = format!("items[{index}].{name}");
                EngineError::Field(lla_protocol::FieldError::new(&path, "invalid_value", message))
            };
            if item.prompt.is_empty() {
                return Err(field("prompt", "the prompt has no tokens"));
            }
            if item.continuations.is_empty() || item.continuations.iter().any(Vec::is_empty) {
                return Err(field("continuations", "a continuation has no tokens"));
            }
            let prompt_tokens = count(item.prompt.len());
            let max_tokens = count(item.continuations.iter().map(Vec::len).max().unwrap_or(0));
            if prompt_tokens.saturating_add(max_tokens) > window {
                return Err(EngineError::ContextLength { prompt_tokens, max_tokens, window });
            }
        }
        Ok(())
    }

    fn start_path(
        &self,
        path: Path,
        place: &Arc<OwnedSemaphorePermit>,
    ) -> Result<(usize, mpsc::UnboundedReceiver<Output>), EngineError> {
        let (sender, receiver) = mpsc::unbounded_channel();
        let tokens = path.tokens.len();
        self.submit(Sequence::scoring(path, sender, Arc::clone(place)))?;
        Ok((tokens, receiver))
    }
}

async fn outcome(
    item: usize,
    is_first: bool,
    marks: Vec<Mark>,
    (tokens, mut receiver): (usize, mpsc::UnboundedReceiver<Output>),
) -> Result<Outcome, EngineError> {
    let mut scores = None;
    while let Some(output) = receiver.recv().await {
        match output {
            Output::Scores(found) => scores = Some(found),
            Output::Finished { usage, .. } => {
                let cached = usage.prompt_tokens_details.and_then(|details| details.cached_tokens);
                let cached = cached.map_or(0, |cached| cached as usize);
                let computed = tokens - cached.min(tokens);
                return Ok(Outcome { item, is_first, marks, scores, computed, cached });
            }
            Output::Failed(error) => return Err(error),
            Output::Prompt(_) | Output::Text { .. } => {}
        }
    }
    Err(EngineError::Native("the worker dropped a score".to_owned()))
}

fn note(scored: &mut TextScores, outcome: Outcome) {
    let Some(scores) = outcome.scores else { return };
    for (mark, score) in outcome.marks.iter().zip(scores.marks) {
        scored.logprobs[outcome.item][mark.continuation][mark.index] = score;
    }
    scored.computed_tokens = scored.computed_tokens.saturating_add(count(outcome.computed));
    if outcome.is_first {
        scored.best[outcome.item] = scores.best;
        scored.cached_tokens = scored.cached_tokens.saturating_add(count(outcome.cached));
    }
}

fn count(tokens: usize) -> u32 {
    u32::try_from(tokens).unwrap_or(u32::MAX)
}
