//! What the text tools know of prose without a model: sentences and their shorter forms, words, facts, repetition.
//!
//! What it does not: choose among sentences, know styles.

pub(crate) mod compress;
pub(crate) mod facts;
pub(crate) mod guard;
pub(crate) mod sentences;
#[cfg(test)]
mod tests;
pub(crate) mod words;
