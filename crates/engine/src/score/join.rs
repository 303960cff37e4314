//! The tokens of a prompt and its continuations together.
//!
//! A tokenizer may join the end of a prompt and the beginning of a continuation into one token. So each
//! continuation is tokenized with its prompt in front, and the border is put where all of them still agree
//! with the prompt alone: a token that is joined belongs to the continuation.

use super::ScoreTokens;
use crate::prefix_cache::common_prefix;

/// So many bytes at the end of a prompt are tokenized again with every continuation, when the rest can
/// be left as it is.
const TAIL: usize = 96;

/// Tokenizes `prompt` with each continuation.
///
/// `base`: tokens that stand before the prompt whatever comes (a rendered chat). `tokenize` turns text into
/// tokens; its second argument says whether what the model wants in front of a text (BOS) is added.
pub fn join(
    tokenize: &dyn Fn(&str, bool) -> Vec<u32>,
    base: &[u32],
    prompt: &str,
    continuations: &[String],
) -> ScoreTokens {
    let at_start = base.is_empty();
    let whole = tokenize(prompt, at_start);
    let cut = cut(prompt).filter(|&cut| {
        let (front, back) = prompt.split_at(cut);
        [tokenize(front, at_start), tokenize(back, false)].concat() == whole
    });
    let (front, back) = prompt.split_at(cut.unwrap_or(0));
    let front = if cut.is_some() { tokenize(front, at_start) } else { Vec::new() };
    let behind = |continuation: &String| {
        let tokens = tokenize(&[back, continuation].concat(), at_start && cut.is_none());
        [front.as_slice(), &tokens].concat()
    };
    let texts: Vec<Vec<u32>> = continuations.iter().map(behind).collect();
    let agree = |tokens: &Vec<u32>| common_prefix(&whole, &tokens[..tokens.len().saturating_sub(1)]);
    let border = texts.iter().map(agree).min().unwrap_or(whole.len());
    if at_start && border == 0 {
        // Nothing would be left to go on from: the border stays where the caller put it.
        let alone = continuations.iter().map(|continuation| tokenize(continuation, false)).collect();
        return ScoreTokens { prompt: whole, continuations: alone };
    }
    let prompt = [base, &whole[..border]].concat();
    ScoreTokens { prompt, continuations: texts.into_iter().map(|mut tokens| tokens.split_off(border)).collect() }
}

/// A place between two words, well before the end.
fn cut(prompt: &str) -> Option<usize> {
    let end = prompt.floor_char_boundary(prompt.len().checked_sub(TAIL)?);
    let bytes = &prompt.as_bytes()[..end];
    let is_border = |place: &[u8]| place[0].is_ascii_alphabetic() && place[1] == b' ' && place[2].is_ascii_alphabetic();
    bytes.windows(3).rposition(is_border).map(|index| index + 1)
}
