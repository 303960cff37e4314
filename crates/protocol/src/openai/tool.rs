//! Tools: what a caller offers to the model (`tools`), and whether it must use them (`tool_choice`).

use std::collections::HashSet;

use serde_json::{Map, Value, json};

use crate::fields::{FieldError, Fields};

/// Most tools of one request, as at OpenAI.
const MOST_TOOLS: usize = 128;
/// Longest name of a function in characters, as at OpenAI.
const LONGEST_NAME: usize = 64;

/// A function that the model may call.
#[derive(Debug, Clone, PartialEq)]
pub struct Tool {
    /// 1 to 64 letters, digits, `_` and `-`; no two tools have the same.
    pub name: String,
    /// What it is for, in words for the model.
    pub description: Option<String>,
    /// JSON Schema of its arguments, which are an object; `None`: it takes none.
    pub parameters: Option<Map<String, Value>>,
    /// The arguments must match the schema also when the model itself chose to call.
    pub strict: bool,
}

impl Tool {
    /// The schema of the arguments; a tool without parameters takes the empty object.
    #[must_use]
    pub fn schema(&self) -> Value {
        match &self.parameters {
            Some(parameters) if !parameters.is_empty() => Value::Object(parameters.clone()),
            _ => json!({"type": "object", "properties": {}, "additionalProperties": false}),
        }
    }

    /// The tool as chat templates expect it.
    #[must_use]
    pub fn for_template(&self) -> Value {
        let parameters = match &self.parameters {
            Some(parameters) => Value::Object(parameters.clone()),
            None => json!({"type": "object", "properties": {}}),
        };
        let description = self.description.as_deref().unwrap_or_default();
        json!({
            "type": "function",
            "function": {"name": self.name, "description": description, "parameters": parameters},
        })
    }
}

/// Whether the model calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ToolChoice {
    /// It must not.
    None,
    /// As it sees fit.
    Auto,
    /// It must call at least one.
    Required,
    /// It must call the one tool that is left in [`Tools::tools`].
    Named,
}

/// What a request says about tools.
#[derive(Debug, Clone, PartialEq)]
pub struct Tools {
    /// The tools that the model may call: of a request that names one or allows some, only these.
    pub tools: Vec<Tool>,
    /// [`ToolChoice::None`] when there are no tools.
    pub choice: ToolChoice,
    /// More than one call in one answer is fine; the default.
    pub parallel: bool,
}

impl Tools {
    /// Takes `tools`, `tool_choice` and `parallel_tool_calls` out of a request.
    ///
    /// # Errors
    /// Names the field, down to `tools[1].function.name`.
    pub fn take(rest: &mut Map<String, Value>) -> Result<Self, FieldError> {
        let mut fields = Fields::from_value(Value::Object(std::mem::take(rest)), "")?;
        let tools = take_tools(&mut fields)?;
        let parallel = fields.boolean("parallel_tool_calls")?.unwrap_or(true);
        let choice = fields.take("tool_choice");
        *rest = fields.rest();
        let (choice, only) = read_choice(choice, &tools)?;
        let allowed = |tool: &Tool| only.as_ref().is_none_or(|names| names.contains(&tool.name));
        Ok(Self { tools: tools.into_iter().filter(allowed).collect(), choice, parallel })
    }

    /// The model has to call.
    #[must_use]
    pub fn forced(&self) -> bool {
        matches!(self.choice, ToolChoice::Required | ToolChoice::Named)
    }

    /// The model may call.
    #[must_use]
    pub fn callable(&self) -> bool {
        self.choice != ToolChoice::None && !self.tools.is_empty()
    }
}

fn take_tools(fields: &mut Fields) -> Result<Vec<Tool>, FieldError> {
    let items = fields.array("tools")?.unwrap_or_default();
    if items.len() > MOST_TOOLS {
        let message = format!("at most {MOST_TOOLS} tools, got {}", items.len());
        return Err(FieldError::new("tools", "out_of_range", &message));
    }
    let mut names = HashSet::new();
    let mut tools = Vec::with_capacity(items.len());
    for (index, item) in items.into_iter().enumerate() {
        let tool = parse_tool(item, &format!("tools[{index}]"))?;
        if !names.insert(tool.name.clone()) {
            let path = format!("tools[{index}].function.name");
            return Err(FieldError::new(&path, "invalid_value", "another tool has this name already"));
        }
        tools.push(tool);
    }
    Ok(tools)
}

