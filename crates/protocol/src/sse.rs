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
    append_event(payload, &mut buffer)?;
    Ok(buffer)
}

/// Like [`event`], at the end of a buffer.
///
/// # Errors
/// Like [`event`]; the buffer is then as it was.
pub fn append_event(payload: &impl Serialize, buffer: &mut Vec<u8>) -> Result<(), serde_json::Error> {
    let before = buffer.len();
    buffer.extend_from_slice(b"data: ");
    if let Err(error) = serde_json::to_writer(&mut *buffer, payload) {
        buffer.truncate(before);
        return Err(error);
    }
    buffer.extend_from_slice(b"\n\n");
    Ok(())
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
        if chunk.is_empty() {
            return Ok(());
        }
        let mut left = chunk;
        if std::mem::take(&mut self.after_cr) {
            left = left.strip_prefix(b"\n").unwrap_or(left);
        }
        while let Some(end) = memchr::memchr2(b'\n', b'\r', left) {
            let (line, rest) = left.split_at(end);
            self.check_room(line.len())?;
            let data = if self.line.is_empty() {
                self.end_line(line)
            } else {
                // A line that came in pieces: only those are copied together.
                let mut whole = std::mem::take(&mut self.line);
                whole.extend_from_slice(line);
                self.end_line(&whole)
            };
            if let Some(data) = data {
                sink(data);
            }
            left = match rest {
                [b'\r', b'\n', after @ ..] => after,
                [b'\r'] => {
                    self.after_cr = true;
                    &[]
                }
                [_, after @ ..] => after,
                [] => &[],
            };
        }
        self.check_room(left.len())?;
        self.line.extend_from_slice(left);
        Ok(())
    }

    fn check_room(&self, more: usize) -> Result<(), EventTooLong> {
        if self.line.len() + self.data.len() + more > self.limit {
            return Err(EventTooLong { limit: self.limit });
        }
        Ok(())
    }

    /// Whether an event has begun that no blank line has ended: the stream was cut.
    #[must_use]
    pub fn is_mid_event(&self) -> bool {
        self.has_data || !self.line.is_empty()
    }

    fn end_line(&mut self, line: &[u8]) -> Option<Vec<u8>> {
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
        // However it comes: in pieces, or over several lines of one event.
        let mut decoder = Decoder::new(64);
        assert_eq!(decoder.push(&[b'x'; 64], |_| ()), Ok(()));
        assert_eq!(decoder.push(b"x", |_| ()), Err(EventTooLong { limit: 64 }));
        let mut decoder = Decoder::new(64);
        let line = format!("data: {}\n", "x".repeat(40));
        assert_eq!(decoder.push(line.as_bytes(), |_| ()), Ok(()));
        assert_eq!(decoder.push(line.as_bytes(), |_| ()), Err(EventTooLong { limit: 64 }));
        let mut decoder = Decoder::new(64);
        let mut events = 0;
        assert_eq!(decoder.push(format!("{line}\n").repeat(9).as_bytes(), |_| events += 1), Ok(()));
        assert_eq!(events, 9);
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
