//! Finds the text after which a restriction begins.

/// Looks for a marker in bytes that come in pieces.
#[derive(Debug, Clone)]
pub(super) struct MarkerSearch {
    marker: Vec<u8>,
    /// The last bytes, fewer than the marker has: it may straddle pieces.
    tail: Vec<u8>,
}

impl MarkerSearch {
    /// `marker` must not be empty.
    pub(super) fn new(marker: &str) -> Self {
        Self { marker: marker.as_bytes().to_vec(), tail: Vec::new() }
    }

    /// Takes the next piece. When the marker is complete with it: what of the piece comes after.
    pub(super) fn push(&mut self, piece: &[u8]) -> Option<Vec<u8>> {
        self.tail.extend_from_slice(piece);
        if let Some(at) = self.tail.windows(self.marker.len()).position(|window| window == self.marker) {
            return Some(self.tail.split_off(at + self.marker.len()));
        }
        let keep = self.tail.len().min(self.marker.len() - 1);
        self.tail.drain(..self.tail.len() - keep);
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_markers_across_pieces_and_returns_the_rest() {
        let cases: [(&[&str], Option<&str>); 6] = [
            (&["a</think>"], Some("")),
            (&["</th", "ink>{"], Some("{")),
            (&["<", "/", "think", ">x</think>y"], Some("x</think>y")),
            (&["</thi</think>\n\n"], Some("\n\n")),
            (&["</thin", "</thin", "k>"], Some("")),
            (&["</think", " >", "no"], None),
        ];
        for (pieces, wanted) in cases {
            let mut search = MarkerSearch::new("</think>");
            let found = pieces.iter().find_map(|piece| search.push(piece.as_bytes()));
            assert_eq!(found.as_deref(), wanted.map(str::as_bytes), "{pieces:?}");
        }
    }
}
