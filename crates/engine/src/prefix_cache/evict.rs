//! Taking cells and rows back from sequences that have ended.
//!
//! The least recently used goes first, from the leaves, so that a conversation loses its end before its
//! beginning. Nodes that several prompts have matched (a tool's instructions, a system
//! prompt) are *hot*: they go only when nothing else is left.

use super::{Holder, KvOp, NodeId, PrefixCache, Row};

/// Cells are taken in runs of at least this many: each run costs a pass over all cells.
const LEAST: usize = 32;
/// A node that this many prompts have matched is hot.
const HOT: u32 = 3;

impl PrefixCache {
    /// Frees cells of ended sequences until at most `most` cells are in use; false when running
    /// sequences alone hold more.
    pub(crate) fn shrink_to(&mut self, most: usize) -> bool {
        while self.cells > most {
            let Some(row) = self.least_useful() else { return false };
            self.evict(row, (self.cells - most).max(LEAST));
        }
        true
    }

    /// A row that nothing is in, taken from an ended sequence if need be.
    pub(super) fn free_row(&mut self) -> Option<Row> {
        if let Some(row) = self.rows.iter().position(Option::is_none) {
            return Some(row);
        }
        let row = self.least_useful()?;
        self.evicted_cells += self.own_cells(row) as u64;
        self.discard(row);
        Some(row)
    }

    /// The ended row whose end is the first to go.
    fn least_useful(&self) -> Option<Row> {
        let ended = self.rows.iter().enumerate().filter_map(|(row, holder)| Some((row, (*holder)?)));
        let candidates = ended.filter(|(_, holder)| !holder.running);
        let value = |holder: &Holder| {
            let node = &self.nodes[holder.node];
            (node.hits >= HOT, node.used)
        };
        candidates.min_by_key(|(_, holder)| value(holder)).map(|(row, _)| row)
    }

    /// Takes up to `cells` from the last node of an ended row. Nobody else holds that node: a row that
    /// ends where others go on is given up when they begin, or when it ends.
    fn evict(&mut self, row: Row, cells: usize) {
        let Some(holder) = self.rows[row] else { return };
        let node = &mut self.nodes[holder.node];
        if node.tokens.len() > cells {
            node.tokens.truncate(node.tokens.len() - cells);
            self.cells -= cells;
            self.evicted_cells += cells as u64;
            let len = holder.len - cells;
            self.ops.push(KvOp::Remove { row, start: len });
            self.rows[row] = Some(Holder { len, ..holder });
            return;
        }
        let node = &self.nodes[holder.node];
        let parent = node.parent.filter(|&parent| self.is_only_child(holder.node, parent));
        self.evicted_cells += node.tokens.len() as u64;
        let Some(parent) = parent else {
            // What is above belongs to others too: nothing is left to hold.
            self.discard(row);
            return;
        };
        let len = holder.len - node.tokens.len();
        self.ops.push(KvOp::Remove { row, start: len });
        self.nodes[holder.node].rows.clear();
        self.nodes[parent].rows.push(row);
        self.rows[row] = Some(Holder { node: parent, len, running: false });
        self.prune(holder.node);
    }

    /// The parent holds tokens, and nobody but this child needs them.
    fn is_only_child(&self, node: NodeId, parent: NodeId) -> bool {
        let above = &self.nodes[parent];
        above.parent.is_some() && above.rows.is_empty() && above.children == [node]
    }

    /// Cells that nobody but this row holds.
    pub(crate) fn own_cells(&self, row: Row) -> usize {
        let Some(holder) = self.rows[row] else { return 0 };
        let end = &self.nodes[holder.node];
        if end.rows.len() > 1 || !end.children.is_empty() {
            return 0;
        }
        let (mut cells, mut node) = (self.nodes[holder.node].tokens.len(), holder.node);
        while let Some(parent) = self.nodes[node].parent.filter(|&parent| self.is_only_child(node, parent)) {
            cells += self.nodes[parent].tokens.len();
            node = parent;
        }
        cells
    }
}
