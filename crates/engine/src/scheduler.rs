//! What runs in the next step of the engine: which sequences decode, which prompts are prefilled and
//! how far, who is let in, who has to give its cells back.
//!
//! What it does not: time, I/O, llama.cpp. It is a pure state machine that the worker drives:
//! [`Scheduler::submit`], then per step [`Scheduler::plan`], [`Scheduler::appended`] for each token
//! that was sampled, [`Scheduler::remove`] for each sequence that ended.
//!
//! The rules, in order:
//! 1. The sequences that run never hold more tokens than there are cells: while they would, the
//!    youngest one is preempted. The oldest never is, and it can always reach the window because
//!    there are at least as many cells as the window has tokens. So the oldest always moves on and
//!    nothing starves.
//! 2. First come, first served: the head of the queue is let in when a slot and enough cells are
//!    free, and nothing behind it overtakes it, even if it would fit. A preempted sequence goes back
//!    to the head, so running sequences and queue together are always in order of arrival.
//! 3. Every decoding sequence gets its token in every step. What is left is given to prompts, the
//!    oldest first, as far as the budget of the step goes; several short ones share a step.
//!
//! Start at [`Scheduler::plan`].

use std::collections::VecDeque;

use thiserror::Error;

#[cfg(test)]
mod tests;

/// Names a sequence; unique over the life of the scheduler.
pub type SequenceId = u64;

/// Free cells that admission leaves per running sequence, so that the next tokens of those that run
/// do not at once push out the one that was let in.
const HEADROOM: usize = 64;

/// What there is to share out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Sequences that may run at once.
    pub slots: usize,
    /// Tokens that the KV cache holds; raised to `window` when it is smaller.
    pub cells: usize,
    /// The most tokens one sequence may have, prompt and answer together.
    pub window: usize,
    /// Prompt tokens per step beside decoding sequences (these come on top: one token each).
    pub chunk: usize,
    /// Prompt tokens per step when nothing decodes.
    pub batch: usize,
    /// Sequences that may wait beyond those that a free slot is there for.
    pub queue: usize,
}

/// The queue takes nothing more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("the queue is full: {waiting} requests wait, the limit is {limit}")]
pub struct QueueFull {
    /// Sequences that wait.
    pub waiting: usize,
    /// Sequences that may wait ([`Limits::queue`]).
    pub limit: usize,
}

/// Compute tokens `start..start + len` of a sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Work {
    /// The sequence.
    pub id: SequenceId,
    /// The slot it runs in.
    pub slot: usize,
    /// Index of the first token to compute.
    pub start: usize,
    /// How many; at least 1.
    pub len: usize,
    /// The range reaches the end of the sequence: a next token is to be sampled.
    pub sample: bool,
}

/// One step. The three lists are to be followed in this order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// Sequences that lose their slot: drop their cells. They wait at the head of the queue and will
    /// be prefilled again from token 0, answer so far included.
    pub preempted: Vec<(SequenceId, usize)>,
    /// Sequences that got a slot.
    pub admitted: Vec<(SequenceId, usize)>,
    /// What to compute: decoding sequences first, then prompts; each in order of arrival.
    pub work: Vec<Work>,
}

/// A sequence that waits.
#[derive(Debug)]
struct Waiting {
    id: SequenceId,
    /// Its prompt, and what it had already said before it was preempted.
    tokens: usize,
}

/// A sequence in a slot.
#[derive(Debug)]
struct Running {
    id: SequenceId,
    slot: usize,
    /// Tokens known: prompt and answer so far.
    tokens: usize,
    /// Tokens whose cells are filled; at most `tokens`.
    computed: usize,
}

impl Running {
    fn pending(&self) -> usize {
        self.tokens - self.computed
    }

    fn decodes(&self) -> bool {
        self.computed > 0 && self.pending() == 1
    }

    /// Takes the next `len` tokens into the step.
    fn advance(&mut self, len: usize) -> Work {
        let start = self.computed;
        self.computed += len;
        Work { id: self.id, slot: self.slot, start, len, sample: self.computed == self.tokens }
    }
}

/// Decides what runs; see the module's rules.
#[derive(Debug)]
pub struct Scheduler {
    limits: Limits,
    /// Cells that admission leaves free per running sequence.
    headroom: usize,
    /// In order of arrival.
    running: Vec<Running>,
    /// In order of arrival; everything here arrived after everything in `running`.
    queue: VecDeque<Waiting>,
    slot_taken: Vec<bool>,
}

impl Scheduler {
    /// A scheduler with nothing to do. Limits of 0 that would stop all work (slots, window, chunk,
    /// batch) count as 1.
    #[must_use]
    pub fn new(limits: Limits) -> Self {
        let slots = limits.slots.max(1);
        let window = limits.window.max(1);
        let cells = limits.cells.max(window);
        let limits = Limits {
            slots,
            cells,
            window,
            chunk: limits.chunk.max(1),
            batch: limits.batch.max(1),
            queue: limits.queue,
        };
        // At most a quarter of the cells is kept back, however small the cache and many the slots.
        let headroom = HEADROOM.min(cells / (4 * slots));
        Self { limits, headroom, running: Vec::new(), queue: VecDeque::new(), slot_taken: vec![false; slots] }
    }

