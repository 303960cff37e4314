//! Newline-delimited JSON: one document per line, cut out of byte chunks that end anywhere.

use serde::de::DeserializeOwned;

/// A line that can not be read.
#[derive(Debug, thiserror::Error)]
pub enum LineError {
    /// It is longer than the limit.
    #[error("a line of the answer is longer than {limit} bytes")]
    TooLong {
        /// The limit in bytes.
        limit: usize,
    },
    /// It is no JSON of the expected shape.
    #[error("a line of the answer can not be read: {0}")]
    Json(#[from] serde_json::Error),
}

/// Puts lines together from chunks of bytes.
#[derive(Debug)]
pub struct Decoder {
    /// A line that has not ended yet.
    line: Vec<u8>,
    limit: usize,
}

impl Decoder {
    /// A decoder that refuses lines of more than `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { line: Vec::new(), limit }
    }

    /// Takes a chunk; hands the document of each complete line to `sink` in order. Empty lines are
    /// skipped.
    ///
    /// # Errors
    /// When a line grows over the limit or is no such document; the answer can not be read further.
    pub fn push<T: DeserializeOwned>(&mut self, chunk: &[u8], mut sink: impl FnMut(T)) -> Result<(), LineError> {
        let mut rest = chunk;
        while let Some(end) = rest.iter().position(|byte| *byte == b'\n') {
            let (head, tail) = rest.split_at(end);
            rest = tail.get(1..).unwrap_or_default();
            self.extend(head)?;
            let line = std::mem::take(&mut self.line);
            if let Some(document) = read(&line)? {
                sink(document);
            }
        }
        self.extend(rest)
    }

    /// Reads what stands after the last line break, when the bytes have ended: some servers leave
    /// out the last one.
    ///
    /// # Errors
    /// When it is no such document: the answer was cut.
    pub fn end<T: DeserializeOwned>(&mut self) -> Result<Option<T>, LineError> {
        read(&std::mem::take(&mut self.line))
    }

    fn extend(&mut self, bytes: &[u8]) -> Result<(), LineError> {
        if self.line.len() + bytes.len() > self.limit {
            return Err(LineError::TooLong { limit: self.limit });
        }
        self.line.extend_from_slice(bytes);
        Ok(())
    }
}

fn read<T: DeserializeOwned>(line: &[u8]) -> Result<Option<T>, LineError> {
    if line.trim_ascii().is_empty() {
        return Ok(None);
    }
    Ok(Some(serde_json::from_slice(line)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(chunks: &[&[u8]]) -> Result<Vec<String>, LineError> {
        let mut decoder = Decoder::new(1 << 10);
        let mut lines = Vec::new();
        for chunk in chunks {
            decoder.push(chunk, |line| lines.push(line))?;
        }
        lines.extend(decoder.end()?);
        Ok(lines)
    }

    #[test]
    fn lines_end_in_either_way_and_the_last_need_not() {
        assert_eq!(decode(&[b"\"a\"\n\n\"b\"\r\n  \n\"c\""]).expect("lines"), ["a", "b", "c"]);
        assert_eq!(decode(&[b""]).expect("none"), Vec::<String>::new());
    }

    #[test]
    fn what_can_not_be_read_is_an_error() {
        assert!(matches!(decode(&[b"\"cut"]), Err(LineError::Json(_))));
        assert!(matches!(decode(&[b"nonsense\n"]), Err(LineError::Json(_))));
        assert!(matches!(decode(&[b"[1]\n"]), Err(LineError::Json(_))));
        assert!(matches!(decode(&[b"\"\xff\"\n"]), Err(LineError::Json(_))));
        assert!(matches!(decode(&[&[b' '; 600], &[b' '; 600]]), Err(LineError::TooLong { limit: 1024 })));
    }

    proptest! {
        #[test]
        fn cuts_do_not_matter(
            lines in prop::collection::vec("\\PC{0,12}", 0..8),
            cuts in prop::collection::vec(0usize..400, 0..20),
            end in prop::sample::select(vec!["\n", "\r\n", "\n\n"]),
        ) {
            let text: String = lines.iter().map(|line| format!("{}{end}", serde_json::json!(line))).collect();
            let bytes = text.as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.extend([0, bytes.len()]);
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            prop_assert_eq!(decode(&chunks).expect("lines"), lines);
        }

        #[test]
        fn no_bytes_make_it_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            drop(decode(&[&bytes]));
        }
    }
}
