//! The caller's schema as fields to look for.

use std::sync::OnceLock;

use jsonschema::Validator;
use regex::Regex;
use serde_json::{Map, Value};

use super::vocabulary::{self, Cue, Role};
use super::{compile_part, pattern_of};

/// References and branches inside each other, at most; a schema that goes deeper refers to itself.
const DEEPEST: usize = 12;
/// Most schemas inside a schema, with references followed.
const MOST: usize = 4000;

/// A field, or the items of a list.
#[derive(Debug)]
pub(super) struct Node {
    /// Its name as the schema has it.
    pub(super) name: String,
    pub(super) description: String,
    pub(super) required: bool,
    pub(super) nullable: bool,
    /// What its values must be, without references.
    pub(super) schema: Value,
    pub(super) form: Form,
    pub(super) cues: Vec<Cue>,
    pub(super) roles: Vec<Role>,
    /// Built when first asked for, and used for every part of the text.
    validator: OnceLock<Option<Validator>>,
    pattern: OnceLock<Option<Regex>>,
}

impl Node {
    /// Whether a value is valid for the field by itself.
    pub(super) fn is_valid(&self, value: &Value) -> bool {
        let validator = self.validator.get_or_init(|| compile_part(&self.schema));
        validator.as_ref().is_none_or(|validator| validator.is_valid(value))
    }

    /// The pattern of the field's schema, to be looked for anywhere in a text.
    pub(super) fn pattern(&self) -> Option<&Regex> {
        self.pattern.get_or_init(|| pattern_of(&self.schema)).as_ref()
    }
}

/// What a value is made of.
#[derive(Debug)]
pub(super) enum Form {
    Text,
    Integer,
    Number,
    Flag,
    Choice(Vec<Value>),
    List(Box<Node>),
    Object(Vec<Node>),
    /// Something that is not looked for in the text.
    Other,
}

/// Reads a schema of type object. `None`: it can not be read as fields.
///
/// Sentences of `instructions` that name a field are taken as part of its description.
pub(super) fn read(schema: &Map<String, Value>, instructions: Option<&str>) -> Option<Node> {
    let root = Value::Object(schema.clone());
    let mut budget = MOST;
    let plain = inline(&root, &root, 0, &mut budget)?;
    let mut node = node("", &plain, true, &[]);
    for sentence in instructions.unwrap_or_default().split(['.', '\n', ';']).filter(|words| !words.trim().is_empty()) {
        instruct(&mut node, sentence.trim());
    }
    match &node.form {
        Form::Object(fields) if !fields.is_empty() => Some(node),
        _ => None,
    }
}

/// Adds what a sentence says to the fields that it names.
fn instruct(node: &mut Node, sentence: &str) {
    let said: Vec<String> = vocabulary::words(sentence).iter().map(|word| vocabulary::stem(word)).collect();
    let own = vocabulary::words(&node.name);
    if !own.is_empty() && own.iter().all(|word| said.contains(&vocabulary::stem(word))) {
        for cue in vocabulary::cues("", sentence) {
            if node.cues.iter().all(|known| known.stem != cue.stem) {
                node.cues.push(cue);
            }
        }
        node.description = [node.description.as_str(), sentence].join(" ").trim().to_owned();
    }
    match &mut node.form {
        Form::Object(fields) => fields.iter_mut().for_each(|field| instruct(field, sentence)),
        Form::List(item) => instruct(item, sentence),
        _ => {}
    }
}

/// The schema with its local references replaced by what they stand for.
fn inline(schema: &Value, root: &Value, depth: usize, budget: &mut usize) -> Option<Value> {
    *budget = budget.checked_sub(1)?;
    if depth > DEEPEST {
        return None;
    }
    match schema {
        Value::Object(fields) => {
            let mut plain = Map::new();
            if let Some(Value::String(reference)) = fields.get("$ref") {
                let target = root.pointer(reference.strip_prefix('#')?)?;
                let Value::Object(target) = inline(target, root, depth + 1, budget)? else { return None };
                plain.extend(target);
            }
            for (name, value) in fields.iter().filter(|(name, _)| !["$ref", "$defs", "definitions"].contains(&&***name))
            {
                let is_data = ["enum", "const", "default", "examples", "required"].contains(&&**name);
                let value = if is_data { value.clone() } else { inline(value, root, depth + 1, budget)? };
                plain.insert(name.clone(), value);
            }
            Some(Value::Object(plain))
        }
        Value::Array(items) => {
            items.iter().map(|item| inline(item, root, depth + 1, budget)).collect::<Option<_>>().map(Value::Array)
        }
        other => Some(other.clone()),
    }
}

