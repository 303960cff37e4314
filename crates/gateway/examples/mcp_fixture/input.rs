//! Tools that ask the client for something before they can answer (revision 2026-07-28).

use std::sync::Arc;

use rmcp::ErrorData;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ClientCapabilities, InputRequiredResult, InputResponses,
};
use serde_json::{Value, json};
use uuid::Uuid;

use crate::handler::read;
use crate::tools::said;

/// What only this process can have written into a state: enough to notice that a client changed one.
#[derive(Clone)]
pub(crate) struct Secret(Arc<str>);

impl Default for Secret {
    fn default() -> Self {
        Self(Uuid::new_v4().simple().to_string().into())
    }
}

impl Secret {
    fn seal(&self, stage: &str) -> String {
        format!("{stage}.{}", self.0)
    }

    /// The stage of a state; `None` without one.
    fn open<'a>(&self, state: Option<&'a str>) -> Result<Option<&'a str>, ErrorData> {
        let Some(state) = state else { return Ok(None) };
        match state.split_once('.') {
            Some((stage, secret)) if secret == &*self.0 => Ok(Some(stage)),
            _ => Err(ErrorData::invalid_params("'requestState' is not what this server gave", None)),
        }
    }
}

/// A question to the user, with one text as its answer.
pub(crate) fn form(message: &str, field: &str) -> Value {
    let schema = json!({"type": "object", "properties": {field: {"type": "string"}}, "required": [field]});
    json!({"method": "elicitation/create", "params": {"mode": "form", "message": message, "requestedSchema": schema}})
}

fn sampling(question: &str) -> Value {
    let messages = json!([{"role": "user", "content": {"type": "text", "text": question}}]);
    json!({"method": "sampling/createMessage", "params": {"messages": messages, "maxTokens": 100}})
}

fn roots() -> Value {
    json!({"method": "roots/list"})
}

/// The answer that asks `requests`, a JSON object of name and request.
pub(crate) fn ask(requests: Value, state: Option<String>) -> Result<InputRequiredResult, ErrorData> {
    Ok(InputRequiredResult::new(Some(read(requests)?), state))
}

/// A usable answer of the client: anything but an object counts as missing, and is asked for again.
pub(crate) fn answer<'a>(answers: Option<&'a InputResponses>, name: &str) -> Option<&'a Value> {
    answers?.get(name).filter(|answer| answer.is_object())
}

/// One of the tools `test_input_required_result_…`; `name` is what follows.
pub(crate) fn call(
    name: &str,
    request: &CallToolRequestParams,
    client: &ClientCapabilities,
    secret: &Secret,
) -> Result<CallToolResponse, ErrorData> {
    let answers = request.input_responses.as_ref();
    let stage = secret.open(request.request_state.as_deref())?;
    let text = |text: String| Ok(CallToolResponse::from(CallToolResult::success(vec![said(text)])));
    let asking =
        |requests: Value, stage: Option<&str>| Ok(ask(requests, stage.map(|stage| secret.seal(stage)))?.into());
    let user_name = || form("What is your name?", "name");
    match name {
        "elicitation" => match answer(answers, "user_name") {
            Some(answer) => text(format!("Hello, {}!", answer["content"]["name"].as_str().unwrap_or("you"))),
            None => asking(json!({"user_name": user_name()}), None),
        },
        "sampling" => match answer(answers, "capital_question") {
            Some(answer) => text(format!("The model says: {}", answer["content"])),
            None => asking(json!({"capital_question": sampling("What is the capital of France?")}), None),
        },
        "list_roots" => match answer(answers, "client_roots") {
            Some(answer) => text(format!("The folders are: {}", answer["roots"])),
            None => asking(json!({"client_roots": roots()}), None),
        },
        "request_state" | "tampered_state" => match stage {
            Some(_) => text("state-ok".to_owned()),
            None => asking(json!({"confirm": form("Go on?", "ok")}), Some("confirm")),
        },
        "multiple_inputs" => {
            let all = ["user_name", "greeting", "client_roots"].iter().all(|name| answer(answers, name).is_some());
            if all && stage.is_some() {
                return text("all there".to_owned());
            }
            let greeting = sampling("Say hello.");
            asking(json!({"user_name": user_name(), "greeting": greeting, "client_roots": roots()}), Some("gather"))
        }
        "multi_round" => match stage {
            None => asking(json!({"step1": user_name()}), Some("1")),
            Some("1") => asking(json!({"step2": form("Which colour?", "color")}), Some("2")),
            Some(_) => text("three rounds".to_owned()),
        },
        "capabilities" if answers.is_none() => {
            let mut requests = json!({});
            if client.elicitation.is_some() {
                requests["user_name"] = user_name();
            }
            if client.sampling.is_some() {
                requests["greeting"] = sampling("Say hello.");
            }
            if client.roots.is_some() {
                requests["client_roots"] = roots();
            }
            if requests == json!({}) { text("nothing can be asked".to_owned()) } else { asking(requests, None) }
        }
        "capabilities" => text("answered".to_owned()),
        _ => Err(ErrorData::invalid_params(format!("unknown tool '{}'", request.name), None)),
    }
}
