//! From running generations to the body of the answer.
//!
//! A stream sends everything that is ready in one frame, one event per token text. When the caller
//! leaves, the body (or the future that collects it) is dropped, and with it the generations.

use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use futures_util::Stream;
use lla_protocol::sse;
use tokio::time::{Instant, Sleep};

use super::choices::{Choices, News};
use super::error::log;
use super::routes::json;
use super::wire::{Answer, EventWriter, Heading, append};
use crate::error::EngineError;

/// Silence after which a comment is sent, so that nobody between takes the connection for dead.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// Waits for all choices and answers with one JSON body.
pub(super) async fn whole(mut choices: Choices, heading: Heading) -> Result<Response, EngineError> {
    let mut answers: Vec<Answer> = (0..choices.len()).map(|_| Answer::default()).collect();
    let mut news = Vec::new();
    loop {
        std::future::poll_fn(|context| choices.poll_batch(context, &mut news)).await;
        if news.is_empty() {
            return Ok(json(StatusCode::OK, &heading.whole(answers, choices.usage())));
        }
        for (index, item) in news.drain(..) {
            let Some(answer) = answers.get_mut(index as usize) else { continue };
            match item {
                News::Echo(echo) => answer.echo = Some(echo),
                News::Delta(delta) => answer.add(delta),
                News::Finished(reason) => answer.reason = Some(reason),
                News::Failed(error) => return Err(error),
            }
        }
    }
}

/// Answers with a stream of events.
pub(super) fn stream(choices: Choices, heading: Heading, include_usage: bool) -> Response {
    let writer = EventWriter::new(heading, choices.len());
    let silence = Box::pin(tokio::time::sleep(KEEP_ALIVE));
    let events = Events { choices: Some(choices), writer, include_usage, silence, news: Vec::new() };
    let mut response = Body::from_stream(events).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/event-stream; charset=utf-8"));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    // For nginx, which would collect the events otherwise.
    headers.insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

/// The frames of a stream.
struct Events {
    /// `None` after the last frame.
    choices: Option<Choices>,
    writer: EventWriter,
    include_usage: bool,
    silence: Pin<Box<Sleep>>,
    /// Kept for its allocation.
    news: Vec<(u32, News)>,
}

impl Stream for Events {
    type Item = Result<Bytes, std::convert::Infallible>;

    fn poll_next(self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        let this = self.get_mut();
        let Some(choices) = &mut this.choices else { return Poll::Ready(None) };
        if choices.poll_batch(context, &mut this.news).is_pending() {
            return this.poll_silence(context);
        }
        this.silence.as_mut().reset(Instant::now() + KEEP_ALIVE);
        Poll::Ready(Some(Ok(this.frame().into())))
    }
}

impl Events {
    fn poll_silence(&mut self, context: &mut Context<'_>) -> Poll<Option<<Self as Stream>::Item>> {
        match self.silence.as_mut().poll(context) {
            Poll::Pending => Poll::Pending,
            Poll::Ready(()) => {
                self.silence.as_mut().reset(Instant::now() + KEEP_ALIVE);
                Poll::Ready(Some(Ok(sse::comment("waiting").into())))
            }
        }
    }

    /// Writes the news; with none left, the end.
    fn frame(&mut self) -> Vec<u8> {
        let mut buffer = Vec::with_capacity(256 * (self.news.len() + 1));
        if self.news.is_empty() {
            if let Some(choices) = self.choices.take().filter(|_| self.include_usage) {
                self.writer.usage(&mut buffer, choices.usage());
            }
            buffer.extend_from_slice(sse::DONE.as_bytes());
        }
        for (index, item) in self.news.drain(..) {
            match item {
                News::Echo(echo) => self.writer.echo(&mut buffer, index, &echo),
                News::Delta(delta) => self.writer.delta(&mut buffer, index, delta),
                News::Finished(reason) => self.writer.finish(&mut buffer, index, reason),
                // No [DONE] after an error: the answer is not whole, and nobody shall think so.
                News::Failed(error) => {
                    log(&error);
                    append(&mut buffer, &error.body());
                    self.choices = None;
                    break;
                }
            }
        }
        buffer
    }
}
