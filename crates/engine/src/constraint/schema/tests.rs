//! What is refused and where, and what reaches llguidance.

use serde_json::json;

use super::*;

#[test]
fn refusals_name_the_keyword_and_its_path() {
    let deep = (0..60).fold(json!({}), |inner, _| json!({"items": inner}));
    let wide: Vec<Value> = (0..6000).map(|index| json!({"const": index})).collect();
    for (schema, path, code) in [
        (json!({"not": {}}), "not", "unsupported_schema"),
        (json!({"properties": {"x": {"not": {}}}}), "properties.x.not", "unsupported_schema"),
        (json!({"if": {}, "then": {}}), "if", "unsupported_schema"),
        (json!({"uniqueItems": true}), "uniqueItems", "unsupported_schema"),
        (json!({"contains": {}}), "contains", "unsupported_schema"),
        (json!({"dependentRequired": {}}), "dependentRequired", "unsupported_schema"),
        (json!({"dependentSchemas": {}}), "dependentSchemas", "unsupported_schema"),
        (json!({"propertyNames": {}}), "propertyNames", "unsupported_schema"),
        (json!({"unevaluatedProperties": false}), "unevaluatedProperties", "unsupported_schema"),
        (json!({"nullable": true}), "nullable", "unsupported_schema"),
        (json!({"properties": {"a": {"minimun": 1}}}), "properties.a.minimun", "unsupported_schema"),
        (json!({"anyOf": [{}, {"$dynamicRef": "#a"}]}), "anyOf[1].$dynamicRef", "unsupported_schema"),
        (json!({"items": {"$id": "x"}}), "items.$id", "unsupported_schema"),
        (json!({"$ref": "https://example.com/s"}), "$ref", "unsupported_schema"),
        (json!({"$ref": "#name"}), "$ref", "unsupported_schema"),
        (json!({"$ref": "#/$defs/none"}), "$ref", "invalid_schema"),
        (json!({"items": {"$ref": "#/$defs/a"}, "$defs": {"a": {"not": {}}}}), "$defs.a.not", "unsupported_schema"),
        (json!({"type": "string", "format": "regex"}), "format", "unsupported_schema"),
        (json!({"pattern": "(?=a)b"}), "pattern", "unsupported_schema"),
        (json!({"pattern": "("}), "pattern", "unsupported_schema"),
        (json!({"pattern": "a\\"}), "pattern", "invalid_schema"),
        (json!({"pattern": "a\\x01b"}), "pattern", "unsupported_schema"),
        (json!({"patternProperties": {"a": {}, "ab": {}}}), "patternProperties.ab", "unsupported_schema"),
        (json!({"const": {"a": "\u{0}"}}), "const", "unsupported_schema"),
        (json!({"patternProperties": {"(": {}}}), "patternProperties.(", "unsupported_schema"),
        (json!({"oneOf": [{"type": "number"}, {"type": "integer"}]}), "oneOf", "unsupported_schema"),
        (json!({"type": "text"}), "type", "invalid_schema"),
        (json!({"type": []}), "type", "invalid_schema"),
        (json!({"enum": []}), "enum", "invalid_schema"),
        (json!({"enum": [1, 9007199254740993i64]}), "enum[1]", "unsupported_schema"),
        (json!({"const": "x".repeat(20_000)}), "const", "grammar_too_complex"),
        (json!({"minimum": 1e300}), "minimum", "unsupported_schema"),
        (json!({"minLength": -1}), "minLength", "invalid_schema"),
        (json!({"maxItems": 1.5}), "maxItems", "invalid_schema"),
        (json!({"maxItems": 1e12}), "maxItems", "grammar_too_complex"),
        (json!({"multipleOf": 0}), "multipleOf", "invalid_schema"),
        (json!({"required": "a"}), "required", "invalid_schema"),
        (json!({"properties": []}), "properties", "invalid_schema"),
        (json!({"properties": {"a": 1}}), "properties.a", "invalid_schema"),
        (json!({"required": ["a", "b"], "maxProperties": 1}), "maxProperties", "invalid_schema"),
        (json!({"minProperties": 2}), "minProperties", "unsupported_schema"),
        (json!({"maxProperties": 2, "properties": {"a": {}}}), "maxProperties", "unsupported_schema"),
        (json!(false), "", "invalid_schema"),
        (json!({"$ref": "#"}), "", "invalid_schema"),
        (json!({"type": "object", "properties": {"a": {"$ref": "#"}}, "required": ["a"]}), "", "invalid_schema"),
        (
            json!({"properties": {"a": {"$ref": "#/$defs/l"}},
                "$defs": {"l": {"type": "array", "minItems": 1, "items": {"$ref": "#/$defs/l"}}}}),
            "$defs.l",
            "invalid_schema",
        ),
        (json!({"anyOf": wide}), "anyOf[1999]", "grammar_too_complex"),
    ] {
        let error = prepare(&schema).expect_err(&schema.to_string());
        assert_eq!((error.path.as_deref().unwrap_or_default(), error.code), (path, code), "{schema}: {error}");
    }
    assert_eq!(prepare(&deep).expect_err("deep").code, "grammar_too_complex");
    let large = json!({"description": "x".repeat(LARGEST)});
    assert_eq!(prepare(&large).expect_err("large").code, "grammar_too_complex");
}

