//! Sends drafts: finds the window, loads and pulls what is not there, and puts the answers of several
//! choices together.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use futures_util::stream::{self, StreamExt as _};
use lla_protocol::ollama::{LoadedModel, ProcessList, ShowRequest, ShowResponse};
use lla_protocol::openai::Usage;

use super::card::Card;
use super::config::OllamaConfig;
use super::draft::Draft;
use super::load;
use super::names::{same, short};
use super::reading::{self, Part, Parts};
use super::window::{self, Limits, Need, TooLong, Window};
use crate::driver::connection::Connection;
use crate::{Error, Event, EventStream};

/// So many choices of one request run at the same time; Ollama queues what is too much for it.
const AT_ONCE: usize = 4;

/// One Ollama.
#[derive(Debug)]
pub(super) struct Core {
    pub(super) connection: Arc<Connection>,
    pub(super) config: OllamaConfig,
    /// What is known of models, by their short names, with their digests where these are known.
    cards: Mutex<HashMap<String, Known>>,
}

/// Drafts that can be sent as soon as their model is loaded.
#[derive(Debug)]
pub(super) struct Ready {
    drafts: Vec<Draft>,
    limits: Limits,
    pub(super) model: String,
    /// The window that the model is to be loaded with.
    pub(super) num_ctx: u32,
    /// It is in memory with that window.
    pub(super) is_loaded: bool,
}

#[derive(Debug, Clone)]
struct Known {
    card: Arc<Card>,
    digest: Option<String>,
}

impl Core {
    pub(super) fn new(connection: Connection, config: OllamaConfig) -> Self {
        Self { connection: Arc::new(connection), config, cards: Mutex::default() }
    }

    pub(super) fn name(&self) -> &str {
        &self.connection.name
    }

    /// What is known of the model; asked once.
    pub(super) async fn card(&self, model: &str) -> Result<Arc<Card>, Error> {
        let known = self.with_cards(|cards| cards.get(short(model)).map(|known| Arc::clone(&known.card)));
        if let Some(card) = known {
            return Ok(card);
        }
        let request = ShowRequest { model: model.to_owned() };
        let shown: ShowResponse =
            self.connection.post_root("api/show", &request).await.map_err(|e| self.missing(e, model))?;
        let card = Arc::new(Card::new(&shown));
        let known = Known { card: Arc::clone(&card), digest: None };
        self.with_cards(|cards| cards.insert(short(model).to_owned(), known));
        Ok(card)
    }

    /// Forgets what is known of a model whose file is another one now.
    pub(super) fn note_digest(&self, model: &str, digest: &str) {
        self.with_cards(|cards| {
            let Some(known) = cards.get_mut(short(model)) else { return };
            match &known.digest {
                Some(before) if before != digest => drop(cards.remove(short(model))),
                _ => known.digest = Some(digest.to_owned()),
            }
        });
    }

