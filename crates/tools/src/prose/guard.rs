//! Whether a text that a model wrote may be used.

use std::collections::HashSet;

use super::facts::{is_capital, numbers, plain_number};
use super::words::{is_number, is_stop, words};

/// A text whose share of repeated runs of four words is above this says the same again and again.
const MOST_REPEATED: f64 = 0.1;

/// The share of the runs of four words that stood before, 0 to 1.
#[expect(clippy::cast_precision_loss, reason = "a count of words")]
pub(crate) fn repeated(text: &str) -> f64 {
    let said: Vec<String> = words(text).map(str::to_lowercase).collect();
    let runs: Vec<&[String]> = said.windows(4).collect();
    let different: HashSet<&&[String]> = runs.iter().collect();
    if runs.is_empty() { 0.0 } else { 1.0 - different.len() as f64 / runs.len() as f64 }
}

/// Whether a text goes round in circles.
pub(crate) fn is_degenerate(text: &str) -> bool {
    words(text).next().is_none() || repeated(text) > MOST_REPEATED
}

/// Whether all numbers and names of `text` stand in `source`.
pub(crate) fn is_grounded(text: &str, source: &str) -> bool {
    let known = numbers(source);
    let said: HashSet<String> = words(source).map(str::to_lowercase).collect();
    let mut starts = true;
    let mut sound = true;
    for piece in text.split_whitespace() {
        for word in words(piece) {
            let is_name = !starts && is_capital(word) && !is_stop(word);
            sound &= !is_number(word) || known.contains(&plain_number(word));
            sound &= !is_name || said.contains(&word.to_lowercase()) || is_number(word);
        }
        starts = piece.ends_with(['.', '!', '?', ':', '-', '*', '•']);
    }
    sound
}
