//! Words: where they begin and end, which carry no meaning of their own, what their stem is.

use std::collections::HashSet;
use std::sync::LazyLock;

/// Words that stand in every text, one a line; English, Spanish, French, German.
static STOP: LazyLock<HashSet<&'static str>> =
    LazyLock::new(|| include_str!("stop_words.txt").split_whitespace().collect());

/// The words of a text: letters and digits, with what joins them (`10,200`, `20:05`, `don't`, `e-mail`).
pub(crate) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(|letter: char| !letter.is_alphanumeric() && !"'’.,:-_/@%&+#$€£".contains(letter))
        .map(|word| word.trim_matches(|letter: char| !letter.is_alphanumeric() && !"%$€£".contains(letter)))
        .filter(|word| word.contains(char::is_alphanumeric))
}

/// Whether a word (in any case) carries no meaning of its own.
pub(crate) fn is_stop(word: &str) -> bool {
    STOP.contains(word.to_lowercase().replace('’', "'").as_str())
}

/// Whether there is a digit in it.
pub(crate) fn is_number(word: &str) -> bool {
    word.contains(|letter: char| letter.is_ascii_digit())
}

/// A word without its commonest endings, in small letters: enough to see that two words are kin.
pub(crate) fn stem(word: &str) -> String {
    let mut word = word.to_lowercase();
    if is_number(&word) || word.chars().count() < 5 {
        return word;
    }
    for ending in ["ingly", "edly", "ings", "ing", "ies", "ied", "es", "ed", "s", "ly"] {
        if let Some(rest) = word.strip_suffix(ending)
            && rest.chars().count() >= 3
        {
            word.truncate(rest.len());
            break;
        }
    }
    word.trim_end_matches(['e', 'y']).to_owned()
}

/// How many words a text has when they are separated by white space: what limits count.
pub(crate) fn count(text: &str) -> usize {
    text.split_whitespace().count()
}
