use std::sync::Arc;

use lla_inference::{Backend, Error, MockBackend, Script, Tier};
use proptest::prelude::*;
use serde_json::json;

use super::*;
use crate::call::Context;
use crate::models::{Model, Models};

struct One(Arc<MockBackend>);

impl Models for One {
    fn of(&self, tier: Tier) -> Result<Model, Error> {
        let backend = Arc::clone(&self.0) as Arc<dyn Backend>;
        let name = self.0.name().to_owned();
        Ok(Model { backend, public_name: name.clone(), name, tier: Some(tier), window: Some(512) })
    }
}

/// A model that finds every text likely by a rule that means nothing.
fn scoring(seed: u32) -> MockBackend {
    MockBackend::new("m").with_scorer(move |_, text| {
        text.bytes()
            .take(9)
            .map(|byte| -f32::from(u8::try_from((u32::from(byte) * (seed + 7)) % 13).unwrap_or(0)))
            .chain([-1.0])
            .collect()
    })
}

async fn extract(backend: MockBackend, schema: Value, text: &str) -> Result<Extracted, ToolError> {
    let call = Call::new(Context::new(Arc::new(One(Arc::new(backend)))));
    let Value::Object(schema) = schema else { panic!("an object") };
    let params = Params { text: Some(text.to_owned()), path: None, schema, instructions: None };
    Extract.run(params, &call).await
}

async fn found(fields: Value, text: &str) -> Value {
    let names: Vec<String> = fields.as_object().expect("fields").keys().cloned().collect();
    let schema = json!({"type": "object", "properties": fields, "required": names});
    extract(scoring(0), schema, text).await.expect("data").data
}

#[tokio::test]
async fn values_come_from_what_stands_beside_them() {
    for (fields, text, data) in [
        (
            json!({"due_date": {"type": "string", "format": "date"}, "total": {"type": "number"}, "po": {"type": ["string", "null"]}}),
            "Date: 3 March 2025\nDue: 2 April 2025\nTotal: £1,500.00",
            json!({"due_date": "2025-04-02", "total": 1500, "po": null}),
        ),
        (
            json!({"level": {"enum": ["INFO", "WARN"]}, "retry": {"type": "boolean"}, "port": {"type": "integer"}}),
            "WARN cache host=redis-2 port=6379 retry=false",
            json!({"level": "WARN", "retry": false, "port": 6379}),
        ),
        (
            json!({"currency": {"enum": ["EUR", "USD"]}, "pets_allowed": {"type": "boolean"}}),
            "Flat for $900, no pets.",
            json!({"currency": "USD", "pets_allowed": false}),
        ),
        (
            json!({"attendees": {"type": "array", "items": {"type": "string"}}, "issues": {"type": "array", "items": {"type": "integer"}}}),
            "Attendees: Nils, Omar and Tara. Fixed #77, #80.",
            json!({"attendees": ["Nils", "Omar", "Tara"], "issues": [77, 80]}),
        ),
        (
            json!({"items": {"type": "array", "items": {"type": "object", "properties": {"name": {"type": "string"}, "qty": {"type": "integer"}}, "required": ["name", "qty"]}}}),
            "name,qty\nbolt,12\nnut,7\n",
            json!({"items": [{"name": "bolt", "qty": 12}, {"name": "nut", "qty": 7}]}),
        ),
        (
            json!({"buyer": {"type": "object", "properties": {"email": {"type": "string"}, "phone": {"type": ["string", "null"]}}, "required": ["email", "phone"]}}),
            "Write to zoe@plum.example.",
            json!({"buyer": {"email": "zoe@plum.example", "phone": null}}),
        ),
    ] {
        assert_eq!(found(fields, text).await, data, "{text}");
    }
}

#[tokio::test]
async fn what_is_not_said_is_absent_or_flagged() {
    let schema = json!({
        "type": "object",
        "properties": {
            "email": {"type": "string", "format": "email"}, "code": {"type": "string", "pattern": "^[A-Z]{3}-\\d{2}$"},
            "fax": {"type": ["string", "null"]}, "web": {"type": "string", "format": "uri"},
        },
        "required": ["email", "code", "fax"],
    });
    let out = extract(scoring(1), schema, "Nothing to see here.").await.expect("data");
    assert_eq!(out.not_found, ["/email", "/code"]);
    assert_eq!((&out.data["fax"], out.data.get("web")), (&Value::Null, None));
}

#[tokio::test]
async fn spans_are_in_characters_and_quote_what_is_written() {
    let schema = json!({"properties": {"preis": {"type": "number"}, "datum": {"type": "string", "format": "date"}}});
    let out = extract(scoring(2), schema, "Größe XL, Preis: 1.284,50 €, Datum: 3. Mai 2025").await.expect("data");
    assert_eq!(out.data, json!({"preis": 1284.5, "datum": "2025-05-03"}));
    let spans: Vec<(&str, usize, usize, &str)> =
        out.spans.iter().map(|span| (&*span.pointer, span.start, span.end, &*span.quote)).collect();
    assert_eq!(spans, [("/datum", 36, 47, "3. Mai 2025"), ("/preis", 17, 25, "1.284,50")]);
}

