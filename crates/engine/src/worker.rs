//! The one thread that owns the llama context, and the handle the rest of the process talks to.
//!
//! Here is the handle. The thread's loop is `worker/steps.rs`; choosing tokens from what a step
//! computed is `worker/draw.rs`. What runs in a step is decided by `scheduler.rs` (pure); how a sequence
//! goes on or ends, by `sequence.rs` (pure).

use std::ops::Deref;
use std::sync::mpsc as std_mpsc;
use std::sync::{Arc, OnceLock};

use llama_cpp_2::llama_backend::LlamaBackend;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, watch};

use self::steps::{WorkerParts, run_worker};
use crate::capacity::Capacity;
use crate::constraint::{Constraint, ConstraintVocabulary, GrammarCache, Restriction};
use crate::error::EngineError;
use crate::handle::Handle;
use crate::metrics::Metrics;
use crate::model::{Model, ModelCard};
use crate::options::EngineOptions;
use crate::sequence::{GenerateRequest, Output, Sequence};
use crate::template::TemplateOptions;

mod draw;
mod masks;
mod steps;

/// A running engine. Cheap to clone; the last clone to go stops the worker.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    handle: Handle,
    /// Made when the first restriction is compiled.
    vocabulary: OnceLock<Result<Arc<ConstraintVocabulary>, EngineError>>,
    grammars: GrammarCache,
    commands: std_mpsc::Sender<Command>,
    /// Places for sequences, waiting and running together.
    places: Arc<Semaphore>,
    queue_limit: usize,
}

/// Texts, tokens and the state of the worker.
impl Deref for Engine {
    type Target = Handle;

    fn deref(&self) -> &Handle {
        &self.inner.handle
    }
}

pub(crate) enum Command {
    Submit(Box<Sequence>),
    Shutdown,
}

impl Engine {
    /// Loads the model and starts the worker; returns when requests can be served.
    ///
    /// Blocks for the time of loading: call it from a thread that may block.
    ///
    /// # Errors
    /// When the model can not be loaded or its context not be made (memory).
    pub fn start(options: &EngineOptions) -> Result<Self, EngineError> {
        let backend = llama_backend()?;
        let model = Arc::new(Model::load(backend, options)?);
        let capacity = Capacity::choose(&model, options)?;
        let card = ModelCard {
            name: options.model_name(),
            window: capacity.window,
            created: unix_now(),
            n_vocab: model.n_vocab(),
            has_chat_template: model.has_chat_template(),
        };
        let metrics = Arc::new(Metrics::new(&card.name));
        metrics.threads(capacity.threads);
        let (commands, inbox) = std_mpsc::channel();
        let (stop_sender, stopped) = watch::channel(false);
        let (ready_sender, ready) = std_mpsc::channel();
        let worker_parts = WorkerParts {
            model: Arc::clone(&model),
            capacity,
            inbox,
            metrics: Arc::clone(&metrics),
            reuse: options.prefix_cache && model.can_share_cells(),
            drafts: options.drafts && model.can_share_cells(),
            // A number that somebody chose is kept.
            adapts_threads: options.threads.is_none(),
        };
        std::thread::Builder::new()
            .name("llama".to_owned())
            .spawn(move || {
                run_worker(backend, &worker_parts, &ready_sender);
                stop_sender.send_replace(true);
            })
            .map_err(|error| EngineError::Native(format!("the worker thread can not be started: {error}")))?;
        ready.recv().map_err(|_| EngineError::Native("the worker ended while starting".to_owned()))??;
        let queue_limit = options.queue as usize;
        let places = Arc::new(Semaphore::new(queue_limit + capacity.slots as usize));
        Ok(Self {
            inner: Arc::new(Inner {
                handle: Handle { model, card, metrics, stopped },
                vocabulary: OnceLock::new(),
                grammars: GrammarCache::default(),
                commands,
                places,
                queue_limit,
            }),
        })
    }