    /// Puts a sequence at the end of the queue. The caller has checked that the prompt has at least
    /// one token and fits the window, and ends the sequence when it has filled the window.
    ///
    /// # Errors
    /// [`QueueFull`] when as many wait as may.
    pub fn submit(&mut self, id: SequenceId, prompt_tokens: usize) -> Result<(), QueueFull> {
        debug_assert!((1..=self.limits.window).contains(&prompt_tokens), "{prompt_tokens} tokens");
        // Those that the next plan lets in are in the queue only until then.
        let free_slots = self.limits.slots - self.running.len();
        if self.queue.len() >= self.limits.queue.saturating_add(free_slots) {
            return Err(QueueFull { waiting: self.queue.len(), limit: self.limits.queue });
        }
        self.queue.push_back(Waiting { id, tokens: prompt_tokens });
        Ok(())
    }

    /// Plans the next step and takes it as done: the tokens in [`Plan::work`] count as computed.
    ///
    /// An empty `work` means that nothing is to be computed now: all sequences have ended, or wait
    /// for [`Self::appended`].
    pub fn plan(&mut self) -> Plan {
        let preempted = self.preempt();
        let admitted = self.admit();
        Plan { preempted, admitted, work: self.share_step() }
    }

    /// One sampled token was appended to the sequence. Unknown sequences are ignored (they were
    /// cancelled in between).
    pub fn appended(&mut self, id: SequenceId) {
        if let Some(sequence) = self.running.iter_mut().find(|sequence| sequence.id == id) {
            sequence.tokens += 1;
            debug_assert!(sequence.tokens <= self.limits.window, "the sequence has left its window");
        }
    }

    /// Forgets a sequence that finished, failed or was cancelled. `None`: unknown; `Some(None)`: it
    /// waited; `Some(Some(slot))`: it ran there, and its cells are to be dropped.
    pub fn remove(&mut self, id: SequenceId) -> Option<Option<usize>> {
        if let Some(index) = self.running.iter().position(|sequence| sequence.id == id) {
            let slot = self.running.remove(index).slot;
            self.slot_taken[slot] = false;
            return Some(Some(slot));
        }
        let index = self.queue.iter().position(|waiting| waiting.id == id)?;
        self.queue.remove(index);
        Some(None)
    }

    /// Sequences in a slot.
    #[must_use]
    pub fn running(&self) -> usize {
        self.running.len()
    }

    /// Sequences in the queue, preempted ones included.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// Cells that hold a token; never more than [`Limits::cells`].
    #[must_use]
    pub fn cells_used(&self) -> usize {
        self.running.iter().map(|sequence| sequence.computed).sum()
    }

    /// Nothing runs and nothing waits.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.running.is_empty() && self.queue.is_empty()
    }

    /// Cells that the running sequences need for all their tokens, computed or not.
    fn cells_promised(&self) -> usize {
        self.running.iter().map(|sequence| sequence.tokens).sum()
    }

    /// Sends the youngest back to the queue until the others fit.
    fn preempt(&mut self) -> Vec<(SequenceId, usize)> {
        let mut preempted = Vec::new();
        while self.running.len() > 1 && self.cells_promised() > self.limits.cells {
            let Some(youngest) = self.running.pop() else { break };
            self.slot_taken[youngest.slot] = false;
            self.queue.push_front(Waiting { id: youngest.id, tokens: youngest.tokens });
            preempted.push((youngest.id, youngest.slot));
        }
        preempted
    }

    /// Lets the head of the queue in as long as it fits.
    fn admit(&mut self) -> Vec<(SequenceId, usize)> {
        let mut admitted = Vec::new();
        while let Some(head) = self.queue.front() {
            let Some(slot) = self.slot_taken.iter().position(|taken| !taken) else { break };
            let headroom = self.headroom * (self.running.len() + 1);
            let fits = self.cells_promised() + head.tokens + headroom <= self.limits.cells;
            // Alone, a sequence needs no headroom: it has the whole cache to grow into.
            if !fits && !self.running.is_empty() {
                break;
            }
            let Some(Waiting { id, tokens }) = self.queue.pop_front() else { break };
            self.slot_taken[slot] = true;
            self.running.push(Running { id, slot, tokens, computed: 0 });
            admitted.push((id, slot));
        }
        admitted
    }

    /// Shares the step out over the running sequences. All of it has cells: see rule 1.
    fn share_step(&mut self) -> Vec<Work> {
        let (decoding, prefilling): (Vec<_>, Vec<_>) =
            self.running.iter_mut().filter(|sequence| sequence.pending() > 0).partition(|sequence| sequence.decodes());
        let mut budget = if decoding.is_empty() { self.limits.batch } else { self.limits.chunk };
        let mut work: Vec<Work> = decoding.into_iter().map(|sequence| sequence.advance(1)).collect();
        for sequence in prefilling {
            let len = sequence.pending().min(budget);
            if len == 0 {
                break;
            }
            budget -= len;
            work.push(sequence.advance(len));
        }
        work
    }
}
