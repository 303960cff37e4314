//! An answer that is being read: bytes -> lines -> events, within the limits of time.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{self, BoxStream};
use lla_protocol::ndjson::Decoder;
use lla_protocol::ollama::Piece;
use tokio::time::{Instant, timeout};

use super::answer::{Assembly, Counts};
use super::draft::Draft;
use super::window::{self, Need, Window};
use crate::driver::connection::{Connection, Opened};
use crate::{Error, Event};

/// Longest line of an answer.
const MAX_LINE: usize = 1 << 20;

/// One part of the answer to one draft.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Part {
    Event(Event),
    /// Behind the finish.
    Counts {
        prompt_index: u32,
        counts: Counts,
    },
}

/// The parts of one answer.
pub(super) type Parts = BoxStream<'static, Result<Part, Error>>;

/// Reads the answer to `draft` that was asked for with `window`. Dropping it closes the connection.
pub(super) fn parts(connection: Arc<Connection>, mut opened: Opened, draft: &Draft, window: Window) -> Parts {
    opened.response.forget_head();
    // In a box, because `unfold` moves it twice for every part.
    let reading = Box::new(Reading {
        assembly: Assembly::new(&connection.name, draft.choice, draft.shape),
        connection,
        opened,
        decoder: Decoder::new(MAX_LINE),
        need: draft.need,
        prompt_index: draft.prompt,
        window,
        ready: VecDeque::new(),
        over: false,
    });
    Box::pin(stream::unfold(reading, |mut reading| async move { Some((reading.next().await?, reading)) }))
}

struct Reading {
    connection: Arc<Connection>,
    opened: Opened,
    decoder: Decoder,
    assembly: Assembly,
    need: Need,
    prompt_index: u32,
    window: Window,
    ready: VecDeque<Result<Part, Error>>,
    /// Nothing follows but what is ready.
    over: bool,
}

impl Reading {
    async fn next(&mut self) -> Option<Result<Part, Error>> {
        loop {
            if let Some(part) = self.ready.pop_front() {
                return Some(part);
            }
            if self.over {
                return None;
            }
            if let Err(error) = self.read_on().await {
                self.over = true;
                self.ready.push_back(Err(error));
            }
        }
    }

    async fn read_on(&mut self) -> Result<(), Error> {
        let mut pieces: Vec<Piece> = Vec::new();
        let chunk = self.chunk().await?;
        let read = match &chunk {
            Some(chunk) => self.decoder.push(chunk, |piece| pieces.push(piece)),
            None => self.decoder.end().map(|piece| pieces.extend(piece)),
        };
        for mut piece in pieces {
            if self.over {
                return Err(self.broken("it went on after the end of its answer"));
            }
            self.take(&mut piece)?;
        }
        read.map_err(|error| self.broken(&error.to_string()))?;
        if chunk.is_none() && !self.over {
            // It also ends so when it finds that the model only repeats itself.
            return Err(self.broken("its answer ended early, without its last line"));
        }
        Ok(())
    }

    fn take(&mut self, piece: &mut Piece) -> Result<(), Error> {
        let mut events = Vec::new();
        let taken = self.assembly.take(piece, &mut events);
        self.ready.extend(events.into_iter().map(|event| Ok(Part::Event(event))));
        let Some(counts) = taken? else { return Ok(()) };
        self.over = true;
        if let Some(message) = window::lost(&self.need, self.window, counts.prompt, counts.answer) {
            return Err(self.broken(&format!("it cut the conversation: {message}")));
        }
        let finish = self.assembly.finish(piece.done_reason.as_deref())?;
        let counts = Part::Counts { prompt_index: self.prompt_index, counts };
        self.ready.extend([Ok(Part::Event(finish)), Ok(counts)]);
        Ok(())
    }

    /// The next bytes; `None` at the end of the body.
    async fn chunk(&mut self) -> Result<Option<bytes::Bytes>, Error> {
        let limits = self.connection.timeouts;
        let left = limits.total.saturating_sub(Instant::now().duration_since(self.opened.begin));
        let (phase, limit, after): (_, Duration, _) = if left < limits.between_chunks {
            ("total", left, limits.total)
        } else {
            ("next chunk", limits.between_chunks, limits.between_chunks)
        };
        match timeout(limit, self.opened.response.chunk()).await {
            Err(_) => Err(self.connection.timed_out(phase, after)),
            Ok(chunk) => chunk.map_err(|error| self.connection.broken_off(&error)),
        }
    }

    fn broken(&self, message: &str) -> Error {
        Error::upstream(&self.connection.name, message)
    }
}
