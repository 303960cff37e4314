//! The handlers, one file per resource. Each reads as the walk of its request: admit, read, route,
//! convert, ask the fleet, respond.

pub(crate) mod chat;
pub(crate) mod completions;
pub(crate) mod decisions;
pub(crate) mod embeddings;
pub(crate) mod health;
pub(crate) mod models;
pub(crate) mod systemone;
pub(crate) mod tools;
