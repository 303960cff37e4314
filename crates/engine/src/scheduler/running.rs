//! A sequence in a slot: its tokens, how far they are computed, its row in the cache.

use super::{SequenceId, Submission, WORTH_FOLLOWING_TO_SCORE, Work};
use crate::prefix_cache::{PrefixCache, Row};

#[derive(Debug)]
pub(super) struct Running {
    pub(super) id: SequenceId,
    pub(super) adapter: u32,
    /// Tokens known: prompt and answer so far.
    pub(super) tokens: Vec<u32>,
    /// Tokens whose cells are filled, or will be after the step that is planned; below `tokens.len()`
    /// but for a moment.
    pub(super) computed: usize,
    /// Tokens that the cache knows of; at most `computed`.
    pub(super) settled: usize,
    /// Got a token: it is past its prompt.
    pub(super) decodes: bool,
    /// Guessed tokens it would like to try.
    pub(super) proposed: usize,
    /// `None` as long as it follows another one.
    pub(super) row: Option<Row>,
    /// Whom it follows, up to how many tokens.
    pub(super) leader: Option<(SequenceId, usize)>,
    /// It ends when its tokens are computed.
    pub(super) scores: bool,
    /// What is before this token may come from the cache.
    logits_from: usize,
}

impl Running {
    pub(super) fn new(waiting: Submission, leader: Option<(SequenceId, usize)>) -> Self {
        Self {
            id: waiting.id,
            adapter: waiting.adapter,
            tokens: waiting.tokens,
            computed: 0,
            settled: 0,
            decodes: false,
            proposed: 0,
            row: None,
            leader,
            scores: waiting.scores,
            logits_from: waiting.logits_from,
        }
    }

    /// Back to the queue. Once it decodes, the logits of its prompt were seen.
    pub(super) fn into_submission(self) -> Submission {
        let logits_from = if self.decodes { self.tokens.len() - 1 } else { self.logits_from };
        let Self { id, tokens, adapter, scores, .. } = self;
        Submission { id, tokens, adapter, logits_from, scores }
    }

    pub(super) fn pending(&self) -> usize {
        self.tokens.len() - self.computed
    }

    /// Cells that it needs beyond those that the cache counts for it.
    pub(super) fn missing(&self) -> usize {
        match (self.row, self.leader) {
            (None, Some((_, shared))) => self.tokens.len() - shared.min(self.tokens.len()),
            _ => self.tokens.len() - self.settled,
        }
    }

    /// Takes a row, with what the cache has of its tokens. At least one token is left to compute: its
    /// logits are what the first answer token is drawn from.
    pub(super) fn begin(&mut self, cache: &mut PrefixCache, reuse: bool) {
        let known = if reuse { cache.longest(self.adapter, &self.tokens[..self.logits_from]).len } else { 0 };
        self.row = cache.fork(self.adapter, &self.tokens[..known]);
        self.computed = self.row.map_or(0, |row| cache.len(row));
        self.settled = self.computed;
        self.leader = None;
    }

    /// Tells the cache what was computed since the last time.
    pub(super) fn settle(&mut self, cache: &mut PrefixCache) {
        let Some(row) = self.row else { return };
        cache.extend(row, &self.tokens[self.settled..self.computed]);
        self.settled = self.computed;
    }

    /// Leaves its row behind for others. A row is scarce: many that score would leave theirs for a few
    /// tokens of an answer each.
    pub(super) fn release(&mut self, cache: &mut PrefixCache, reuse: bool) {
        match self.row.take() {
            Some(row) if self.scores && cache.own_cells(row) < WORTH_FOLLOWING_TO_SCORE => cache.discard(row),
            Some(row) if reuse => cache.release(row),
            Some(row) => cache.discard(row),
            None => {}
        }
    }

    /// Gives its row back: what the cells hold is not what the tokens say.
    pub(super) fn discard(&mut self, cache: &mut PrefixCache) {
        if let Some(row) = self.row.take() {
            cache.discard(row);
        }
    }

    /// Takes the next `len` known tokens and `draft` guesses into the step.
    pub(super) fn take_step(&mut self, len: usize, draft: usize) -> Option<Work> {
        let row = self.row?;
        let start = self.computed;
        self.computed += len;
        self.proposed = 0;
        let sample = self.computed == self.tokens.len();
        Some(Work { id: self.id, row, start, len: len + draft, draft, sample, decodes: self.decodes })
    }
}