    fn with_cards<T>(&self, action: impl FnOnce(&mut HashMap<String, Known>) -> T) -> T {
        action(&mut self.cards.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// A 404 about a model means that it has to be pulled.
    pub(super) fn missing(&self, error: Error, model: &str) -> Error {
        match error {
            Error::ModelNotFound { .. } => {
                // It may have been there before.
                self.with_cards(|cards| cards.remove(short(model)));
                Error::ModelNotPulled { backend: self.name().to_owned(), model: model.to_owned() }
            }
            other => other,
        }
    }

    /// The models in memory.
    pub(super) async fn loaded(&self) -> Result<Vec<LoadedModel>, Error> {
        self.connection.get_root::<ProcessList>("api/ps").await.map(|list| list.models)
    }

    /// What limits the window of `model` now.
    pub(super) async fn limits(&self, model: &str, card: &Card) -> Result<Limits, Error> {
        let loaded = if card.is_remote { Vec::new() } else { self.loaded().await? };
        let loaded = loaded.iter().find(|loaded| same(&loaded.name, model)).and_then(|loaded| loaded.context_length);
        Ok(Limits { most: self.most(card), wanted: card.num_ctx, loaded })
    }

    /// The largest window of a model here.
    pub(super) fn most(&self, card: &Card) -> Option<u32> {
        [card.window, self.config.max_context].into_iter().flatten().min()
    }

    /// The window for a need.
    pub(super) fn window(&self, need: &Need, limits: Limits, model: &str) -> Result<Window, Error> {
        window::plan(need, limits).map_err(|TooLong { prompt, counted, most }| {
            let about = if counted { "" } else { "at least " };
            let message = format!(
                "the prompt has {about}{prompt} tokens, but the model '{model}' takes {most} for prompt and answer together"
            );
            Error::ContextLength { message }
        })
    }

    /// Answers drafts. When the model is in memory, the first one has been accepted when this returns.
    pub(super) async fn answer(self: Arc<Self>, drafts: Vec<Draft>, model: String) -> Result<EventStream, Error> {
        match self.card(&model).await {
            Ok(card) => {
                let ready = self.prepare(drafts, model, &card).await?;
                if ready.is_loaded { self.open(ready).await } else { Ok(load::then_open(self, ready)) }
            }
            Err(Error::ModelNotPulled { .. }) if self.config.pull => Ok(load::pull_then_open(self, drafts, model)),
            Err(error) => Err(error),
        }
    }

    /// Adapts drafts to their model and chooses one window for all of them.
    pub(super) async fn prepare(&self, mut drafts: Vec<Draft>, model: String, card: &Card) -> Result<Ready, Error> {
        for draft in &mut drafts {
            draft.fit(card, &model)?;
        }
        let mut limits = self.limits(&model, card).await?;
        let largest = drafts.iter().map(|draft| draft.need).max_by_key(Need::total);
        let largest = largest.ok_or_else(|| {
            tracing::error!(backend = self.name(), "a request without a prompt");
            Error::Internal
        })?;
        let window = self.window(&largest, limits, &model)?;
        limits.loaded = Some(window.num_ctx);
        Ok(Ready { drafts, limits, model, num_ctx: window.num_ctx, is_loaded: window.is_loaded || card.is_remote })
    }

    /// Sends what is ready. The first draft has been accepted when this returns.
    pub(super) async fn open(self: Arc<Self>, ready: Ready) -> Result<EventStream, Error> {
        let Ready { drafts, limits, model, .. } = ready;
        let mut drafts = drafts.into_iter();
        let first = match drafts.next() {
            Some(draft) => Arc::clone(&self).open_one(draft, limits, model.clone()).await?,
            None => Box::pin(stream::empty()),
        };
        let rest = stream::iter(drafts).map(move |draft| {
            let opening = Arc::clone(&self).open_one(draft, limits, model.clone());
            let parts: Parts = Box::pin(stream::once(opening).flat_map(|opened| match opened {
                Ok(parts) => parts,
                Err(error) => Box::pin(stream::once(async { Err(error) })) as Parts,
            }));
            parts
        });
        Ok(events(Box::pin(stream::iter([first]).chain(rest).flatten_unordered(AT_ONCE))))
    }

    /// Sends one draft. A prompt that turns out to be longer than it looked gets a larger window.
    async fn open_one(self: Arc<Self>, mut draft: Draft, mut limits: Limits, model: String) -> Result<Parts, Error> {
        let timeouts = self.connection.timeouts;
        let mut window = self.window(&draft.need, limits, &model)?;
        let mut limit = timeouts.first_byte;
        loop {
            let body = draft.body(window, &self.config);
            let phase = ("first byte", limit.min(timeouts.total));
            match self.connection.open_root(draft.path(), &body, &model, phase).await {
                Ok(opened) => return Ok(reading::parts(Arc::clone(&self.connection), opened, &draft, window)),
                Err(Error::ContextLength { message }) => {
                    let refused = window.num_ctx;
                    if counted_tokens(&message).is_none() && limits.most.is_some_and(|most| refused >= most) {
                        return Err(Error::ContextLength { message });
                    }
                    // Without a number: the next step, as long as there is one.
                    let next = || refused.min(limits.most.map_or(u32::MAX, |most| most.saturating_sub(1)));
                    draft.need.counted = Some(counted_tokens(&message).unwrap_or_else(next));
                    // The window that was there has been refused.
                    limits.loaded = None;
                    window = self.window(&draft.need, limits, &model)?;
                    if window.num_ctx <= refused {
                        return Err(Error::ContextLength { message });
                    }
                    // The model is loaded again.
                    limit = timeouts.load.saturating_add(timeouts.first_byte);
                }
                Err(error) => return Err(self.missing(error, &model)),
            }
        }
    }
}

/// The number in `request (18899 tokens) exceeds the available context size`.
fn counted_tokens(message: &str) -> Option<u32> {
    let (before, _) = message.split_once(" tokens")?;
    let digits = before.rsplit(|character: char| !character.is_ascii_digit()).next()?;
    digits.parse().ok()
}

/// Events of all choices, and at the end the usage of all together. An error is the last item.
fn events(parts: Parts) -> EventStream {
    struct Answer {
        parts: Parts,
        /// Prompt tokens of each prompt: those of `n` choices are counted once.
        prompts: HashMap<u32, u32>,
        generated: u32,
        counted: bool,
        over: bool,
    }
    let answer = Answer { parts, prompts: HashMap::new(), generated: 0, counted: false, over: false };
    Box::pin(stream::unfold(answer, |mut answer| async move {
        while !answer.over {
            match answer.parts.next().await {
                Some(Ok(Part::Event(event))) => return Some((Ok(event), answer)),
                Some(Ok(Part::Counts { prompt_index, counts })) => {
                    let prompt = answer.prompts.entry(prompt_index).or_default();
                    *prompt = counts.prompt.unwrap_or(0).max(*prompt);
                    answer.generated = answer.generated.saturating_add(counts.answer.unwrap_or(0));
                    answer.counted |= counts.answer.is_some() || counts.prompt.is_some();
                }
                Some(Err(error)) => {
                    answer.over = true;
                    return Some((Err(error), answer));
                }
                None => {
                    answer.over = true;
                    if answer.counted {
                        let prompt = answer.prompts.values().fold(0_u32, |sum, tokens| sum.saturating_add(*tokens));
                        let usage = Usage::new(prompt, answer.generated);
                        return Some((Ok(Event::Usage(usage)), answer));
                    }
                }
            }
        }
        None
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_count_of_a_refusal_is_read() {
        for (message, counted) in [
            (
                "request (18899 tokens) exceeds the available context size (4096 tokens), try increasing it",
                Some(18_899),
            ),
            ("the input length exceeds the context length", None),
            ("many tokens", None),
        ] {
            assert_eq!(counted_tokens(message), counted, "{message}");
        }
    }
}
