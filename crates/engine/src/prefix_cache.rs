//! Which tokens are in the KV cache, and who holds them: a radix tree of tokens over rows.
//!
//! A *row* is one sequence id of the KV cache. Running sequences have one each, and what ended stays in
//! the cache under its row until its cells are needed. A node of the tree is a run of cells that the same
//! rows hold; sharing costs nothing, because a cell of the unified cache belongs to any number of rows.
//! So the number of cells in use is exactly the sum of the nodes' lengths. Two sequences that computed
//! the same tokens side by side have two nodes with equal tokens: the tree tells the truth, it does not
//! tidy up.
//!
//! What it does not: touch llama.cpp. Every change that the cells need is written down as a [`KvOp`], to
//! be carried out in order. Who runs when is `scheduler.rs`.
//!
//! Start at [`PrefixCache::longest`] and [`PrefixCache::fork`].

use std::collections::HashMap;

#[cfg(test)]
pub(crate) mod cells;
mod evict;
#[cfg(test)]
mod tests;

/// A sequence id of the KV cache.
pub(crate) type Row = usize;

/// What is to be done to the cells, in the order in which it was written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum KvOp {
    /// The first `len` cells of `from` belong to `to` as well.
    Copy {
        /// Who has them.
        from: Row,
        /// Who gets them; holds nothing before.
        to: Row,
        /// How many, from the first token on.
        len: usize,
    },
    /// `row` gives back its cells from position `start` on; 0 is all of them.
    Remove {
        /// Whose.
        row: Row,
        /// The first position that goes.
        start: usize,
    },
}

/// Where a prompt meets what is in the cache.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Match {
    /// Tokens that are there.
    pub(crate) len: usize,
    /// A row that holds them; there is one whenever `len` is above 0.
    pub(crate) donor: Option<Row>,
}

type NodeId = usize;

/// Cells that the same rows hold.
#[derive(Debug, Default)]
struct Node {
    parent: Option<NodeId>,
    tokens: Vec<u32>,
    children: Vec<NodeId>,
    /// Rows that end here.
    rows: Vec<Row>,
    /// Running rows that end here or below.
    running: usize,
    /// The tick of the last fork or end here.
    used: u64,
    /// How often a prompt was matched to the end of this node or beyond.
    hits: u32,
}

/// A row in use.
#[derive(Debug, Clone, Copy)]
struct Holder {
    node: NodeId,
    len: usize,
    running: bool,
}

/// See the module.
#[derive(Debug)]
pub(crate) struct PrefixCache {
    nodes: Vec<Node>,
    free_nodes: Vec<NodeId>,
    /// One tree per adapter: keys and values depend on the weights.
    roots: HashMap<u32, NodeId>,
    rows: Vec<Option<Holder>>,
    cells: usize,
    active_cells: usize,
    tick: u64,
    evicted_cells: u64,
    ops: Vec<KvOp>,
}

impl PrefixCache {
    /// An empty cache with this many rows.
    #[must_use]
    pub(crate) fn new(rows: usize) -> Self {
        Self {
            nodes: Vec::new(),
            free_nodes: Vec::new(),
            roots: HashMap::new(),
            rows: vec![None; rows],
            cells: 0,
            active_cells: 0,
            tick: 0,
            evicted_cells: 0,
            ops: Vec::new(),
        }
    }

    /// Cells in use, by running and by ended sequences.
    #[must_use]
    pub(crate) fn cells(&self) -> usize {
        self.cells
    }

    /// Cells that running sequences hold; the others can be taken.
    #[must_use]
    pub(crate) fn active_cells(&self) -> usize {
        self.active_cells
    }

    /// Cells that were taken from ended sequences so far.
    #[must_use]
    pub(crate) fn evicted_cells(&self) -> u64 {
        self.evicted_cells
    }

    /// Tokens that a row holds; 0 for a free one.
    #[must_use]
    pub(crate) fn len(&self, row: Row) -> usize {
        self.rows.get(row).copied().flatten().map_or(0, |holder| holder.len)
    }

    /// Hands over what is to be done to the cells since the last call.
    pub(crate) fn take_ops(&mut self) -> Vec<KvOp> {
        std::mem::take(&mut self.ops)
    }

