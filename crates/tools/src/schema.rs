//! Schemas as clients understand them: 2020-12, without references, without formats that only Rust
//! knows.

use schemars::generate::SchemaSettings;
use schemars::transform::RecursiveTransform;
use schemars::{JsonSchema, Schema};
use serde_json::{Map, Value};

/// Formats that the specification names; validators stumble over others (`uint32`, `double`).
const KNOWN_FORMATS: [&str; 3] = ["date-time", "uri", "regex"];

/// The schema of what a tool takes.
pub(crate) fn of_input<T: JsonSchema>() -> Map<String, Value> {
    generate::<T>(SchemaSettings::draft2020_12().with_transform(RecursiveTransform(drop_null)))
}

/// The schema of what a tool gives.
pub(crate) fn of_output<T: JsonSchema>() -> Map<String, Value> {
    generate::<T>(SchemaSettings::draft2020_12().for_serialize())
}

fn generate<T: JsonSchema>(mut settings: SchemaSettings) -> Map<String, Value> {
    // Several clients hand a schema on to a model's API that follows no references.
    settings.inline_subschemas = true;
    let settings =
        settings.with_transform(RecursiveTransform(drop_unknown_format)).with_transform(RecursiveTransform(plain_enum));
    let generator = settings.into_generator();
    let mut schema = match generator.into_root_schema_for::<T>().to_value() {
        Value::Object(schema) => schema,
        _ => Map::new(),
    };
    // Rust's name of a type is nobody's business.
    schema.shift_remove("title");
    schema
}

fn drop_unknown_format(schema: &mut Schema) {
    let format = schema.get("format").and_then(Value::as_str);
    if format.is_some_and(|format| !KNOWN_FORMATS.contains(&format)) {
        schema.remove("format");
    }
}

/// An optional field is published without `null`, which counts as absent anyway: several clients offer no
/// input for, or send text to, a field with two types.
fn drop_null(schema: &mut Schema) {
    let is_null = |schema: &Value| schema.get("type").is_some_and(|kind| kind == "null");
    if let Some(Value::Array(types)) = schema.get_mut("type") {
        types.retain(|kind| kind != "null");
        if let [only] = types.as_slice() {
            let only = only.clone();
            schema.insert("type".to_owned(), only);
        }
    }
    if let Some(Value::Array(branches)) = schema.get_mut("anyOf") {
        branches.retain(|branch| !is_null(branch));
        if let [Value::Object(only)] = branches.as_slice() {
            let only = only.clone();
            schema.remove("anyOf");
            for (name, value) in only {
                // What the field says of itself goes before what its type says.
                if schema.get(&name).is_none() {
                    schema.insert(name, value);
                }
            }
        }
    }
}

/// A choice of words as an `enum`: every client and validator shows that well, `oneOf` few.
fn plain_enum(schema: &mut Schema) {
    let Some(Value::Array(branches)) = schema.get("oneOf") else { return };
    let words: Option<Vec<Value>> =
        branches.iter().map(|branch| branch.get("const").filter(|word| word.is_string()).cloned()).collect();
    if let Some(words) = words {
        schema.remove("oneOf");
        schema.insert("type".to_owned(), Value::String("string".to_owned()));
        schema.insert("enum".to_owned(), Value::Array(words));
    }
}
