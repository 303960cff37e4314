//! The one thread that owns the llama context, and the handle the rest of the process talks to.
//!
//! The loop is a list of named steps: take new work, drop what was cancelled, plan the step, decode,
//! sample, send. What runs in a step is decided by `scheduler.rs` (pure); how a sequence goes on or
//! ends, by `sequence.rs` (pure). Here is only what needs the context.

use std::collections::HashMap;
use std::sync::mpsc as std_mpsc;
use std::sync::{Arc, OnceLock};
use std::time::Instant;

use llama_cpp_2::context::LlamaContext;
use llama_cpp_2::llama_backend::LlamaBackend;
use llama_cpp_2::llama_batch::LlamaBatch;
use tokio::sync::{Semaphore, mpsc, watch};

use crate::capacity::Capacity;
use crate::constraint::{Constraint, ConstraintVocabulary, Restriction};
use crate::cpu::ThreadPool;
use crate::error::EngineError;
use crate::metrics::Metrics;
use crate::model::{Model, ModelCard, token};
use crate::options::EngineOptions;
use crate::scheduler::{Limits, Plan, Scheduler, SequenceId, Work};
use crate::sequence::{GenerateRequest, Output, Sequence, Waited};
use crate::template::TemplateOptions;

/// A running engine. Cheap to clone; the last clone to go stops the worker.
#[derive(Clone)]
pub struct Engine {
    inner: Arc<Inner>,
}

struct Inner {
    model: Arc<Model>,
    /// Made when the first restriction is compiled.
    vocabulary: OnceLock<Result<Arc<ConstraintVocabulary>, EngineError>>,
    card: ModelCard,
    commands: std_mpsc::Sender<Command>,
    /// Places for sequences, waiting and running together.
    places: Arc<Semaphore>,
    queue_limit: usize,
    metrics: Arc<Metrics>,
    /// Turns true when the worker has ended, for whatever reason.
    stopped: watch::Receiver<bool>,
}

enum Command {
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
        let worker_parts = WorkerParts { model: Arc::clone(&model), capacity, inbox, metrics: Arc::clone(&metrics) };
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
                model,
                vocabulary: OnceLock::new(),
                card,
                commands,
                places,
                queue_limit,
                metrics,
                stopped,
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
        let window = self.inner.card.window;
        if prompt_tokens == 0 {
            let error = lla_protocol::FieldError::new("prompt", "invalid_value", "the prompt has no tokens");
            return Err(EngineError::Field(error));
        }
        if prompt_tokens >= window {
            return Err(EngineError::ContextLength {
                prompt_tokens,
                max_tokens: request.max_tokens.unwrap_or(1),
                window,
            });
        }
        let limit = self.inner.queue_limit;
        let place = Arc::clone(&self.inner.places)
            .try_acquire_owned()
            .map_err(|_| EngineError::QueueFull { waiting: limit, limit })?;
        let (sender, receiver) = mpsc::unbounded_channel();
        let sequence = Sequence::new(request, window as usize, sender, place);
        self.inner.commands.send(Command::Submit(Box::new(sequence))).map_err(|_| EngineError::ShuttingDown)?;
        Ok(receiver)
    }

    /// What is told about the model.
    #[must_use]
    pub fn card(&self) -> &ModelCard {
        &self.inner.card
    }

    /// Counters of this engine.
    #[must_use]
    pub fn metrics(&self) -> &Arc<Metrics> {
        &self.inner.metrics
    }

    /// Text to tokens; see `/tokenize`.
    #[must_use]
    pub fn tokenize(&self, text: &str, add_special: bool, parse_special: bool) -> Vec<u32> {
        self.inner.model.tokenize(text, add_special, parse_special)
    }

    /// Tokens to text; see `/detokenize`.
    #[must_use]
    pub fn detokenize(&self, tokens: &[u32]) -> String {
        self.inner.model.detokenize(tokens)
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
        self.inner.model.render_chat(messages, options)
    }

    /// Makes a restriction ready for a generation. The first call builds the tree of the vocabulary;
    /// it may block for some tenths of a second.
    ///
    /// # Errors
    /// [`EngineError::Grammar`] when the grammar can not be used, with a path inside of it.
    pub fn compile(&self, restriction: &Restriction) -> Result<Constraint, EngineError> {
        Ok(Constraint::compile(self.constraint_vocabulary()?, restriction)?)
    }

    /// The vocabulary for restrictions, built by whoever asks first.
    pub(crate) fn constraint_vocabulary(&self) -> Result<&Arc<ConstraintVocabulary>, EngineError> {
        let build = || self.inner.model.constraint_vocabulary().map(Arc::new);
        self.inner.vocabulary.get_or_init(build).as_ref().map_err(EngineError::clone)
    }

    /// Whether the worker runs.
    #[must_use]
    pub fn is_alive(&self) -> bool {
        !*self.inner.stopped.borrow()
    }

    /// Resolves when the worker has ended.
    pub async fn stopped(&self) {
        let mut stopped = self.inner.stopped.clone();
        // An error means that the sender is gone, so the worker is as well.
        drop(stopped.wait_for(|stopped| *stopped).await);
    }

    /// Ends all sequences with an error and stops the worker.
    pub fn shutdown(&self) {
        drop(self.inner.commands.send(Command::Shutdown));
    }
}

