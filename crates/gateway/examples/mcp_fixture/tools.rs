//! The tools, and what they answer.

#![expect(deprecated, reason = "log messages to the client are tested for as long as there are clients that read them")]

use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ClientCapabilities, ContentBlock, LoggingLevel,
    LoggingMessageNotificationParam, ProgressNotificationParam,
};
use rmcp::service::RequestContext;
use rmcp::{ErrorData, RoleServer};
use serde_json::{Value, json};

use crate::handler::result;
use crate::input::{self, Secret};

/// A picture of one pixel, PNG in base64.
pub(crate) const PICTURE: &str =
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAQAAAC1HAwCAAAAC0lEQVR42mNkYAAAAAYAAjCB0C8AAAAASUVORK5CYII=";
/// A sound of no length, WAV in base64.
const SOUND: &str = "UklGRiQAAABXQVZFZm10IBAAAAABAAEARKwAAIhYAQACABAAZGF0YQAAAAA=";

/// The tool of [`with_header`].
pub(crate) const WITH_HEADER: &str = "test_custom_header";

/// Tools without arguments.
const PLAIN: [&str; 24] = [
    "test_simple_text",
    "test_image_content",
    "test_audio_content",
    "test_embedded_resource",
    "test_multiple_content_types",
    "test_tool_with_logging",
    "test_tool_with_progress",
    "test_error_handling",
    "test_reconnection",
    "test_missing_capability",
    "test_streaming_elicitation",
    "test_logging_tool",
    "test_trigger_tool_change",
    "test_trigger_prompt_change",
    "test_sampling",
    "test_elicitation",
    "test_input_required_result_elicitation",
    "test_input_required_result_sampling",
    "test_input_required_result_list_roots",
    "test_input_required_result_request_state",
    "test_input_required_result_multiple_inputs",
    "test_input_required_result_multi_round",
    "test_input_required_result_tampered_state",
    "test_input_required_result_capabilities",
];

pub(crate) fn list() -> Value {
    let tool = |name: &str, schema: Value| json!({"name": name, "description": "a tool", "inputSchema": schema});
    let nothing = json!({"type": "object", "properties": {}});
    let mut tools: Vec<Value> = PLAIN.iter().map(|name| tool(name, nothing.clone())).collect();
    tools.push(tool("json_schema_2020_12_tool", schema()));
    tools.push(with_header());
    json!({"tools": tools})
}

/// A tool whose argument stands in a header, too; `rmcp` compares the two.
pub(crate) fn with_header() -> Value {
    let schema = json!({
        "type": "object",
        "properties": {"value": {"type": "string", "x-mcp-header": "Value"}},
        "required": ["value"],
    });
    json!({"name": WITH_HEADER, "description": "a tool", "inputSchema": schema})
}

/// Keywords that a layer which reads schemas into types of its own would lose.
fn schema() -> Value {
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "$defs": {"address": {
            "$anchor": "addressDef",
            "type": "object",
            "properties": {"street": {"type": "string"}, "city": {"type": "string"}},
        }},
        "properties": {
            "name": {"type": "string"},
            "address": {"$ref": "#/$defs/address"},
            "contactMethod": {"type": "string", "enum": ["phone", "email"]},
            "phone": {"type": "string"},
            "email": {"type": "string"},
        },
        "allOf": [{"anyOf": [{"required": ["phone"]}, {"required": ["email"]}]}],
        "if": {"properties": {"contactMethod": {"const": "phone"}}, "required": ["contactMethod"]},
        "then": {"required": ["phone"]},
        "else": {"required": ["email"]},
        "additionalProperties": false,
    })
}

/// A text as content.
pub(crate) fn said(text: impl Into<String>) -> ContentBlock {
    ContentBlock::text(text)
}

pub(crate) async fn call(
    request: &CallToolRequestParams,
    context: &RequestContext<RoleServer>,
    secret: &Secret,
) -> Result<CallToolResponse, ErrorData> {
    let name = request.name.as_ref();
    let client = context.meta.client_capabilities().unwrap_or_default();
    if let Some(name) = name.strip_prefix("test_input_required_result_") {
        return input::call(name, request, &client, secret);
    }
    let resource = |uri: &str, kind: &str, text: &str| json!({"type": "resource", "resource": {"uri": uri, "mimeType": kind, "text": text}});
    let picture = json!({"type": "image", "data": PICTURE, "mimeType": "image/png"});
    let content = match name {
        "test_simple_text" => json!([{"type": "text", "text": "This is a simple text response for testing."}]),
        "test_image_content" => json!([picture]),
        "test_audio_content" => json!([{"type": "audio", "data": SOUND, "mimeType": "audio/wav"}]),
        "test_embedded_resource" => {
            json!([resource("test://embedded-resource", "text/plain", "This is an embedded resource content.")])
        }
        "test_multiple_content_types" => {
            let data = resource("test://mixed-content-resource", "application/json", r#"{"test":"data","value":123}"#);
            json!([{"type": "text", "text": "Multiple content types test:"}, picture, data])
        }
        "test_tool_with_logging" => {
            for step in ["Tool execution started", "Tool processing data", "Tool execution completed"] {
                log(context, LoggingLevel::Info, step).await;
            }
            json!([])
        }
        "test_logging_tool" => {
            if let Some(level) = context.meta.log_level() {
                log(context, level, "asked for").await;
            }
            json!([])
        }
        "test_tool_with_progress" => {
            for progress in [0.0, 50.0, 100.0] {
                tell(context, progress).await;
            }
            json!([])
        }
        "test_error_handling" => {
            let text = "This tool intentionally returns an error for testing";
            return Ok(CallToolResult::error(vec![said(text)]).into());
        }
        "test_missing_capability" if client.sampling.is_none() => {
            let needed = ClientCapabilities::builder().enable_sampling().build();
            return Err(ErrorData::missing_required_client_capability(needed));
        }
        "test_streaming_elicitation" => {
            return Ok(input::ask(json!({"value": input::form("Which value?", "value")}), None)?.into());
        }
        "test_sampling" | "test_elicitation" => {
            // Up to 2025-11-25 a server asks its client in a request of its own, which takes a session.
            return Ok(CallToolResult::error(vec![said("nothing can be asked without a session")]).into());
        }
        other if PLAIN.contains(&other) || ["json_schema_2020_12_tool", WITH_HEADER].contains(&other) => json!([]),
        other => return Err(ErrorData::invalid_params(format!("unknown tool '{other}'"), None)),
    };
    Ok(result::<CallToolResult>(json!({"content": content}))?.into())
}

/// A client that has left is no failure of the call.
async fn log(context: &RequestContext<RoleServer>, level: LoggingLevel, text: &str) {
    let message = LoggingMessageNotificationParam::new(level, json!(text)).with_logger("fixture");
    drop(context.peer.notify_logging_message(message).await);
}

async fn tell(context: &RequestContext<RoleServer>, progress: f64) {
    if let Some(token) = context.meta.get_progress_token() {
        let step = ProgressNotificationParam::new(token, progress).with_total(100.0);
        drop(context.peer.notify_progress(step).await);
    }
}
