//! `docs/api.md` against the routes: every field of its tables is sent.

use std::collections::BTreeSet;

use serde_json::json;

use super::*;

const TABLES: &str = include_str!("../../../../../docs/api.md");

/// A row of a table.
#[derive(Debug)]
struct Row<'a> {
    route: &'a str,
    field: &'a str,
    state: &'a str,
}

/// The rows of all tables, each with the route of the heading above it.
fn rows() -> Vec<Row<'static>> {
    let mut route = "";
    let mut rows = Vec::new();
    for line in TABLES.lines() {
        if let Some(heading) = line.strip_prefix("## `POST ") {
            route = heading.trim_end_matches('`');
        }
        let cells: Vec<&str> = line.split('|').map(str::trim).collect();
        if let [_, field, state, _, _, _] = cells[..]
            && let Some(field) = field.strip_prefix('`').and_then(|field| field.strip_suffix('`'))
        {
            rows.push(Row { route, field, state });
        }
    }
    rows
}

/// What a field holds when it asks for something, with the fields that it needs beside it; and a
/// value of a wrong type (`null`: nothing is checked).
fn sample(route: &str, field: &str) -> Option<(Value, Value)> {
    let number = |good: Value| (json!({ field: good }), json!("x"));
    let text = || (json!({ field: "x" }), json!(1));
    let flag = |good: bool| (json!({ field: good }), json!("x"));
    let any = |good: Value| (json!({ field: good }), json!(null));
    let function = json!({"name": "f", "parameters": {"type": "object"}});
    let is_chat = route.contains("chat");
    Some(match field {
        "messages" => (json!({ field: [{"role": "user", "content": "a"}] }), json!("x")),
        "model" => (json!({ field: "tiny" }), json!(1)),
        "prompt" => (json!({ field: ["a", "b"] }), json!(1)),
        "input" => (json!({ field: ["a", "b"] }), json!(1)),
        "encoding_format" => (json!({ field: "base64" }), json!("x")),
        "dimensions" => number(json!(2)),
        "frequency_penalty" | "presence_penalty" | "temperature" | "min_p" => number(json!(0.5)),
        "top_p" | "repetition_penalty" => number(json!(1)),
        "max_tokens" | "max_completion_tokens" | "n" | "seed" | "top_k" => number(json!(2)),
        "best_of" | "min_tokens" | "prompt_logprobs" | "truncate_prompt_tokens" | "priority" | "length_penalty" => {
            any(json!(2))
        }
        "logit_bias" => (json!({ field: {"5": 1} }), json!(1)),
        "logprobs" if is_chat => flag(true),
        "logprobs" => number(json!(2)),
        "top_logprobs" => {
            (json!({ field: 2, "logprobs": if is_chat { json!(true) } else { json!(null) } }), json!("x"))
        }
        "echo" | "ignore_eos" | "stream" | "store" | "add_generation_prompt" | "add_special_tokens" => flag(true),
        "parallel_tool_calls" => {
            (json!({ field: true, "tools": [{"type": "function", "function": function}] }), json!(1))
        }
        "stream_options" => (json!({ field: {"include_usage": true}, "stream": true }), json!(1)),
        "stop" => (json!({ field: ["x"] }), json!(1)),
        "user" | "safety_identifier" | "prompt_cache_key" | "prompt_cache_retention" | "service_tier" => text(),
        "cache_salt" | "chat_template" | "suffix" | "structural_tag" | "prompt_embeds" => any(json!("x")),
        "verbosity" => (json!({ field: "low" }), json!(1)),
        "reasoning_effort" => (json!({ field: "low" }), json!(1)),
        "metadata" | "prompt_cache_options" => (json!({ field: {"mode": "x"} }), json!(1)),
        "chat_template_kwargs" => (json!({ field: {"a": 1} }), json!(1)),
        "modalities" => any(json!(["text", "audio"])),
        "audio" | "moderation" | "prediction" | "web_search_options" => any(json!({"type": "x"})),
        "functions" => (json!({ field: [function] }), json!(1)),
        "function_call" => (json!({ field: {"name": "f"} }), json!(1)),
        "tools" => (json!({ field: [{"type": "function", "function": function}] }), json!(1)),
        "tool_choice" => (json!({ field: "auto", "tools": [{"type": "function", "function": function}] }), json!(1)),
        "response_format" => (json!({ field: {"type": "json_object"} }), json!(1)),
        "structured_outputs" => (json!({ field: {"regex": "a+"} }), json!(1)),
        "guided_choice" => (json!({ field: ["a"] }), json!(1)),
        "guided_json" => (json!({ field: {"type": "object"} }), json!(1)),
        "guided_grammar" => (json!({ field: "start: \"a\"" }), json!(1)),
        "guided_regex" => (json!({ field: "a+" }), json!(1)),
        "allowed_token_ids" | "bad_words" | "documents" | "logits_processors" | "stop_token_ids" => any(json!([1])),
        "skip_special_tokens" => any(json!(false)),
        "continue_final_message"
        | "include_stop_str_in_output"
        | "return_token_ids"
        | "use_beam_search"
        | "return_tokens_as_token_ids" => any(json!(true)),
        _ => return None,
    })
}

fn body(route: &str, extra: &Value) -> Value {
    let mut body = match route {
        "/v1/chat/completions" => chat_body(&json!({})),
        "/v1/completions" => json!({"model": "tiny", "prompt": "a"}),
        _ => json!({"model": "tiny", "input": "a"}),
    };
    body.as_object_mut().expect("object").extend(extra.as_object().expect("object").clone());
    body
}

/// Whether the answer is a 400 about the field or something in it.
fn names(answer: &Answer, field: &str) -> bool {
    let error = error_of(answer);
    let param = error["param"].as_str().unwrap_or_default();
    let rest = param.strip_prefix(field);
    answer.status == 400 && rest.is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

#[tokio::test]
async fn every_field_of_the_tables_does_what_they_say() {
    let (writes, _engine) = served(Behaviour::Say(&["{}"])).await;
    let (embeds, _engine) = served(Behaviour::Embed).await;
    let mut rows = rows();
    // Decisions are the gateway's, which makes scores of them.
    rows.retain(|row| !matches!(row.route, "/v1/decisions" | "/v1/systemone"));
    assert!(rows.len() > 90, "the tables are read: {} rows", rows.len());
    let known: BTreeSet<_> = rows.iter().map(|row| (row.route, row.field)).collect();
    assert_eq!(known.len(), rows.len(), "a field stands twice in the tables of one route");
    for Row { route, field, state } in rows {
        let (asking, wrong) = sample(route, field).unwrap_or_else(|| panic!("no sample of {field}"));
        let server = if route == "/v1/embeddings" { &embeds } else { &writes };
        let answer = server.post(route, &body(route, &asking)).await;
        match state {
            "honoured" | "accepted" => assert_eq!(answer.status, 200, "{route} {field}: {answer:?}"),
            "refused" => {
                assert!(names(&answer, field), "{route} {field}: {answer:?}");
                assert_eq!(error_of(&answer)["code"], "unsupported_parameter", "{route} {field}");
            }
            other => panic!("{route} {field}: '{other}' is no state"),
        }
        if state == "refused" || wrong.is_null() {
            assert!(state != "honoured", "{route} {field}: no wrong value to try");
            continue;
        }
        let mut asking = asking;
        asking[field] = wrong;
        let answer = server.post(route, &body(route, &asking)).await;
        assert!(names(&answer, field), "{route} {field} of a wrong type: {answer:?}");
    }
}