fn node(name: &str, schema: &Value, required: bool, outer: &[Cue]) -> Node {
    let (nullable, schema) = without_null(schema);
    let text = |key: &str| schema.get(key).and_then(Value::as_str).unwrap_or_default();
    let description = [text("description"), text("title")].join(" ").trim().to_owned();
    let mut cues = vocabulary::cues(name, &description);
    for cue in outer {
        if cues.iter().all(|own| own.stem != cue.stem) {
            cues.push(Cue { weight: cue.weight * 0.4, ..cue.clone() });
        }
    }
    let mut words = vocabulary::words(name);
    words.push(words.concat());
    words.reverse();
    let mut roles =
        words.iter().map(|word| vocabulary::roles(word).collect::<Vec<_>>()).find(|roles| !roles.is_empty());
    let format = match text("format") {
        "date" | "date-time" => Some(Role::Date),
        "time" => Some(Role::Time),
        "email" | "idn-email" => Some(Role::Email),
        "uri" | "iri" | "uri-reference" | "url" => Some(Role::Url),
        "ipv4" | "ipv6" => Some(Role::Ip),
        _ => None,
    };
    if let Some(format) = format {
        roles = Some(vec![format]);
    }
    let form = form(name, &schema, &cues);
    Node {
        name: name.to_owned(),
        description,
        required,
        nullable,
        form,
        cues,
        roles: roles.unwrap_or_default(),
        schema,
        validator: OnceLock::new(),
        pattern: OnceLock::new(),
    }
}

/// The schema without the `null` that it allows.
fn without_null(schema: &Value) -> (bool, Value) {
    let is_null = |schema: &Value| {
        schema.get("type").is_some_and(|kind| kind == "null") || schema.get("const").is_some_and(Value::is_null)
    };
    let mut schema = schema.clone();
    let mut nullable = schema.get("nullable").is_some_and(|value| value == true);
    if let Some(Value::Array(kinds)) = schema.get_mut("type") {
        let before = kinds.len();
        kinds.retain(|kind| kind != "null");
        nullable |= kinds.len() < before;
        if let [only] = kinds.as_slice() {
            let only = only.clone();
            schema["type"] = only;
        }
    }
    if let Some(Value::Array(words)) = schema.get_mut("enum")
        && words.len() > 1
    {
        words.retain(|word| !word.is_null());
    }
    for key in ["anyOf", "oneOf"] {
        let Some(Value::Array(branches)) = schema.get_mut(key) else { continue };
        let before = branches.len();
        branches.retain(|branch| !is_null(branch));
        nullable |= branches.len() < before;
        if let [Value::Object(only)] = branches.as_slice() {
            let only = only.clone();
            if let Some(fields) = schema.as_object_mut() {
                fields.remove(key);
                for (name, value) in only {
                    fields.entry(name).or_insert(value);
                }
            }
        }
    }
    (nullable, schema)
}

fn form(name: &str, schema: &Value, cues: &[Cue]) -> Form {
    if let Some(value) = schema.get("const") {
        return Form::Choice(vec![value.clone()]);
    }
    if let Some(Value::Array(values)) = schema.get("enum") {
        return if values.iter().all(|value| value.is_string() || value.is_number()) {
            Form::Choice(values.clone())
        } else {
            Form::Other
        };
    }
    match schema.get("type").and_then(Value::as_str) {
        Some("string") => Form::Text,
        Some("integer") => Form::Integer,
        Some("number") => Form::Number,
        Some("boolean") => Form::Flag,
        Some("array") => match schema.get("items") {
            Some(items) if items.is_object() => Form::List(Box::new(node(name, items, true, cues))),
            _ => Form::Other,
        },
        Some("object") => fields(schema, cues),
        None if schema.get("properties").is_some() => fields(schema, cues),
        _ => Form::Other,
    }
}

fn fields(schema: &Value, cues: &[Cue]) -> Form {
    let Some(properties) = schema.get("properties").and_then(Value::as_object) else { return Form::Other };
    let required = schema.get("required").and_then(Value::as_array);
    let is_required = |name: &str| required.is_some_and(|names| names.iter().any(|known| known == name));
    Form::Object(properties.iter().map(|(name, schema)| node(name, schema, is_required(name), cues)).collect())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn fields_of(schema: &Value) -> Vec<Node> {
        let node = read(schema.as_object().expect("object"), None).expect("readable");
        let Form::Object(fields) = node.form else { panic!("{node:?}") };
        fields
    }

    #[test]
    fn null_is_seen_in_every_spelling() {
        for (schema, nullable) in [
            (json!({"type": ["string", "null"]}), true),
            (json!({"anyOf": [{"type": "string"}, {"type": "null"}]}), true),
            (json!({"oneOf": [{"type": "null"}, {"type": "string", "format": "date"}]}), true),
            (json!({"type": "string"}), false),
        ] {
            let fields = fields_of(&json!({"properties": {"a": schema}}));
            assert!(matches!(fields[0].form, Form::Text), "{fields:?}");
            assert_eq!(fields[0].nullable, nullable, "{schema}");
        }
    }

    #[test]
    fn references_are_followed_unless_they_turn_in_a_circle() {
        let fields = fields_of(&json!({
            "properties": {"who": {"$ref": "#/$defs/Person"}, "all": {"type": "array", "items": {"$ref": "#/$defs/Person"}}},
            "$defs": {"Person": {"type": "object", "properties": {"name": {"type": "string"}}, "required": ["name"]}},
        }));
        assert!(matches!(&fields[0].form, Form::Object(inner) if inner[0].required));
        assert!(matches!(&fields[1].form, Form::List(item) if matches!(item.form, Form::Object(_))));
        let circle = json!({"properties": {"a": {"$ref": "#/$defs/A"}}, "$defs": {"A": {"properties": {"a": {"$ref": "#/$defs/A"}}}}});
        assert!(read(circle.as_object().expect("object"), None).is_none());
    }
}
