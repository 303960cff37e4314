//! The JSON Schema Test Suite: what is valid can be written, what is not can not.

use std::path::{Path, PathBuf};

use serde_json::{Map, Value};

use super::{accepts, vocabulary};
use crate::constraint::{Constraint, Grammar, Restriction, Starts};

/// Valid instances that are never written, by a part of their description: the grammar is stricter.
const NEVER_WRITTEN: &[&str] = &["leap second", "mixed format with", "a long valid ipv6"];

#[test]
fn keywords_hold_as_the_suite_says() {
    let counts = run("", &[]);
    assert!(counts.valid > 150 && counts.invalid > 150, "{counts:?}");
}

#[test]
fn formats_hold_as_the_suite_says() {
    let counts = run("format", NEVER_WRITTEN);
    assert!(counts.valid > 50 && counts.invalid > 100, "{counts:?}");
}

#[derive(Debug, Default)]
struct Counts {
    valid: usize,
    invalid: usize,
    refused_schemas: usize,
}

fn run(folder: &str, never_written: &[&str]) -> Counts {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/json-schema-test-suite").join(folder);
    let files = std::fs::read_dir(&root).expect("the suite").map(|entry| entry.expect("an entry").path());
    let mut files: Vec<PathBuf> = files.filter(|path| path.extension().is_some_and(|end| end == "json")).collect();
    files.sort();
    let mut counts = Counts::default();
    let mut wrong = Vec::new();
    for file in files {
        let groups: Value = serde_json::from_slice(&std::fs::read(&file).expect("a file")).expect("JSON");
        let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
        for group in groups.as_array().expect("groups") {
            let about = group["description"].as_str().unwrap_or_default();
            let restriction = Restriction { grammar: grammar(folder, group), starts: Starts::AtOnce };
            let constraint = match Constraint::compile(&vocabulary(), &restriction) {
                Ok(constraint) => constraint,
                Err(error) => {
                    counts.refused_schemas += 1;
                    let tests = group["tests"].as_array().expect("tests");
                    let none_fits = tests.iter().all(|test| test["valid"] == false);
                    if error.code != "unsupported_schema" && !none_fits {
                        wrong.push(format!("{name}: {about}: {error}"));
                    }
                    continue;
                }
            };
            for test in group["tests"].as_array().expect("tests") {
                let case = test["description"].as_str().unwrap_or_default();
                let valid = test["valid"] == true;
                // A grammar of a format writes strings only.
                if !folder.is_empty() && !test["data"].is_string() {
                    continue;
                }
                let known = valid && never_written.iter().any(|part| case.contains(part));
                let written = spellings(&test["data"]).iter().any(|text| accepts(constraint.clone(), text));
                *(if valid { &mut counts.valid } else { &mut counts.invalid }) += 1;
                if written != valid && !known {
                    wrong.push(format!("{name}: {about}: {case}: valid {valid}, written {written}"));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{} of {counts:?}\n{}", wrong.len(), wrong.join("\n"));
    counts
}

/// The suite's schemas of formats allow everything but strings as well; those would be written first.
fn grammar(folder: &str, group: &Value) -> Grammar {
    let mut schema = group["schema"].clone();
    if !folder.is_empty() {
        schema["type"] = Value::from("string");
    }
    Grammar::JsonSchema(schema)
}

/// Compact texts of a value: with the keys of its objects in every order (a grammar has one order),
/// and with whole numbers as integers.
fn spellings(value: &Value) -> Vec<String> {
    match value {
        Value::Number(number) => {
            let whole = number.as_f64().filter(|float| float.fract() == 0.0 && float.abs() < 1e15);
            vec![whole.map_or_else(|| number.to_string(), |float| format!("{float:.0}"))]
        }
        Value::Array(items) => {
            let empty = vec![String::new()];
            let all = items.iter().fold(empty, |before, item| joined(&before, &spellings(item)));
            all.into_iter().map(|inner| format!("[{inner}]")).collect()
        }
        Value::Object(members) => members_of(members).into_iter().map(|inner| format!("{{{inner}}}")).collect(),
        _ => vec![value.to_string()],
    }
}

fn members_of(members: &Map<String, Value>) -> Vec<String> {
    if members.is_empty() {
        return vec![String::new()];
    }
    let mut all = Vec::new();
    for (name, value) in members.iter().take(4) {
        let mut rest = members.clone();
        rest.shift_remove(name);
        let first: Vec<String> =
            spellings(value).into_iter().map(|text| format!("{}:{text}", Value::from(name.as_str()))).collect();
        all.extend(joined(&first, &members_of(&rest)));
    }
    all
}

fn joined(before: &[String], after: &[String]) -> Vec<String> {
    let comma = |one: &str, two: &str| if one.is_empty() || two.is_empty() { "" } else { "," };
    before.iter().flat_map(|one| after.iter().map(move |two| format!("{one}{}{two}", comma(one, two)))).collect()
}
