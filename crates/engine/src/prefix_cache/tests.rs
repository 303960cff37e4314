use std::collections::HashSet;

use proptest::prelude::*;

use super::cells::Cells;
use super::*;

fn check(cache: &mut PrefixCache, cells: &mut Cells) {
    cells.follow(cache.take_ops());
    assert_eq!(cache.cells(), cells.cells.len());
    for row in 0..cache.rows.len() {
        assert_eq!(cache.len(row), cells.of(row).len(), "row {row}");
    }
    let running: HashSet<Row> =
        (0..cache.rows.len()).filter(|&row| cache.rows[row].is_some_and(|holder| holder.running)).collect();
    let active = cells.cells.iter().filter(|(_, _, rows)| !rows.is_disjoint(&running)).count();
    assert_eq!(cache.active_cells(), active);
}

#[test]
fn a_prompt_takes_what_an_ended_one_left() {
    let mut cache = PrefixCache::new(4);
    let first = cache.fork(0, &[]).expect("a row");
    cache.extend(first, &[1, 2, 3, 4]);
    cache.release(first);
    assert_eq!(cache.longest(0, &[1, 2, 9]), Match { len: 2, donor: Some(first) });
    assert_eq!(cache.longest(1, &[1, 2, 9]), Match::default(), "another adapter");
    let second = cache.fork(0, &[1, 2]).expect("a row");
    assert_eq!(cache.take_ops(), [KvOp::Copy { from: first, to: second, len: 2 }]);
    cache.extend(second, &[9]);
    assert_eq!((cache.cells(), cache.active_cells()), (5, 3));
}

#[test]
fn a_donor_may_still_run() {
    let mut cache = PrefixCache::new(4);
    let first = cache.fork(0, &[]).expect("a row");
    cache.extend(first, &[1, 2, 3]);
    let second = cache.fork(0, &[1, 2]).expect("a row");
    cache.extend(first, &[4]);
    cache.extend(second, &[5]);
    assert_eq!(cache.cells(), 5);
    cache.discard(first);
    assert_eq!((cache.cells(), cache.len(second)), (3, 3));
}

#[test]
fn a_row_that_others_continue_is_free_at_once() {
    let mut cache = PrefixCache::new(2);
    let first = cache.fork(0, &[]).expect("a row");
    cache.extend(first, &[1, 2]);
    let second = cache.fork(0, &[1, 2]).expect("a row");
    cache.extend(second, &[3]);
    cache.release(first);
    assert_eq!(cache.len(first), 0);
    assert_eq!((cache.cells(), cache.len(second)), (3, 3));
}

#[test]
fn the_oldest_end_goes_first_and_hot_beginnings_last() {
    let mut cache = PrefixCache::new(8);
    let mut cells = Cells::default();
    let mut run = |cache: &mut PrefixCache, tokens: &[u32]| {
        let known = cache.longest(0, tokens).len.min(tokens.len() - 1);
        let row = cache.fork(0, &tokens[..known]).expect("a row");
        cells.follow(cache.take_ops());
        cache.extend(row, &tokens[known..]);
        cells.compute(row, &tokens[known..]);
        cache.release(row);
        check(cache, &mut cells);
        known
    };
    for last in 0..5 {
        run(&mut cache, &[1, 1, 1, 1, 100 + last]);
    }
    run(&mut cache, &[2, 2, 2, 2, 2, 2]);
    assert_eq!(cache.cells(), 4 + 5 + 6);
    assert!(cache.shrink_to(4));
    assert_eq!(cache.longest(0, &[1, 1, 1, 1, 7]).len, 4, "five prompts share it");
    assert_eq!(cache.evicted_cells(), 11, "whole short ends");
    assert!(cache.shrink_to(0));
    assert_eq!(cache.longest(0, &[1]).len, 0);
}

#[test]
fn running_sequences_keep_their_cells_and_rows() {
    let mut cache = PrefixCache::new(1);
    let row = cache.fork(0, &[]).expect("a row");
    cache.extend(row, &[1, 2]);
    assert!(!cache.shrink_to(1));
    assert_eq!(cache.fork(0, &[]), None);
    cache.release(row);
    assert_eq!(cache.fork(0, &[]), Some(row), "taken from the ended one");
    assert_eq!(cache.cells(), 0);
}

#[derive(Debug, Clone)]
enum Act {
    Start(u32, Vec<u32>),
    Extend(usize, Vec<u32>),
    Release(usize),
    Discard(usize),
    Shrink(usize),
}

fn act() -> impl Strategy<Value = Act> {
    let tokens = || prop_oneof![prop::collection::vec(0_u32..3, 0..8), (0_usize..90).prop_map(|len| vec![1; len])];
    prop_oneof![
        4 => (0_u32..2, tokens()).prop_map(|(adapter, tokens)| Act::Start(adapter, tokens)),
        4 => (any::<prop::sample::Index>(), tokens()).prop_map(|(index, tokens)| Act::Extend(index.index(100), tokens)),
        3 => any::<prop::sample::Index>().prop_map(|index| Act::Release(index.index(100))),
        1 => any::<prop::sample::Index>().prop_map(|index| Act::Discard(index.index(100))),
        1 => (0_usize..200).prop_map(Act::Shrink),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1000))]

    #[test]
    fn tree_and_cells_always_agree(rows in 1_usize..6, acts in prop::collection::vec(act(), 1..60)) {
        let mut cache = PrefixCache::new(rows);
        let mut cells = Cells::default();
        let mut running: Vec<(Row, Vec<u32>)> = Vec::new();
        for act in acts {
            match act {
                Act::Start(adapter, tokens) => {
                    let found = cache.longest(adapter, &tokens);
                    if let Some(donor) = found.donor {
                        prop_assert_eq!(&cells.of(donor)[..found.len], &tokens[..found.len]);
                    }
                    if let Some(row) = cache.fork(adapter, &tokens) {
                        cells.follow(cache.take_ops());
                        let len = cache.len(row);
                        prop_assert!(len <= found.len);
                        prop_assert!(running.len() < rows);
                        running.push((row, tokens[..len].to_vec()));
                    } else {
                        prop_assert_eq!(running.len(), rows);
                    }
                }
                Act::Extend(index, tokens) if !running.is_empty() => {
                    let at = index % running.len();
                    let (row, held) = &mut running[at];
                    held.extend(&tokens);
                    cache.extend(*row, &tokens);
                    cells.compute(*row, &tokens);
                }
                Act::Release(index) if !running.is_empty() => {
                    let at = index % running.len();
                    cache.release(running.swap_remove(at).0);
                }
                Act::Discard(index) if !running.is_empty() => {
                    let at = index % running.len();
                    cache.discard(running.swap_remove(at).0);
                }
                Act::Shrink(most) => {
                    let enough = cache.shrink_to(most);
                    prop_assert_eq!(enough, cache.cells() <= most);
                    prop_assert!(enough || cache.cells() == cache.active_cells());
                }
                Act::Extend(..) | Act::Release(_) | Act::Discard(_) => {}
            }
            check(&mut cache, &mut cells);
            for (row, held) in &running {
                prop_assert_eq!(&cells.of(*row), held);
            }
        }
        for (row, _) in running {
            cache.discard(row);
        }
        prop_assert!(cache.shrink_to(0));
        check(&mut cache, &mut cells);
    }
}
