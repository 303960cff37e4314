//! The grammar of calls whose arguments stand in tags, each value bare.
//!
//! Parameters come in the order of `properties`. A value that can be nothing but JSON is held to its
//! schema; what a bare text, which has no quotes, is held to, is in `text.rs`.

use lla_protocol::openai::Tool;
use serde_json::{Map, Value, json};

use super::super::tagged::Tags;
use super::super::values::Types;
use super::text::{self, Bare};
use super::{in_one_line, literal, marker};
use crate::chat_format::ChatFormat;

pub(super) struct TaggedWriter<'a> {
    pub(super) format: &'a ChatFormat,
    pub(super) tags: &'static Tags,
    /// Whether the call is forced: then every tool is held to its schema, otherwise strict ones.
    pub(super) forced: bool,
}

impl TaggedWriter<'_> {
    /// The rules of one tool: its call, and the parameters that need rules of their own.
    pub(super) fn rules(&self, index: usize, tool: &Tool) -> String {
        let (parameters, rules) = match self.forced || tool.strict {
            true => self.parameters(index, &tool.schema()),
            false => ("any_parameter*".to_owned(), String::new()),
        };
        let (function, behind) = self.tags.function;
        let head = literal(&format!("{function}{}{behind}", tool.name));
        // Where a name has no tag behind it, `first` writes the last tag: it is that of the call.
        let end = if behind.is_empty() { String::new() } else { literal(self.tags.end) };
        format!("call_{index}: {head} {parameters} {} {end}\n{rules}", self.line())
    }

    /// What the rules of all tools refer to.
    pub(super) fn shared_rules(&self) -> String {
        let any = self.parameter("KEY", "BARE");
        let bare = Bare::terminal(&["(?s:.*)".to_owned()], &self.close_text());
        format!("NEWLINE: \"\\n\"\nKEY: /[A-Za-z0-9_.-]+/\nBARE: {bare}\nany_parameter: {any}\n")
    }

    fn parameters(&self, index: usize, root: &Value) -> (String, String) {
        let (mut call, mut rules) = (Vec::new(), String::new());
        let empty = Map::new();
        let properties = root.get("properties").and_then(Value::as_object).unwrap_or(&empty);
        let required: Vec<&str> =
            root.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        let any = root.get("additionalProperties").cloned().unwrap_or_else(|| json!({}));
        let undescribed = required.iter().filter(|name| !properties.contains_key(**name)).map(|name| (*name, &any));
        let described = properties.iter().map(|(name, schema)| (name.as_str(), schema));
        for (number, (name, schema)) in described.chain(undescribed).enumerate() {
            let rule = format!("parameter_{index}_{number}");
            let terminal = format!("TEXT_{index}_{number}");
            let (value, more) = self.value(schema, root, &terminal);
            let parameter = self.parameter(&literal(name), &value);
            rules.push_str(&format!("{rule}: {parameter}\n{more}"));
            let optional = if required.contains(&name) { "" } else { "?" };
            call.push(format!("{rule}{optional}"));
        }
        (call.join(" "), rules)
    }

    /// A parameter: `key` and `value` are expressions of Lark; `value` has the tag behind it.
    fn parameter(&self, key: &str, value: &str) -> String {
        let (before, behind) = self.tags.key;
        let before = marker(self.format, before);
        let behind = match self.tags.lines {
            true => literal(&format!("{behind}\n")),
            false => format!("{} NEWLINE? {}", marker(self.format, behind), marker(self.format, self.tags.value.0)),
        };
        format!("{} {before} {key} {behind} {value}", self.line())
    }

    /// The value of a parameter with the tag behind it; and the rule of `terminal`, where it needs one.
    fn value(&self, schema: &Value, root: &Value, terminal: &str) -> (String, String) {
        let types = Types::of_schema(schema, root);
        let close = match self.tags.lines {
            true => literal(&self.close_text()),
            false => marker(self.format, self.tags.value.1),
        };
        if !types.has_text() {
            return (format!("{} {close}", json_of(schema, root)), String::new());
        }
        // Schemas that calls are held to have been checked.
        match text::of(schema, root, "").unwrap_or(Bare::Any) {
            Bare::Any => ("BARE".to_owned(), String::new()),
            Bare::OneOf(texts) => {
                let texts: Vec<String> = texts.iter().map(|text| literal(text)).collect();
                (format!("({}) {close}", texts.join(" | ")), String::new())
            }
            Bare::Matching(patterns) => {
                let body = Bare::terminal(&patterns, &self.close_text());
                (terminal.to_owned(), format!("{terminal}: {body}\n"))
            }
        }
    }

    /// What stands between the parts: a line end, or one perhaps where the format has both forms.
    fn line(&self) -> &'static str {
        if self.tags.lines { "NEWLINE" } else { "NEWLINE?" }
    }

    /// The text behind a value.
    fn close_text(&self) -> String {
        format!("{}{}", if self.tags.lines { "\n" } else { "" }, self.tags.value.1)
    }
}

/// A value of JSON; `root` has what the schema refers to.
fn json_of(schema: &Value, root: &Value) -> String {
    let mut schema = schema.clone();
    if let (Value::Object(schema), Some(definitions)) = (&mut schema, root.get("$defs")) {
        schema.insert("$defs".to_owned(), definitions.clone());
    }
    format!("%json {}", in_one_line(schema))
}
