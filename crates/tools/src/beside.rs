//! Work beside the threads that serve requests: what computes for long is polled on a thread that may block.
//!
//! Such a thread is held only while there is something to compute, not while a model is waited for. Work that
//! yields now and then ends soon when nobody waits for it any more.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, Wake, Waker};

use tokio::sync::Notify;
use tokio::task::spawn_blocking;

use crate::error::ToolError;

/// Does work on threads that may block. Dropping the future ends the work where it yields next.
///
/// # Errors
/// When the work panics.
pub(crate) async fn beside<F>(work: F) -> Result<F::Output, ToolError>
where
    F: Future + Send + 'static,
    F::Output: Send,
{
    let woken = Arc::new(Woken(Notify::new()));
    let mut work = Work(Some(Box::pin(work)));
    loop {
        let waker = Waker::from(Arc::clone(&woken));
        let span = tracing::Span::current();
        let turn = spawn_blocking(move || {
            let polled = span.in_scope(|| work.poll(&waker));
            (work, polled)
        });
        let (back, polled) = turn.await.map_err(|error| {
            tracing::error!(%error, "work beside the requests has failed");
            ToolError::Internal
        })?;
        work = back;
        match polled {
            Poll::Ready(output) => return Ok(output),
            Poll::Pending => woken.0.notified().await,
        }
    }
}

struct Woken(Notify);

impl Wake for Woken {
    fn wake(self: Arc<Self>) {
        self.0.notify_one();
    }
}

/// Work that is under way; absent once it is dropped.
struct Work<F: Send + 'static>(Option<Pin<Box<F>>>);

impl<F: Future + Send> Work<F> {
    fn poll(&mut self, waker: &Waker) -> Poll<F::Output> {
        let mut context = Context::from_waker(waker);
        self.0.as_mut().map_or(Poll::Pending, |work| work.as_mut().poll(&mut context))
    }
}

impl<F: Send + 'static> Drop for Work<F> {
    /// What was computed of a long text takes a while to be freed, too.
    fn drop(&mut self) {
        if let (Some(work), Ok(runtime)) = (self.0.take(), tokio::runtime::Handle::try_current()) {
            runtime.spawn_blocking(move || drop(work));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
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
        let turns = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&turns);
        let (begun, mut begins) = mpsc::unbounded_channel::<()>();
        let endless = beside(async move {
            loop {
                counted.fetch_add(1, Ordering::Relaxed);
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
        assert!(turns.load(Ordering::Relaxed) > 0);
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
