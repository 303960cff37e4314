//! What runs in the next step of the engine: which sequences decode, which prompts are prefilled and
//! how far, who is let in, who has to give its cells back, what is taken from the prefix cache.
//!
//! What it does not: time, I/O, llama.cpp. It is a pure state machine that the worker drives:
//! [`Scheduler::submit`], then per step [`Scheduler::plan`], [`Scheduler::advance`] for each sequence
//! that got tokens, [`Scheduler::remove`] for each that ended.
//!
//! The rules, in order:
//! 1. The sequences that run never need more cells than there are: while they would, the youngest one is
//!    preempted. The oldest never is, and it can always reach the window because there are at least as
//!    many cells as the window has tokens. So the oldest always moves on and nothing starves. Cells of
//!    ended sequences (the prefix cache) are taken whenever a running one needs them.
//! 2. First come, first served: the head of the queue is let in when a slot and enough cells are
//!    free, and nothing behind it overtakes it, even if it would fit. A preempted sequence goes back
//!    to the head, so running sequences and queue together are always in order of arrival. Sequences
//!    that only score are short: they need no slot, and half of all rows may be running with them.
//! 3. What an earlier sequence has computed is not computed again: a prompt starts behind the longest
//!    beginning that is in the cache. While an earlier one is still busy with a beginning that both
//!    share, the later one *follows*: it waits for it instead of doing the same work beside it.
//! 4. Every decoding sequence gets a token in every step. What is left is given to further certain
//!    tokens of decoding sequences, to drafts, and to prompts, the oldest first, as far as the budget of
//!    the step goes; several short ones share a step.
//!
//! Start at [`Scheduler::plan`].

use std::collections::VecDeque;

use crate::prefix_cache::{KvOp, PrefixCache, Row, common_prefix};

mod running;
#[cfg(test)]
mod tests;

use running::Running;

/// Names a sequence; unique over the life of the scheduler.
pub(crate) type SequenceId = u64;

/// Free cells that admission leaves per running sequence, so that the next tokens of those that run
/// do not at once push out the one that was let in.
const HEADROOM: usize = 64;
/// Fewer shared tokens than this are computed again rather than waited for.
const WORTH_FOLLOWING: usize = 32;
/// The same for sequences that score. Nobody reads one score before the others of its text are there, so
/// waiting costs less; and a row is left behind for fewer tokens than this by nobody who scores.
const WORTH_FOLLOWING_TO_SCORE: usize = 8;

/// What there is to share out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Limits {
    /// Sequences that may generate at once.
    pub(crate) slots: usize,
    /// Sequence ids of the KV cache, for running and for ended sequences; raised to `slots`.
    pub(crate) rows: usize,
    /// Tokens that the KV cache holds; raised to `window` when it is smaller.
    pub(crate) cells: usize,
    /// Cells that ended sequences may keep.
    pub(crate) ended: usize,
    /// The most tokens one sequence may have, prompt and answer together.
    pub(crate) window: usize,
    /// Prompt tokens per step beside decoding sequences (these come on top: one token each).
    pub(crate) chunk: usize,
    /// Prompt tokens per step when nothing decodes.
    pub(crate) batch: usize,
    /// Whether what was computed is used again by other sequences.
    pub(crate) reuse: bool,
}

/// A sequence to be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Submission {
    /// Its name.
    pub(crate) id: SequenceId,
    /// Its tokens so far, at least one.
    pub(crate) tokens: Vec<u32>,
    /// The adapter it runs with; 0 is none.
    pub(crate) adapter: u32,
    /// The logits of this token and of all behind it are wanted, so they have to be computed, whatever
    /// the cache holds; below `tokens.len()`. To generate, those of the last one are enough.
    pub(crate) logits_from: usize,
    /// It ends when its tokens are computed.
    pub(crate) scores: bool,
}

