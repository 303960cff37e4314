//! The OpenAI API as the official `openai` packages type it (checked against Python 3.54).
//!
//! Requests are parsed by `parse`, which checks types and ranges; answers are plain `serde` structs.

mod chat;
mod completion;
mod decision;
mod embedding;
mod error;
mod harmless;
mod logprobs;
mod message;
mod model;
mod sampling;
mod tool;
mod usage;

pub use chat::{ChatChoice, ChatChunk, ChatChunkChoice, ChatCompletion, ChatCompletionRequest, ChatDelta, ChatMessage};
pub use completion::{Completion, CompletionChoice, CompletionRequest, Prompt};
pub use decision::{
    ChoiceProbability, ChoiceValue, DecisionAnswer, DecisionInput, DecisionItem, DecisionList, DecisionQuestion,
    DecisionRequest, DecisionUsage, Found, InputTokensDetails, LevelProbability, OutputTokensDetails, QuestionKind,
};
pub use embedding::{Embedding, EmbeddingList, EmbeddingRequest, EmbeddingUsage, EncodingFormat, Vector};
pub use error::{ErrorBody, ErrorObject};
pub use logprobs::{ChatLogprobs, ChatTokenLogprob, CompletionLogprobs, Logprobs, TopLogprob};
pub use message::{Content, Message, Part, Role};
pub use model::{Model, ModelList};
pub use sampling::{Sampling, StreamOptions};
pub use tool::{Tool, ToolChoice, Tools};
pub use usage::{FinishReason, PromptTokensDetails, Usage};
