//! Keeps a reasoning section within its budget: counts its tokens, and says what to write instead of the
//! model's own tokens when the budget is spent.

use crate::reasoning::OPEN;
use crate::sequence::Thinking;

/// The limit of one generation.
#[derive(Debug)]
pub(crate) struct ThinkingLimit {
    thinking: Thinking,
    state: State,
    /// The end of the text so far, long enough to find a marker in it.
    tail: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing but white space has been written; the section may still open.
    Before,
    /// So many tokens of the section.
    Inside(u32),
    /// So many tokens of its forced end.
    Ending(usize),
    /// The section is over, or never began.
    Over,
}

impl ThinkingLimit {
    pub(crate) fn new(thinking: Thinking) -> Self {
        let state = if thinking.open { State::Inside(0) } else { State::Before };
        Self { thinking, state, tail: String::new() }
    }

    /// What must be written now: the end of the section, or what is left of it, once the budget is spent.
    pub(crate) fn forced(&self) -> &[u32] {
        match (self.state, self.thinking.budget) {
            (State::Inside(used), Some(budget)) if used >= budget => &self.thinking.end,
            (State::Ending(given), _) => self.thinking.end.get(given..).unwrap_or_default(),
            _ => &[],
        }
    }

    /// There is nothing to count any more.
    pub(crate) fn is_over(&self) -> bool {
        self.state == State::Over
    }

    /// The next token was written; `text`: what it stands for.
    pub(crate) fn accept(&mut self, text: &str) {
        if !self.forced().is_empty() {
            let given = if let State::Ending(given) = self.state { given + 1 } else { 1 };
            self.state = if given < self.thinking.end.len() { State::Ending(given) } else { State::Over };
        }
        if matches!(self.state, State::Over | State::Ending(_)) {
            return;
        }
        self.tail.push_str(text);
        if let State::Inside(used) = self.state {
            self.state = State::Inside(used.saturating_add(1));
            if self.tail.contains(&self.thinking.marker) {
                self.state = State::Over;
            }
        } else if let Some((_, rest)) = self.tail.split_once(OPEN) {
            self.tail = rest.to_owned();
            self.state = State::Inside(0);
        } else if !OPEN.starts_with(self.tail.trim_start()) {
            self.state = State::Over;
        }
        let keep = self.tail.len().saturating_sub(self.thinking.marker.len());
        let start = (keep..self.tail.len()).find(|&index| self.tail.is_char_boundary(index));
        // Before the section everything is looked at: it is only white space and a part of the marker.
        if matches!(self.state, State::Inside(_)) {
            self.tail.drain(..start.unwrap_or(0));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limit(open: bool, budget: u32) -> ThinkingLimit {
        let marker = "</think>".to_owned();
        ThinkingLimit::new(Thinking { open, marker, end: vec![7, 8], budget: Some(budget) })
    }

    fn written(open: bool, budget: u32, pieces: &[&str]) -> bool {
        let mut limit = limit(open, budget);
        pieces.iter().for_each(|piece| limit.accept(piece));
        !limit.forced().is_empty()
    }

    #[test]
    fn the_end_is_forced_when_the_budget_is_spent_and_only_inside() {
        for (open, budget, pieces, forced) in [
            (true, 0, &[][..], true),
            (true, 2, &["a"], false),
            (true, 2, &["a", "b"], true),
            (true, 2, &["a", "</th", "ink>", "c", "d"], false),
            (true, 1, &["é", "日本"], true),
            (false, 0, &["\n"], false),
            (false, 0, &["\n", "<thi", "nk>"], true),
            (false, 1, &["<think>", "a"], true),
            (false, 0, &["An answer", " <think>"], false),
            (false, 0, &[], false),
        ] {
            assert_eq!(written(open, budget, pieces), forced, "{open} {budget} {pieces:?}");
        }
        let mut limit = limit(true, 0);
        assert_eq!(limit.forced(), [7, 8]);
        limit.accept("\n");
        assert_eq!((limit.forced(), limit.is_over()), (&[8][..], false));
        limit.accept("</think>");
        assert!(limit.forced().is_empty() && limit.is_over());
    }
}
