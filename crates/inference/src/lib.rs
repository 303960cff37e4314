//! The domain: what a request is, what an answer is, and who can serve it.
//!
//! Every API in front becomes a [`ChatRequest`] or a [`CompletionRequest`]; every answer is one
//! [`EventStream`]. A [`Backend`] turns the one into the other. The [`Fleet`] knows the backends, starts
//! and supervises engine processes, and shows what works now, and goes on to the next backend when one fails ([`resilience`]);
//! [`route::route`] decides, as a pure
//! function, which backend and model serve a request.
//!
//! What it does not: HTTP status codes, server frameworks, prompts of tools, limits of callers.
//!
//! Start reading at [`Backend`], then [`fleet`].

pub mod backend;
pub mod capabilities;
pub mod driver;
pub mod duration_text;
pub mod error;
pub mod event;
pub mod fleet;
pub mod mock;
pub mod request;
pub mod resilience;
pub mod route;
pub mod score;

pub use backend::{Backend, BackendHealth, ModelInfo};
pub use capabilities::{Capabilities, Support};
pub use driver::{BuildError, Dialect, HttpBackendConfig, OllamaBackend, OllamaConfig, OpenAiBackend, Timeouts};
pub use error::{Error, ErrorKind};
pub use event::{Delta, Event, EventStream};
pub use fleet::{Answer, DefaultSampling, EngineModelConfig, Fleet, FleetConfig, Launch, RoutedBackend, StartPolicy};
pub use mock::{MockBackend, Script};
pub use request::{ChatRequest, CompletionRequest, EmbedRequest, Embeddings};
pub use resilience::ResilienceConfig;
pub use route::{Route, RouteConfig, Target, Tier};
pub use score::{ScoreItem, ScorePrompt, ScoreRequest, ScoreUsage, Scores};
