//! A backend without a model: says what its script tells it to, and counts what runs.
//!
//! For the tests of everything above this crate, and for trying a gateway without a model. A dropped
//! answer leaves [`MockBackend::running`] at once, so that a test sees whether cancelling arrives.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::{StreamExt as _, stream};
use lla_protocol::openai::{FinishReason, Prompt, Usage};
use lla_protocol::systemone::{SystemOneAnswer, SystemOneRequest};
use tokio::process::Command;

use crate::backend::{no_scores, unsupported};
use crate::{
    Backend, BackendHealth, ChatRequest, CompletionRequest, EmbedRequest, Embeddings, EngineModelConfig, Error, Event,
    EventStream, Launch, ModelInfo, ScoreItem, ScoreRequest, ScoreUsage, Scores,
};

/// How a [`MockBackend`] answers one request. Text is sent word by word, to every choice in turn.
#[derive(Debug, Clone, PartialEq)]
pub enum Script {
    /// The whole text at once.
    Text(String),
    /// The text with pauses, in the time of the runtime (a test may pause it).
    Slow {
        /// What to say.
        text: String,
        /// Before the first word.
        first: Duration,
        /// Before every other word.
        between: Duration,
    },
    /// Some words, then an error.
    ErrorMidStream {
        /// What comes before the error.
        text: String,
        /// The error.
        error: Error,
    },
    /// The text, then silence until the caller leaves.
    NeverEnds {
        /// What comes before the silence.
        text: String,
    },
    /// The text, then the stream ends without a finish: a broken server.
    Truncated {
        /// What comes before the end.
        text: String,
    },
    /// Exactly these items, word for word (tool calls, log-probabilities, broken orders).
    Events(Vec<Result<Event, Error>>),
    /// Not accepted at all.
    Refuse(Error),
}

impl Script {
    /// A text, whole and at once.
    #[must_use]
    pub fn text(text: impl Into<String>) -> Self {
        Self::Text(text.into())
    }
}

/// See [`MockBackend::with_scorer`].
struct Scorer(Box<ScoreFn>);

type ScoreFn = dyn Fn(&ScoreItem, &str) -> Vec<f32> + Send + Sync;

impl std::fmt::Debug for Scorer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Scorer")
    }
}

/// See the module.
#[derive(Debug)]
pub struct MockBackend {
    name: String,
    models: Vec<ModelInfo>,
    /// The next answers; the last one is given again and again.
    scripts: Mutex<VecDeque<Script>>,
    chats: Mutex<Vec<ChatRequest>>,
    completions: Mutex<Vec<CompletionRequest>>,
    embeds: Mutex<Vec<EmbedRequest>>,
    scorer: Option<Scorer>,
    scores: Mutex<Vec<ScoreRequest>>,
    decision: Option<SystemOneAnswer>,
    decides: Mutex<Vec<SystemOneRequest>>,
    running: Arc<AtomicUsize>,
    health: Mutex<BackendHealth>,
}

