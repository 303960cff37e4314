//! The engine process: one GGUF model on llama.cpp, served in vLLM's HTTP dialect.
//!
//! What it does: continuous batching on one thread that owns the llama context ([`Engine`]), chat
//! templates, sampling, stop strings, exact usage, and a thin HTTP server in front ([`run`]).
//!
//! What it does not: keys, limits, tiers, projects, other backends: that is the gateway, which
//! starts this as a separate process so that a crash in native code costs one model's requests.
//!
//! The only crate with `unsafe` and with C++. Start reading at `worker.rs`; what runs in a step is
//! `scheduler.rs`, how one generation goes on and ends is `sequence.rs`.

pub mod chat_format;
pub mod constraint;
pub mod cpu;
pub mod embed;
pub mod error;
pub mod forms;
pub mod logprobs;
pub mod memory;
pub mod metrics;
pub mod options;
pub mod reasoning;
pub mod sampler;
pub mod sandbox;
pub mod server;
pub mod template;
pub mod tool_calls;

mod capacity;
mod draft;
mod handle;
mod load_guard;
mod model;
mod pace;
mod prefix_cache;
mod scheduler;
pub mod score;
mod sequence;
mod stop;
mod thinking;
mod utf8;
mod worker;

pub use embed::Embedder;
pub use error::EngineError;
pub use handle::Handle;
pub use model::ModelCard;
pub use options::{EngineOptions, Listen};
pub use sequence::{GenerateRequest, Output, Thinking};
pub use worker::Engine;

/// A loaded model, by what it is for.
#[derive(Clone)]
pub enum Loaded {
    /// It generates text.
    Text(Engine),
    /// It makes embeddings.
    Embeddings(Embedder),
}

impl Loaded {
    /// Loads the model of `options` as what its file says it is. Blocks for the time of loading.
    ///
    /// # Errors
    /// Those of [`Engine::start`] and [`Embedder::start`].
    pub fn start(options: &EngineOptions) -> Result<Self, EngineError> {
        if embed::is_embedding_model(&options.model)? {
            return Embedder::start(options).map(Self::Embeddings);
        }
        Engine::start(options).map(Self::Text)
    }

    /// What is told about the model.
    #[must_use]
    pub fn card(&self) -> &ModelCard {
        match self {
            Self::Text(engine) => engine.card(),
            Self::Embeddings(embedder) => embedder.card(),
        }
    }
}

use load_guard::LoadGuard;

/// Loads the model and serves it until SIGTERM, SIGINT, or (with `exit_with_stdin`) the end of
/// standard input. Blocks; makes its own runtime.
///
/// # Errors
/// When the CPU can not run the model code, the address can not be bound, the model can not be
/// loaded, or the worker dies.
pub fn run(options: &EngineOptions) -> Result<(), EngineError> {
    let variant = cpu::select_and_apply(options.cpu_variant()?).map_err(EngineError::from)?;
    tracing::info!(variant = %variant, "cpu code chosen");
    // Threads inherit the sandbox of the one that starts them: so it comes before all of them, and
    // after the last socket and the last child process.
    let listener = runtime(tokio::runtime::Builder::new_current_thread())?.block_on(server::bind(&options.listen))?;
    if !has_gpu() {
        let _what_is_in_force = sandbox::enter(&options.listen);
    }
    let mut builder = tokio::runtime::Builder::new_multi_thread();
    builder.worker_threads(2);
    runtime(builder)?.block_on(async {
        let began = std::time::Instant::now();
        let model = tokio::task::block_in_place(|| {
            let _guard = LoadGuard::install(&options.model);
            Loaded::start(options)
        })?;
        let card = model.card();
        tracing::info!(
            model = card.name,
            window = card.window,
            load_ms = u64::try_from(began.elapsed().as_millis()).unwrap_or(u64::MAX),
            "model loaded"
        );
        if let Loaded::Text(engine) = &model {
            build_vocabulary(engine);
        }
        server::serve(options, model.clone(), listener, stop_signal(options.exit_with_stdin)).await
    })
}

/// Builds the vocabulary for restricted answers beside everything else, so that the first request
/// that needs it does not wait for it.
fn build_vocabulary(engine: &Engine) {
    let engine = engine.clone();
    let build = move || match engine.constraint_vocabulary() {
        Ok(vocabulary) => tracing::debug!(?vocabulary, "answers can be restricted"),
        Err(error) => tracing::warn!(%error, "answers can not be restricted"),
    };
    if let Err(error) = std::thread::Builder::new().name("vocabulary".to_owned()).spawn(build) {
        tracing::debug!(%error, "the vocabulary is built when it is needed");
    }
}

fn runtime(mut builder: tokio::runtime::Builder) -> Result<tokio::runtime::Runtime, EngineError> {
    let built = builder.enable_all().build();
    built.map_err(|error| EngineError::Native(format!("the runtime can not be started: {error}")))
}

/// Whether llama.cpp sees a GPU.
#[must_use]
pub fn has_gpu() -> bool {
    use llama_cpp_2::LlamaBackendDeviceType::{Gpu, IntegratedGpu};
    llama_cpp_2::list_llama_ggml_backend_devices()
        .iter()
        .any(|device| matches!(device.device_type, Gpu | IntegratedGpu))
}

/// Resolves when the process should end.
///
/// Under a supervisor (`exit_with_stdin`) SIGINT is left to it: Ctrl-C in a terminal reaches the
/// whole process group, and the gateway wants to drain its streams first.
async fn stop_signal(exit_with_stdin: bool) {
    use tokio::signal::unix::{SignalKind, signal};

    let terminated = async {
        match signal(SignalKind::terminate()) {
            Ok(mut stream) => drop(stream.recv().await),
            Err(_) => std::future::pending().await,
        }
    };
    if exit_with_stdin {
        let interrupts = signal(SignalKind::interrupt());
        tokio::select! {
            () = terminated => {}
            () = stdin_closed() => {}
        }
        drop(interrupts);
    } else {
        tokio::select! {
            () = terminated => {}
            _ = tokio::signal::ctrl_c() => {}
        }
    }
}

/// Resolves at the end of standard input. A plain thread: a blocked read must not keep the runtime
/// from shutting down.
async fn stdin_closed() {
    let (sender, receiver) = tokio::sync::oneshot::channel();
    let spawned = std::thread::Builder::new().name("stdin".to_owned()).spawn(move || {
        let copied = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
        tracing::debug!(?copied, "standard input has ended");
        // Nobody waits any more: the process ends for another reason.
        let _gone = sender.send(());
    });
    if spawned.is_err() || receiver.await.is_err() {
        std::future::pending::<()>().await;
    }
}
