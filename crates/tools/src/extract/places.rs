//! Places of a text that have been taken, so that asking for one does not go through all of them.

use std::collections::HashSet;
use std::ops::Range;

/// Places in bytes. They may overlap each other.
#[derive(Debug, Clone, Default)]
pub(super) struct Places {
    /// In the order of their beginnings.
    sorted: Vec<Range<usize>>,
    /// The furthest end of the places up to each one.
    furthest: Vec<usize>,
    exact: HashSet<Range<usize>>,
}

impl Places {
    /// Whether this very place is among them.
    pub(super) fn contains(&self, at: &Range<usize>) -> bool {
        self.exact.contains(at)
    }

    /// Whether one of them shares a byte with a place; an empty one does where it stands inside.
    pub(super) fn touch(&self, at: &Range<usize>) -> bool {
        let begun = self.sorted.partition_point(|place| place.start < at.end);
        begun.checked_sub(1).and_then(|last| self.furthest.get(last)).is_some_and(|&end| end > at.start)
    }

    /// Those that are inside a range.
    pub(super) fn inside(&self, range: Range<usize>) -> impl Iterator<Item = &Range<usize>> {
        let first = self.sorted.partition_point(|place| place.start < range.start);
        let begun = self.sorted.iter().skip(first).take_while(move |place| place.start <= range.end);
        begun.filter(move |place| place.end <= range.end)
    }

    /// Takes further places: many at a time, as all are put in order again.
    pub(super) fn extend(&mut self, more: impl IntoIterator<Item = Range<usize>>) {
        let known = self.sorted.len();
        self.sorted.extend(more);
        self.exact.extend(self.sorted.iter().skip(known).cloned());
        self.sorted.sort_by_key(|place| place.start);
        let mut furthest = 0;
        self.furthest.clear();
        self.furthest.extend(self.sorted.iter().map(|place| {
            furthest = place.end.max(furthest);
            furthest
        }));
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn place() -> impl Strategy<Value = Range<usize>> {
        (0_usize..60, 0_usize..9).prop_map(|(start, length)| start..start + length)
    }

    proptest! {
        #[test]
        fn what_is_taken_is_told_as_by_going_through_all(
            batches in prop::collection::vec(prop::collection::vec(place(), 0..8), 0..4),
            asked in prop::collection::vec(place(), 1..40),
        ) {
            let mut places = Places::default();
            for batch in &batches {
                places.extend(batch.iter().cloned());
            }
            let all = batches.concat();
            for at in asked {
                let touched = all.iter().any(|place| at.start < place.end && place.start < at.end);
                prop_assert_eq!(places.touch(&at), touched, "{:?}", at);
                prop_assert_eq!(places.contains(&at), all.contains(&at), "{:?}", at);
                let inside = all.iter().filter(|place| at.start <= place.start && place.end <= at.end);
                prop_assert_eq!(places.inside(at.clone()).count(), inside.count(), "{:?}", at);
            }
        }
    }
}
