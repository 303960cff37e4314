use super::*;

fn parse(input: &str, questions: &str) -> Result<DecisionRequest, FieldError> {
    DecisionRequest::parse(format!(r#"{{"model":"m","input":{input},"questions":{questions}}}"#).as_bytes())
}

const PREDICATE: &str = r#"[{"type":"predicate","instructions":"It rains."}]"#;

#[test]
fn inputs_are_texts_or_conversations() {
    let request = parse(r#""wet""#, PREDICATE).expect("good");
    assert_eq!(request.input, DecisionInput::Text("wet".to_owned()));
    let items = r#"[
        {"role":"system","content":"Be brief.","type":"message"},
        {"role":"user","content":[{"type":"input_text","text":"a"},{"type":"input_json","data":{"b":1}}]},
        {"type":"function_call","call_id":"1","name":"look","arguments":"{}"},
        {"type":"function_call_output","call_id":"1","output":[{"type":"input_text","text":"sun"}]},
        {"role":"assistant","content":[{"type":"output_text","text":"c"},{"type":"refusal","refusal":"d"}]}
    ]"#;
    let message = |role: &str, text: &str| DecisionItem::Message { role: role.to_owned(), text: text.to_owned() };
    let wanted = vec![
        message("system", "Be brief."),
        message("user", "a\n{\"b\":1}"),
        DecisionItem::Call { name: "look".to_owned(), arguments: "{}".to_owned() },
        DecisionItem::Output { text: "sun".to_owned() },
        message("assistant", "c\nd"),
    ];
    assert_eq!(parse(items, PREDICATE).expect("good").input, DecisionInput::Items(wanted));
}

#[test]
fn questions_have_three_types() {
    let questions = r#"[
        {"type":"predicate","name":"rain","instructions":[{"type":"input_text","text":"It rains."}]},
        {"type":"choice","instructions":"Which?","choices":[{"value":"true"},{"value":true,"description":"yes"}]},
        {"type":"score","instructions":"How wet?","levels":[{"label":"dry"},{"label":"wet"}]}
    ]"#;
    let request = parse(r#""x""#, questions).expect("good");
    assert_eq!(request.questions[0].name.as_deref(), Some("rain"));
    let choices = vec![(ChoiceValue::Text("true".into()), None), (ChoiceValue::Bool(true), Some("yes".to_owned()))];
    assert_eq!(request.questions[1].kind, QuestionKind::Choice(choices));
    let levels = vec![("dry".to_owned(), None), ("wet".to_owned(), None)];
    assert_eq!(request.questions[2].kind, QuestionKind::Score(levels));
}

#[test]
fn errors_name_the_field_and_the_place() {
    let many = format!("[{}]", vec![r#"{"type":"predicate","instructions":"a"}"#; 401].join(","));
    let image = r#"[{"role":"user","content":[{"type":"input_image","image_url":"x"}]}]"#;
    let lost = r#"[{"type":"function_call_output","call_id":"9","output":"x"}]"#;
    let twice = r#"[{"type":"choice","instructions":"a","choices":[{"value":"x"},{"value":"x"}]}]"#;
    let single = r#"[{"type":"score","instructions":"a","levels":[{"label":"x"}]}]"#;
    for (input, questions, param) in [
        (r#""""#, PREDICATE, "input"),
        ("[]", PREDICATE, "input"),
        ("7", PREDICATE, "input"),
        (image, PREDICATE, "input[0].content[0]"),
        (lost, PREDICATE, "input[0].call_id"),
        (r#"[{"role":"tool","content":"x"}]"#, PREDICATE, "input[0].role"),
        (r#""x""#, "[]", "questions"),
        (r#""x""#, &many, "questions"),
        (r#""x""#, r#"[{"type":"guess","instructions":"a"}]"#, "questions[0].type"),
        (r#""x""#, r#"[{"type":"predicate"}]"#, "questions[0].instructions"),
        (r#""x""#, r#"[{"type":"predicate","instructions":" "}]"#, "questions[0].instructions"),
        (r#""x""#, r#"[{"type":"choice","instructions":"a"}]"#, "questions[0].choices"),
        (r#""x""#, twice, "questions[0].choices[1]"),
        (r#""x""#, single, "questions[0].levels"),
    ] {
        let error = parse(input, questions).expect_err(questions);
        assert_eq!(error.param.as_deref(), Some(param), "{}", error.message);
    }
}

#[test]
fn answers_have_the_documented_shape() {
    let answer = DecisionAnswer {
        name: None,
        found: Found::Choice {
            choice: ChoiceValue::Bool(true),
            confidence: 0.5,
            probabilities: vec![ChoiceProbability { value: ChoiceValue::Bool(true), probability: 1.0 }],
        },
        measured: true,
        label_mass: Some(0.25),
        abstained: None,
    };
    assert_eq!(
        serde_json::to_string(&answer).expect("json"),
        r#"{"name":null,"type":"choice","choice":true,"confidence":0.5,"probabilities":[{"value":true,"probability":1.0}],"measured":true,"label_mass":0.25}"#
    );
}
