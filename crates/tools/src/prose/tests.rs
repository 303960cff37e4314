use super::sentences::{Kind, split};

#[test]
fn sentences_end_where_a_reader_would_end_them() {
    let table: &[(&str, &[&str])] = &[
        ("One. Two! Three? Four", &["One.", "Two!", "Three?", "Four"]),
        ("Dr. Ames paid $3.50 to J. Doe. He left.", &["Dr. Ames paid $3.50 to J. Doe.", "He left."]),
    ];
    for (text, expected) in table {
        let found: Vec<String> = split(text).into_iter().map(|sentence| sentence.text).collect();
        assert_eq!(found, *expected, "{text}");
    }
    assert_eq!(split("# Title")[0].kind, Kind::Heading);
}
