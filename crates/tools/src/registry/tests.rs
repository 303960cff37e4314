use std::time::Duration;

use lla_inference::{Backend, Error, MockBackend, Script};
use serde_json::json;

use super::*;
use crate::files::{Files, Limits};
use crate::models::{Model, Models};
use crate::output::Tokens;

/// The same backend for every tier, with windows of its own.
struct Fixed {
    small: Arc<MockBackend>,
    main: Arc<MockBackend>,
    window: u32,
}

impl Models for Fixed {
    fn of(&self, tier: Tier) -> Result<Model, Error> {
        let (backend, window) = match tier {
            Tier::Small => (&self.small, self.window),
            Tier::Main => (&self.main, 1 << 20),
        };
        let name = backend.name().to_owned();
        let backend = Arc::clone(backend) as Arc<dyn Backend>;
        Ok(Model { backend, public_name: name.clone(), name, tier: Some(tier), window: Some(window) })
    }
}

struct World {
    small: Arc<MockBackend>,
    main: Arc<MockBackend>,
    context: Context,
}

impl World {
    fn new(script: Script) -> Self {
        let small = Arc::new(MockBackend::new("tiny").with_script(script.clone()));
        let main = Arc::new(MockBackend::new("big").with_script(script));
        let models = Fixed { small: Arc::clone(&small), main: Arc::clone(&main), window: 4000 };
        Self { small, main, context: Context::new(Arc::new(models)) }
    }

    async fn call(&self, name: &str, arguments: Value) -> Result<Value, ToolError> {
        Registry::standard().call(name, arguments, self.context.clone()).await
    }
}

#[test]
fn schemas_stand_alone_are_closed_and_describe_every_field() {
    let registry = Registry::standard();
    let names: Vec<&str> = registry.specs().map(|spec| spec.name).collect();
    assert_eq!(names, ["classify", "extract", "summarize", "rewrite"]);
    for spec in registry.specs() {
        assert!(!spec.description.contains("  "), "{}: {}", spec.name, spec.description);
        for schema in [&spec.input_schema, &spec.output_schema] {
            assert_eq!(schema["type"], "object", "{}", spec.name);
            assert!(jsonschema::meta::is_valid(&Value::Object(schema.clone())), "{}", spec.name);
            let text = serde_json::to_string(schema).expect("json");
            for word in ["$ref", "$defs", "\"format\"", "uint"] {
                assert!(!text.contains(word), "{}: {word} in {text}", spec.name);
            }
            for (name, field) in schema["properties"].as_object().expect("fields") {
                assert!(field["description"].is_string(), "{}.{name} has no description", spec.name);
            }
        }
        for (name, field) in spec.input_schema["properties"].as_object().expect("fields") {
            if name != "labels" {
                assert!(field["type"].is_string(), "{}.{name}: clients want one type: {field}", spec.name);
            }
        }
        assert_eq!(spec.input_schema["additionalProperties"], false, "{}", spec.name);
        for unwanted in ["oneOf", "anyOf", "allOf"] {
            assert!(!spec.input_schema.contains_key(unwanted), "{}: clients refuse it at the top", spec.name);
        }
    }
}

#[tokio::test]
async fn wrong_arguments_are_named_and_no_model_is_asked() {
    let world = World::new(Script::text("x"));
    let labels = json!(["a", "b"]);
    let table = [
        ("classify", json!([]), None, "invalid_type"),
        ("classify", json!({"text": "t"}), Some("labels"), "missing_required_parameter"),
        ("classify", json!({"text": "t", "labels": labels, "lables": 1}), Some("lables"), "unknown_parameter"),
        ("classify", json!({"text": "t", "labels": ["a"]}), Some("labels"), "out_of_range"),
        ("classify", json!({"text": "t", "labels": "a"}), Some("labels"), "invalid_type"),
        ("classify", json!({"text": "t", "labels": ["a", ""]}), Some("labels[1]"), "invalid_value"),
        ("classify", json!({"text": "t", "labels": ["a", "a"]}), Some("labels"), "invalid_value"),
        ("classify", json!({"text": "", "labels": labels}), Some("text"), "invalid_value"),
        ("classify", json!({"text": " ", "labels": labels}), Some("text"), "invalid_value"),
        ("classify", json!({"labels": labels}), Some("text"), "missing_required_parameter"),
        ("classify", json!({"text": "t", "path": "p", "labels": labels}), Some("path"), "invalid_value"),
        ("classify", json!({"path": "p", "labels": labels}), Some("path"), "no_allowed_folder"),
        ("classify", json!({"text": "t", "labels": labels, "threshold": 1.5}), Some("threshold"), "out_of_range"),
        (
            "classify",
            json!({"text": "t", "labels": labels, "descriptions": {"c": ""}}),
            Some("descriptions.c"),
            "invalid_value",
        ),
        (
            "classify",
            json!({"text": "t", "labels": labels, "examples": [{"text": "x", "label": "c"}]}),
            Some("examples[0].label"),
            "invalid_value",
        ),
        (
            "classify",
            json!({"text": "t", "labels": labels, "examples": [{"text": "x", "lable": "c"}]}),
            Some("examples[0].lable"),
            "unknown_parameter",
        ),
        ("extract", json!({"text": "t", "schema": {}}), Some("schema"), "out_of_range"),
        ("extract", json!({"text": "t", "schema": {"type": "array"}}), Some("schema.type"), "invalid_value"),
        ("extract", json!({"text": "t", "schema": {"properties": 3}}), Some("schema"), "invalid_schema"),
        ("summarize", json!({"text": "t", "max_words": 4}), Some("max_words"), "out_of_range"),
        ("summarize", json!({"text": "t", "max_words": 10.5}), Some("max_words"), "invalid_type"),
        ("summarize", json!({"text": "t", "style": "haiku"}), Some("style"), "invalid_value"),
        ("summarize", json!({"text": 3}), Some("text"), "invalid_type"),
        ("rewrite", json!({"text": "t"}), Some("instruction"), "missing_required_parameter"),
        ("rewrite", json!({"text": "t", "style": "plain", "instruction": "x"}), Some("style"), "invalid_value"),
        ("rewrite", json!({"text": "t", "style": "plain", "keep": ["x"]}), Some("keep[0]"), "invalid_value"),
    ];
    for (tool, arguments, field, code) in table {
        let error = world.call(tool, arguments.clone()).await.expect_err("wrong");
        assert_eq!((error.field(), error.code()), (field, Some(code)), "{tool} {arguments}: {error}");
        if let Some(field) = field {
            assert!(error.to_string().contains(&format!("'{field}'")), "{error}");
        }
    }
    assert_eq!((world.small.chats().len(), world.main.chats().len()), (0, 0));
    let unknown = world.call("translate", json!({})).await.expect_err("unknown");
    assert_eq!(unknown.to_string(), "there is no tool 'translate'; there are classify, extract, summarize, rewrite");
}

