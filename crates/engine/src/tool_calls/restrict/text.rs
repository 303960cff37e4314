//! What a value without quotes can be held to, in the formats that write arguments in tags.
//!
//! A text is held to its length and patterns by one regular expression, or is one of an `enum`. Where a value
//! may be a text or something else, what is written decides which of them it is, so nothing but its types can
//! be held. What a schema asks for beyond that is refused, by the keyword.

use llguidance::regex_to_lark;
use serde_json::Value;

use super::super::values::Types;
use super::literal;
use crate::constraint::GrammarError;

/// Most references and branches inside one another.
const DEEPEST: usize = 8;
/// Bounds that integers get by themselves.
const LARGEST_EXACT: f64 = 9_007_199_254_740_991.0;
/// Keywords that say nothing about texts.
const NOT_ABOUT_TEXTS: [&str; 16] = [
    "type",
    "$defs",
    "minimum",
    "maximum",
    "exclusiveMinimum",
    "exclusiveMaximum",
    "multipleOf",
    "properties",
    "patternProperties",
    "additionalProperties",
    "required",
    "minProperties",
    "maxProperties",
    "items",
    "minItems",
    "maxItems",
];

/// What may stand in the tags.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Bare {
    /// Any text.
    Any,
    /// One of these.
    OneOf(Vec<String>),
    /// A text that all of these match, as regular expressions in the notation of Lark.
    Matching(Vec<String>),
}

impl Bare {
    /// As the body of a terminal: the text with `close` behind it, which it does not hold itself. Where a line
    /// end begins `close`, the text does not begin with the rest of it either: the line end in front of the
    /// text would make it whole.
    pub(super) fn terminal(patterns: &[String], close: &str) -> String {
        let all: Vec<String> = patterns.iter().map(|pattern| format!("/{pattern}/")).collect();
        let holds = match close.strip_prefix('\n') {
            Some(tag) => format!("(?:(?s:.*)\n)?{tag}(?s:.*)"),
            None => format!("(?s:.*){close}(?s:.*)"),
        };
        format!("({} & ~/{}/) {}", all.join(" & "), regex_to_lark(&holds, ""), literal(close))
    }
}

/// Checks the schema of a tool's parameters, made ready by [`crate::constraint::prepare_schema`].
///
/// # Errors
/// `unsupported_schema` with the path of the first keyword that calls in tags can not be held to.
pub(crate) fn check(root: &Value) -> Result<(), GrammarError> {
    let Some(keywords) = root.as_object() else { return Ok(()) };
    let properties = root["properties"].as_object();
    let required = root["required"].as_array().map(Vec::as_slice).unwrap_or_default();
    for (keyword, value) in keywords {
        let holds = match keyword.as_str() {
            "type" | "properties" | "additionalProperties" | "$defs" => true,
            "required" => {
                let is_there =
                    |name: &Value| properties.is_some_and(|all| all.contains_key(name.as_str().unwrap_or("")));
                root.get("additionalProperties").is_none_or(|others| others == &Value::Bool(true))
                    || required.iter().all(is_there)
            }
            "minProperties" => value.as_u64().is_some_and(|least| least <= required.len() as u64),
            "maxProperties" => value
                .as_u64()
                .is_some_and(|most| most >= (properties.map_or(0, serde_json::Map::len) + required.len()) as u64),
            _ => false,
        };
        if !holds {
            return Err(unsupported(keyword, keyword));
        }
    }
    for (name, schema) in properties.into_iter().flatten() {
        if Types::of_schema(schema, root).has_text() {
            of(schema, root, &format!("properties.{name}"))?;
        }
    }
    Ok(())
}

/// What a value may be whose schema allows texts; `path` for errors.
pub(super) fn of(schema: &Value, root: &Value, path: &str) -> Result<Bare, GrammarError> {
    let types = Types::of_schema(schema, root);
    let mut found = Found { root, types, choices: None, patterns: Vec::new() };
    if types.is_text() {
        found.text(schema, path, 0)?;
    } else {
        found.mixed(schema, path, 0)?;
    }
    match found.choices {
        Some(_) if !found.patterns.is_empty() => Err(GrammarError::new(
            path,
            "unsupported_schema",
            "'enum' or 'const' beside a length or a pattern is not supported in this model's format of calls",
        )),
        Some(choices) => Ok(Bare::OneOf(choices)),
        None if found.patterns.is_empty() => Ok(Bare::Any),
        None => Ok(Bare::Matching(found.patterns)),
    }
}

