//! Restrictions of the answer: they reach the engine, or the request names what is wrong with them.

use serde_json::json;

use super::*;

fn of_schema(schema: &Value) -> Value {
    json!({"response_format": {"type": "json_schema", "json_schema": {"name": "x", "strict": true, "schema": schema}}})
}

#[tokio::test]
async fn every_choice_gets_its_own_constraint() {
    let (server, engine) = served(Behaviour::Say(&["x"])).await;
    let schema = json!({"type": "object", "properties": {"a": {"type": "integer"}}, "additionalProperties": false});
    let mut body = of_schema(&schema);
    body["n"] = json!(2);
    assert_eq!(server.post("/v1/chat/completions", &chat_body(&body)).await.status, 200);
    let body = json!({"model": "tiny", "prompt": "a", "structured_outputs": {"choice": ["yes", "no"]}});
    assert_eq!(server.post("/v1/completions", &body).await.status, 200);
    let free = json!({"response_format": {"type": "text"}, "structured_outputs": null});
    assert_eq!(server.post("/v1/chat/completions", &chat_body(&free)).await.status, 200);
    let mut requests = engine.requests.lock().expect("lock");
    let begins: Vec<Option<bool>> = requests
        .iter_mut()
        .map(|request| {
            let mask = request.constraint.as_mut()?.mask().expect("a mask")?;
            Some(mask.allows(u32::from(b'{')) || mask.allows(u32::from(b'y')))
        })
        .collect();
    assert_eq!(begins, [Some(true), Some(true), Some(true), None]);
}

#[tokio::test]
async fn restrictions_that_can_not_be_used_name_the_place() {
    let (server, engine) = served(Behaviour::Say(&["x"])).await;
    let schema = "response_format.json_schema.schema";
    let long = "a".repeat(20_000);
    let cases = [
        (
            of_schema(&json!({"properties": {"x": {"not": {}}}})),
            "unsupported_schema",
            format!("{schema}.properties.x.not"),
        ),
        (of_schema(&json!({"anyOf": [{"type": "text"}]})), "invalid_schema", format!("{schema}.anyOf[0].type")),
        (of_schema(&json!({"type": "integer", "minimum": 2, "maximum": 1})), "invalid_schema", schema.to_owned()),
        (json!({"response_format": {"type": "json_schema"}}), "invalid_type", schema.to_owned()),
        (json!({"guided_regex": "("}), "invalid_grammar", "guided_regex".to_owned()),
        (json!({"guided_regex": long}), "grammar_too_complex", "guided_regex".to_owned()),
        (json!({"guided_choice": ["a", ""]}), "invalid_grammar", "guided_choice[1]".to_owned()),
        (json!({"structured_outputs": {"grammar": "x"}}), "invalid_grammar", "structured_outputs.grammar".to_owned()),
        (json!({"guided_json": {}, "guided_regex": "a"}), "conflicting_fields", "guided_regex".to_owned()),
        (json!({"guided_whitespace_pattern": " "}), "unsupported_parameter", "guided_whitespace_pattern".to_owned()),
        (json!({"structural_tag": "{}"}), "unsupported_parameter", "structural_tag".to_owned()),
    ];
    for (extra, code, param) in cases {
        let mut prompt = extra.clone();
        prompt
            .as_object_mut()
            .expect("object")
            .extend([("model".into(), json!("tiny")), ("prompt".into(), json!("a"))]);
        for (path, body) in [("/v1/chat/completions", chat_body(&extra)), ("/v1/completions", prompt)] {
            let answer = server.post(path, &body).await;
            let error = error_of(&answer);
            assert_eq!((answer.status, &error["code"], &error["param"]), (400, &json!(code), &json!(param)), "{error}");
            assert_eq!(error["type"], "invalid_request_error");
            let message = error["message"].as_str().unwrap_or_default();
            assert!(message.starts_with(&format!("'{param}': ")), "{message}");
        }
    }
    assert!(engine.requests.lock().expect("lock").is_empty(), "nothing was generated");
}
