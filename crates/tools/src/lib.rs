//! Text tools for agents, over `dyn Backend`.
//!
//! Each tool is one file: [`classify`], [`extract`], [`summarize`], [`rewrite`]. It has typed
//! parameters and results with published schemas, prompts, and a way to read answers. [`Registry`]
//! holds them by name, checks arguments, contains panics, bounds time; [`Context`] is what a call may
//! use: models by tier, [`Files`] inside allowed folders, a place to tell progress.
//!
//! What it does not: HTTP, MCP, routes, choosing who may call.
//!
//! Start reading at [`Tool`], then [`Registry::call`], then one tool.

pub mod answer;
mod beside;
pub mod call;
mod check;
pub mod classify;
pub mod decide;
pub mod error;
pub mod extract;
pub mod files;
pub mod models;
pub mod output;
pub mod progress;
mod prose;
pub mod registry;
pub mod rewrite;
mod schema;
pub mod source;
pub mod summarize;
pub mod tool;
mod writing;

pub use answer::{Answer, Error, complete_text};
pub use call::{Call, Context};
pub use error::ToolError;
pub use files::{FileError, Files, Limits};
pub use models::{FleetModels, Model, Models};
pub use output::{FileRead, Output, Tokens};
pub use progress::{Progress, Step};
pub use registry::Registry;
pub use tool::{Spec, Tool};
