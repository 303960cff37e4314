//! What a restricted answer costs: time of building the vocabulary, of compiling, and of the mask for
//! each token, on a random walk through some usual grammars.
//!
//! `constraint_bench MODEL [walks=20]`. Times are of one thread, without the model's own work.
#![expect(clippy::print_stdout, reason = "its output is what it is for")]

use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use lla_engine::chat_format::ChatFormat;
use lla_engine::constraint::{Constraint, Grammar, Restriction, Starts};
use lla_engine::{Engine, EngineOptions, tool_calls};
use lla_protocol::openai::Tools;
use serde_json::{Map, Value, json};

fn main() -> Result<()> {
    let mut args = std::env::args().skip(1);
    let model = args.next().context("usage: constraint_bench MODEL [walks=20]")?;
    let walks = args.next().and_then(|arg| arg.strip_prefix("walks=").map(str::to_owned));
    let walks: u64 = walks.as_deref().unwrap_or("20").parse()?;
    let engine = Engine::start(&EngineOptions { model: model.into(), context: Some(256), ..EngineOptions::default() })?;
    let began = Instant::now();
    compile(&engine, Grammar::Regex("a".to_owned()))?;
    println!("vocabulary of {} tokens: {:.1} ms", engine.card().n_vocab, millis(began.elapsed()));
    for (name, grammar) in grammars() {
        bench(&engine, name, &grammar, walks)?;
    }
    Ok(())
}

fn grammars() -> Vec<(&'static str, Grammar)> {
    let person = json!({
        "type": "object",
        "properties": {
            "name": {"type": "string"}, "age": {"type": "integer", "minimum": 0, "maximum": 150},
            "mail": {"type": "string", "format": "email"}, "city": {"type": "string", "maxLength": 40},
            "tags": {"type": "array", "items": {"enum": ["new", "known", "left"]}, "maxItems": 5},
        },
        "required": ["name", "age", "mail", "city", "tags"], "additionalProperties": false,
    });
    let tree = json!({
        "type": "object", "properties": {"label": {"type": "string"}, "children": {"type": "array", "items": {"$ref": "#"}}},
        "required": ["label", "children"], "additionalProperties": false,
    });
    vec![
        ("object of 5 fields", Grammar::JsonSchema(person)),
        ("recursive tree", Grammar::JsonSchema(tree)),
        ("string of 10 to 2000", Grammar::JsonSchema(json!({"type": "string", "minLength": 10, "maxLength": 2000}))),
        ("any object", Grammar::JsonObject),
        ("choice of 3", Grammar::Choice(vec!["positive".into(), "negative".into(), "neutral".into()])),
        ("regex", Grammar::Regex(r"\d{3}-[a-z]+@[a-z.]+".to_owned())),
        ("forced call of 1 tool", forced_call(1)),
        ("forced call of 10 tools", forced_call(10)),
        ("forced call of 40 tools", forced_call(40)),
    ]
}

/// The grammar of a call in the format of Hermes, of tools as agents have them.
fn forced_call(tools: usize) -> Grammar {
    let tool = |index: usize| {
        let parameters = json!({
            "type": "object",
            "properties": {
                "path": {"type": "string", "description": "A file."},
                "mode": {"enum": ["read", "write", format!("mode {index}")]},
                "limit": {"type": "integer", "minimum": 1, "maximum": 1000 + index},
                "lines": {"type": "array", "items": {"type": "string"}, "maxItems": 20},
                "options": {"type": "object", "properties": {"force": {"type": "boolean"}, "since": {"type": "string", "format": "date"}},
                    "additionalProperties": false},
            },
            "required": ["path", "mode"], "additionalProperties": false,
        });
        json!({"type": "function", "function": {"name": format!("tool_{index}"), "parameters": parameters}})
    };
    let listed: Vec<Value> = (0..tools).map(tool).collect();
    let mut rest = Map::from_iter([("tools".to_owned(), listed.into()), ("tool_choice".to_owned(), "required".into())]);
    let format = ChatFormat::detect("{% if tools %}<tool_call>{\"arguments\"{% endif %}", Vec::new());
    let restriction =
        Tools::take(&mut rest).ok().and_then(|tools| tool_calls::restriction(&format, &tools, false, None));
    restriction.map_or(Grammar::JsonObject, |restriction| restriction.grammar)
}

fn compile(engine: &Engine, grammar: Grammar) -> Result<Constraint> {
    Ok(engine.compile(&Restriction { grammar, starts: Starts::AtOnce })?)
}

/// Whether a token is one of those that end texts: chosen uniformly, they would hardly ever come.
fn closes(text: &str) -> bool {
    !text.is_empty() && text.len() < 4 && text.bytes().all(|byte| b"\"}],:.@".contains(&byte))
}

fn bench(engine: &Engine, name: &str, grammar: &Grammar, walks: u64) -> Result<()> {
    let (mut masks, mut compiles, mut closings) = (Vec::new(), Vec::new(), Vec::new());
    let mut clones = Vec::new();
    let (mut state, mut forced_tokens) = (1u64, 0);
    let closers: Vec<u32> = (0..engine.card().n_vocab).filter(|&token| closes(&engine.detokenize(&[token]))).collect();
    let mut random = move |below: usize| -> Result<usize> {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        Ok(usize::try_from(state >> 33)? % below.max(1))
    };
    for _ in 0..walks {
        let began = Instant::now();
        let mut constraint = compile(engine, grammar.clone())?;
        compiles.push(began.elapsed());
        for _ in 0..100 {
            let forced = constraint.forced();
            forced_tokens += forced.len();
            for token in forced {
                constraint.accept(token)?;
            }
            if constraint.is_complete() {
                break;
            }
            let began = Instant::now();
            let mask = constraint.mask()?.context("begun")?;
            masks.push(began.elapsed());
            let closing: Vec<u32> = closers.iter().copied().filter(|&token| mask.allows(token)).collect();
            let allowed = if closing.is_empty() || random(4)? > 0 { mask.tokens().collect() } else { closing };
            constraint.accept(*allowed.get(random(allowed.len())?).context("a token")?)?;
        }
        let began = Instant::now();
        drop(constraint.clone());
        clones.push(began.elapsed());
        let began = Instant::now();
        constraint.closing("");
        closings.push(began.elapsed());
    }
    let first = compiles.first().copied().unwrap_or_default();
    masks.sort();
    compiles.sort();
    closings.sort();
    clones.sort();
    let at = |times: &[Duration], part: f64| {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "an index")]
        let index = ((times.len().max(1) - 1) as f64 * part) as usize;
        times.get(index).map_or(0.0, |time| millis(*time) * 1000.0)
    };
    println!(
        "{name}: {} masks, median {:.1} us, p99 {:.0} us, longest {:.0} us; {forced_tokens} tokens forced; compiling {:.0} us, again {:.0} us; \
         closing {:.0} us, longest {:.0} us; a clone {:.0} us",
        masks.len(),
        at(&masks, 0.5),
        at(&masks, 0.99),
        at(&masks, 1.0),
        millis(first) * 1000.0,
        at(&compiles, 0.5),
        at(&closings, 0.5),
        at(&closings, 1.0),
        at(&clones, 0.5),
    );
    Ok(())
}

fn millis(time: Duration) -> f64 {
    time.as_secs_f64() * 1000.0
}
