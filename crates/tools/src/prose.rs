//! What the text tools know of prose without a model: sentences, words, facts, repetition.
//!
//! What it does not: change a text, choose among sentences.

pub(crate) mod facts;
pub(crate) mod guard;
pub(crate) mod sentences;
#[cfg(test)]
mod tests;
pub(crate) mod words;