/// What was found so far.
struct Found<'a> {
    root: &'a Value,
    types: Types,
    choices: Option<Vec<String>>,
    patterns: Vec<String>,
}

impl<'a> Found<'a> {
    /// A schema that allows nothing but texts.
    fn text(&mut self, schema: &'a Value, path: &str, depth: usize) -> Result<(), GrammarError> {
        let Some(keywords) = schema.as_object() else { return Ok(()) };
        for (keyword, value) in keywords {
            let at = format!("{path}.{keyword}");
            match keyword.as_str() {
                _ if depth > DEEPEST => return Err(unsupported(&at, keyword)),
                known if NOT_ABOUT_TEXTS.contains(&known) => {}
                "$ref" => self.text(self.target(value), &at, depth + 1)?,
                "allOf" => {
                    for part in value.as_array().into_iter().flatten() {
                        self.text(part, &at, depth + 1)?;
                    }
                }
                "const" => self.choose(std::slice::from_ref(value), &at)?,
                "enum" => self.choose(value.as_array().map(Vec::as_slice).unwrap_or_default(), &at)?,
                "minLength" => self.patterns.push(format!("(?s:.{{{value},}})")),
                "maxLength" => self.patterns.push(format!("(?s:.{{0,{value}}})")),
                "pattern" => {
                    let whole = whole(value.as_str().unwrap_or_default()).ok_or_else(|| unsupported(&at, keyword))?;
                    self.patterns.push(regex_to_lark(&whole, "dw"));
                }
                // Several choices of a text are one only where all of them are any text.
                "anyOf" | "oneOf"
                    if value.as_array().is_some_and(|all| all.iter().all(|one| self.is_any_text(one))) => {}
                _ => return Err(unsupported(&at, keyword)),
            }
        }
        Ok(())
    }

    fn is_any_text(&self, schema: &Value) -> bool {
        of(schema, self.root, "").is_ok_and(|bare| bare == Bare::Any)
    }

    /// A schema that allows texts and more.
    fn mixed(&mut self, schema: &'a Value, path: &str, depth: usize) -> Result<(), GrammarError> {
        let Some(keywords) = schema.as_object() else { return Ok(()) };
        for (keyword, value) in keywords {
            let at = format!("{path}.{keyword}");
            match keyword.as_str() {
                _ if depth > DEEPEST => return Err(unsupported(&at, keyword)),
                "type" | "$defs" => {}
                "$ref" => self.mixed(self.target(value), &at, depth + 1)?,
                "const" if depth == 0 => self.choose(std::slice::from_ref(value), &at)?,
                "enum" if depth == 0 => self.choose(value.as_array().map(Vec::as_slice).unwrap_or_default(), &at)?,
                "anyOf" | "oneOf" => {
                    for (index, branch) in value.as_array().into_iter().flatten().enumerate() {
                        self.mixed(branch, &format!("{at}[{index}]"), depth + 1)?;
                    }
                }
                "minimum" | "maximum" if value.as_f64().is_some_and(|bound| bound.abs() >= LARGEST_EXACT) => {}
                _ => return Err(unsupported(&at, keyword)),
            }
        }
        Ok(())
    }

    /// Only these values, each written so that it is read as what it is.
    fn choose(&mut self, values: &[Value], path: &str) -> Result<(), GrammarError> {
        let mut texts = Vec::new();
        for value in values {
            let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
            if self.types.is_text() && !value.is_string() {
                continue;
            }
            let written = value.to_string();
            if self.types.json(&text) != written {
                let message =
                    "a text that reads as another value can not be told from it in this model's format of calls";
                return Err(GrammarError::new(path, "unsupported_schema", message));
            }
            texts.push(text);
        }
        match &mut self.choices {
            Some(choices) => choices.retain(|choice| texts.contains(choice)),
            None => self.choices = Some(texts),
        }
        match &self.choices {
            Some(choices) if choices.is_empty() => Err(GrammarError::new(path, "invalid_schema", "no value fits")),
            _ => Ok(()),
        }
    }

