//! How many tokens a text has, without the model's tokenizer: Ollama has no route that counts. Pure.
//!
//! Too high costs memory. Too low is found out by Ollama, which refuses a prompt that does not fit the
//! window it was given, and tells the number; so the estimate is what ordinary texts need and some more.

/// Letters that are one token more often than not.
const LETTERS: usize = 5;
/// A longer run of letters and digits is no word (a hash, base64).
const LONGEST_WORD: usize = 20;
/// What a template puts around a message.
const PER_MESSAGE: u32 = 8;
/// An image, for those models that were looked at (256 to 1,600).
const PER_IMAGE: u32 = 1024;

/// An estimate between two bounds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(super) struct Tokens {
    /// It has hardly more.
    pub(super) likely: u32,
    /// It can not have fewer.
    pub(super) least: u32,
}

impl Tokens {
    /// Of a text.
    pub(super) fn of(text: &str) -> Self {
        let (mut likely, mut run, mut least) = (0_usize, Run::default(), 0_usize);
        let mut blank_before = true;
        for character in text.chars() {
            let blank = character.is_whitespace();
            // A token never reaches over a blank into the next word, but for a few set phrases.
            least += usize::from(blank_before && !blank);
            blank_before = blank;
            if character.is_ascii_alphanumeric() {
                run.add(character);
                continue;
            }
            likely += run.end() + of_other(character);
        }
        likely += run.end();
        // A tenth more, for names, code and languages that the tokenizer saw less of.
        Self { likely: clamp(likely + likely.div_ceil(10)), least: clamp(least / 2) }
    }

    /// What one more message costs by itself.
    pub(super) fn message(self) -> Self {
        Self { likely: self.likely.saturating_add(PER_MESSAGE), ..self }
    }

    /// With so many images.
    pub(super) fn images(self, count: usize) -> Self {
        Self { likely: self.likely.saturating_add(clamp(count).saturating_mul(PER_IMAGE)), ..self }
    }

    /// Both together.
    pub(super) fn and(self, other: Self) -> Self {
        Self { likely: self.likely.saturating_add(other.likely), least: self.least.saturating_add(other.least) }
    }

    /// Without a lower bound: a template may leave this part out.
    pub(super) fn perhaps(self) -> Self {
        Self { least: 0, ..self }
    }
}

/// Letters and digits without anything between them.
#[derive(Default)]
struct Run {
    letters: usize,
    digits: usize,
}

impl Run {
    fn add(&mut self, character: char) {
        if character.is_ascii_digit() {
            self.digits += 1;
        } else {
            self.letters += 1;
        }
    }

    fn end(&mut self) -> usize {
        let Self { letters, digits } = std::mem::take(self);
        if letters + digits > LONGEST_WORD {
            // Letters among digits are hardly ever taken together.
            return if digits == 0 { letters.div_ceil(2) } else { letters + digits };
        }
        // Many tokenizers take digits one by one.
        letters.div_ceil(LETTERS) + digits
    }
}

fn of_other(character: char) -> usize {
    match character.len_utf8() {
        // A blank belongs to the word behind it.
        1 if character == ' ' => 0,
        1 | 2 => 1,
        3 => 2,
        _ => 3,
    }
}

fn clamp(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Counted by Ollama with the tokenizer of SmolLM2 (49,152 tokens, digits one by one).
    #[test]
    fn the_estimate_is_above_what_a_small_vocabulary_needs() {
        for (text, counted) in [
            ("", 0),
            ("The sky is", 3),
            ("word1 is here. word2 is here.", 10),
            ("Hello, how are you today?", 7),
            ("fn main() { println!(\"{}\", 1 + 2); }", 16),
            ("{\"name\": \"get_weather\", \"arguments\": {\"city\": \"Paris\"}}", 18),
            ("Grüße aus München, schöne Straße", 16),
            ("日本語のテキスト", 15),
            ("123456789 123456789 123456789 ", 30),
            (&"x9".repeat(50), 100),
        ] {
            let found = Tokens::of(text);
            assert!(found.likely >= counted, "{text}: {found:?}");
            assert!(found.least <= counted, "{text}: {found:?}");
        }
    }

    #[test]
    fn an_ordinary_text_is_not_taken_for_twice_as_long() {
        // 21 words, 23 tokens.
        let text = "The committee decided on Tuesday that the new library will be built next to the old station, not in the park.";
        let found = Tokens::of(text);
        assert!((23..46).contains(&found.likely), "{found:?}");
        assert_eq!(found.least, 10);
    }
}