#[tokio::test]
async fn every_item_of_a_long_text_is_found_where_it_stands() {
    let mails: Vec<String> = (0..1200).map(|number| format!("größe{number}@müller.example")).collect();
    let text: String = mails.iter().map(|mail| format!("Für 3 € schrieb {mail} zurück.\n")).collect();
    let schema = json!({"properties": {"emails": {"type": "array", "items": {"type": "string"}}}});
    let out = extract(scoring(3), schema, &text).await.expect("data");
    assert_eq!(out.data, json!({"emails": mails}));
    assert_eq!((out.spans.len(), out.not_found.len()), (mails.len(), 0));
    let letters: Vec<char> = text.chars().collect();
    for span in &out.spans {
        let quote: String = letters[span.start..span.end].iter().collect();
        assert_eq!((quote.as_str(), out.data.pointer(&span.pointer)), (&*span.quote, Some(&json!(span.quote))));
    }
}

#[tokio::test]
async fn a_backend_that_can_not_score_writes_the_data_and_a_broken_answer_is_repaired() {
    let schema = json!({"type": "object", "properties": {"n": {"type": "integer"}}, "required": ["n"]});
    for (said, n, not_found) in
        [(r#"{"n": 9}"#, 9, vec!["/n"]), (r#"{"n": "#, 7, vec![]), (r#"{"n": "x"}"#, 0, vec!["/n"])]
    {
        let mock = MockBackend::new("m").with_script(Script::text(said));
        let out = extract(mock, schema.clone(), "n is 7, or 8").await.expect("data");
        assert_eq!(
            (&out.data["n"], out.not_found),
            (&json!(n), not_found.iter().map(ToString::to_string).collect()),
            "{said}"
        );
    }
}

fn leaf() -> impl Strategy<Value = Value> {
    prop_oneof![
        Just(json!({"type": "string"})),
        Just(json!({"type": "string", "maxLength": 4})),
        Just(json!({"type": "string", "minLength": 6})),
        Just(json!({"type": "string", "format": "date"})),
        Just(json!({"type": "string", "format": "email"})),
        Just(json!({"type": "string", "pattern": "^[A-Z]+-[0-9]{2,}$"})),
        Just(json!({"enum": ["low", "high"]})),
        Just(json!({"const": "x"})),
        Just(json!({"type": "boolean"})),
        Just(json!({"type": "integer", "minimum": 3, "maximum": 50})),
        Just(json!({"type": "number", "exclusiveMinimum": 0})),
        Just(json!({"type": ["string", "null"]})),
        Just(json!({"anyOf": [{"type": "integer"}, {"type": "null"}]})),
        Just(json!({"anyOf": [{"type": "integer"}, {"type": "string"}]})),
    ]
}

fn schema() -> impl Strategy<Value = Value> {
    let object = |fields: BoxedStrategy<Value>| {
        let name = prop::sample::select(vec![
            "name", "date", "total", "email", "ref", "paid", "tags", "a/b~", "items", "città",
        ]);
        prop::collection::btree_map(name, (fields, any::<bool>()), 1..5).prop_map(|fields| {
            let required: Vec<&str> = fields.iter().filter(|(_, field)| field.1).map(|(name, _)| *name).collect();
            let properties: Map<String, Value> =
                fields.iter().map(|(name, field)| ((*name).to_owned(), field.0.clone())).collect();
            json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
        })
    };
    let list = |item: Value, least: u8| json!({"type": "array", "items": item, "minItems": least, "maxItems": 4});
    let inner = leaf().boxed().prop_recursive(2, 12, 4, move |inner| {
        let list = (inner.clone(), 0_u8..3).prop_map(move |(item, least)| list(item, least));
        prop_oneof![object(inner), list].boxed()
    });
    object(inner.boxed())
}

fn text() -> impl Strategy<Value = String> {
    let piece = prop::sample::select(vec![
        "Name: Zoë Hart\n",
        "Total: $1,940.00. ",
        "on 2024-02-27, ",
        "bo@x.example ",
        "no pets; ",
        "ref=AB-123 ",
        "(#77) ",
        "\n- ",
        "high ",
        "Items: a, b and c.",
        "3 May 2025 ",
        "7 boxes ",
        "“quoted” ",
        "名前：太郎\n",
        "12:30",
        ": ",
        "= ",
        "\"",
        "(",
    ]);
    let pieces = prop::collection::vec(piece, 1..12).prop_map(|pieces| pieces.concat());
    prop_oneof![pieces, "[ -~é€\n]{1,80}", "\\PC{1,60}"].prop_filter("white space", |text| !text.trim().is_empty())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]

    #[test]
    fn the_data_is_valid_and_spans_stand_in_the_text(schema in schema(), text in text(), seed in 0_u32..50) {
        let runtime = tokio::runtime::Builder::new_current_thread().build().expect("runtime");
        let out = runtime.block_on(extract(scoring(seed), schema.clone(), &text)).expect("data");
        let validator = jsonschema::options().should_validate_formats(true).build(&schema).expect("schema");
        prop_assert!(validator.is_valid(&out.data), "{schema} {text:?} {}", out.data);
        let letters: Vec<char> = text.chars().collect();
        for span in &out.spans {
            let quote: String = letters.get(span.start..span.end).expect("inside").iter().collect();
            prop_assert_eq!(&quote, &span.quote);
            let value = out.data.pointer(&span.pointer).expect("a value");
            let written = value.as_str().is_none_or(|value| {
                value == quote || value.starts_with(|letter: char| letter.is_ascii_digit()) || ["low", "high", "x"].contains(&value)
            });
            prop_assert!(written, "{} {quote}", value);
        }
    }
}