impl MockBackend {
    /// A healthy backend with one model of its own name, which says `Hello world`.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        let name = name.into();
        Self {
            models: vec![ModelInfo { id: name.clone(), window: Some(8192), created: 1_700_000_000, parent: None }],
            name,
            scripts: Mutex::new(VecDeque::from([Script::text("Hello world")])),
            chats: Mutex::default(),
            completions: Mutex::default(),
            embeds: Mutex::default(),
            scorer: None,
            scores: Mutex::default(),
            decision: None,
            decides: Mutex::default(),
            running: Arc::default(),
            health: Mutex::new(BackendHealth { reachable: true, ..BackendHealth::default() }),
        }
    }

    /// Serves these models instead.
    #[must_use]
    pub fn with_models(mut self, ids: &[&str]) -> Self {
        let model =
            |id: &&str| ModelInfo { id: (*id).to_owned(), window: Some(8192), created: 1_700_000_000, parent: None };
        self.models = ids.iter().map(model).collect();
        self
    }

    /// Scores texts by this function: from an item and one of its continuations to the log-probabilities of
    /// the continuation's tokens. Without one, the backend says that it can not score. Of scripts only one
    /// that refuses or never ends is followed.
    #[must_use]
    pub fn with_scorer(mut self, scorer: impl Fn(&ScoreItem, &str) -> Vec<f32> + Send + Sync + 'static) -> Self {
        self.scorer = Some(Scorer(Box::new(scorer)));
        self
    }

    /// Has a route for typed decisions, which always answers this.
    #[must_use]
    pub fn with_decision(mut self, decision: SystemOneAnswer) -> Self {
        self.decision = Some(decision);
        self
    }

    /// Answers with `script` every time.
    #[must_use]
    pub fn with_script(self, script: Script) -> Self {
        self.with_scripts([script])
    }

    /// Answers with these in turn; the last one is repeated.
    #[must_use]
    pub fn with_scripts(self, scripts: impl IntoIterator<Item = Script>) -> Self {
        *lock(&self.scripts) = scripts.into_iter().collect();
        self
    }

    /// Answers from now on with `script`.
    pub fn set_script(&self, script: Script) {
        *lock(&self.scripts) = VecDeque::from([script]);
    }

    /// Reports this health from now on.
    pub fn set_health(&self, health: BackendHealth) {
        *lock(&self.health) = health;
    }

    /// Answers that have begun and have neither ended nor been dropped.
    #[must_use]
    pub fn running(&self) -> usize {
        self.running.load(Ordering::SeqCst)
    }

    /// The chat requests so far.
    #[must_use]
    pub fn chats(&self) -> Vec<ChatRequest> {
        lock(&self.chats).clone()
    }

    /// The completion requests so far.
    #[must_use]
    pub fn completions(&self) -> Vec<CompletionRequest> {
        lock(&self.completions).clone()
    }

    /// The requests for embeddings so far.
    #[must_use]
    pub fn embeds(&self) -> Vec<EmbedRequest> {
        lock(&self.embeds).clone()
    }

    /// The requests for scores so far.
    #[must_use]
    pub fn scores(&self) -> Vec<ScoreRequest> {
        lock(&self.scores).clone()
    }

    /// The requests for decisions so far.
    #[must_use]
    pub fn decides(&self) -> Vec<SystemOneRequest> {
        lock(&self.decides).clone()
    }

    fn answer(&self, choices: usize, prompt_tokens: u32) -> Result<EventStream, Error> {
        let script = {
            let mut scripts = lock(&self.scripts);
            let next = if scripts.len() > 1 { scripts.pop_front() } else { scripts.front().cloned() };
            next.unwrap_or(Script::Text(String::new()))
        };
        if let Script::Refuse(error) = script {
            return Err(error);
        }
        let running = Running::begin(&self.running);
        let steps = Steps { choices: u32::try_from(choices.max(1)).unwrap_or(u32::MAX), prompt_tokens };
        Ok(Box::pin(stream::unfold((steps.of(script), running), |(mut steps, running)| async move {
            match steps.pop_front()? {
                Step::Say(item) => Some((item, (steps, running))),
                Step::Wait(pause, item) => {
                    tokio::time::sleep(pause).await;
                    Some((item, (steps, running)))
                }
                Step::Hang => std::future::pending().await,
            }
        })))
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Counts one running answer for as long as it lives.
#[derive(Debug)]
struct Running(Arc<AtomicUsize>);

impl Running {
    fn begin(counter: &Arc<AtomicUsize>) -> Self {
        counter.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(counter))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

enum Step {
    Say(Result<Event, Error>),
    Wait(Duration, Result<Event, Error>),
    Hang,
}

/// Turns scripts into steps.
struct Steps {
    choices: u32,
    prompt_tokens: u32,
}

impl Steps {
    fn of(&self, script: Script) -> VecDeque<Step> {
        let say = |text: &str| -> VecDeque<Step> { self.words(text).map(|event| Step::Say(Ok(event))).collect() };
        match script {
            Script::Text(text) => say(&text).into_iter().chain(self.end(&text)).collect(),
            Script::Slow { text, first, between } => {
                let pauses = std::iter::once(first).chain(std::iter::repeat(between));
                let words = self.words(&text).zip(pauses).map(|(event, pause)| Step::Wait(pause, Ok(event)));
                words.chain(self.end(&text)).collect()
            }
            Script::ErrorMidStream { text, error } => say(&text).into_iter().chain([Step::Say(Err(error))]).collect(),
            Script::NeverEnds { text } => say(&text).into_iter().chain([Step::Hang]).collect(),
            Script::Truncated { text } => say(&text),
            Script::Events(items) => items.into_iter().map(Step::Say).collect(),
            Script::Refuse(error) => VecDeque::from([Step::Say(Err(error))]),
        }
    }

    /// Every word to every choice; a word keeps the space that follows it.
    fn words<'a>(&self, text: &'a str) -> impl Iterator<Item = Event> + use<'a> {
        let choices = self.choices;
        text.split_inclusive(' ').flat_map(move |word| (0..choices).map(move |index| Event::text(index, word)))
    }

    fn end(&self, text: &str) -> Vec<Step> {
        let words = u32::try_from(text.split_inclusive(' ').count()).unwrap_or(u32::MAX);
        let usage = Usage::new(self.prompt_tokens, words.saturating_mul(self.choices));
        (0..self.choices)
            .map(|index| Event::Finish { index, reason: FinishReason::Stop })
            .chain([Event::Usage(usage)])
            .map(|event| Step::Say(Ok(event)))
            .collect()
    }
}

