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
    generate::<T>(SchemaSettings::draft2020_12())
}

/// The schema of what a tool gives.
pub(crate) fn of_output<T: JsonSchema>() -> Map<String, Value> {
    generate::<T>(SchemaSettings::draft2020_12().for_serialize())
}

fn generate<T: JsonSchema>(mut settings: SchemaSettings) -> Map<String, Value> {
    // Several clients hand a schema on to a model's API that follows no references.
    settings.inline_subschemas = true;
    let generator = settings.with_transform(RecursiveTransform(drop_unknown_format)).into_generator();
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
