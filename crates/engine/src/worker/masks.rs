//! A thread that works out which tokens a grammar allows next, while the model computes.

use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use crate::constraint::Constraint;
use crate::error::EngineError;
use crate::scheduler::SequenceId;

type Jobs = Vec<(SequenceId, Constraint)>;

/// Handed out before a step and taken back after it. The thread ends when this is dropped.
pub(super) struct Masks {
    jobs: SyncSender<Jobs>,
    done: Receiver<Jobs>,
    /// Jobs are under way.
    busy: bool,
}

impl Masks {
    pub(super) fn start() -> Result<Self, EngineError> {
        let (jobs, inbox) = sync_channel::<Jobs>(1);
        let (outbox, done) = sync_channel(1);
        let work = move || {
            while let Ok(mut jobs) = inbox.recv() {
                for (_, constraint) in &mut jobs {
                    // An error comes again when the mask is asked for, and is told there.
                    drop(constraint.mask());
                }
                if outbox.send(jobs).is_err() {
                    return;
                }
            }
        };
        thread::Builder::new()
            .name("masks".to_owned())
            .spawn(work)
            .map_err(|error| EngineError::Native(format!("the thread for masks can not be started: {error}")))?;
        Ok(Self { jobs, done, busy: false })
    }

    /// Begins to work on the masks.
    pub(super) fn begin(&mut self, jobs: Jobs) {
        if !jobs.is_empty() {
            self.busy = self.jobs.send(jobs).is_ok();
        }
    }

    /// Waits for what was begun. Sequences whose constraints do not come back have lost them: the thread
    /// has died.
    pub(super) fn take(&mut self) -> Jobs {
        if !std::mem::take(&mut self.busy) {
            return Vec::new();
        }
        self.done.recv().unwrap_or_default()
    }
}
