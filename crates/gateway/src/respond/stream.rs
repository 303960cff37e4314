//! Events -> server-sent events, as one body.
//!
//! Every event that is ready goes into one frame, which is one write; silence yields a comment now
//! and then; an error is the last event; a whole answer ends with `[DONE]`.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::http::header;
use axum::response::{IntoResponse, Response};
use bytes::Bytes;
use hyper::body::Frame;
use lla_inference::{Error, Event, EventStream};
use lla_protocol::sse;
use tokio::time::{Instant, Sleep};
use tokio_util::sync::WaitForCancellationFutureOwned;

use super::chunk::ChunkWriter;
use super::contract::Contract;
use super::{Identity, Plan, note};
use crate::admission::{Admitted, cut_short};
use crate::error::{ApiError, PromptField};

/// A frame is not made larger than this from ready events: a backend that is always ready must not
/// keep the first bytes back.
const FRAME_BYTES: usize = 16 << 10;

/// A streamed answer.
pub(super) fn response(plan: &Plan, admitted: Admitted, events: EventStream, keep_alive: Duration) -> Response {
    let body = SseBody {
        field: plan.api.prompt_field(),
        contract: Contract::new(&plan.backend, plan.choices),
        writer: ChunkWriter::new(plan.api, Identity::new(plan), plan.include_usage),
        cut: Box::pin(admitted.cut()),
        quiet: Box::pin(tokio::time::sleep(keep_alive)),
        keep_alive,
        running: Some(Running { events, admitted }),
    };
    let headers = [
        (header::CONTENT_TYPE, "text/event-stream; charset=utf-8"),
        (header::CACHE_CONTROL, "no-cache"),
        // nginx and others hold streams back without this.
        (header::HeaderName::from_static("x-accel-buffering"), "no"),
    ];
    (headers, Body::new(body)).into_response()
}

struct SseBody {
    field: PromptField,
    contract: Contract,
    writer: ChunkWriter,
    /// The gateway wants the answer to end now.
    cut: Pin<Box<WaitForCancellationFutureOwned>>,
    /// Fires after `keep_alive` without a frame.
    quiet: Pin<Box<Sleep>>,
    keep_alive: Duration,
    /// `None` once the last frame has been handed out: the work is over and the place is free.
    running: Option<Running>,
}

struct Running {
    events: EventStream,
    admitted: Admitted,
}

/// What reading the ready events came to.
enum Step {
    /// More may follow.
    Open,
    /// That was the last of it.
    Last,
}

impl SseBody {
    /// Writes every event that is ready into `out`.
    fn write_ready(&mut self, context: &mut Context<'_>, out: &mut Vec<u8>) -> Step {
        while out.len() < FRAME_BYTES {
            let Some(running) = self.running.as_mut() else { return Step::Last };
            let polled = match running.events.as_mut().poll_next(context) {
                Poll::Pending => return Step::Open,
                Poll::Ready(polled) => polled,
            };
            let written = match polled {
                Some(Ok(event)) => self.write_event(event, out),
                Some(Err(error)) => Err(error),
                None => match self.contract.check_end() {
                    Ok(()) => {
                        ChunkWriter::done(out);
                        return Step::Last;
                    }
                    Err(error) => Err(error),
                },
            };
            if let Err(error) = written {
                self.write_error(&ApiError::from_domain(&error, self.field), out);
                return Step::Last;
            }
        }
        Step::Open
    }

    fn write_event(&mut self, event: Event, out: &mut Vec<u8>) -> Result<(), Error> {
        self.contract.check(&event)?;
        if let Some(running) = &self.running {
            note(&running.admitted, &event);
        }
        self.writer.write(event, out);
        Ok(())
    }

    fn write_error(&self, error: &ApiError, out: &mut Vec<u8>) {
        if let Some(running) = &self.running {
            running.admitted.trace.note_error(error.outcome());
        }
        ChunkWriter::error(error, out);
    }
}

impl HttpBody for SseBody {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.running.is_none() {
            return Poll::Ready(None);
        }
        let mut out = Vec::new();
        if let Step::Last = self.write_ready(context, &mut out) {
            self.running = None;
        } else if self.cut.as_mut().poll(context).is_ready() {
            self.write_error(&cut_short(), &mut out);
            self.running = None;
        } else if out.is_empty() {
            if self.quiet.as_mut().poll(context).is_pending() {
                return Poll::Pending;
            }
            out.extend_from_slice(sse::comment("keep-alive").as_bytes());
        }
        let next = Instant::now() + self.keep_alive;
        self.quiet.as_mut().reset(next);
        Poll::Ready(Some(Ok(Frame::data(out.into()))))
    }

    fn is_end_stream(&self) -> bool {
        self.running.is_none()
    }
}