/// Compute tokens `start..start + len` of a sequence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Work {
    /// The sequence.
    pub(crate) id: SequenceId,
    /// The row of the KV cache it runs in.
    pub(crate) row: Row,
    /// Index of the first token to compute.
    pub(crate) start: usize,
    /// How many; at least 1. The last `draft` of them are guesses.
    pub(crate) len: usize,
    /// Guessed tokens behind the known ones; 0 unless `sample`.
    pub(crate) draft: usize,
    /// The range reaches the end of the sequence: a next token is to be sampled.
    pub(crate) sample: bool,
    /// The sequence is past its prompt.
    pub(crate) decodes: bool,
}

/// A sequence that begins (or begins again after it was preempted).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Begun {
    /// Which.
    pub(crate) id: SequenceId,
    /// Tokens that came from the prefix cache.
    pub(crate) cached: usize,
}

/// One step.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Plan {
    /// What is to be done to the cells before anything is computed, in this order.
    pub(crate) kv: Vec<KvOp>,
    /// Sequences that lost their slot. They wait at the head of the queue and go on later.
    pub(crate) preempted: Vec<SequenceId>,
    /// Sequences whose first range is in `work`.
    pub(crate) begun: Vec<Begun>,
    /// What to compute: decoding sequences first, then prompts; each in order of arrival.
    pub(crate) work: Vec<Work>,
}

/// Decides what runs; see the module's rules.
#[derive(Debug)]
pub(crate) struct Scheduler {
    limits: Limits,
    /// Cells that admission leaves free per running sequence.
    headroom: usize,
    /// In order of arrival.
    running: Vec<Running>,
    /// In order of arrival; all of them later than those that run.
    queue: VecDeque<Submission>,
    cache: PrefixCache,
}

impl Scheduler {
    /// A scheduler with nothing to do. Limits that could stop everything are raised: one slot, one
    /// token per step, cells for one whole window.
    #[must_use]
    pub(crate) fn new(limits: Limits) -> Self {
        let window = limits.window.max(1);
        let slots = limits.slots.max(1);
        let cells = limits.cells.max(window);
        let (rows, chunk, batch) = (limits.rows.max(slots), limits.chunk.max(1), limits.batch.max(1));
        let limits = Limits { slots, rows, cells, window, chunk, batch, ..limits };
        // At most a quarter of the cells is kept back, however small the cache and many the slots.
        let headroom = HEADROOM.min(cells / (4 * slots));
        Self { limits, headroom, running: Vec::new(), queue: VecDeque::new(), cache: PrefixCache::new(rows) }
    }

    /// Puts a sequence at the end of the queue. The caller has checked that the prompt has at least
    /// one token and fits the window, bounds the queue, and ends the sequence when it has filled the
    /// window.
    pub(crate) fn submit(&mut self, submission: Submission) {
        debug_assert!((1..=self.limits.window).contains(&submission.tokens.len()));
        self.queue.push_back(submission);
    }

    /// Wishes to try this many guessed tokens of a sequence in the next step; as many as fit are in
    /// [`Work::draft`].
    pub(crate) fn propose(&mut self, id: SequenceId, draft: usize) {
        if let Some(sequence) = self.find(id) {
            sequence.proposed = draft;
        }
    }

    /// Plans the next step and takes it as done: the tokens in [`Plan::work`] count as computed, except
    /// for drafts.
    ///
    /// An empty `work` means that nothing is to be computed now: all sequences have ended, or wait
    /// for [`Self::advance`].
    pub(crate) fn plan(&mut self) -> Plan {
        self.settle();
        // Followers whose leaders left early need more than they promised, so they begin before anybody
        // is preempted; those that are let in now need just what was asked for.
        let mut begun = self.begin();
        let preempted = self.preempt();
        begun.retain(|begun| !preempted.contains(&begun.id));
        self.admit();
        begun.extend(self.begin());
        let work = self.share_step();
        Plan { kv: self.cache.take_ops(), preempted, begun, work }
    }

    /// Tokens were appended to the sequence, sampled or otherwise certain. The first `verified` of them
    /// were drafts of the last step: their cells are filled. Unknown sequences are ignored (they were
    /// cancelled in between).
    pub(crate) fn advance(&mut self, id: SequenceId, tokens: &[u32], verified: usize) {
        let window = self.limits.window;
        let Some(sequence) = self.find(id) else { return };
        sequence.tokens.extend_from_slice(tokens);
        sequence.computed += verified;
        sequence.decodes = true;
        debug_assert!(sequence.tokens.len() <= window, "the sequence has left its window");
    }

