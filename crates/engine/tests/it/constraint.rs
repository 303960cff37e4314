//! Restricted answers with the vocabulary of the real model: random walks through many schemas.

use std::sync::OnceLock;

use lla_engine::Engine;
use lla_engine::constraint::{Constraint, Grammar, Restriction, Starts};
use serde_json::{Value, json};

use super::model::engine;
use super::schemas::{Random, schema};

const SCHEMAS: u64 = 300;

/// The text of every token.
fn texts(engine: &Engine) -> &'static [String] {
    static TEXTS: OnceLock<Vec<String>> = OnceLock::new();
    TEXTS.get_or_init(|| (0..engine.card().n_vocab).map(|token| engine.detokenize(&[token])).collect())
}

/// The tokens that end an answer: what may follow a complete one.
fn ends(engine: &Engine) -> &'static [u32] {
    static ENDS: OnceLock<Vec<u32>> = OnceLock::new();
    ENDS.get_or_init(|| {
        let mut constraint = compile(engine, Grammar::Choice(vec!["x".to_owned()]));
        for token in constraint.forced() {
            constraint.accept(token).expect("forced");
        }
        assert!(constraint.is_complete());
        constraint.mask().expect("a mask").expect("begun").tokens().collect()
    })
}

fn compile(engine: &Engine, grammar: Grammar) -> Constraint {
    let restriction = Restriction { grammar, starts: Starts::AtOnce };
    engine.compile(&restriction).unwrap_or_else(|error| panic!("{error}: {restriction:?}"))
}

/// Walks at random for at most `most` tokens; returns the text, with its closing.
fn walk(engine: &Engine, constraint: &mut Constraint, random: &mut Random, most: usize) -> String {
    let texts = texts(engine);
    let mut tokens = Vec::new();
    let mut ended = false;
    while tokens.len() < most && !ended && !constraint.is_complete() {
        let forced = constraint.forced();
        if !forced.is_empty() {
            for token in forced {
                let mask = constraint.mask().expect("a mask").expect("begun");
                assert_eq!(mask.tokens().collect::<Vec<_>>(), [token], "forced tokens are the only ones");
                constraint.accept(token).expect("allowed");
                tokens.push(token);
            }
            continue;
        }
        let mask = constraint.mask().expect("a mask").expect("begun");
        let allowed: Vec<u32> = mask.tokens().collect();
        assert_eq!(allowed.len(), mask.count() as usize);
        // Uniformly chosen, a string would hardly ever end.
        let closers: Vec<u32> = allowed.iter().copied().filter(|&token| closes(&texts[token as usize])).collect();
        let from = if !closers.is_empty() && random.below(3) == 0 { &closers } else { &allowed };
        let token = from[random.below(from.len())];
        ended = ends(engine).contains(&token);
        assert!(!ended || constraint.may_end(), "an end only where the text may end");
        constraint.accept(token).expect("allowed");
        if !ended {
            tokens.push(token);
        }
    }
    let text = engine.detokenize(&tokens);
    if ended {
        return text;
    }
    // The first half of a character is not shown.
    let text = text.trim_end_matches('\u{fffd}');
    format!("{text}{}", constraint.closing(text))
}

fn closes(text: &str) -> bool {
    !text.is_empty() && text.len() < 4 && text.bytes().all(|byte| b"\"}],:".contains(&byte))
}

/// A number beyond what a reader of JSON can hold is still JSON (`1e999`); serde_json refuses it.
fn parse(text: &str) -> Option<Value> {
    match serde_json::from_str(text) {
        Ok(value) => Some(value),
        Err(error) if error.to_string().contains("number out of range") => None,
        Err(error) => panic!("{error}: {text}"),
    }
}

#[test]
fn random_answers_are_valid_wherever_they_are_cut() {
    let Some(engine) = engine() else { return };
    let (mut walks, mut beyond) = (0, 0);
    for seed in 0..SCHEMAS {
        let mut random = Random::new(seed);
        let schema = schema(&mut random);
        let validator = jsonschema::options()
            .with_draft(jsonschema::Draft::Draft202012)
            .should_validate_formats(true)
            .build(&schema)
            .unwrap_or_else(|error| panic!("{error}: {schema}"));
        let constraint = compile(engine, Grammar::JsonSchema(schema.clone()));
        for most in [0, 3, 9, 27, 120] {
            let text = walk(engine, &mut constraint.clone(), &mut random, most);
            walks += 1;
            match parse(&text) {
                Some(value) => assert!(validator.is_valid(&value), "seed {seed}, {most} tokens: {schema}\n{text}"),
                None => beyond += 1,
            }
        }
    }
    assert!(beyond * 20 < walks, "{beyond} of {walks} walks had a number beyond all bounds");
}

#[test]
fn any_json_object_can_be_cut() {
    let Some(engine) = engine() else { return };
    let constraint = compile(engine, Grammar::JsonObject);
    for seed in 0..100 {
        let mut random = Random::new(seed);
        let most = random.below(60);
        let text = walk(engine, &mut constraint.clone(), &mut random, most);
        assert!(parse(&text).is_none_or(|value| value.is_object()), "{text}");
    }
}

#[test]
fn expressions_and_choices_hold() {
    let Some(engine) = engine() else { return };
    let choices = ["positive".to_owned(), "negative".to_owned(), "neither nor".to_owned()];
    for seed in 0..60 {
        let mut random = Random::new(seed);
        let most = random.below(20);
        let text = walk(engine, &mut compile(engine, Grammar::Choice(choices.to_vec())), &mut random, most);
        assert!(choices.contains(&text), "{text}");
        let regex = Grammar::Regex(r"[A-Z]{2}-\d{4}( (north|south))?".to_owned());
        let text = walk(engine, &mut compile(engine, regex), &mut random, most);
        let valid = json!({"pattern": r"^[A-Z]{2}-\d{4}( (north|south))?$"});
        assert!(jsonschema::is_valid(&valid, &json!(text)), "{text}");
        let lark = Grammar::Lark("start: \"(\" start \")\" | \"x\"".to_owned());
        let text = walk(engine, &mut compile(engine, lark), &mut random, most);
        let depth = text.bytes().take_while(|&byte| byte == b'(').count();
        assert_eq!(text, format!("{}x{}", "(".repeat(depth), ")".repeat(depth)));
    }
}

#[test]
fn a_restriction_may_begin_after_a_marker() {
    let Some(engine) = engine() else { return };
    let restriction = Restriction {
        grammar: Grammar::JsonSchema(json!({"const": "x"})),
        starts: Starts::After("</think>".to_owned()),
    };
    let mut constraint = engine.compile(&restriction).expect("compiles");
    for token in engine.tokenize("Let me think. </think>", false, false) {
        assert!(constraint.mask().expect("a mask").is_none() && constraint.forced().is_empty());
        constraint.accept(token).expect("free");
    }
    let forced = constraint.forced();
    for &token in &forced {
        constraint.accept(token).expect("forced");
    }
    assert!(engine.detokenize(&forced).starts_with('"'));
    assert_eq!(format!("{}{}", engine.detokenize(&forced), constraint.closing("")), "\"x\"");
}
