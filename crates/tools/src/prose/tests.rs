use proptest::prelude::*;

use super::compress::forms;
use super::facts::{fixed, plain_number};
use super::guard::{is_degenerate, is_grounded};
use super::sentences::{Kind, split};

#[test]
fn sentences_end_where_a_reader_would_end_them() {
    let table: &[(&str, &[&str])] = &[
        ("One. Two! Three? Four", &["One.", "Two!", "Three?", "Four"]),
        ("Dr. Ames paid $3.50 to J. Doe. He left.", &["Dr. Ames paid $3.50 to J. Doe.", "He left."]),
        (
            "See fig. 3, e.g. the left part. It grew by 2.5 percent.",
            &["See fig. 3, e.g. the left part.", "It grew by 2.5 percent."],
        ),
        ("Is it No. 5? No. It is 6.", &["Is it No. 5?", "No.", "It is 6."]),
        ("It ends at 5 p.m. Then we go.", &["It ends at 5 p.m.", "Then we go."]),
        ("\"Stop!\" she said. \"Why?\" He left.", &["\"Stop!\" she said.", "\"Why?\"", "He left."]),
        (
            "Wait... what? Version 2.0 is at example.com. Try it.",
            &["Wait... what?", "Version 2.0 is at example.com.", "Try it."],
        ),
        ("¿Qué? La Sra. Gil vino. ¡Bien!", &["¿Qué?", "La Sra. Gil vino.", "¡Bien!"]),
        ("一。二！三", &["一。", "二！", "三"]),
        (
            "A line that was wrapped by somebody's editor at about\nseventy letters. And a second one.",
            &["A line that was wrapped by somebody's editor at about seventy letters.", "And a second one."],
        ),
        ("- milk\n- eggs. Many.\n2) bread", &["milk", "eggs.", "Many.", "bread"]),
        ("", &[]),
        (" \n\n ", &[]),
        ("...", &["..."]),
    ];
    for (text, expected) in table {
        let found: Vec<String> = split(text).into_iter().map(|sentence| sentence.text).collect();
        assert_eq!(found, *expected, "{text}");
    }
}

#[test]
fn what_a_sentence_stands_in_is_told() {
    let text = "# Title\n\nFirst words of it. More.\n\n```\nlet x = 1;\n```\n- a point\n\n[09:25] ann: hello. you\n2024-05-06 10:00:00 db: full\nbo: yes";
    let kinds: Vec<Kind> = split(text).into_iter().map(|sentence| sentence.kind).collect();
    let expected =
        [Kind::Heading, Kind::Prose, Kind::Prose, Kind::Code, Kind::Item, Kind::Record, Kind::Record, Kind::Record];
    assert_eq!(kinds, expected);
}

#[test]
fn what_must_not_be_touched_is_found() {
    let table: &[(&str, &[&str])] = &[
        ("Ask Lou for 10 boxes by 20:05.", &["Lou", "10", "20:05"]),
        ("Run `make it` at https://x.org/a?b=1, or mail a@b.org.", &["`make it`", "https://x.org/a?b=1", "a@b.org"]),
        ("It costs $3.50 (9%).", &["$3.50", "9%"]),
        ("Nothing here.", &[]),
    ];
    for (text, expected) in table {
        let found: Vec<&str> = fixed(text).into_iter().map(|range| &text[range]).collect();
        assert_eq!(found, *expected, "{text}");
    }
}

#[test]
fn answers_are_guarded() {
    let source = "Ann paid 22,000 dollars to Bo on 9 May.";
    assert!(is_grounded("In May Bo got 22000 dollars.", source));
    assert!(!is_grounded("Bo got 23,000 dollars.", source), "another number");
    assert!(!is_grounded("It was Carl who paid.", "") && !is_grounded("It came from Carl.", source), "another name");
    assert!(is_degenerate("the cat sat down the cat sat down the cat sat down") && is_degenerate(" ... "));
    assert!(!is_degenerate("the cat sat down"));
    assert_eq!(plain_number("22.000"), "22000");
    assert_eq!(plain_number("3.5"), "3.5");
}

#[test]
fn sentences_get_shorter_forms() {
    let forms_of =
        forms("However, the bridge (built in 1898), which nobody likes, stays open, but the ferry ends in May.");
    assert!(forms_of.iter().any(|form| form == "The bridge stays open."), "{forms_of:?}");
    assert!(forms_of.iter().any(|form| form == "The ferry ends in May."), "{forms_of:?}");
}

proptest! {
    #[test]
    fn any_text_can_be_split_and_nothing_but_marks_is_lost(text in "[a-zA-Z0-9.!?(),:;'\"#*\\-`\n é¿。…]{0,200}") {
        let said: String = split(&text).into_iter().map(|sentence| sentence.text + " ").collect();
        prop_assert!(said.chars().filter(|letter| letter.is_alphabetic()).count() <= text.chars().filter(|letter| letter.is_alphabetic()).count());
        for sentence in split(&text) {
            prop_assert!(!sentence.text.contains('\n') && !sentence.text.trim().is_empty());
            for form in forms(&sentence.text) {
                prop_assert!(form.len() <= sentence.text.len() + 4);
            }
        }
        let places = fixed(&text);
        prop_assert!(places.windows(2).all(|pair| pair[0].end <= pair[1].start));
        prop_assert!(places.iter().all(|range| text.get(range.clone()).is_some()));
    }
}
