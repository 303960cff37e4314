//! Framing of server-sent events (<https://html.spec.whatwg.org/multipage/server-sent-events.html>).
//!
//! [`event`], [`DONE`] and [`comment`] write; [`Decoder`] reads from byte chunks that are cut
//! anywhere. Only `data:` lines matter to the APIs that we speak; `event:`, `id:` and comments are
//! read and dropped.

use serde::Serialize;

/// The event that ends an OpenAI stream.
pub const DONE: &str = "data: [DONE]\n\n";

/// A comment that keeps a connection alive and that every client ignores. Line breaks in it become
/// spaces: behind one, the rest would be read as an event.
#[must_use]
pub fn comment(text: &str) -> String {
    format!(": {}\n\n", text.replace(['\n', '\r'], " "))
}

/// One event with `payload` as JSON, in one buffer so that it is written at once.
///
/// # Errors
/// When `payload` can not be written as JSON (a map with keys that are not strings).
pub fn event(payload: &impl Serialize) -> Result<Vec<u8>, serde_json::Error> {
    let mut buffer = Vec::with_capacity(256);
    buffer.extend_from_slice(b"data: ");
    serde_json::to_writer(&mut buffer, payload)?;
    buffer.extend_from_slice(b"\n\n");
    Ok(buffer)
}

/// An upstream sent a line or event longer than the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an event of the stream is longer than {limit} bytes")]
pub struct EventTooLong {
    /// The limit in bytes.
    pub limit: usize,
}

/// Puts events together from chunks of bytes.
#[derive(Debug)]
pub struct Decoder {
    /// Bytes of a line that is not complete yet.
    line: Vec<u8>,
    /// `data:` lines of an event that is not complete yet.
    data: Vec<u8>,
    /// The event so far has at least one `data:` line (which may be empty).
    has_data: bool,
    /// The last byte was CR: a following LF belongs to it.
    after_cr: bool,
    limit: usize,
}

impl Decoder {
    /// A decoder that refuses events of more than `limit` bytes.
    #[must_use]
    pub fn new(limit: usize) -> Self {
        Self { line: Vec::new(), data: Vec::new(), has_data: false, after_cr: false, limit }
    }

    /// Takes a chunk; hands each completed event's data to `sink` in order.
    ///
    /// # Errors
    /// When an event grows over the limit; the stream can not be read further.
    pub fn push(&mut self, chunk: &[u8], mut sink: impl FnMut(Vec<u8>)) -> Result<(), EventTooLong> {
        for &byte in chunk {
            let ends_pair = std::mem::replace(&mut self.after_cr, byte == b'\r') && byte == b'\n';
            match byte {
                b'\n' if ends_pair => {}
                b'\n' | b'\r' => {
                    if let Some(data) = self.end_line() {
                        sink(data);
                    }
                }
                _ => {
                    if self.line.len() + self.data.len() >= self.limit {
                        return Err(EventTooLong { limit: self.limit });
                    }
                    self.line.push(byte);
                }
            }
        }
        Ok(())
    }

    /// Whether an event has begun that no blank line has ended: the stream was cut.
    #[must_use]
    pub fn is_mid_event(&self) -> bool {
        self.has_data || !self.line.is_empty()
    }

    fn end_line(&mut self) -> Option<Vec<u8>> {
        let line = std::mem::take(&mut self.line);
        if line.is_empty() {
            let complete = std::mem::take(&mut self.has_data);
            return complete.then(|| std::mem::take(&mut self.data));
        }
        let value = line.strip_prefix(b"data:")?;
        if std::mem::replace(&mut self.has_data, true) {
            self.data.push(b'\n');
        }
        self.data.extend_from_slice(value.strip_prefix(b" ").unwrap_or(value));
        None
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decode(chunks: &[&[u8]]) -> Vec<String> {
        let mut decoder = Decoder::new(1 << 20);
        let mut events = Vec::new();
        for chunk in chunks {
            decoder.push(chunk, |data| events.push(String::from_utf8(data).expect("utf-8"))).expect("within the limit");
        }
        events
    }

    #[test]
    fn reads_events_with_every_line_end_and_skips_the_rest() {
        assert_eq!(decode(&[b"data: a\n\ndata:b\r\n\r\ndata: c\r\r"]), ["a", "b", "c"]);
        assert_eq!(decode(&[b": ping\n\nevent: x\nid: 1\ndata: a\ndata: b\n\n"]), ["a\nb"]);
        assert_eq!(decode(&[b"data: cut"]), Vec::<String>::new());
        assert_eq!(decode(&[b"data:\n\n"]), [""]);
    }

    #[test]
    fn a_comment_can_not_become_an_event() {
        let text = comment("loading\n\ndata: x\r\rdata: y");
        assert_eq!(decode(&[text.as_bytes(), b"data: a\n\n"]), ["a"]);
    }

    #[test]
    fn refuses_an_event_without_end() {
        let mut decoder = Decoder::new(64);
        assert_eq!(decoder.push(&[b'x'; 100], |_| ()), Err(EventTooLong { limit: 64 }));
    }

    proptest! {
        #[test]
        fn cuts_do_not_matter(
            events in prop::collection::vec("[^\r\n]{0,20}", 0..8),
            cuts in prop::collection::vec(0usize..400, 0..20),
            end in prop::sample::select(vec!["\n", "\r\n", "\r"]),
        ) {
            let text: String = events.iter().map(|event| format!("data: {event}{end}{end}")).collect();
            let bytes = text.as_bytes();
            let mut cuts: Vec<usize> = cuts.into_iter().map(|cut| cut.min(bytes.len())).collect();
            cuts.push(0);
            cuts.push(bytes.len());
            cuts.sort_unstable();
            let chunks: Vec<&[u8]> = cuts.windows(2).map(|pair| &bytes[pair[0]..pair[1]]).collect();
            prop_assert_eq!(decode(&chunks), events);
        }
    }
}
