//! Prompts and resources.

use rmcp::ErrorData;
use rmcp::model::{GetPromptRequestParams, GetPromptResponse, GetPromptResult, ReadResourceResult};
use serde_json::{Value, json};

use crate::handler::result;
use crate::input;
use crate::tools::PICTURE;

pub(crate) fn prompts() -> Value {
    let argument = |name: &str| json!({"name": name, "description": "a text", "required": true});
    let prompt =
        |name: &str, arguments: Value| json!({"name": name, "description": "a prompt", "arguments": arguments});
    json!({"prompts": [
        prompt("test_simple_prompt", json!([])),
        prompt("test_prompt_with_arguments", json!([argument("arg1"), argument("arg2")])),
        prompt("test_prompt_with_embedded_resource", json!([argument("resourceUri")])),
        prompt("test_prompt_with_image", json!([])),
        prompt("test_input_required_result_prompt", json!([])),
    ]})
}

pub(crate) fn prompt(request: &GetPromptRequestParams) -> Result<GetPromptResponse, ErrorData> {
    let given = |name: &str| -> String {
        let arguments = request.arguments.as_ref();
        arguments.and_then(|all| all.get(name)?.as_str()).unwrap_or_default().to_owned()
    };
    let user = |content: Value| json!({"role": "user", "content": content});
    let text = |text: &str| user(json!({"type": "text", "text": text}));
    let messages = match request.name.as_str() {
        "test_simple_prompt" => json!([text("This is a simple prompt for testing.")]),
        "test_prompt_with_arguments" => {
            json!([text(&format!("Prompt with arguments: arg1='{}', arg2='{}'", given("arg1"), given("arg2")))])
        }
        "test_prompt_with_embedded_resource" => {
            let resource = json!({"uri": given("resourceUri"), "mimeType": "text/plain", "text": "A text to embed."});
            json!([user(json!({"type": "resource", "resource": resource})), text("What does it say?")])
        }
        "test_prompt_with_image" => {
            let picture = json!({"type": "image", "data": PICTURE, "mimeType": "image/png"});
            json!([user(picture), text("What is to be seen?")])
        }
        "test_input_required_result_prompt" => match input::answer(request.input_responses.as_ref(), "user_context") {
            Some(answer) => json!([text(&format!("Mind this: {}", answer["content"]["context"]))]),
            None => {
                let question = input::form("What should the prompt mind?", "context");
                return Ok(input::ask(json!({"user_context": question}), None)?.into());
            }
        },
        other => return Err(ErrorData::invalid_params(format!("unknown prompt '{other}'"), None)),
    };
    Ok(result::<GetPromptResult>(json!({"messages": messages}))?.into())
}

pub(crate) fn resources() -> Value {
    let resource = |uri: &str, kind: &str| json!({"uri": uri, "name": uri, "description": "a file", "mimeType": kind});
    json!({"resources": [
        resource("test://static-text", "text/plain"),
        resource("test://static-binary", "image/png"),
        resource("test://watched-resource", "text/plain"),
    ]})
}

pub(crate) fn templates() -> Value {
    json!({"resourceTemplates": [
        {"uriTemplate": "test://template/{id}/data", "name": "data", "description": "data of an id", "mimeType": "application/json"},
    ]})
}

pub(crate) fn resource(uri: &str) -> Result<ReadResourceResult, ErrorData> {
    let id = uri.strip_prefix("test://template/").and_then(|rest| rest.strip_suffix("/data"));
    let content = match (uri, id) {
        (_, Some(id)) => {
            let text = json!({"id": id, "templateTest": true, "data": format!("Data for ID: {id}")}).to_string();
            json!({"uri": uri, "mimeType": "application/json", "text": text})
        }
        ("test://static-text", _) => {
            json!({"uri": uri, "mimeType": "text/plain", "text": "This is the content of the static text resource."})
        }
        ("test://static-binary", _) => json!({"uri": uri, "mimeType": "image/png", "blob": PICTURE}),
        ("test://watched-resource", _) => json!({"uri": uri, "mimeType": "text/plain", "text": "Nothing changes."}),
        _ => return Err(ErrorData::invalid_params("no such resource", Some(json!({"uri": uri})))),
    };
    result(json!({"contents": [content]}))
}