    /// Starts a generation. Dropping the receiver cancels it at the next step.
    ///
    /// # Errors
    /// When the prompt is empty or does not fit the window, when the queue is full, or when the
    /// worker has ended.
    pub fn generate(&self, request: GenerateRequest) -> Result<mpsc::UnboundedReceiver<Output>, EngineError> {
        let prompt_tokens = u32::try_from(request.prompt.len()).unwrap_or(u32::MAX);
        let window = self.card.window;
        if prompt_tokens == 0 {
            let error = lla_protocol::FieldError::new("prompt", "invalid_value", "the prompt has no tokens");
            return Err(EngineError::Field(error));
        }
        // Scoring a prompt needs no room for an answer.
        let max_tokens = request.max_tokens.unwrap_or(1);
        if prompt_tokens.saturating_add(max_tokens.min(1)) > window {
            return Err(EngineError::ContextLength { prompt_tokens, max_tokens, window });
        }
        let place = self.place()?;
        let (sender, receiver) = mpsc::unbounded_channel();
        let sequence = Sequence::new(request, window as usize, sender, place);
        self.submit(sequence)?;
        Ok(receiver)
    }

    /// A place in the queue, given back when its last clone is dropped.
    pub(crate) fn place(&self) -> Result<Arc<OwnedSemaphorePermit>, EngineError> {
        let limit = self.inner.queue_limit;
        let place = Arc::clone(&self.inner.places).try_acquire_owned();
        place.map(Arc::new).map_err(|_| EngineError::QueueFull { waiting: limit, limit })
    }

    /// Hands a sequence to the worker.
    pub(crate) fn submit(&self, sequence: Sequence) -> Result<(), EngineError> {
        self.inner.commands.send(Command::Submit(Box::new(sequence))).map_err(|_| EngineError::ShuttingDown)
    }

    /// How the model writes tool calls and reasoning.
    #[must_use]
    pub fn chat_format(&self) -> &crate::chat_format::ChatFormat {
        self.model.chat_format()
    }

    /// A chat as prompt tokens.
    ///
    /// # Errors
    /// When the model has no chat template, or the template refuses the messages.
    pub fn render_chat(
        &self,
        messages: &[lla_protocol::openai::Message],
        options: &TemplateOptions<'_>,
    ) -> Result<Vec<u32>, EngineError> {
        self.model.render_chat(messages, options)
    }

    /// Makes a restriction ready for a generation; grammars of earlier calls are kept, within limits.
    /// The first call builds the tree of the vocabulary; it may block for some tenths of a second.
    ///
    /// # Errors
    /// [`EngineError::Grammar`] when the grammar can not be used, with a path inside of it.
    pub fn compile(&self, restriction: &Restriction) -> Result<Constraint, EngineError> {
        let (constraint, found) = self.inner.grammars.compile(self.constraint_vocabulary()?, restriction)?;
        self.metrics.grammar(found);
        Ok(constraint)
    }

    /// The vocabulary for restrictions, built by whoever asks first.
    pub(crate) fn constraint_vocabulary(&self) -> Result<&Arc<ConstraintVocabulary>, EngineError> {
        let build = || self.model.constraint_vocabulary().map(Arc::new);
        self.inner.vocabulary.get_or_init(build).as_ref().map_err(EngineError::clone)
    }

    /// Ends all sequences with an error and stops the worker.
    pub fn shutdown(&self) {
        drop(self.inner.commands.send(Command::Shutdown));
    }
}

/// llama.cpp's global state: made once, kept for the life of the process.
pub(crate) fn llama_backend() -> Result<&'static LlamaBackend, EngineError> {
    static BACKEND: OnceLock<Result<LlamaBackend, String>> = OnceLock::new();
    let backend = BACKEND.get_or_init(|| {
        llama_cpp_2::send_logs_to_tracing(llama_cpp_2::LogOptions::default());
        LlamaBackend::init().map_err(|error| error.to_string())
    });
    backend.as_ref().map_err(|message| EngineError::Native(message.clone()))
}

pub(crate) fn unix_now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(0)
}
