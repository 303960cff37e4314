use proptest::prelude::*;

use super::*;

/// The plain reference: cuts the whole text at the earliest stop string.
fn reference(stops: &[String], text: &str) -> (String, bool) {
    let found = stops.iter().filter(|stop| !stop.is_empty()).filter_map(|stop| text.find(stop.as_str())).min();
    (text[..found.unwrap_or(text.len())].to_owned(), found.is_some())
}

/// Everything that comes out for these pieces, and whether it stopped.
fn run(stops: &[&str], pieces: &[&str]) -> (Vec<String>, bool) {
    let mut matcher = StopMatcher::new(stops.iter().map(|&stop| stop.to_owned()).collect());
    let mut out: Vec<String> = pieces.iter().map(|piece| matcher.push(piece).emit).collect();
    out.push(matcher.finish());
    (out, matcher.stopped())
}

#[test]
fn holds_back_what_may_become_a_stop_string() {
    let (out, stopped) = run(&["\n\nUser:"], &["Hi.\n", "\nUse", " it.\n\nUs", "er: no"]);
    assert_eq!(out, ["Hi.", "", "\n\nUse it.", "", ""]);
    assert!(stopped);
}

#[test]
fn the_end_lets_out_what_was_held_back() {
    assert_eq!(run(&["STOP"], &["a ST", "O"]), (vec!["a ".to_owned(), String::new(), "STO".to_owned()], false));
}

#[test]
fn without_stop_strings_text_passes() {
    assert_eq!(run(&["", ""], &["a", "b"]), (vec!["a".to_owned(), "b".to_owned(), String::new()], false));
}

#[test]
fn the_earliest_start_wins_even_if_it_ends_later() {
    let (out, stopped) = run(&["ab", "xabyy"], &["1xab", "y", "y2"]);
    assert_eq!((out.concat().as_str(), stopped), ("1", true));
    let (out, stopped) = run(&["ab", "xabyy"], &["1xab", "y", "z2"]);
    assert_eq!((out.concat().as_str(), stopped), ("1x", true));
    let (out, stopped) = run(&["ab", "xabyy"], &["1xab", "y"]);
    assert_eq!((out.concat().as_str(), stopped), ("1x", true), "the text ended before it was clear");
}

#[test]
fn nothing_comes_after_a_stop() {
    let mut matcher = StopMatcher::new(vec!["!".to_owned()]);
    assert_eq!(matcher.push("a!b"), Matched { emit: "a".to_owned(), stopped: true });
    assert_eq!(matcher.push("c"), Matched { emit: String::new(), stopped: true });
    assert_eq!(matcher.finish(), "");
}

/// Texts of few letters, so that stop strings begin often and overlap themselves.
fn letters(len: std::ops::Range<usize>) -> impl Strategy<Value = String> {
    let letter = prop::sample::select(vec!["a", "b", "ä", "日", "🦀", "\n"]);
    prop::collection::vec(letter, len).prop_map(|letters| letters.concat())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn equals_the_reference_for_every_chunking(
        stops in prop::collection::vec(letters(0..5), 0..5),
        pieces in prop::collection::vec(letters(0..6), 0..20),
    ) {
        let (expected, found) = reference(&stops, &pieces.concat());
        let mut matcher = StopMatcher::new(stops.clone());
        let mut emitted = String::new();
        let mut seen = String::new();
        for piece in &pieces {
            seen.push_str(piece);
            let matched = matcher.push(piece);
            emitted.push_str(&matched.emit);
            prop_assert!(expected.starts_with(&emitted), "{:?} is not the start of {:?}", emitted, expected);
            // It stops as early as it can: when the reference is cut and no earlier start is open.
            prop_assert!(!matched.stopped || found);
            // It holds back no more than it must: fewer bytes than the longest stop string has,
            // beyond one that is complete already.
            let (cut, _) = reference(&stops, &seen);
            let longest = stops.iter().map(String::len).max().unwrap_or(0);
            prop_assert!(cut.len() - emitted.len().min(cut.len()) <= longest.saturating_sub(1));
        }
        emitted.push_str(&matcher.finish());
        prop_assert_eq!(emitted, expected);
        prop_assert_eq!(matcher.stopped(), found);
    }
}
