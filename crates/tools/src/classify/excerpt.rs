//! The part of a long text that is read: its beginning and its end, where texts say what they are. Pure.

/// Between the two parts.
const GAP: &str = "\n[…]\n";

/// What is read of a text.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Excerpt {
    pub(super) text: String,
    /// The share of the text that is in it, 0 to 1.
    pub(super) share: f64,
}

/// At most about `most` bytes: two thirds from the beginning, one third from the end, cut between words where
/// there are any. The whole text when it is not longer.
pub(super) fn excerpt(text: &str, most: usize) -> Excerpt {
    let text = text.trim();
    if text.len() <= most {
        return Excerpt { text: text.to_owned(), share: 1.0 };
    }
    let head = &text[..text.floor_char_boundary(most / 3 * 2)];
    let tail = &text[text.ceil_char_boundary(text.len() - most / 3)..];
    // A word that is cut in two says something else than the word.
    let head = head.rsplit_once(char::is_whitespace).map_or(head, |(whole, _)| whole);
    let tail = tail.split_once(char::is_whitespace).map_or(tail, |(_, whole)| whole);
    #[expect(clippy::cast_precision_loss, reason = "a share")]
    let share = (head.len() + tail.len()) as f64 / text.len() as f64;
    Excerpt { text: format!("{head}{GAP}{tail}"), share }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn beginning_and_end_stay() {
        let text = "one two three four five six seven eight nine ten";
        assert_eq!(excerpt(text, 100), Excerpt { text: text.to_owned(), share: 1.0 });
        let found = excerpt(text, 30);
        assert_eq!(found.text, "one two three four\n[…]\nnine ten");
        assert!((found.share - 26.0 / 48.0).abs() < 1e-9, "{}", found.share);
    }

    proptest! {
        #[test]
        fn any_text_can_be_cut_anywhere(text in "\\PC{0,80}", most in 0_usize..100) {
            let found = excerpt(&text, most);
            prop_assert!(found.text.len() <= most + GAP.len() || found.share >= 1.0);
            prop_assert!((0.0..=1.0).contains(&found.share));
        }
    }
}