/// A token per word: enough for a mock.
fn count_words(request: &ChatRequest) -> u32 {
    let words = |text: String| text.split_whitespace().count();
    let total: usize = request.messages.iter().map(|message| message.text_content().map_or(0, words)).sum();
    u32::try_from(total).unwrap_or(u32::MAX)
}

#[async_trait]
impl Backend for MockBackend {
    fn name(&self) -> &str {
        &self.name
    }

    async fn models(&self) -> Result<Vec<ModelInfo>, Error> {
        Ok(self.models.clone())
    }

    async fn chat(&self, request: ChatRequest) -> Result<EventStream, Error> {
        let prompt_tokens = count_words(&request);
        let choices = request.n.unwrap_or(1) as usize;
        lock(&self.chats).push(request);
        self.answer(choices, prompt_tokens)
    }

    async fn complete(&self, request: CompletionRequest) -> Result<EventStream, Error> {
        let tokens: usize = match &request.prompt {
            Prompt::Texts(texts) => texts.iter().map(|text| text.split_whitespace().count()).sum(),
            Prompt::Tokens(lists) => lists.iter().map(Vec::len).sum(),
        };
        let choices = request.choices();
        lock(&self.completions).push(request);
        self.answer(choices, u32::try_from(tokens).unwrap_or(u32::MAX))
    }

    /// Two numbers per input, characters and words, of length 1 together. Only a script that refuses
    /// is followed.
    async fn embed(&self, request: EmbedRequest) -> Result<Embeddings, Error> {
        lock(&self.embeds).push(request.clone());
        if let Some(Script::Refuse(error)) = lock(&self.scripts).front() {
            return Err(error.clone());
        }
        let sizes: Vec<(usize, usize)> = match &request.input {
            Prompt::Texts(texts) => {
                texts.iter().map(|text| (text.chars().count(), text.split_whitespace().count())).collect()
            }
            Prompt::Tokens(lists) => lists.iter().map(|list| (list.len(), list.len())).collect(),
        };
        let narrow = |number: usize| f32::from(u16::try_from(number).unwrap_or(u16::MAX));
        let unit = |&(characters, words): &(usize, usize)| {
            let (x, y) = (narrow(characters), narrow(words));
            let length = x.hypot(y).max(1.0);
            vec![x / length, y / length]
        };
        let prompt_tokens = sizes.iter().map(|(_, words)| words).sum::<usize>();
        let prompt_tokens = u32::try_from(prompt_tokens).unwrap_or(u32::MAX);
        Ok(Embeddings { vectors: sizes.iter().map(unit).collect(), prompt_tokens })
    }

