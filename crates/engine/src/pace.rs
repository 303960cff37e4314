//! How many threads the next step uses: all the cores that are ours, and fewer while others use them.
//!
//! ggml's threads meet at a barrier after every operation, so one thread that has lost its core holds all
//! of them up: beside a process that burns one of two cores, one thread decodes nearly twice as fast as
//! two. Two signals tell it apart. While a step runs, threads that have their cores use as much CPU time
//! as wall time (they spin while they wait); what is missing was taken by others: that sends the count
//! down. And the machine's own idle time says when a core is free again: that sends it up. A core that
//! is lost again right after is left alone for longer the next time.
//!
//! Pure: the worker measures, and sets what comes out. Start at [`Pace::after_step`].

use std::time::Duration;

#[cfg(test)]
mod tests;

/// Share of a thread's time that must be missing before it is given up, on average over [`WINDOW`].
const LOST: f64 = 0.3;
/// Steps count for about this long.
const WINDOW: Duration = Duration::from_millis(60);
/// Idle share of a core that makes it free.
const FREE: f64 = 0.8;
/// How long a freed core must have been seen idle, at first and at most.
const FIRST_PATIENCE: Duration = Duration::from_millis(150);
const LONGEST_PATIENCE: Duration = Duration::from_secs(5);
/// A core that is lost within this time after it was taken should have been left alone.
const TOO_SOON: Duration = Duration::from_millis(600);

/// What one step told.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct StepTimes {
    /// When it ended, since the start of the process.
    pub(crate) now: Duration,
    /// How long it took.
    pub(crate) wall: Duration,
    /// CPU time of all threads of this process in it.
    pub(crate) cpu: Duration,
}

/// Chooses the number of threads.
#[derive(Debug)]
pub(crate) struct Pace {
    most: u32,
    threads: u32,
    /// Cores' worth of time that is missing, averaged over the last steps.
    lost: f64,
    /// When the last thread was added.
    raised: Option<Duration>,
    /// Since when a further core has been idle.
    idle_since: Option<Duration>,
    patience: Duration,
}

impl Pace {
    /// Begins with all `most` threads.
    pub(crate) fn new(most: u32) -> Self {
        Self { most, threads: most, lost: 0.0, raised: None, idle_since: None, patience: FIRST_PATIENCE }
    }

    /// Threads for the next step.
    pub(crate) fn threads(&self) -> u32 {
        self.threads
    }

    /// Whether [`Self::machine_idle`] has anything to decide.
    pub(crate) fn wants_more(&self) -> bool {
        self.threads < self.most
    }

    /// Learns from a step that ran with [`Self::threads`].
    pub(crate) fn after_step(&mut self, step: StepTimes) {
        if self.threads < 2 || step.wall.is_zero() {
            return;
        }
        let used = step.cpu.as_secs_f64() / step.wall.as_secs_f64();
        let missing = (f64::from(self.threads) - used).max(0.0);
        let weight = (step.wall.as_secs_f64() / WINDOW.as_secs_f64()).min(1.0);
        self.lost += weight * (missing - self.lost);
        if self.lost <= LOST {
            // It has held for a while: a later loss is a new one.
            if self.raised.is_some_and(|raised| step.now.saturating_sub(raised) > TOO_SOON) {
                self.patience = FIRST_PATIENCE;
                self.raised = None;
            }
            return;
        }
        // At least one; as many as the time that is missing amounts to.
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small positive number")]
        let gone = (self.lost.round() as u32).max(1);
        self.threads = self.threads.saturating_sub(gone).max(1);
        self.lost = 0.0;
        self.idle_since = None;
        if self.raised.take().is_some_and(|raised| step.now.saturating_sub(raised) <= TOO_SOON) {
            self.patience = (self.patience * 2).min(LONGEST_PATIENCE);
        }
    }

    /// Learns how many cores' worth of time the machine was idle lately, while our threads ran.
    pub(crate) fn machine_idle(&mut self, now: Duration, idle_cores: f64) {
        if !self.wants_more() || idle_cores < FREE {
            self.idle_since = None;
            return;
        }
        let since = *self.idle_since.get_or_insert(now);
        if now.saturating_sub(since) >= self.patience {
            self.threads += 1;
            self.raised = Some(now);
            self.idle_since = None;
            self.lost = 0.0;
        }
    }
}
