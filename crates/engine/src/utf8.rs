//! Puts characters together from the bytes of tokens.
//!
//! A character (an emoji, a Chinese sign) may be split over tokens. Only whole characters come out;
//! what can not become a character is replaced by U+FFFD, exactly as [`String::from_utf8_lossy`]
//! does it on the whole. What it does not: anything about tokens.

#[cfg(test)]
mod tests;

/// Text from bytes that arrive in pieces.
#[derive(Debug, Default)]
pub(crate) struct Utf8Assembler {
    /// The beginning of a character, at most 3 bytes.
    pending: Vec<u8>,
}

impl Utf8Assembler {
    /// Takes the next bytes and hands out all characters that are complete.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> String {
        self.pending.extend_from_slice(bytes);
        let mut text = String::with_capacity(self.pending.len());
        let mut rest = self.pending.as_slice();
        loop {
            match std::str::from_utf8(rest) {
                Ok(valid) => {
                    text.push_str(valid);
                    rest = &[];
                    break;
                }
                Err(error) => {
                    let (valid, broken) = rest.split_at(error.valid_up_to());
                    text.push_str(&String::from_utf8_lossy(valid));
                    rest = broken;
                    // Without a length the bytes are the beginning of a character.
                    let Some(len) = error.error_len() else { break };
                    text.push(char::REPLACEMENT_CHARACTER);
                    rest = &rest[len..];
                }
            }
        }
        let kept = self.pending.len() - rest.len();
        self.pending.drain(..kept);
        text
    }

    /// The end: a character that was begun and never finished becomes U+FFFD.
    pub(crate) fn finish(&mut self) -> String {
        let text = String::from_utf8_lossy(&self.pending).into_owned();
        self.pending.clear();
        text
    }
}