    async fn score(&self, request: ScoreRequest) -> Result<Scores, Error> {
        lock(&self.scores).push(request.clone());
        let Some(Scorer(scorer)) = &self.scorer else { return Err(no_scores(&self.name, &request.model)) };
        let script = lock(&self.scripts).front().cloned();
        match script {
            Some(Script::Refuse(error)) => return Err(error),
            Some(Script::NeverEnds { .. }) => {
                let _running = Running::begin(&self.running);
                std::future::pending::<()>().await;
            }
            _ => {}
        }
        let of_item = |item: &ScoreItem| item.continuations.iter().map(|text| scorer(item, text)).collect();
        let logprobs: Vec<Vec<Vec<f32>>> = request.items.iter().map(of_item).collect();
        let likeliest =
            |found: &Vec<Vec<f32>>| found.iter().filter_map(|tokens| tokens.first()).copied().fold(-1e9, f32::max);
        let best = logprobs.iter().map(likeliest).collect();
        let tokens = u32::try_from(request.items.len()).unwrap_or(u32::MAX);
        Ok(Scores {
            logprobs,
            best,
            usage: ScoreUsage { prompt_tokens: tokens, computed_tokens: tokens, cached_tokens: 0 },
        })
    }

    async fn decide(&self, request: SystemOneRequest) -> Result<SystemOneAnswer, Error> {
        lock(&self.decides).push(request.clone());
        self.decision.clone().ok_or_else(|| unsupported(&self.name, &request.model, "decides nothing by itself"))
    }

    async fn count_tokens(&self, request: &ChatRequest) -> Result<u32, Error> {
        Ok(count_words(request))
    }

    async fn health(&self) -> BackendHealth {
        lock(&self.health).clone()
    }
}

/// The launcher of a fleet that has servers only.
#[derive(Debug, Clone, Copy)]
pub struct NoEngines;

impl Launch for NoEngines {
    /// A command that can not be started: there is no engine to start.
    fn command(&self, _model: &str, _config: &EngineModelConfig, _socket: &Path) -> Command {
        Command::new("")
    }
}

/// Collects an answer to its end; for tests.
///
/// # Errors
/// The error that ended it.
pub async fn collect(mut events: EventStream) -> Result<Vec<Event>, Error> {
    let mut collected = Vec::new();
    while let Some(event) = events.next().await {
        collected.push(event?);
    }
    Ok(collected)
}

#[cfg(test)]
mod tests {
    use lla_protocol::openai::{Message, Role, Sampling};

    use super::*;

    fn request(n: Option<u32>) -> ChatRequest {
        ChatRequest {
            model: "m".to_owned(),
            messages: vec![Message::text(Role::User, "two words")],
            sampling: Sampling::default(),
            max_tokens: None,
            n,
            extra: serde_json::Map::new(),
        }
    }

    #[tokio::test]
    async fn every_choice_gets_every_word_a_finish_and_one_usage() {
        let mock = MockBackend::new("m").with_script(Script::text("a b"));
        let events = collect(mock.chat(request(Some(2))).await.expect("accepted")).await.expect("whole");
        assert_eq!(events.len(), 2 * 2 + 2 + 1);
        assert_eq!(events.last(), Some(&Event::Usage(Usage::new(2, 4))));
        assert_eq!((mock.running(), mock.chats().len()), (0, 1));
    }

    #[tokio::test]
    async fn scripts_come_in_turn_and_dropping_is_seen() {
        let refused = Error::Cancelled;
        let mock = MockBackend::new("m")
            .with_scripts([Script::Refuse(refused.clone()), Script::NeverEnds { text: "a".to_owned() }]);
        assert_eq!(mock.chat(request(None)).await.err(), Some(refused));
        let mut events = mock.chat(request(None)).await.expect("accepted");
        assert_eq!(events.next().await, Some(Ok(Event::text(0, "a"))));
        assert_eq!(mock.running(), 1);
        drop(events);
        assert_eq!(mock.running(), 0);
    }

    #[tokio::test]
    async fn an_error_ends_the_stream() {
        let error = Error::upstream("m", "broke");
        let script = Script::ErrorMidStream { text: "a b".to_owned(), error: error.clone() };
        let mock = MockBackend::new("m").with_script(script);
        assert_eq!(collect(mock.chat(request(None)).await.expect("accepted")).await, Err(error));
    }
}
