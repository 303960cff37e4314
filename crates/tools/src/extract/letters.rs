//! Places in characters: a text's characters are counted once, not from its start for every place.

/// Bytes between two places whose characters are counted in advance.
const STEP: usize = 1024;

/// A text whose places are wanted in characters (Unicode code points).
#[derive(Debug)]
pub(super) struct Letters<'a> {
    pub(super) text: &'a str,
    /// Characters that begin before each multiple of [`STEP`] bytes.
    before: Vec<usize>,
}

impl<'a> Letters<'a> {
    /// Counts the characters of a text.
    pub(super) fn of(text: &'a str) -> Self {
        let mut sum = 0;
        let steps = text.as_bytes().chunks(STEP).map(|step| {
            sum += beginnings(step);
            sum
        });
        let before = std::iter::once(0).chain(steps).collect();
        Self { text, before }
    }

    /// How many characters begin before a place in bytes; behind the text all of them.
    pub(super) fn before(&self, place: usize) -> usize {
        let place = place.min(self.text.len());
        let step = place / STEP;
        let counted = self.before.get(step).copied().unwrap_or_default();
        counted + beginnings(self.text.as_bytes().get(step * STEP..place).unwrap_or_default())
    }
}

/// The characters that begin in some bytes of a text: all bytes but those that continue one.
fn beginnings(bytes: &[u8]) -> usize {
    bytes.iter().filter(|&&byte| byte & 0b1100_0000 != 0b1000_0000).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Texts of up to a few steps, with letters of one to four bytes.
    fn text() -> impl Strategy<Value = String> {
        let piece = prop_oneof![Just("plain ".to_owned()), "[aé€😀]{1,40}", "\\PC{1,8}"];
        (prop::collection::vec(piece, 0..12), 1_usize..60).prop_map(|(pieces, times)| pieces.concat().repeat(times))
    }

    proptest! {
        #[test]
        fn every_place_has_as_many_characters_before_it_as_are_counted(text in text()) {
            let letters = Letters::of(&text);
            for (count, (place, _)) in text.char_indices().enumerate() {
                prop_assert_eq!(letters.before(place), count, "{}", place);
            }
            let all = text.chars().count();
            prop_assert_eq!((letters.before(text.len()), letters.before(text.len() + 9)), (all, all));
        }
    }

    #[test]
    fn a_letter_may_stand_over_the_end_of_a_step() {
        let text = format!("{}€{}é", "a".repeat(STEP - 1), "b".repeat(STEP));
        let letters = Letters::of(&text);
        for (place, count) in
            [(STEP - 1, STEP - 1), (STEP + 2, STEP), (text.len() - 2, 2 * STEP), (text.len(), 2 * STEP + 1)]
        {
            assert_eq!(letters.before(place), count, "{place}");
        }
    }
}