    /// The longest beginning of `tokens` that is in the cache.
    #[must_use]
    pub(crate) fn longest(&self, adapter: u32, tokens: &[u32]) -> Match {
        let Some(&root) = self.roots.get(&adapter) else { return Match::default() };
        let (node, len) = self.descend(root, tokens);
        Match { len, donor: (len > 0).then(|| self.any_row(node)).flatten() }
    }

    /// Gives `tokens` (a beginning that [`Self::longest`] found, or none) to a free row, which runs from
    /// now on. `None`: every row is taken by a running sequence.
    pub(crate) fn fork(&mut self, adapter: u32, tokens: &[u32]) -> Option<Row> {
        // A row may have to be taken from an ended sequence, so that comes before the look-up.
        let row = self.free_row()?;
        let root = self.root(adapter);
        let (mut node, len) = self.descend(root, tokens);
        if let Some(from) = self.any_row(node).filter(|_| len > 0) {
            node = self.cut_at(node, len);
            self.ops.push(KvOp::Copy { from, to: row, len });
            self.note_hit(node);
        }
        self.rows[row] = Some(Holder { node, len, running: true });
        // Ended rows that hold just this are not needed any more.
        let ended = std::mem::replace(&mut self.nodes[node].rows, vec![row]);
        self.change_running(node, true);
        for other in ended {
            self.nodes[node].rows.push(other);
            if self.rows[other].is_some_and(|holder| !holder.running) {
                self.discard(other);
            }
        }
        Some(row)
    }

    /// The row's next tokens have been computed.
    pub(crate) fn extend(&mut self, row: Row, tokens: &[u32]) {
        let Some(Holder { node, len, running }) = self.rows[row] else { return };
        if tokens.is_empty() {
            return;
        }
        let own = &self.nodes[node];
        let is_alone = own.children.is_empty() && own.rows == [row] && own.parent.is_some();
        let node = if is_alone { node } else { self.move_to_child(row, node, running) };
        self.nodes[node].tokens.extend_from_slice(tokens);
        self.cells += tokens.len();
        if self.nodes[node].running > 0 {
            self.active_cells += tokens.len();
        }
        self.rows[row] = Some(Holder { node, len: len + tokens.len(), running });
    }

    /// The row's sequence has ended: its cells stay as long as nobody needs them. A row that holds no
    /// more than others do is free at once.
    pub(crate) fn release(&mut self, row: Row) {
        let Some(holder) = self.rows[row].filter(|holder| holder.running) else { return };
        self.change_running(holder.node, false);
        self.rows[row] = Some(Holder { running: false, ..holder });
        self.touch(holder.node);
        let node = &self.nodes[holder.node];
        if holder.len == 0 || !node.children.is_empty() || node.rows.len() > 1 {
            self.discard(row);
        }
    }

    /// Gives all cells of a row back that nobody else holds.
    pub(crate) fn discard(&mut self, row: Row) {
        let Some(holder) = self.rows[row].take() else { return };
        if holder.running {
            self.change_running(holder.node, false);
        }
        // Also when nothing is known of it: a step that failed may have left something.
        self.ops.push(KvOp::Remove { row, start: 0 });
        self.nodes[holder.node].rows.retain(|&other| other != row);
        self.prune(holder.node);
    }

    fn root(&mut self, adapter: u32) -> NodeId {
        if let Some(&root) = self.roots.get(&adapter) {
            return root;
        }
        let root = self.new_node(Node::default());
        self.roots.insert(adapter, root);
        root
    }

