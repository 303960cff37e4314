//! Wire types of every API that Local LLM Agent serves or calls.
//!
//! What it does: parses request bodies into typed values, refusing what a field may not hold with
//! an error that names the field; writes answers, stream chunks and errors exactly as the reference
//! clients read them; frames server-sent events and lines of JSON; reads the headers of model files.
//!
//! What it does not: any I/O, any HTTP status, any decision. The same types serve the gateway (as a
//! server), the engine (as a server) and the drivers of `lla-inference` (as a client), so a field is
//! described once.
//!
//! Start reading at [`openai::ChatCompletionRequest`].

pub mod engine;
pub mod fields;
pub mod gguf;
pub mod ndjson;
pub mod ollama;
pub mod openai;
pub mod sse;
pub mod systemone;
pub mod vllm;

pub use fields::{FieldError, Fields};