/// llama.cpp's global state: made once, kept for the life of the process.
fn llama_backend() -> Result<&'static LlamaBackend, EngineError> {
    static BACKEND: OnceLock<Result<LlamaBackend, String>> = OnceLock::new();
    let backend = BACKEND.get_or_init(|| {
        llama_cpp_2::send_logs_to_tracing(llama_cpp_2::LogOptions::default());
        LlamaBackend::init().map_err(|error| error.to_string())
    });
    backend.as_ref().map_err(|message| EngineError::Native(message.clone()))
}

fn unix_now() -> i64 {
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_secs()).unwrap_or(0)
}

struct WorkerParts {
    model: Arc<Model>,
    capacity: Capacity,
    inbox: std_mpsc::Receiver<Command>,
    metrics: Arc<Metrics>,
}

/// The worker thread: makes the context, reports, and steps until told to stop.
fn run_worker(backend: &LlamaBackend, parts: &WorkerParts, ready: &std_mpsc::Sender<Result<(), EngineError>>) {
    let context = match make_context(backend, parts) {
        Ok(context) => context,
        Err(error) => {
            drop(ready.send(Err(error)));
            return;
        }
    };
    let mut worker = Worker::new(parts, context);
    drop(ready.send(Ok(())));
    worker.run();
}

/// How long ggml's threads poll for the next step before they sleep (0 to 100, ggml's default).
const POLL: u32 = 50;

fn make_context<'model>(
    backend: &LlamaBackend,
    parts: &'model WorkerParts,
) -> Result<LlamaContext<'model>, EngineError> {
    let capacity = &parts.capacity;
    let mut context = parts.model.weights.new_context(backend, capacity.context_params()).map_err(|error| {
        EngineError::Native(format!("the context of {} tokens can not be made: {error}", capacity.cells))
    })?;
    // Without a pool of its own, llama.cpp starts and joins threads for every single step.
    ThreadPool::new(capacity.threads as usize, POLL)?.attach(&mut context)?;
    Ok(context)
}

struct Worker<'model> {
    context: LlamaContext<'model>,
    batch: LlamaBatch<'static>,
    scheduler: Scheduler,
    sequences: HashMap<SequenceId, Box<Sequence>>,
    next_id: SequenceId,
    /// Turn-end tokens, banned for sequences that ignore them.
    turn_ends: Vec<u32>,
    parts: &'model WorkerParts,
}

impl<'model> Worker<'model> {
    fn new(parts: &'model WorkerParts, context: LlamaContext<'model>) -> Self {
        let capacity = &parts.capacity;
        let limits = Limits {
            slots: capacity.slots as usize,
            cells: capacity.cells as usize,
            window: capacity.window as usize,
            chunk: capacity.chunk as usize,
            batch: capacity.batch as usize,
            // Places are counted by the handle, before a sequence gets here.
            queue: usize::MAX,
        };
        Self {
            context,
            batch: LlamaBatch::new(capacity.max_step_tokens() as usize, 1),
            scheduler: Scheduler::new(limits),
            sequences: HashMap::new(),
            next_id: 0,
            turn_ends: parts.model.turn_ends(),
            parts,
        }
    }

    fn run(&mut self) {
        while self.take_new_work() {
            self.drop_cancelled();
            let plan = self.scheduler.plan();
            self.free_preempted(&plan);
            self.show_gauges();
            if plan.work.is_empty() {
                continue;
            }
            let began = Instant::now();
            match self.decode(&plan.work) {
                Ok(()) => self.sample(&plan.work),
                Err(message) => self.fail_step(&plan.work, &message),
            }
            let prefill: usize = plan.work.iter().filter(|work| work.len > 1).map(|work| work.len).sum();
            let decode = plan.work.iter().filter(|work| work.len == 1).count();
            self.parts.metrics.step(began.elapsed(), prefill, decode);
        }
        for (_, sequence) in self.sequences.drain() {
            sequence.fail(EngineError::ShuttingDown);
        }
        self.show_gauges();
    }

