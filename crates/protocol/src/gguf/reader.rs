//! Reading little-endian primitives from a header, never past its end and never more than is there.

use std::io::{BufReader, Read, Seek};

/// The longest header that we read. Real ones are below 50 MiB, nearly all of it vocabulary.
const MAX_HEADER: u64 = 512 << 20;

/// A place in a header.
pub(super) struct Reader<R> {
    inner: BufReader<R>,
    position: u64,
    end: u64,
    too_long: bool,
}

impl<R: Read + Seek> Reader<R> {
    /// At the start of something of `length` bytes.
    pub(super) fn new(source: R, length: u64) -> Self {
        let too_long = length > MAX_HEADER;
        Self { inner: BufReader::with_capacity(1 << 16, source), position: 0, end: length.min(MAX_HEADER), too_long }
    }

    /// Bytes read so far.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Fails unless `count` more bytes are there.
    pub(super) fn expect(&self, count: u64, what: &str) -> Result<(), String> {
        if count <= self.end - self.position {
            return Ok(());
        }
        Err(if self.too_long && count <= MAX_HEADER {
            format!("its header is longer than {} MiB", MAX_HEADER >> 20)
        } else {
            format!("it ends inside {what}")
        })
    }

    /// Goes over `count` bytes.
    pub(super) fn skip(&mut self, count: u64, what: &str) -> Result<(), String> {
        self.expect(count, what)?;
        let step = i64::try_from(count).map_err(|error| error.to_string())?;
        self.inner.seek_relative(step).map_err(|error| error.to_string())?;
        self.position += count;
        Ok(())
    }

    /// The next `N` bytes.
    pub(super) fn bytes<const N: usize>(&mut self, what: &str) -> Result<[u8; N], String> {
        self.expect(N as u64, what)?;
        let mut bytes = [0; N];
        self.inner.read_exact(&mut bytes).map_err(|error| error.to_string())?;
        self.position += N as u64;
        Ok(bytes)
    }

    /// The next four bytes as a number.
    pub(super) fn u32(&mut self, what: &str) -> Result<u32, String> {
        Ok(u32::from_le_bytes(self.bytes(what)?))
    }

    /// The next eight bytes as a number.
    pub(super) fn u64(&mut self, what: &str) -> Result<u64, String> {
        Ok(u64::from_le_bytes(self.bytes(what)?))
    }

    /// `length` bytes of text. The caller bounds `length`; what is not UTF-8 is replaced.
    pub(super) fn text(&mut self, length: u64) -> Result<String, String> {
        self.expect(length, "a text")?;
        let mut bytes = vec![0; usize::try_from(length).map_err(|error| error.to_string())?];
        self.inner.read_exact(&mut bytes).map_err(|error| error.to_string())?;
        self.position += length;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    }

    /// A text with its length in front, of at most `most` bytes.
    pub(super) fn short_text(&mut self, what: &str, most: u64) -> Result<String, String> {
        let length = self.u64(what)?;
        if length > most {
            return Err(format!("{what} is {length} bytes long"));
        }
        self.text(length)
    }
}
