//! Prompts with a tool, a call and its result, rendered by the templates of many models.

use std::path::Path;

use serde_json::Map;

use super::*;
use crate::template::{ChatTemplate, SpecialTokens, TemplateOptions};

/// Model, what its template tells, and its `bos`, `eos` and other control tokens.
type Case = (&'static str, &'static str, Family, bool, &'static [&'static str]);

macro_rules! case {
    ($name:literal, $family:expr, $thinks:literal, $tokens:expr) => {
        ($name, include_str!(concat!("../../template/tests/templates/", $name, ".jinja")), $family, $thinks, $tokens)
    };
}

const CASES: &[Case] = &[
    case!("smollm2", Family::Generic, false, &["<|im_start|>", "<|im_end|>"]),
    case!("gemma", Family::Generic, false, &["<bos>", "<eos>", "<start_of_turn>", "<end_of_turn>"]),
    case!("phi3", Family::Generic, false, &["<s>", "<|endoftext|>", "<|user|>", "<|assistant|>", "<|end|>"]),
    case!("mistral", Family::Generic, false, &["<s>", "</s>", "[INST]", "[/INST]"]),
    case!("llama3", Family::Llama3, false, &["<|begin_of_text|>", "<|eot_id|>", "<|python_tag|>"]),
    case!("qwen25", Family::Hermes, false, &["<|endoftext|>", "<|im_end|>", "<|im_start|>"]),
    case!("qwen3", Family::Hermes, true, &["<|endoftext|>", "<|im_end|>", "<|im_start|>"]),
    case!("hermes3", Family::Hermes, false, &["<|begin_of_text|>", "<|im_end|>", "<|im_start|>"]),
    case!("mistral_nemo", Family::Mistral, false, &["<s>", "</s>", "[INST]", "[TOOL_CALLS]", "[AVAILABLE_TOOLS]"]),
    case!("mistral_small", Family::MistralArgs, false, &["<s>", "</s>", "[INST]", "[TOOL_CALLS]", "[ARGS]"]),
    case!("qwen3_coder", Family::QwenTags, false, &["<|endoftext|>", "<|im_end|>", "<|im_start|>"]),
    case!(
        "glm45",
        Family::GlmTags,
        true,
        &["<|endoftext|>", "<|user|>", "<|assistant|>", "<|observation|>", "[gMASK]"]
    ),
    case!(
        "deepseek_r1_distill",
        Family::Generic,
        true,
        &["<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜User｜>"]
    ),
    case!("deepseek_v31", Family::DeepSeek, true, &["<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜User｜>"]),
];

fn messages() -> Vec<Message> {
    let call =
        json!({"id": "call_0190", "type": "function", "function": {"name": "now", "arguments": "{\"zone\": \"UTC\"}"}});
    let message = |value: Value| Message::parse(value, "m").expect("a message");
    vec![
        Message::text(Role::System, "Be brief."),
        Message::text(Role::User, "What time is it?"),
        message(json!({"role": "assistant", "content": null, "tool_calls": [call]})),
        message(json!({"role": "tool", "tool_call_id": "call_0190", "content": "noon"})),
        Message::text(Role::Assistant, "It is noon."),
        Message::text(Role::User, "And in Rome?"),
    ]
}

#[test]
fn prompts_with_tools_are_as_they_were() {
    let now = json!({"name": "now", "description": "The time in a zone.", "parameters":
        {"type": "object", "properties": {"zone": {"type": "string"}}, "required": ["zone"]}});
    let mut rest = json!({"tools": [{"type": "function", "function": now}]});
    let tools = Tools::take(rest.as_object_mut().expect("object")).expect("tools");
    let Value::Object(kwargs) = json!({"date_string": "1 Jan 2026"}) else { panic!("an object") };
    for (name, source, family, thinks, tokens) in CASES {
        let format = ChatFormat::detect(source, Vec::new());
        assert_eq!((format.family, format.reasoning.thinks), (*family, *thinks), "{name}");
        let specials = SpecialTokens {
            bos: tokens.first().map(|&token| token.to_owned()),
            eos: tokens.get(1).map(|&token| token.to_owned()),
            control: tokens.iter().map(|&token| token.to_owned()).collect(),
        };
        let template = ChatTemplate::new(source, specials).expect(name);
        let native = Value::Array(tools.tools.iter().map(lla_protocol::openai::Tool::for_template).collect());
        let shown = (*family != Family::Generic).then_some(&native);
        let options = TemplateOptions { add_generation_prompt: true, tools: shown, kwargs: &kwargs };
        let text = template.render(&prepare(&format, messages(), &tools), &options).expect(name).text();
        let path =
            Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("src/template/tests/templates/golden/{name}.txt"));
        if std::env::var_os("LLA_WRITE_GOLDEN").is_some() {
            std::fs::write(&path, &text).expect("written");
        }
        let golden = std::fs::read_to_string(&path).expect(name);
        assert_eq!(text, golden, "{name}");
        for said in ["Be brief.", "noon", "And in Rome?", "now", "zone"] {
            assert!(text.contains(said), "{name}: {said} is missing in {text}");
        }
    }
}

/// The generation prompt decides whether an answer begins inside a reasoning section.
#[test]
fn open_reasoning_is_seen_at_the_end_of_the_prompt() {
    for (name, kwargs, open) in [
        ("deepseek_r1_distill", json!({}), true),
        ("deepseek_v31", json!({"thinking": true}), true),
        ("deepseek_v31", json!({}), false),
        ("qwen3", json!({"enable_thinking": false}), false),
        ("qwen3", json!({}), false),
        ("glm45", json!({"enable_thinking": false}), false),
        ("glm45", json!({}), false),
    ] {
        let (_, source, ..) = CASES.iter().find(|case| case.0 == name).expect("a case");
        let template =
            ChatTemplate::new(source, SpecialTokens { bos: Some(String::new()), ..SpecialTokens::default() });
        let kwargs: &Map<String, Value> = kwargs.as_object().expect("object");
        let options = TemplateOptions { add_generation_prompt: true, tools: None, kwargs };
        let text = template.expect(name).render(&[Message::text(Role::User, "a")], &options).expect(name).text();
        assert_eq!(crate::reasoning::is_open(&text), open, "{name}: {text}");
    }
}
