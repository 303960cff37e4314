//! Models that turn texts into vectors: one thread, one context, several inputs per step.
//!
//! What it does: finds out that a file is such a model (`embed/kind.rs`), takes requests in within a
//! bound, and has them computed (`embed/worker.rs`). A vector has length 1; `embed/vector.rs`
//! shortens it for models that were trained for that.
//!
//! What it does not: generate text. [`crate::Engine`] does, with models of the other kind.

use std::ops::Deref;
use std::path::Path;
use std::sync::mpsc as std_mpsc;
use std::sync::{Arc, PoisonError};

use lla_protocol::FieldError;
use tokio::sync::{Semaphore, oneshot, watch};

use crate::cpu::available_cores;
use crate::error::EngineError;
use crate::handle::Handle;
use crate::metrics::Metrics;
use crate::model::{Model, ModelCard};
use crate::options::EngineOptions;
use crate::worker::{llama_backend, unix_now};

mod kind;
mod vector;
mod worker;

pub(crate) use self::kind::EmbeddingKind;
pub(crate) use self::vector::shortened;
use self::worker::{Command, Job, Parts};

/// No window is longer by default: attention over the whole window takes memory with its square.
const DEFAULT_WINDOW: u32 = 2048;

/// What the server needs to know about vectors.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct EmbeddingCard {
    /// Numbers per vector.
    pub width: u32,
    /// Whether the beginning of a vector is a good vector itself (Matryoshka training,
    /// <https://arxiv.org/abs/2205.13147>).
    pub shortens: bool,
}

/// A running model for embeddings. Cheap to clone; the last clone to go stops its thread.
#[derive(Clone)]
pub struct Embedder {
    inner: Arc<Inner>,
}

struct Inner {
    handle: Handle,
    vectors: EmbeddingCard,
    commands: std::sync::Mutex<std_mpsc::Sender<Command>>,
    places: Arc<Semaphore>,
    queue_limit: usize,
}

/// Texts, tokens and the state of the thread.
impl Deref for Embedder {
    type Target = Handle;

    fn deref(&self) -> &Handle {
        &self.inner.handle
    }
}

/// Whether a file holds a model for embeddings. A file that can not be read is left to whoever
/// loads it.
///
/// # Errors
/// When it is a model that ranks texts, which nothing here can use.
pub fn is_embedding_model(path: &Path) -> Result<bool, EngineError> {
    Ok(EmbeddingKind::of_file(path)?.is_some())
}

impl Embedder {
    /// Loads the model and starts its thread; returns when requests can be served.
    ///
    /// Blocks for the time of loading: call it from a thread that may block.
    ///
    /// # Errors
    /// When the file is no model for embeddings or can not be loaded, or when the options ask for a
    /// longer window than it was trained for.
    pub fn start(options: &EngineOptions) -> Result<Self, EngineError> {
        let failed =
            |message: &str| EngineError::ModelLoad { path: options.model.clone(), message: message.to_owned() };
        let kind = EmbeddingKind::of_file(&options.model)?.ok_or_else(|| failed("it makes no embeddings"))?;
        let backend = llama_backend()?;
        let model = Arc::new(Model::load(backend, options)?);
        let card = ModelCard {
            name: options.model_name(),
            window: window(model.trained_window(), options.context)?,
            created: unix_now(),
            n_vocab: model.n_vocab(),
            has_chat_template: false,
        };
        let width = u32::try_from(model.weights.n_embd_out()).unwrap_or(0);
        let vectors = EmbeddingCard { width, shortens: kind.shortens };
        let metrics = Arc::new(Metrics::new(&card.name));
        let threads = options.threads.map_or_else(available_cores, |threads| threads.max(1) as usize);
        metrics.threads(u32::try_from(threads).unwrap_or(u32::MAX));
        let (commands, inbox) = std_mpsc::channel();
        let (stop_sender, stopped) = watch::channel(false);
        let (ready_sender, ready) = std_mpsc::channel();
        let parts = Parts { model: Arc::clone(&model), pooling: kind.pooling, window: card.window, threads, inbox };
        std::thread::Builder::new()
            .name("embed".to_owned())
            .spawn(move || {
                worker::run(backend, &parts, &ready_sender);
                stop_sender.send_replace(true);
            })
            .map_err(|error| EngineError::Native(format!("the worker thread can not be started: {error}")))?;
        ready.recv().map_err(|_| EngineError::Native("the worker ended while starting".to_owned()))??;
        let queue_limit = (options.queue as usize).max(1);
        let places = Arc::new(Semaphore::new(queue_limit));
        let commands = commands.into();
        let handle = Handle { model, card, metrics, stopped };
        Ok(Self { inner: Arc::new(Inner { handle, vectors, commands, places, queue_limit }) })
    }

