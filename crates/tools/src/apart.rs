//! Work for the processor, beside the threads that serve requests: on a small machine there is one of these,
//! and a text of megabytes takes seconds.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::ToolError;

/// Tells work that nobody waits for it any more. Work looks now and then, and may then end with anything.
#[derive(Debug, Clone, Default)]
pub(crate) struct Left(Arc<AtomicBool>);

impl Left {
    pub(crate) fn is_so(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}

/// Does `work` on a thread of its own. Dropping the future tells it so by [`Left`].
///
/// # Errors
/// [`ToolError::Internal`] when the work panicked.
pub(crate) async fn apart<T: Send + 'static>(work: impl FnOnce(&Left) -> T + Send + 'static) -> Result<T, ToolError> {
    struct Waiting(Left);
    impl Drop for Waiting {
        fn drop(&mut self) {
            self.0.0.store(true, Ordering::Relaxed);
        }
    }
    let left = Left::default();
    let _waiting = Waiting(left.clone());
    tokio::task::spawn_blocking(move || work(&left)).await.map_err(|error| {
        tracing::error!(%error, "a tool broke off");
        ToolError::Internal
    })
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc;

    use super::*;

    #[tokio::test]
    async fn work_is_told_when_nobody_waits_any_more() {
        assert!(apart(|left| !left.is_so()).await.expect("done"));
        let (begun, has_begun) = tokio::sync::oneshot::channel();
        let (ended, has_ended) = mpsc::channel();
        let work = apart(move |left| {
            begun.send(()).expect("heard");
            while !left.is_so() {
                std::thread::yield_now();
            }
            ended.send(()).expect("heard");
        });
        tokio::select! {
            biased;
            _ = work => panic!("nobody has left yet"),
            begun = has_begun => begun.expect("begun"),
        }
        has_ended.recv().expect("told");
    }
}