fn parse_tool(value: Value, path: &str) -> Result<Tool, FieldError> {
    let mut fields = Fields::from_value(value, path)?;
    let kind = fields.required_string("type")?;
    if kind != "function" {
        let message = "only tools of type 'function' are served here";
        return Err(FieldError::new(&fields.path("type"), "unsupported_tool", message));
    }
    let mut function = fields.object("function")?.ok_or_else(|| fields.missing("function"))?;
    let name = function.required_string("name")?;
    check_name(&name, &function.path("name"))?;
    let description = function.string("description")?;
    let strict = function.boolean("strict")?.unwrap_or(false);
    let path = function.path("parameters");
    let parameters = function.object("parameters")?.map(Fields::rest);
    if let Some(kind) = parameters.as_ref().and_then(|schema| schema.get("type")).filter(|kind| *kind != "object") {
        let message = format!("the arguments of a function are an object: expected \"object\", got {kind}");
        return Err(FieldError::new(&format!("{path}.type"), "invalid_value", &message));
    }
    Ok(Tool { name, description, parameters, strict })
}

/// Checks a function's name by OpenAI's rule.
pub(super) fn check_name(name: &str, path: &str) -> Result<(), FieldError> {
    let fits = (1..=LONGEST_NAME).contains(&name.len())
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-'));
    if fits {
        return Ok(());
    }
    let message = format!("must have 1 to {LONGEST_NAME} characters, each a letter, a digit, '_' or '-'");
    Err(FieldError::new(path, "invalid_value", &message))
}

/// The choice, and the names of the tools that it leaves.
fn read_choice(choice: Option<Value>, tools: &[Tool]) -> Result<(ToolChoice, Option<Vec<String>>), FieldError> {
    let (choice, only) = match choice {
        None => (ToolChoice::Auto, None),
        Some(Value::String(word)) => (parse_word(&word, "tool_choice")?, None),
        Some(value) => parse_object(value, tools)?,
    };
    if !tools.is_empty() {
        return Ok((choice, only));
    }
    match choice {
        ToolChoice::None | ToolChoice::Auto => Ok((ToolChoice::None, None)),
        ToolChoice::Required | ToolChoice::Named => {
            Err(FieldError::new("tool_choice", "invalid_value", "a call can only be asked for together with 'tools'"))
        }
    }
}

fn parse_word(word: &str, path: &str) -> Result<ToolChoice, FieldError> {
    match word {
        "none" => Ok(ToolChoice::None),
        "auto" => Ok(ToolChoice::Auto),
        "required" => Ok(ToolChoice::Required),
        _ => {
            let message = "must be none, auto, required, or an object that names a function";
            Err(FieldError::new(path, "invalid_value", message))
        }
    }
}

fn parse_object(value: Value, tools: &[Tool]) -> Result<(ToolChoice, Option<Vec<String>>), FieldError> {
    let mut fields = Fields::from_value(value, "tool_choice")?;
    match fields.required_string("type")?.as_str() {
        "function" => Ok((ToolChoice::Named, Some(vec![named(&mut fields, tools)?]))),
        "allowed_tools" => {
            let mut allowed = fields.object("allowed_tools")?.ok_or_else(|| fields.missing("allowed_tools"))?;
            let choice = match allowed.required_string("mode")?.as_str() {
                "auto" => ToolChoice::Auto,
                "required" => ToolChoice::Required,
                _ => return Err(FieldError::new(&allowed.path("mode"), "invalid_value", "must be auto or required")),
            };
            let path = allowed.path("tools");
            let items = allowed.array("tools")?.ok_or_else(|| allowed.missing("tools"))?;
            if items.is_empty() {
                return Err(FieldError::new(&path, "invalid_value", "must name at least one tool"));
            }
            let names: Result<Vec<String>, FieldError> = items
                .into_iter()
                .enumerate()
                .map(|(index, item)| named(&mut Fields::from_value(item, &format!("{path}[{index}]"))?, tools))
                .collect();
            Ok((choice, Some(names?)))
        }
        _ => Err(FieldError::new(&fields.path("type"), "invalid_value", "must be function or allowed_tools")),
    }
}

