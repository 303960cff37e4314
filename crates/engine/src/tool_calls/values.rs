//! Values that a format writes bare, as JSON: which types a parameter may have decides what they mean.

use lla_protocol::openai::Tool;
use serde_json::{Map, Value};

/// Most references that are followed for one parameter.
const MOST_REFERENCES: usize = 8;

/// The types that the schema of a parameter allows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Types(u8);

const NAMES: [&str; 7] = ["null", "boolean", "number", "integer", "array", "object", "string"];
const STRING: u8 = 1 << 6;

impl Types {
    /// Anything: a parameter that the tool does not describe.
    pub(super) const ANY: Self = Self(u8::MAX >> 1);

    /// Nothing but texts.
    pub(super) fn is_text(self) -> bool {
        self.0 == STRING
    }

    /// Texts, among others.
    pub(super) fn has_text(self) -> bool {
        self.0 & STRING != 0
    }

    fn of_name(name: &str) -> Self {
        let bit = |bit: usize| 1u8 << bit;
        match NAMES.iter().position(|known| *known == name) {
            // A whole number is both.
            Some(2) => Self(bit(2) | bit(3)),
            Some(known) => Self(bit(known)),
            None => Self::ANY,
        }
    }

    fn of_value(value: &Value) -> Self {
        Self::of_name(match value {
            Value::Null => "null",
            Value::Bool(_) => "boolean",
            Value::Number(number) if number.is_f64() => "number",
            Value::Number(_) => "integer",
            Value::Array(_) => "array",
            Value::Object(_) => "object",
            Value::String(_) => "string",
        })
    }

    fn of_all(all: impl Iterator<Item = Self>) -> Self {
        Self(all.fold(0, |types, one| types | one.0))
    }

    /// Reads them off a schema inside `root`, where its references point.
    pub(super) fn of_schema(schema: &Value, root: &Value) -> Self {
        Self::following(schema, root, MOST_REFERENCES)
    }

    fn following(schema: &Value, root: &Value, references: usize) -> Self {
        let list = |name: &str| schema.get(name).and_then(Value::as_array).filter(|items| !items.is_empty());
        if let Some(kind) = schema.get("type") {
            let names = kind.as_array().map_or(std::slice::from_ref(kind), Vec::as_slice);
            return Self::of_all(names.iter().map(|name| Self::of_name(name.as_str().unwrap_or_default())));
        }
        if let Some(value) = schema.get("const") {
            return Self::of_value(value);
        }
        if let Some(values) = list("enum") {
            return Self::of_all(values.iter().map(Self::of_value));
        }
        let target = schema.get("$ref").and_then(Value::as_str).and_then(|path| path.strip_prefix('#'));
        if let Some(target) = target.filter(|_| references > 0).and_then(|path| root.pointer(path)) {
            return Self::following(target, root, references - 1);
        }
        match list("anyOf").or_else(|| list("oneOf")) {
            Some(branches) if references > 0 => {
                Self::of_all(branches.iter().map(|branch| Self::following(branch, root, references - 1)))
            }
            _ => Self::ANY,
        }
    }

    /// A bare value as JSON: a text where nothing else is possible, otherwise what it reads as.
    pub(super) fn json(self, bare: &str) -> String {
        let text = || Value::from(bare).to_string();
        let trimmed = match bare.trim() {
            // As templates of Python write them.
            "True" => "true",
            "False" => "false",
            "None" => "null",
            trimmed => trimmed,
        };
        match serde_json::from_str::<Value>(trimmed) {
            _ if self.is_text() => text(),
            Err(_) => text(),
            Ok(value) if Self::of_value(&value).0 & self.0 & !STRING != 0 || !self.has_text() => trimmed.to_owned(),
            Ok(_) => text(),
        }
    }
}

/// What the parameters of a tool may be.
pub(super) fn of_parameters(tool: &Tool) -> Vec<(String, Types)> {
    let root = tool.schema();
    let properties = root.get("properties").and_then(Value::as_object).into_iter().flat_map(Map::iter);
    properties.map(|(name, schema)| (name.clone(), Types::of_schema(schema, &root))).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn bare_values_are_what_the_schema_allows() {
        let root = json!({"$defs": {"text": {"type": "string"}, "loop": {"$ref": "#/$defs/loop"}}});
        for (schema, bare, wanted) in [
            (json!({"type": "string"}), "42", "\"42\""),
            (json!({"type": "string"}), " a\n\"b\"", r#"" a\n\"b\"""#),
            (json!({"enum": ["1", "2"]}), "1", "\"1\""),
            (json!({"const": "x"}), "null", "\"null\""),
            (json!({"$ref": "#/$defs/text"}), "1", "\"1\""),
            (json!({"type": "integer"}), " 42 ", "42"),
            (json!({"type": "integer"}), "many", "\"many\""),
            (json!({"type": "number"}), "1e3", "1e3"),
            (json!({"type": "number"}), "7", "7"),
            (json!({"type": "boolean"}), "True", "true"),
            (json!({"type": "object"}), "{\"a\": [1, {}]}", "{\"a\": [1, {}]}"),
            (json!({"type": "array"}), "[1,", "\"[1,\""),
            (json!({"type": ["string", "null"]}), "None", "null"),
            (json!({"type": ["string", "null"]}), "42", "\"42\""),
            (json!({"anyOf": [{"type": "string"}, {"type": "integer"}]}), "42", "42"),
            (json!({"anyOf": [{"type": "string"}, {"type": "integer"}]}), "{}", "\"{}\""),
            (json!({"$ref": "#/$defs/loop"}), "[1]", "[1]"),
            (json!({}), "plain", "\"plain\""),
            (json!({}), "\"quoted\"", r#""\"quoted\"""#),
        ] {
            let written = Types::of_schema(&schema, &root).json(bare);
            assert_eq!(written, wanted, "{schema} {bare}");
            assert!(serde_json::from_str::<Value>(&written).is_ok());
        }
    }
}