#[tokio::test]
async fn every_result_fits_its_schema_and_carries_its_costs() {
    let table = [
        ("classify", json!({"text": "t", "labels": {"a": "", "b": "x"}}), r#"{"label": "b"}"#),
        ("classify", json!({"text": "t", "labels": ["a", "b"], "multi_label": true}), r#"{"labels": ["b", "a"]}"#),
        ("classify", json!({"text": "t", "labels": ["a", "b"]}), "nonsense"),
        (
            "extract",
            json!({"text": "Bo is 7, Al is 8", "schema": {"properties": {"n": {"type": "integer"}}}}),
            r#"{"n": 7}"#,
        ),
        ("summarize", json!({"text": "t", "max_words": 5, "path": null, "style": null}), "one two three four five six"),
        ("rewrite", json!({"text": "keep 7 now", "instruction": "As a poem.", "keep": ["7", "now"]}), "now 8"),
    ];
    for (tool, arguments, said) in table {
        let world = World::new(Script::text(said));
        let result = world.call(tool, arguments).await.expect(tool);
        let registry = Registry::standard();
        let schema = Value::Object(registry.spec(tool).expect("there").output_schema.clone());
        let validator = jsonschema::draft202012::new(&schema).expect("a schema");
        let wrong: Vec<String> = validator.iter_errors(&result).map(|error| error.to_string()).collect();
        assert_eq!(wrong, [""; 0], "{tool}: {result}");
        assert_eq!((&result["model"], &result["tier"]), (&json!("tiny"), &json!("small")));
        assert!(result["usage"]["prompt_tokens"].as_u64() > Some(0) && result["latency_ms"].as_f64() > Some(0.0));
        assert_eq!(result["files_read"], json!([]));
    }
}

#[tokio::test]
async fn a_text_that_does_not_fit_goes_to_the_main_model() {
    let world = World::new(Script::text(r#"{"n": {}}"#));
    // An object of any kind is for the model to write, with the whole text before it.
    let schema = json!({"properties": {"n": {"type": "object"}}});
    let text = |words: usize| json!({"text": "word ".repeat(words), "schema": schema});
    let fits = world.call("extract", text(1000)).await.expect("fits");
    let long = world.call("extract", text(5000)).await.expect("promoted");
    assert_eq!((&fits["model"], &long["model"], &long["tier"]), (&json!("tiny"), &json!("big"), &json!("main")));
}

#[tokio::test]
async fn a_file_is_read_and_named() {
    let folder = tempfile::tempdir().expect("folder");
    std::fs::write(folder.path().join("mail.txt"), "please pay").expect("write");
    let mut world = World::new(Script::text("a summary"));
    world.context.files = Files::new([folder.path().to_owned()], Limits::default());
    let result = world.call("summarize", json!({"path": "mail.txt"})).await.expect("read");
    assert_eq!(result["files_read"], json!([{"path": "mail.txt", "bytes": 10}]));
    assert_eq!(result["summary"], "please pay.");
}

/// A tool that panics, for the tests of this file.
struct Broken;

#[async_trait]
impl Tool for Broken {
    const NAME: &'static str = "broken";
    const TITLE: &'static str = "Broken";
    const DESCRIPTION: &'static str = "Panics.";
    type Params = Value;
    type Result = Tokens;

    async fn run(&self, _params: Value, _call: &Call) -> Result<Tokens, ToolError> {
        panic!("on purpose")
    }
}

#[tokio::test]
async fn a_panic_is_an_internal_error() {
    let world = World::new(Script::text("x"));
    let result = Registry::new().with(Broken).call("broken", json!({}), world.context).await;
    assert_eq!(result, Err(ToolError::Internal));
}

#[tokio::test(start_paused = true)]
async fn work_ends_with_the_deadline_or_when_the_caller_leaves() {
    let mut world = World::new(Script::NeverEnds { text: "a".to_owned() });
    world.context.deadline = Duration::from_secs(7);
    let error = world.call("summarize", json!({"text": "t"})).await;
    assert_eq!(error, Err(ToolError::Deadline(Duration::from_secs(7))));
    assert_eq!(world.small.running(), 0, "the model's work has ended");

    let left = tokio::time::timeout(Duration::from_secs(1), world.call("summarize", json!({"text": "t"}))).await;
    assert!(left.is_err());
    assert_eq!(world.small.running(), 0, "the model's work has ended");
}
