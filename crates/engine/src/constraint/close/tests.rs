//! Every beginning of some documents, closed, is JSON.

use serde_json::Value;

use super::*;

const DOCUMENTS: &[&str] = &[
    r#"{"name":"Ada \"L\" \\ \/ \n","n":-12.5e+10,"list":[1,[],{},[true,false,null]],"o":{"a":{"b":[{}]}}}"#,
    r#"[0,-0.5,1E5,2e-7,"","\u00e9\ud83d\ude00x","héllo 😀"]"#,
    r#" { "a" : [ 1 , 2 ] , "b" : "\ud83d\ude00" , "\u0041" : null } "#,
    r#""just \t text""#,
    "-123",
    "true",
    "[[[[[\"deep\"]]]]]",
    r#"{"":{"":{"":[]}}}"#,
];

#[test]
fn every_beginning_closes() {
    for document in DOCUMENTS {
        serde_json::from_str::<Value>(document).expect("a document");
        for (at, _) in document.char_indices().chain([(document.len(), ' ')]) {
            let text = &document[..at];
            let closing = close_json(text).unwrap_or_else(|| panic!("no closing for {text:?}"));
            let closed = format!("{text}{closing}");
            assert!(serde_json::from_str::<Value>(&closed).is_ok(), "{closed}");
        }
        assert_eq!(close_json(document).as_deref(), Some(""), "{document}");
    }
}

#[test]
fn closings_are_short_and_plain() {
    for (text, closing) in [
        ("", "null"),
        ("{", "}"),
        (r#"{"a"#, r#"":null}"#),
        (r#"{"a""#, ":null}"),
        (r#"{"a":"#, "null}"),
        (r#"{"a":1"#, "}"),
        (r#"{"a":1,"#, r#""":null}"#),
        (r#"{"a":-"#, "0}"),
        (r#"{"a":1."#, "0}"),
        ("[1e", "0]"),
        ("[1e+", "0]"),
        ("[", "]"),
        ("[1,", "null]"),
        ("[t", "rue]"),
        (r#"["\"#, r#"\"]"#),
        (r#"["\u"#, r#"0020"]"#),
        (r#"["\ud"#, r#"000"]"#),
        (r#"["\ud8"#, r#"00\udc00"]"#),
        (r#"["\ud83d"#, r#"\udc00"]"#),
        (r#"["\ud83d\"#, r#"udc00"]"#),
        (r#"["\ud83d\ude"#, r#"00"]"#),
    ] {
        assert_eq!(close_json(text).as_deref(), Some(closing), "{text}");
    }
}

#[test]
fn what_is_no_json_is_not_closed() {
    for text in ["{1", "}", "[1}", "{\"a\",", "nul1", "hello", "[1 2", "\"\\x", "1,", "[--]", "{\"a\":1}}"] {
        assert_eq!(close_json(text), None, "{text}");
    }
}
