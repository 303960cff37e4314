//! Restricted answers from the real model: they parse, whatever happens.

use std::sync::Arc;

use lla_engine::chat_format::ChatFormat;
use lla_engine::constraint::{Grammar, Restriction, Starts};
use lla_engine::sampler::SamplingParams;
use lla_engine::tool_calls::{self, Event, Reader, Reading};
use lla_engine::{Engine, GenerateRequest, Thinking};
use lla_protocol::openai::{FinishReason, Tools};
use serde_json::{Value, json};

use crate::model::{Answer, engine, read};

async fn restricted(engine: &Engine, grammar: Grammar, starts: Starts, max_tokens: u32, seed: i64) -> Answer {
    let constraint = engine.compile(&Restriction { grammar, starts }).expect("compiles");
    let request = GenerateRequest {
        prompt: engine.tokenize("A person, as JSON:\n", true, true),
        params: SamplingParams { seed: Some(seed), ..SamplingParams::default() },
        max_tokens: Some(max_tokens),
        constraint: Some(constraint),
        ..GenerateRequest::default()
    };
    read(engine.generate(request).expect("accepted")).await
}

fn person() -> Value {
    json!({
        "type": "object",
        "properties": {
            "name": {"type": "string", "maxLength": 30},
            "age": {"type": "integer", "minimum": 0, "maximum": 120},
            "tags": {"type": "array", "items": {"enum": ["a", "b"]}, "maxItems": 3},
        },
        "required": ["name", "age", "tags"],
        "additionalProperties": false,
    })
}

#[tokio::test]
async fn answers_follow_their_schema_also_when_they_are_cut() {
    let Some(engine) = engine() else { return };
    let validator = jsonschema::validator_for(&person()).expect("a schema");
    for (seed, max_tokens) in [(1, 200), (2, 200), (3, 200), (4, 1), (5, 3), (6, 7), (7, 12), (8, 20)] {
        let answer = restricted(engine, Grammar::JsonSchema(person()), Starts::AtOnce, max_tokens, seed).await;
        let value: Value = serde_json::from_str(&answer.text).expect(&answer.text);
        assert!(validator.is_valid(&value), "{value}");
        assert!(answer.usage.completion_tokens <= max_tokens);
        if max_tokens < 10 {
            assert_eq!(answer.reason, FinishReason::Length, "{answer:?}");
        } else if max_tokens == 200 {
            assert_eq!(answer.reason, FinishReason::Stop, "{answer:?}");
        }
    }
}

#[tokio::test]
async fn choices_and_expressions_hold_side_by_side() {
    let Some(engine) = engine() else { return };
    let words = ["yes", "no", "perhaps"];
    let choice = || Grammar::Choice(words.map(str::to_owned).to_vec());
    let date = || Grammar::Regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}".to_owned());
    let choices =
        futures_util::future::join_all((0..6).map(|seed| restricted(engine, choice(), Starts::AtOnce, 20, seed)));
    let dates = futures_util::future::join_all((0..6).map(|seed| restricted(engine, date(), Starts::AtOnce, 20, seed)));
    let (choices, dates) = futures_util::future::join(choices, dates).await;
    assert!(choices.iter().all(|answer| words.contains(&answer.text.as_str())), "{choices:?}");
    for answer in dates {
        let shape: String = answer.text.chars().map(|char| if char.is_ascii_digit() { '0' } else { char }).collect();
        assert_eq!((shape.as_str(), answer.reason), ("0000-00-00", FinishReason::Stop));
    }
    let told = engine.metrics().render().expect("text");
    let hits = told.lines().find(|line| line.starts_with("lla_engine_grammar_cache_hits_total")).expect("a counter");
    assert!(!hits.ends_with(" 0"), "the same grammar is compiled once: {hits}");
}

/// Tools and a schema at once: each answer is a call or fits the schema, and the model chooses which.
#[tokio::test]
async fn calls_and_answers_of_a_schema_are_both_open() {
    let Some(engine) = engine() else { return };
    let validator = jsonschema::validator_for(&person()).expect("a schema");
    let zone = json!({"type": "object", "properties": {"zone": {"enum": ["UTC", "CET"]}}, "required": ["zone"]});
    let mut rest =
        json!({"tools": [{"type": "function", "function": {"name": "now", "parameters": zone, "strict": true}}]});
    let tools = Tools::take(rest.as_object_mut().expect("an object")).expect("tools");
    let template = "{% if tools %}<tool_call>{\"name\": x, \"arguments\": y}{% endif %}";
    let format = ChatFormat::detect(template, Vec::new());
    let answer = Grammar::JsonSchema(person());
    let either = tool_calls::restriction(&format, &tools, false, Some(&answer)).expect("restricted");
    let person_alone = engine.compile(&Restriction { grammar: answer, starts: Starts::AtOnce }).expect("compiles");
    let either = engine.compile(&either).expect("compiles").closed_as(&person_alone);
    let call = "<tool_call>\n{\"name\": \"now\", \"arguments\": {\"zone\": \"UTC\"}}\n</tool_call>\n\n";
    let json = "{\"name\":\"Ann\",\"age\":3,\"tags\":[]}\n\n";
    let (mut called, mut answered) = (0, 0);
    for (seed, max_tokens) in [(1, 200), (2, 200), (3, 200), (4, 2), (5, 12)] {
        for before in [call, json] {
            let request = GenerateRequest {
                prompt: engine.tokenize(&before.repeat(4), true, true),
                params: SamplingParams { seed: Some(seed), temperature: 0.5, ..SamplingParams::default() },
                max_tokens: Some(max_tokens),
                constraint: Some(either.clone()),
                ..GenerateRequest::default()
            };
            let whole = read(engine.generate(request).expect("accepted")).await;
            let reading = Reading::new(&format, &tools, false, true).expect("calls are looked for");
            let mut reader = Reader::new(Arc::new(reading));
            let mut events = reader.push(&whole.text);
            events.extend(reader.finish(whole.reason).expect("read").0);
            match events.as_slice() {
                // Cut before the call has a name.
                [Event::Content(text)] if whole.reason == FinishReason::Length && text.starts_with('<') => {}
                [Event::Content(text)] => {
                    answered += 1;
                    let value: Value = serde_json::from_str(text).expect(text);
                    assert!(validator.is_valid(&value), "{value}");
                }
                [Event::CallStart { .. }, Event::CallArguments { text, .. }, ..] => {
                    called += 1;
                    let arguments: Result<Value, _> = serde_json::from_str(text);
                    let cut = whole.reason == FinishReason::Length;
                    assert!(cut || arguments.is_ok_and(|arguments| arguments["zone"].is_string()), "{text}");
                }
                other => assert_eq!(whole.reason, FinishReason::Length, "{other:?}"),
            }
        }
    }
    assert!(called > 0 && answered > 0, "{called} calls, {answered} answers");
}

