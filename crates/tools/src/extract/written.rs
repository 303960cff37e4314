//! Values that the model writes: for fields that are not looked for in the text, and, by a model whose judgement
//! has agreed with the evidence, for those that were not found. Each is checked against the text.

use serde_json::{Map, Value, json};

use super::by_prompt;
use super::choose::{Findings, Taken};
use super::form::{Form, Node};
use crate::call::Call;
use crate::error::ToolError;

/// Whether a field is only ever written by the model.
pub(super) fn is_written(node: &Node) -> bool {
    match &node.form {
        Form::Other => true,
        Form::List(item) => matches!(item.form, Form::List(_) | Form::Other | Form::Flag),
        _ => false,
    }
}

/// What the model wrote for fields.
#[derive(Debug, Default)]
pub(super) struct Written {
    /// Values that stand in the text.
    pub(super) found: Findings,
    /// Values that do not, or have parts that do not; valid for their fields.
    pub(super) other: Vec<(String, Value)>,
}

/// Has the model write the values of fields.
///
/// # Errors
/// When the model refuses or fails.
pub(super) async fn write(
    fields: &[&(String, &Node)],
    instructions: Option<&str>,
    text: &str,
    call: &Call,
) -> Result<Written, ToolError> {
    let mut written = Written::default();
    if fields.is_empty() {
        return Ok(written);
    }
    let name = |pointer: &str| pointer.trim_start_matches('/').replace('/', ".");
    let properties: Map<String, Value> = fields
        .iter()
        .map(|(pointer, node)| (name(pointer), json!({"anyOf": [node.schema, {"type": "null"}]})))
        .collect();
    let required: Vec<&String> = properties.keys().collect();
    let schema =
        json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false});
    let Value::Object(schema) = schema else { return Ok(written) };
    let Some(answer) = by_prompt::ask(&schema, instructions, text, call).await? else { return Ok(written) };
    for (pointer, node) in fields {
        let value = answer.get(name(pointer)).filter(|value| !value.is_null());
        let Some(value) = value.filter(|value| node.is_valid(value)) else { continue };
        let place = match value {
            Value::String(said) if !said.is_empty() => by_prompt::find(text, said),
            Value::Number(number) => by_prompt::find(text, &number.to_string()),
            _ => None,
        };
        match place {
            Some(at) => {
                written.found.insert(pointer.clone(), Taken { value: value.clone(), at });
            }
            None if is_written(node) || (node.required && !node.nullable) => {
                written.other.push((pointer.clone(), value.clone()));
            }
            None => {}
        }
    }
    Ok(written)
}
