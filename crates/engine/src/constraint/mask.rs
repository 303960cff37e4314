//! Which tokens may come next.

/// A set of tokens: bit `i % 32` of word `i / 32` is token `i`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mask<'a> {
    words: &'a [u32],
}

impl<'a> Mask<'a> {
    pub(super) fn new(words: &'a [u32]) -> Self {
        Self { words }
    }

    /// The set as words; at least as many as the vocabulary needs, bits beyond it are 0.
    #[must_use]
    pub fn words(&self) -> &'a [u32] {
        self.words
    }

    /// Whether `token` is in the set.
    #[must_use]
    pub fn allows(&self, token: u32) -> bool {
        self.words.get(token as usize / 32).is_some_and(|word| word >> (token % 32) & 1 == 1)
    }

    /// How many tokens are in the set.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.words.iter().map(|word| word.count_ones()).sum()
    }

    /// The tokens in the set, ascending.
    pub fn tokens(&self) -> impl Iterator<Item = u32> + use<'a> {
        (0u32..).zip(self.words).flat_map(|(index, &word)| {
            let bits = (0..32).filter(move |bit| word >> bit & 1 == 1);
            bits.map(move |bit| index * 32 + bit)
        })
    }
}
