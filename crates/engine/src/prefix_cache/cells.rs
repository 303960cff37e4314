//! A model of the KV cache for tests.

use std::collections::HashSet;

use super::{KvOp, Row};

/// The cells as llama.cpp keeps them: each has a position and the rows that it belongs to.
#[derive(Debug, Default)]
pub(crate) struct Cells {
    pub(crate) cells: Vec<(usize, u32, HashSet<Row>)>,
}

impl Cells {
    pub(crate) fn follow(&mut self, ops: Vec<KvOp>) {
        for op in ops {
            match op {
                KvOp::Copy { from, to, len } => {
                    assert!(self.of(to).is_empty(), "row {to} holds something");
                    for (position, _, rows) in &mut self.cells {
                        if *position < len && rows.contains(&from) {
                            rows.insert(to);
                        }
                    }
                    assert_eq!(self.of(to).len(), len);
                }
                KvOp::Remove { row, start } => {
                    for (position, _, rows) in &mut self.cells {
                        if *position >= start {
                            rows.remove(&row);
                        }
                    }
                    self.cells.retain(|(_, _, rows)| !rows.is_empty());
                }
            }
        }
    }

    pub(crate) fn compute(&mut self, row: Row, tokens: &[u32]) {
        let start = self.of(row).len();
        let new = tokens.iter().enumerate().map(|(index, &token)| (start + index, token, HashSet::from([row])));
        self.cells.extend(new);
    }

    /// The tokens of a row, in order of their positions.
    pub(crate) fn of(&self, row: Row) -> Vec<u32> {
        let mut held: Vec<(usize, u32)> = self
            .cells
            .iter()
            .filter(|(_, _, rows)| rows.contains(&row))
            .map(|&(position, token, _)| (position, token))
            .collect();
        held.sort_unstable();
        assert!(held.iter().enumerate().all(|(index, &(position, _))| index == position), "row {row}: {held:?}");
        held.into_iter().map(|(_, token)| token).collect()
    }
}