    fn target(&self, reference: &Value) -> &'a Value {
        let pointer = reference.as_str().and_then(|path| path.strip_prefix('#'));
        pointer.and_then(|pointer| self.root.pointer(pointer)).unwrap_or(&Value::Null)
    }
}

/// A pattern, which searches in a text, as one that matches all of it. `None`: an anchor stands where this can
/// not be said.
fn whole(pattern: &str) -> Option<String> {
    let (mut body, mut before, mut behind) = (pattern, "(?s:.*)", "(?s:.*)");
    if let Some(rest) = body.strip_prefix('^') {
        (body, before) = (rest, "");
    }
    if let Some(rest) = body.strip_suffix('$')
        && rest.bytes().rev().take_while(|&byte| byte == b'\\').count() % 2 == 0
    {
        (body, behind) = (rest, "");
    }
    let anchored = before.is_empty() || behind.is_empty();
    let (mut depth, mut in_class, mut escaped) = (0_u32, false, false);
    for letter in body.chars() {
        match letter {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            ']' => in_class = false,
            _ if in_class => {}
            '[' => in_class = true,
            '(' => depth += 1,
            ')' => depth = depth.saturating_sub(1),
            '^' | '$' => return None,
            // The anchor belongs to one of the branches only.
            '|' if depth == 0 && anchored => return None,
            _ => {}
        }
    }
    Some(format!("{before}(?:{body}){behind}"))
}

fn unsupported(path: &str, keyword: &str) -> GrammarError {
    let message = format!("in this model's format of calls '{keyword}' can not be held here");
    GrammarError::new(path, "unsupported_schema", message)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_can_not_be_held_is_named() {
        let of_x = |schema: Value| json!({"type": "object", "properties": {"x": schema}});
        for (schema, path) in [
            (of_x(json!({"type": "string", "pattern": "^a+$", "minLength": 2, "maxLength": 5})), None),
            (of_x(json!({"type": "string", "format": "uuid"})), Some("properties.x.format")),
            (of_x(json!({"type": "string", "pattern": "^a|b$"})), Some("properties.x.pattern")),
            (of_x(json!({"type": ["string", "null"]})), None),
            (of_x(json!({"type": ["string", "null"], "maxLength": 3})), Some("properties.x.maxLength")),
            (of_x(json!({"anyOf": [{"type": "string"}, {"type": "integer"}]})), None),
            (
                of_x(json!({"anyOf": [{"type": "string"}, {"type": "integer", "minimum": 3}]})),
                Some("properties.x.anyOf[1].minimum"),
            ),
            (of_x(json!({"enum": ["a", 1, null]})), None),
            (of_x(json!({"enum": ["1", 2]})), Some("properties.x.enum")),
            (of_x(json!({"type": "string", "enum": ["a"], "maxLength": 3})), Some("properties.x")),
            (of_x(json!({"type": "integer", "minimum": 3})), None),
            (of_x(json!({})), None),
            (json!({"type": "object", "minProperties": 1}), Some("minProperties")),
            (json!({"type": "object", "anyOf": [{"required": ["a"]}]}), Some("anyOf")),
            (json!({"type": "object", "required": ["a"], "additionalProperties": false}), Some("required")),
            (json!({"type": "object", "required": ["a"], "minProperties": 1}), None),
            (json!({"$ref": "#/$defs/d0", "$defs": {"d0": {"type": "object"}}}), Some("$ref")),
        ] {
            let found = check(&schema).map_err(|error| error.path.unwrap_or_default());
            assert_eq!(found.err().as_deref(), path, "{schema}");
        }
    }

    #[test]
    fn patterns_match_all_of_the_text() {
        for (pattern, found) in [
            ("^a$", Some("(?:a)")),
            ("a", Some("(?s:.*)(?:a)(?s:.*)")),
            ("a|b", Some("(?s:.*)(?:a|b)(?s:.*)")),
            ("^(a|b)", Some("(?:(a|b))(?s:.*)")),
            (r"^[$^|]\$$", Some(r"(?:[$^|]\$)")),
            (r"a\$", Some(r"(?s:.*)(?:a\$)(?s:.*)")),
            ("^a|b", None),
            ("(^a)", None),
        ] {
            assert_eq!(whole(pattern).as_deref(), found, "{pattern}");
        }
    }
}
