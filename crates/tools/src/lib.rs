//! Text tools for agents, over `dyn Backend`.
//!
//! So far the one step that every tool needs, to ask a model and get its whole answer as text
//! ([`complete_text`]), and decisions ([`decide::decide`]). The tools themselves (classify, extract, summarize, rewrite) come on top,
//! one file each; their prompts and their reading of answers live here and nowhere else.
//!
//! What it does not: HTTP, routes, choosing a backend, streaming to a caller.

pub mod answer;
pub mod decide;

pub use answer::{Answer, Error, complete_text};