    /// The vectors of `inputs` in their order, each as long as the model makes it. Dropping the
    /// future cancels the work at the next step.
    ///
    /// # Errors
    /// When an input is empty or does not fit the window, when too many requests wait, or when the work fails.
    pub async fn embed(&self, inputs: Vec<Vec<u32>>) -> Result<Vec<Vec<f32>>, EngineError> {
        let window = self.card.window;
        check_inputs(&inputs, window)?;
        let limit = self.inner.queue_limit;
        let place = Arc::clone(&self.inner.places)
            .try_acquire_owned()
            .map_err(|_| EngineError::QueueFull { waiting: limit, limit })?;
        self.metrics.prompt_tokens(inputs.iter().map(Vec::len).sum());
        let (reply, vectors) = oneshot::channel();
        self.send(Command::Submit(Job::new(inputs, reply, place)))?;
        vectors.await.unwrap_or(Err(EngineError::ShuttingDown))
    }

    fn send(&self, command: Command) -> Result<(), EngineError> {
        let commands = self.inner.commands.lock().unwrap_or_else(PoisonError::into_inner);
        commands.send(command).map_err(|_| EngineError::ShuttingDown)
    }

    /// What is told about its vectors.
    #[must_use]
    pub fn vectors(&self) -> EmbeddingCard {
        self.inner.vectors
    }

    /// Ends everything that runs with an error, and the thread.
    pub fn shutdown(&self) {
        drop(self.send(Command::Shutdown));
    }
}

/// Refuses the first input that is empty, and the first that does not fit.
pub(crate) fn check_inputs(inputs: &[Vec<u32>], window: u32) -> Result<(), EngineError> {
    if let Some(index) = inputs.iter().position(Vec::is_empty) {
        let message = "must have at least one token";
        return Err(FieldError::new(&format!("input[{index}]"), "invalid_value", message).into());
    }
    let is_long = |input: &Vec<u32>| input.len() > window as usize;
    match inputs.iter().position(is_long) {
        None => Ok(()),
        Some(index) => {
            let tokens = inputs.get(index).map_or(0, Vec::len);
            Err(EngineError::InputTooLong { index, tokens: u32::try_from(tokens).unwrap_or(u32::MAX), window })
        }
    }
}

fn window(trained: u32, wanted: Option<u32>) -> Result<u32, EngineError> {
    match wanted {
        Some(wanted) if wanted > trained => {
            let message = format!("the model was trained for {trained} tokens, {wanted} were asked for");
            Err(EngineError::Unsupported { param: "context".to_owned(), message })
        }
        Some(wanted) => Ok(wanted.max(16)),
        None => Ok(trained.min(DEFAULT_WINDOW)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn windows_are_the_models_own_up_to_a_bound() {
        assert_eq!(window(512, None).expect("fits"), 512);
        assert_eq!(window(32_768, None).expect("fits"), 2048);
        assert_eq!(window(32_768, Some(8192)).expect("fits"), 8192);
        assert!(window(512, Some(513)).is_err());
    }

    #[test]
    fn the_first_input_that_is_too_long_is_named() {
        let inputs = [vec![1; 4], vec![1; 5], vec![1; 6]];
        assert!(check_inputs(&inputs, 6).is_ok());
        assert!(check_inputs(&[vec![1], vec![]], 6).is_err());
        let error = check_inputs(&inputs, 4).expect_err("too long").body().error;
        assert_eq!(error.param.as_deref(), Some("input[1]"));
        assert_eq!(error.code.as_deref(), Some("context_length_exceeded"));
        assert!(error.message.contains('5') && error.message.contains('4'), "{}", error.message);
    }
}
