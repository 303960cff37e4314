//! Ollama's native API (`/api/...`): we are its client. Field names and defaults are those of its
//! `api/types.go` (version 0.33).
//!
//! Answers are read leniently, because versions differ in what they leave out; requests say
//! everything that matters, because what is left out is decided by Ollama (a prompt that does not fit
//! its default window is cut).

mod chat;
mod embed;
mod generate;
mod image;
mod model;
mod options;
mod piece;

pub use chat::{ChatRequest, Message, Think, ToolCall, ToolCallFunction};
pub use embed::{EmbedRequest, EmbedResponse};
pub use generate::GenerateRequest;
pub use image::{ImageError, image_data};
pub use model::{
    ListedModel, LoadedModel, ModelDetails, ModelList, ProcessList, PullProgress, PullRequest, ShowRequest,
    ShowResponse, Version,
};
pub use options::Options;
pub use piece::{Piece, PieceMessage, TokenLogprob, TopTokenLogprob};