    /// Takes what has been submitted; waits for work when there is none. False: stop.
    fn take_new_work(&mut self) -> bool {
        loop {
            let command = if self.scheduler.is_idle() {
                self.show_gauges();
                match self.parts.inbox.recv() {
                    Ok(command) => command,
                    Err(_) => return false,
                }
            } else {
                match self.parts.inbox.try_recv() {
                    Ok(command) => command,
                    Err(std_mpsc::TryRecvError::Empty) => return true,
                    Err(std_mpsc::TryRecvError::Disconnected) => return false,
                }
            };
            match command {
                Command::Submit(sequence) => self.submit(sequence),
                Command::Shutdown => return false,
            }
        }
    }

    fn submit(&mut self, sequence: Box<Sequence>) {
        let id = self.next_id;
        self.next_id += 1;
        match self.scheduler.submit(id, sequence.prompt_len()) {
            Ok(()) => {
                self.parts.metrics.prompt_tokens(sequence.prompt_len());
                self.sequences.insert(id, sequence);
            }
            Err(full) => sequence.fail(EngineError::QueueFull { waiting: full.waiting, limit: full.limit }),
        }
    }

    fn drop_cancelled(&mut self) {
        let abandoned: Vec<SequenceId> =
            self.sequences.iter().filter(|(_, sequence)| sequence.is_abandoned()).map(|(&id, _)| id).collect();
        for id in abandoned {
            drop(self.leave(id));
            self.parts.metrics.cancelled();
        }
    }

    /// Takes a sequence out of the batch and frees its cells.
    fn leave(&mut self, id: SequenceId) -> Option<Box<Sequence>> {
        if let Some(Some(slot)) = self.scheduler.remove(id) {
            self.free_cells(slot);
        }
        self.sequences.remove(&id)
    }

    fn free_preempted(&mut self, plan: &Plan) {
        for &(_, slot) in &plan.preempted {
            self.free_cells(slot);
        }
        self.parts.metrics.preempted(plan.preempted.len());
    }

    fn free_cells(&mut self, slot: usize) {
        if let Err(error) = self.context.kv_cache_seq_rm(slot_id(slot), None, None) {
            tracing::error!(slot, %error, "the cells of a slot could not be freed");
        }
    }

    /// Runs the model over the planned ranges. Errors are for the log.
    fn decode(&mut self, work: &[Work]) -> Result<(), String> {
        self.batch.clear();
        for item in work {
            let Some(sequence) = self.sequences.get(&item.id) else {
                return Err(format!("sequence {} is planned but not known", item.id));
            };
            let end = item.start + item.len;
            for position in item.start..end {
                let wants_logits = item.sample && position + 1 == end;
                let position_id = i32::try_from(position).map_err(|error| error.to_string())?;
                self.batch
                    .add(token(sequence.tokens[position]), position_id, &[slot_id(item.slot)], wants_logits)
                    .map_err(|error| error.to_string())?;
            }
        }
        self.context.decode(&mut self.batch).map_err(|error| error.to_string())
    }

    /// Chooses a token for every sequence whose range reached its end, and sends its text.
    fn sample(&mut self, work: &[Work]) {
        let mut row = 0;
        for item in work {
            row += item.len;
            if !item.sample {
                continue;
            }
            let Some(sequence) = self.sequences.get_mut(&item.id) else { continue };
            let banned: &[u32] = if sequence.ignore_eos { &self.turn_ends } else { &[] };
            let logits = self.context.get_logits_ith(i32::try_from(row - 1).unwrap_or(i32::MAX));
            let chosen = sequence.sampler.sample(logits, banned);
            match sequence.note_token(Instant::now()) {
                Waited::First(waited) => self.parts.metrics.first_token(waited),
                Waited::Next(waited) => self.parts.metrics.token(waited),
            }
            let ends_turn = self.parts.model.ends_turn(chosen);
            let ended = sequence.accept(chosen, &self.parts.model.piece(chosen), ends_turn);
            match ended {
                None => self.scheduler.appended(item.id),
                Some(reason) => {
                    if let Some(sequence) = self.leave(item.id) {
                        self.parts.metrics.finished(reason, sequence.age());
                        // Whoever sees the end must also see the counters without this sequence.
                        self.show_gauges();
                        sequence.finish(reason);
                    }
                }
            }
        }
    }

    /// The step failed in native code: its sequences end with an error, the others go on.
    fn fail_step(&mut self, work: &[Work], message: &str) {
        tracing::error!(message, sequences = work.len(), "a step of the model failed");
        for item in work {
            if let Some(sequence) = self.leave(item.id) {
                sequence.fail(EngineError::Native(message.to_owned()));
            }
        }
    }

    fn show_gauges(&self) {
        let scheduler = &self.scheduler;
        self.parts.metrics.gauges(
            scheduler.running(),
            scheduler.waiting(),
            scheduler.cells_used(),
            self.parts.capacity.cells as usize,
        );
    }
}

/// llama.cpp's sequence id of a slot.
fn slot_id(slot: usize) -> i32 {
    i32::try_from(slot).unwrap_or(i32::MAX)
}