    /// Forgets a sequence that finished, failed or was cancelled. What it computed stays in the prefix
    /// cache, unless `spoilt`. False: unknown.
    pub(crate) fn remove(&mut self, id: SequenceId, spoilt: bool) -> bool {
        if let Some(index) = self.running.iter().position(|sequence| sequence.id == id) {
            let mut sequence = self.running.remove(index);
            if spoilt {
                sequence.discard(&mut self.cache);
            } else {
                sequence.settle(&mut self.cache);
                sequence.release(&mut self.cache, self.limits.reuse);
            }
            return true;
        }
        let Some(index) = self.queue.iter().position(|waiting| waiting.id == id) else { return false };
        self.queue.remove(index);
        true
    }

    /// Sequences in a slot.
    #[must_use]
    pub(crate) fn running(&self) -> usize {
        self.running.len()
    }

    /// Sequences in the queue, preempted ones included.
    #[must_use]
    pub(crate) fn waiting(&self) -> usize {
        self.queue.len()
    }

    /// The cache of beginnings.
    #[must_use]
    pub(crate) fn cache(&self) -> &PrefixCache {
        &self.cache
    }

    /// Nothing runs and nothing waits.
    #[must_use]
    pub(crate) fn is_idle(&self) -> bool {
        self.running.is_empty() && self.queue.is_empty()
    }

    fn find(&mut self, id: SequenceId) -> Option<&mut Running> {
        self.running.iter_mut().find(|sequence| sequence.id == id)
    }

    /// What the last step computed is in the cells now.
    fn settle(&mut self) {
        for sequence in &mut self.running {
            sequence.settle(&mut self.cache);
        }
    }

    /// Cells that the running sequences need for all their known tokens.
    fn cells_promised(&self) -> usize {
        self.cache.active_cells() + self.running.iter().map(Running::missing).sum::<usize>()
    }

    /// Sends the youngest back to the queue until the others fit.
    fn preempt(&mut self) -> Vec<SequenceId> {
        let mut preempted = Vec::new();
        while self.running.len() > 1 && self.cells_promised() > self.limits.cells {
            let Some(mut youngest) = self.running.pop() else { break };
            youngest.release(&mut self.cache, self.limits.reuse);
            preempted.push(youngest.id);
            self.queue.push_front(youngest.into_submission());
        }
        preempted
    }

    /// Lets the head of the queue in as long as it fits.
    fn admit(&mut self) {
        while let Some(head) = self.queue.front() {
            if !self.has_place(head) {
                break;
            }
            let leader = self.leader(head);
            // What is in the cache becomes active by the fork, unless it is already: counting it as needed
            // is right or too much, never too little.
            let needed = head.tokens.len() - leader.map_or(0, |(_, shared)| shared);
            let growing = self.generating() + usize::from(!head.scores);
            let headroom = self.headroom * growing;
            // Alone, a sequence needs no headroom: it has the whole cache to grow into.
            let fits = self.cells_promised() + needed + headroom <= self.limits.cells;
            if !fits && !self.running.is_empty() {
                break;
            }
            let Some(head) = self.queue.pop_front() else { break };
            self.running.push(Running::new(head, leader));
        }
    }

    /// A slot for what generates, a row for what scores.
    fn has_place(&self, waiting: &Submission) -> bool {
        if waiting.scores {
            return self.running.len() < (self.limits.rows / 2).max(self.limits.slots);
        }
        self.generating() < self.limits.slots && self.running.len() < self.limits.rows
    }

    fn generating(&self) -> usize {
        self.running.iter().filter(|sequence| !sequence.scores).count()
    }