/// The name in `{"function": {"name": …}}`, which one of the tools must have.
fn named(fields: &mut Fields, tools: &[Tool]) -> Result<String, FieldError> {
    let mut function = fields.object("function")?.ok_or_else(|| fields.missing("function"))?;
    let name = function.required_string("name")?;
    if tools.iter().any(|tool| tool.name == name) {
        return Ok(name);
    }
    Err(FieldError::new(&function.path("name"), "invalid_value", "no tool in 'tools' has this name"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn take(value: Value) -> Result<Tools, FieldError> {
        let Value::Object(mut rest) = value else { panic!("an object") };
        Tools::take(&mut rest)
    }

    fn tool(name: &str) -> Value {
        json!({"type": "function", "function": {"name": name}})
    }

    #[test]
    fn tools_are_read_and_the_rest_is_left() {
        let schema = json!({"type": "object", "properties": {"z": {}, "a": {}}});
        let function = json!({"name": "f", "description": "d", "parameters": schema, "strict": true});
        let mut rest = json!({"tools": [{"type": "function", "function": function}], "user": "u"});
        let tools = Tools::take(rest.as_object_mut().expect("object")).expect("tools");
        assert_eq!(rest, json!({"user": "u"}));
        assert_eq!(
            (tools.choice, tools.parallel, tools.callable(), tools.forced()),
            (ToolChoice::Auto, true, true, false)
        );
        assert_eq!((tools.tools[0].strict, tools.tools[0].schema()), (true, schema));
        let none = take(json!({"tools": [], "tool_choice": "auto"})).expect("none");
        assert_eq!((none.choice, none.callable()), (ToolChoice::None, false));
    }

    #[test]
    fn a_choice_leaves_the_tools_that_it_names() {
        let tools = json!([tool("a"), tool("b"), tool("c")]);
        let names = |choice: Value| {
            let read = take(json!({"tools": tools, "tool_choice": choice})).expect("read");
            (read.choice, read.tools.iter().map(|tool| tool.name.clone()).collect::<Vec<_>>().concat())
        };
        assert_eq!(names(json!("required")), (ToolChoice::Required, "abc".to_owned()));
        assert_eq!(names(tool("b")), (ToolChoice::Named, "b".to_owned()));
        let allowed = json!({"mode": "required", "tools": [tool("c"), tool("a")]});
        let choice = json!({"type": "allowed_tools", "allowed_tools": allowed});
        assert_eq!(names(choice), (ToolChoice::Required, "ac".to_owned()));
    }

    #[test]
    fn errors_name_the_field() {
        let long = "x".repeat(65);
        let with = |function: Value| json!({"tools": [tool("a"), {"type": "function", "function": function}]});
        let choosing = |choice: Value| json!({"tools": [tool("a")], "tool_choice": choice});
        for (body, param) in [
            (json!({"tools": 1}), "tools"),
            (json!({"tools": [1]}), "tools[0]"),
            (json!({"tools": [{"type": "custom", "custom": {"name": "x"}}]}), "tools[0].type"),
            (json!({"tools": [{"type": "function"}]}), "tools[0].function"),
            (with(json!({})), "tools[1].function.name"),
            (with(json!({"name": "a"})), "tools[1].function.name"),
            (with(json!({"name": "a b"})), "tools[1].function.name"),
            (with(json!({"name": long})), "tools[1].function.name"),
            (with(json!({"name": "f", "description": 1})), "tools[1].function.description"),
            (with(json!({"name": "f", "strict": "yes"})), "tools[1].function.strict"),
            (with(json!({"name": "f", "parameters": []})), "tools[1].function.parameters"),
            (with(json!({"name": "f", "parameters": {"type": "string"}})), "tools[1].function.parameters.type"),
            (choosing(json!("always")), "tool_choice"),
            (choosing(json!({"type": "custom"})), "tool_choice.type"),
            (choosing(json!({"type": "function"})), "tool_choice.function"),
            (choosing(tool("z")), "tool_choice.function.name"),
            (
                choosing(json!({"type": "allowed_tools", "allowed_tools": {"mode": "x", "tools": []}})),
                "tool_choice.allowed_tools.mode",
            ),
            (
                choosing(json!({"type": "allowed_tools", "allowed_tools": {"mode": "auto", "tools": [tool("z")]}})),
                "tool_choice.allowed_tools.tools[0].function.name",
            ),
            (json!({"tool_choice": "required"}), "tool_choice"),
            (json!({"parallel_tool_calls": "no"}), "parallel_tool_calls"),
        ] {
            let error = take(body.clone()).expect_err("refused");
            assert_eq!(error.param.as_deref(), Some(param), "{body}");
        }
    }
}