/// Values stand bare between tags, and tokens of the model straddle their borders.
#[tokio::test]
async fn forced_calls_in_tags_are_read_back() {
    let Some(engine) = engine() else { return };
    let mut rest = json!({"tool_choice": "required", "parallel_tool_calls": false, "tools": [{"type": "function", "function":
        {"name": "save", "parameters": person()}}]});
    let tools = Tools::take(rest.as_object_mut().expect("an object")).expect("tools");
    let validator = jsonschema::validator_for(&person()).expect("a schema");
    let qwen = "<tool_call>\n<function=save>\n<parameter=name>\nAnn\n</parameter>\n<parameter=age>\n3\n</parameter>\n\
        <parameter=tags>\n[\"a\"]\n</parameter>\n</function>\n</tool_call>\n\n";
    let glm = "<tool_call>save\n<arg_key>name</arg_key>\n<arg_value>Ann</arg_value>\n<arg_key>age</arg_key>\n\
        <arg_value>3</arg_value>\n<arg_key>tags</arg_key>\n<arg_value>[\"a\"]</arg_value>\n</tool_call>\n\n";
    for (template, before) in [("<tool_call><function=x><parameter=y>", qwen), ("<tool_call>x<arg_key>", glm)] {
        let format = ChatFormat::detect(&format!("{{% if tools %}}{template}"), Vec::new());
        let restriction = tool_calls::restriction(&format, &tools, false, None).expect("restricted");
        let mut ended = 0;
        for seed in 0..3 {
            let request = GenerateRequest {
                prompt: engine.tokenize(&before.repeat(3), true, true),
                params: SamplingParams { seed: Some(seed), temperature: 0.3, ..SamplingParams::default() },
                max_tokens: Some(150),
                constraint: Some(engine.compile(&restriction).expect("compiles")),
                ..GenerateRequest::default()
            };
            let whole = read(engine.generate(request).expect("accepted")).await;
            let reading = Reading::new(&format, &tools, false, false).expect("calls are looked for");
            let mut reader = Reader::new(Arc::new(reading));
            let mut events = reader.push(&whole.text);
            events.extend(reader.finish(whole.reason).expect("a call").0);
            let [Event::CallStart { name, .. }, Event::CallArguments { text, .. }] = events.as_slice() else {
                assert_eq!(whole.reason, FinishReason::Length, "{events:?}");
                continue;
            };
            assert_eq!(name, "save");
            if whole.reason == FinishReason::Stop {
                ended += 1;
                let arguments = serde_json::from_str(text).expect(text);
                // How long a bare text may be is not held.
                let errors =
                    validator.iter_errors(&arguments).filter(|error| error.instance_path().as_str() != "/name");
                assert_eq!(errors.count(), 0, "{text}");
            }
        }
        assert!(ended > 0, "{template}");
    }
}

#[tokio::test]
async fn a_spent_budget_ends_the_reasoning_and_then_the_schema_holds() {
    let Some(engine) = engine() else { return };
    let restriction =
        Restriction { grammar: Grammar::JsonSchema(person()), starts: Starts::After("</think>".to_owned()) };
    for logprobs in [None, Some(1)] {
        let request = GenerateRequest {
            prompt: engine.tokenize("<think>\nLet me see.", true, true),
            params: SamplingParams { seed: Some(3), ..SamplingParams::default() },
            max_tokens: Some(300),
            ignore_eos: true,
            logprobs,
            constraint: Some(engine.compile(&restriction).expect("compiles")),
            thinking: Some(Thinking {
                open: true,
                marker: "</think>".to_owned(),
                end: engine.tokenize("\n</think>\n\n", false, true),
                budget: Some(12),
            }),
            ..GenerateRequest::default()
        };
        let answer = read(engine.generate(request).expect("accepted")).await;
        let (thought, rest) = answer.text.split_once("</think>").expect(&answer.text);
        assert!(engine.tokenize(thought, false, false).len() <= 16, "{thought}");
        let value: Value = serde_json::from_str(rest).expect(rest);
        assert!(value["name"].is_string(), "{value}");
    }
}