    fn new_node(&mut self, node: Node) -> NodeId {
        if let Some(id) = self.free_nodes.pop() {
            self.nodes[id] = node;
            return id;
        }
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    /// The deepest node that `tokens` reach into, and how many of them match on the way. Of children with
    /// equal beginnings the one that goes on longest wins.
    fn descend(&self, root: NodeId, tokens: &[u32]) -> (NodeId, usize) {
        let mut best = (root, 0);
        // Equal beginnings are rare: mostly there is one way to go on.
        let mut open = vec![best];
        while let Some((node, len)) = open.pop() {
            for &child in &self.nodes[node].children {
                let matched = common_prefix(&self.nodes[child].tokens, &tokens[len..]);
                if matched == 0 {
                    continue;
                }
                let reached = (child, len + matched);
                if reached.1 > best.1 {
                    best = reached;
                }
                if matched == self.nodes[child].tokens.len() {
                    open.push(reached);
                }
            }
        }
        best
    }

    /// A row that ends in the node or below it.
    fn any_row(&self, mut node: NodeId) -> Option<Row> {
        loop {
            if let Some(&row) = self.nodes[node].rows.first() {
                return Some(row);
            }
            node = *self.nodes[node].children.first()?;
        }
    }

    /// Makes the position `len` (counted from the root, inside or at the end of `node`) the end of a node.
    fn cut_at(&mut self, node: NodeId, len: usize) -> NodeId {
        let keep = len - self.start_of(node);
        if keep == self.nodes[node].tokens.len() {
            return node;
        }
        let tail = self.nodes[node].tokens.split_off(keep);
        let old = &mut self.nodes[node];
        let lower = Node {
            parent: Some(node),
            tokens: tail,
            children: std::mem::take(&mut old.children),
            rows: std::mem::take(&mut old.rows),
            running: old.running,
            used: old.used,
            hits: 0,
        };
        let lower = self.new_node(lower);
        for child in self.nodes[lower].children.clone() {
            self.nodes[child].parent = Some(lower);
        }
        for row in self.nodes[lower].rows.clone() {
            if let Some(holder) = &mut self.rows[row] {
                holder.node = lower;
            }
        }
        self.nodes[node].children.push(lower);
        node
    }

    /// How many tokens come before the node.
    fn start_of(&self, node: NodeId) -> usize {
        let mut start = 0;
        let mut at = self.nodes[node].parent;
        while let Some(node) = at {
            start += self.nodes[node].tokens.len();
            at = self.nodes[node].parent;
        }
        start
    }

    /// Moves a row into an empty child of its node.
    fn move_to_child(&mut self, row: Row, node: NodeId, running: bool) -> NodeId {
        let child = Node { parent: Some(node), rows: vec![row], used: self.tick, ..Node::default() };
        let child = self.new_node(child);
        self.nodes[node].rows.retain(|&other| other != row);
        self.nodes[node].children.push(child);
        // The node above counts it already.
        self.nodes[child].running = usize::from(running);
        child
    }

    /// One running row more or less at the node, and so in all nodes above.
    fn change_running(&mut self, node: NodeId, starts: bool) {
        let mut at = Some(node);
        while let Some(id) = at {
            let node = &mut self.nodes[id];
            let was_active = node.running > 0;
            node.running = if starts { node.running + 1 } else { node.running.saturating_sub(1) };
            let is_active = node.running > 0;
            match (was_active, is_active) {
                (false, true) => self.active_cells += node.tokens.len(),
                (true, false) => self.active_cells -= node.tokens.len(),
                _ => {}
            }
            at = node.parent;
        }
    }

    fn touch(&mut self, node: NodeId) {
        self.tick += 1;
        self.nodes[node].used = self.tick;
    }

    /// A prompt was matched down to this node.
    fn note_hit(&mut self, node: NodeId) {
        self.touch(node);
        let mut at = Some(node);
        while let Some(id) = at {
            self.nodes[id].hits = self.nodes[id].hits.saturating_add(1);
            at = self.nodes[id].parent;
        }
    }

    /// Removes nodes that nobody holds any more, from here upwards.
    fn prune(&mut self, node: NodeId) {
        let mut at = node;
        while let Some(parent) = self.nodes[at].parent {
            let node = &self.nodes[at];
            if !node.children.is_empty() || !node.rows.is_empty() {
                return;
            }
            self.cells -= node.tokens.len();
            self.nodes[parent].children.retain(|&child| child != at);
            self.nodes[at] = Node::default();
            self.free_nodes.push(at);
            at = parent;
        }
    }
}

/// How many tokens two lists begin with together.
#[must_use]
pub(crate) fn common_prefix(a: &[u32], b: &[u32]) -> usize {
    a.iter().zip(b).take_while(|(a, b)| a == b).count()
}
