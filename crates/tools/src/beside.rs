//! Work beside the threads that serve requests: what computes for long is polled on a thread that may block.
//!
//! Such a thread is held only while there is something to compute, not while a model is waited for, and as many
//! calls compute at the same time as there are cores. Work that yields now and then shares them fairly, and ends
//! soon when nobody waits for it any more.

use std::future::Future;
use std::num::NonZero;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, LazyLock};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::available_parallelism;
use std::time::{Duration, Instant};

use tokio::sync::{Notify, Semaphore};
use tokio::task::spawn_blocking;

use crate::error::ToolError;

/// How long one call may compute before it asks for another turn.
const TURN: Duration = Duration::from_millis(50);

/// Who may compute now.
static TURNS: LazyLock<Semaphore> = LazyLock::new(|| Semaphore::new(available_parallelism().map_or(1, NonZero::get)));

/// Does work on threads that may block. Dropping the future ends the work where it yields next.
///
/// # Errors
/// When the work panics.
pub(crate) async fn beside<F>(work: F) -> Result<F::Output, ToolError>
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    let state = Arc::new(State::default());
    let _waiting = Waiting(Arc::clone(&state));
    let mut work = Box::pin(work);
    loop {
        // Nobody closes it.
        let turn = TURNS.acquire().await.map_err(|_| ToolError::Internal)?;
        let (mine, span) = (Arc::clone(&state), tracing::Span::current());
        let polling = spawn_blocking(move || {
            let polled = span.in_scope(|| take_turn(&mut work, &mine));
            drop(turn);
            (work, polled)
        });
        let (back, polled) = polling.await.map_err(|error| {
            tracing::error!(%error, "work beside the requests has failed");
            ToolError::Internal
        })?;
        work = back;
        match polled {
            Poll::Ready(output) => return Ok(output),
            Poll::Pending => state.woken.notified().await,
        }
    }
}

/// Polls as long as the work goes on at once, somebody waits for it, and the turn lasts.
fn take_turn<F: Future>(work: &mut Pin<Box<F>>, state: &Arc<State>) -> Poll<F::Output> {
    let waker = Waker::from(Arc::clone(state));
    let begun = Instant::now();
    loop {
        state.goes_on.store(false, Ordering::Relaxed);
        let polled = work.as_mut().poll(&mut Context::from_waker(&waker));
        let again = state.goes_on.load(Ordering::Relaxed) && !state.is_left.load(Ordering::Relaxed);
        if polled.is_ready() || !again || begun.elapsed() >= TURN {
            return polled;
        }
    }
}

/// What the work and who waits for it tell each other.
#[derive(Default)]
struct State {
    woken: Notify,
    /// It has been woken since it was polled last.
    goes_on: AtomicBool,
    /// Nobody waits any more.
    is_left: AtomicBool,
}

impl Wake for State {
    fn wake(self: Arc<Self>) {
        self.goes_on.store(true, Ordering::Relaxed);
        self.woken.notify_one();
    }
}

struct Waiting(Arc<State>);

impl Drop for Waiting {
    fn drop(&mut self) {
        self.0.is_left.store(true, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use tokio::sync::{mpsc, oneshot};
    use tokio::task::yield_now;

    use super::*;

    #[tokio::test]
    async fn the_work_runs_on_other_threads_and_its_waits_end() {
        let here = thread::current().id();
        let (ask, asked) = oneshot::channel();
        let (answer, answered) = oneshot::channel::<u8>();
        let work = beside(async move {
            yield_now().await;
            ask.send(thread::current().id()).expect("somebody asks");
            answered.await.expect("an answer")
        });
        let other = async {
            let there = asked.await.expect("a thread");
            answer.send(7).expect("somebody waits");
            there
        };
        let (output, there) = tokio::join!(work, other);
        assert_eq!(output.expect("an output"), 7);
        assert_ne!(here, there);
    }

    #[tokio::test]
    async fn work_that_nobody_waits_for_ends() {
        let (begun, mut begins) = mpsc::unbounded_channel::<()>();
        let endless = beside(async move {
            loop {
                begun.send(()).ok();
                yield_now().await;
            }
        });
        let endless: Result<(), ToolError> = tokio::select! {
            ended = endless => ended,
            _ = begins.recv() => Err(ToolError::Internal),
        };
        assert!(endless.is_err());
        // The sender goes with the work.
        while begins.recv().await.is_some() {}
    }

    /// More of them than there are cores, and none ends before all have begun.
    #[tokio::test]
    async fn work_that_yields_shares_the_threads() {
        let count = 2 * available_parallelism().map_or(1, NonZero::get) + 1;
        let begun = Arc::new(std::sync::atomic::AtomicUsize::new(0));
        let work = |_| {
            let begun = Arc::clone(&begun);
            beside(async move {
                begun.fetch_add(1, Ordering::Relaxed);
                while begun.load(Ordering::Relaxed) < count {
                    yield_now().await;
                }
            })
        };
        let done = futures_util::future::join_all((0..count).map(work)).await;
        assert!(done.iter().all(Result::is_ok));
    }

    #[tokio::test]
    async fn a_panic_is_an_error() {
        let broken = beside(async {
            if thread::current().name().is_some() {
                panic!("broken")
            }
        });
        assert!(matches!(broken.await, Err(ToolError::Internal)));
    }
}