#[test]
fn annotations_and_unused_definitions_do_not_reach_the_grammar() {
    let schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "https://example.com/s",
        "title": "T",
        "x-note": {"not": 1},
        "type": "object",
        "properties": {
            "title": {"type": "string", "description": "d", "default": {"not": 1}, "examples": [1]},
            "count": {"type": "integer", "format": "int64", "uniqueItems": false, "minLength": 2.0},
        },
        "$defs": {"unused": {"not": {}}},
    });
    let wanted = json!({
        "type": "object",
        "properties": {"title": {"type": "string"}, "count": {"type": "integer", "minLength": 2, "minimum": -9007199254740991i64, "maximum": 9007199254740991i64}},
    });
    assert_eq!(prepare(&schema), Ok(wanted));
}

#[test]
fn references_are_checked_once_and_moved() {
    let schema = json!({
        "properties": {"a/b": {"type": "string"}, "x": {"$ref": "#/properties/a~1b"}, "y": {"$ref": "#/properties/a%2Fb"},
            "t": {"$ref": "#/definitions/tree"}, "z": {"$ref": "#/properties/a~1b"}},
        "definitions": {"tree": {"type": "array", "items": {"$ref": "#/definitions/tree"}, "title": "Tree"}},
    });
    let error = prepare(&schema).expect_err("a%2Fb is two parts of a pointer");
    assert_eq!(error.path.as_deref(), Some("properties.y.$ref"));
    let mut schema = schema;
    schema["properties"]["y"] = json!(true);
    let wanted = json!({
        "properties": {"a/b": {"type": "string"}, "x": {"$ref": "#/$defs/d0"}, "y": true,
            "t": {"$ref": "#/$defs/d1"}, "z": {"$ref": "#/$defs/d0"}},
        "$defs": {"d0": {"type": "string"}, "d1": {"type": "array", "items": {"$ref": "#/$defs/d1"}}},
    });
    assert_eq!(prepare(&schema), Ok(wanted));
}

#[test]
fn recursion_that_can_end_passes() {
    for schema in [
        json!({"type": "object", "properties": {"next": {"$ref": "#"}}}),
        json!({"type": ["object", "null"], "properties": {"next": {"$ref": "#"}}, "required": ["next"]}),
        json!({"type": "object", "properties": {"next": {"anyOf": [{"type": "null"}, {"$ref": "#"}]}}, "required": ["next"]}),
        json!({"type": "array", "items": {"$ref": "#"}}),
    ] {
        assert!(prepare(&schema).is_ok(), "{schema}");
    }
}
