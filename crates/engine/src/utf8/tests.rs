use proptest::prelude::*;

use super::*;

fn run(pieces: &[&[u8]]) -> Vec<String> {
    let mut assembler = Utf8Assembler::default();
    let mut out: Vec<String> = pieces.iter().map(|piece| assembler.push(piece)).collect();
    out.push(assembler.finish());
    out
}

#[test]
fn a_split_character_comes_out_whole() {
    assert_eq!(run(&[b"a\xF0\x9F", b"\xA6", b"\x80b"]), ["a", "", "🦀b", ""]);
}

#[test]
fn broken_bytes_become_one_sign_as_soon_as_they_are_broken() {
    assert_eq!(run(&[b"\xF0\x9F", b"x", b"\xFF"]), ["", "\u{FFFD}x", "\u{FFFD}", ""]);
}

#[test]
fn an_unfinished_character_becomes_one_sign_at_the_end() {
    assert_eq!(run(&[b"ok\xE6\x97"]), ["ok", "\u{FFFD}"]);
}

/// Whole characters, torn ones and bytes that are never valid.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop_oneof![
        3 => "[a-z😀-😂日語éß]{0,3}".prop_map(String::into_bytes),
        2 => prop::collection::vec(prop::sample::select(vec![0x80_u8, 0xBF, 0xC2, 0xE0, 0xE6, 0xED, 0xA0, 0xF0, 0x90, 0xF4, 0xFF]), 0..4),
        1 => prop::collection::vec(any::<u8>(), 0..4),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4000))]

    #[test]
    fn equals_the_lossy_conversion_of_the_whole(
        parts in prop::collection::vec(bytes(), 0..12),
        cuts in prop::collection::vec(1_usize..5, 1..20),
    ) {
        let whole = parts.concat();
        let mut assembler = Utf8Assembler::default();
        let mut text = String::new();
        let mut rest = whole.as_slice();
        for cut in cuts.iter().cycle() {
            if rest.is_empty() {
                break;
            }
            let (piece, tail) = rest.split_at((*cut).min(rest.len()));
            text.push_str(&assembler.push(piece));
            rest = tail;
            // At most a torn character is held back.
            prop_assert!(assembler.pending.len() <= 3);
        }
        text.push_str(&assembler.finish());
        prop_assert_eq!(text, String::from_utf8_lossy(&whole));
    }
}