    /// The running sequence that is about to compute what this one begins with, and how much of it, when
    /// waiting for it is worth it.
    fn leader(&self, waiting: &Submission) -> Option<(SequenceId, usize)> {
        if !self.limits.reuse || waiting.logits_from == 0 {
            return None;
        }
        let reusable = &waiting.tokens[..waiting.logits_from];
        let worth = if waiting.scores { WORTH_FOLLOWING_TO_SCORE } else { WORTH_FOLLOWING };
        let busy = self.running.iter().filter(|sequence| sequence.adapter == waiting.adapter);
        let shared = busy.map(|sequence| (sequence, common_prefix(&sequence.tokens, reusable)));
        let (leader, shared) = shared.max_by_key(|&(_, shared)| shared)?;
        let there = self.cache.longest(waiting.adapter, reusable).len;
        (leader.computed < shared && shared >= there + worth).then_some((leader.id, shared))
    }

    /// Gives rows to admitted sequences whose leaders are far enough, or gone.
    fn begin(&mut self) -> Vec<Begun> {
        let mut begun = Vec::new();
        for index in 0..self.running.len() {
            if self.running[index].row.is_some() {
                continue;
            }
            let waits = self.running[index].leader.is_some_and(|(leader, shared)| {
                self.running[..index].iter().any(|other| other.id == leader && other.settled < shared)
            });
            if waits {
                continue;
            }
            let sequence = &mut self.running[index];
            sequence.begin(&mut self.cache, self.limits.reuse);
            if sequence.row.is_some() {
                begun.push(Begun { id: sequence.id, cached: sequence.computed });
            }
        }
        begun
    }

    /// Shares the step out over the running sequences, and makes room for it.
    fn share_step(&mut self) -> Vec<Work> {
        let ready = |sequence: &Running| sequence.row.is_some() && sequence.pending() > 0;
        let decoding: Vec<usize> = self.indexes(|sequence| ready(sequence) && sequence.decodes);
        let prefilling: Vec<usize> = self.indexes(|sequence| ready(sequence) && !sequence.decodes);
        let mut budget = if decoding.is_empty() { self.limits.batch } else { self.limits.chunk };
        let mut lens = vec![0; self.running.len()];
        // One token each, whatever the budget; then what else is certain.
        for &index in &decoding {
            let extra = (self.running[index].pending() - 1).min(budget);
            budget -= extra;
            lens[index] = 1 + extra;
        }
        let mut drafts = vec![0; self.running.len()];
        // Prompts wait for nobody's guesses: these get half when there are prompts.
        let mut guessing = if prefilling.is_empty() { budget } else { budget / 2 };
        let certain: usize = lens.iter().sum::<usize>();
        let prompts: usize = prefilling.iter().map(|&index| self.running[index].pending()).sum::<usize>().min(budget);
        let mut room = self.limits.cells.saturating_sub(self.cache.active_cells() + certain + prompts);
        for &index in &decoding {
            let sequence = &self.running[index];
            let window = self.limits.window.saturating_sub(sequence.tokens.len() + 1);
            let reaches_end = lens[index] == sequence.pending();
            let wanted = if reaches_end { sequence.proposed } else { 0 };
            drafts[index] = wanted.min(guessing).min(window).min(room);
            guessing -= drafts[index];
            room -= drafts[index];
            budget -= drafts[index];
        }
        for &index in &prefilling {
            let len = self.running[index].pending().min(budget);
            budget -= len;
            lens[index] = len;
        }
        let total: usize = lens.iter().sum::<usize>() + drafts.iter().sum::<usize>();
        self.cache.shrink_to(self.cache.active_cells().saturating_add(self.limits.ended));
        // Rule 1 promises room for the certain tokens, and drafts were cut to what is left.
        let made_room = self.cache.shrink_to(self.limits.cells - total.min(self.limits.cells));
        debug_assert!(made_room, "running sequences hold more cells than there are");
        let order = decoding.into_iter().chain(prefilling);
        order
            .filter(|&index| lens[index] > 0)
            .filter_map(|index| self.running[index].take_step(lens[index], drafts[index]))
            .collect()
    }

    fn indexes(&self, wanted: impl Fn(&Running) -> bool) -> Vec<usize> {
        (0..self.running.len()).filter(|&index| wanted(&self.running[index])).collect()
    }
}
