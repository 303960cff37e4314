//! Answers of models as they were seen, whole and broken, in every family; and cut at every place.

use std::sync::Arc;

use lla_protocol::openai::{FinishReason, Message, Role, Tools};
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;
use crate::chat_format::ChatFormat;
use crate::constraint::tests::vocabulary;
use crate::constraint::{Grammar, Starts};
use crate::error::EngineError;
use crate::reasoning::Reasoning;

mod either;
mod golden;
mod tagged;

fn reading(family: Family) -> Reading {
    let names = vec!["now".to_owned(), "add".to_owned()];
    let parameters =
        vec![("now".to_owned(), vec![("zone".to_owned(), Types::of_schema(&json!({"type": "string"}), &Value::Null))])];
    Reading {
        family,
        names,
        parameters,
        parallel: true,
        forced: false,
        named: false,
        thinks: true,
        open: false,
        either: false,
    }
}

/// What an answer comes to.
#[derive(Debug, Default, PartialEq, Eq)]
struct Whole {
    content: String,
    reasoning: String,
    calls: Vec<(u32, String, String)>,
    reason: Option<FinishReason>,
}

fn read(reading: Reading, pieces: &[&str], reason: FinishReason) -> Result<Whole, EngineError> {
    let mut reader = Reader::new(Arc::new(reading));
    let mut events: Vec<Event> = pieces.iter().flat_map(|piece| reader.push(piece)).collect();
    let (last, reason) = reader.finish(reason)?;
    events.extend(last);
    let mut whole = Whole { reason: Some(reason), ..Whole::default() };
    for event in events {
        match event {
            Event::Content(text) => whole.content.push_str(&text),
            Event::Reasoning(text) => whole.reasoning.push_str(&text),
            Event::CallStart { index, name, .. } => whole.calls.push((index, name, String::new())),
            Event::CallArguments { index, text } => {
                let call = whole.calls.iter_mut().find(|call| call.0 == index).expect("begun");
                call.2.push_str(&text);
            }
            Event::CallDropped { index } => whole.calls.retain(|call| call.0 != index),
        }
    }
    Ok(whole)
}

fn stop(family: Family, text: &str) -> Whole {
    read(reading(family), &[text], FinishReason::Stop).expect("read")
}

/// Content, and calls as `name arguments`.
fn summary(whole: &Whole) -> (String, Vec<String>) {
    let calls = whole.calls.iter().map(|(_, name, arguments)| format!("{name} {arguments}")).collect();
    (whole.content.clone(), calls)
}

const ANSWERS: &[(Family, &str, &str, &[&str])] = &[
    // Hermes, Qwen.
    (
        Family::Hermes,
        "<tool_call>\n{\"name\": \"now\", \"arguments\": {\"a\": \"}\"}}\n</tool_call>",
        "",
        &["now {\"a\": \"}\"}"],
    ),
    (
        Family::Hermes,
        "Let me see.\n\n<tool_call>{\"name\":\"now\"}</tool_call>\n<tool_call>\n{\"arguments\": {\"b\": 2}, \"name\": \"add\"}\n</tool_call>",
        "Let me see.",
        &["now {}", "add {\"b\": 2}"],
    ),
    (
        Family::Hermes,
        "<tool_call>[{\"name\": \"now\", \"arguments\": {}}, {\"name\": \"add\", \"arguments\": {}}]</tool_call>",
        "",
        &["now {}", "add {}"],
    ),
    (
        Family::Hermes,
        "<tool_call>{\"name\": \"now\", \"arguments\": \"{\\\"a\\\": 1}\"}</tool_call>",
        "",
        &["now {\"a\": 1}"],
    ),
    (Family::Hermes, "<tool_call>{\"name\": \"now\", \"arguments\": {}} Done.", "Done.", &["now {}"]),
    (Family::Hermes, "a < b and <tool> and <tool_cal", "a < b and <tool> and <tool_cal", &[]),
    (
        Family::Hermes,
        "<tool_call>{\"name\": \"rm\", \"arguments\": {}}</tool_call>",
        "<tool_call>{\"name\": \"rm\", \"arguments\": {}}</tool_call>",
        &[],
    ),
    (
        Family::Hermes,
        "<tool_call>{\"name\": \"now\", \"arguments\": {a: 1}}</tool_call>",
        "<tool_call>{\"name\": \"now\", \"arguments\": {a: 1}}</tool_call>",
        &[],
    ),
    (
        Family::Hermes,
        "<tool_call>{\"name\": \"now\", \"arguments\": [1]}</tool_call>",
        "<tool_call>{\"name\": \"now\", \"arguments\": [1]}</tool_call>",
        &[],
    ),
    (Family::Hermes, "<tool_call>now()</tool_call>", "<tool_call>now()</tool_call>", &[]),
    (Family::Hermes, "<tool_call>{\"name\": \"now\", \"argum", "<tool_call>{\"name\": \"now\", \"argum", &[]),
    (
        Family::Hermes,
        "<tool_call>{\"name\": \"now\", \"arguments\": {\"a\": ",
        "<tool_call>{\"name\": \"now\", \"arguments\": {\"a\": ",
        &[],
    ),
    // Llama.
    (Family::Llama3, "{\"name\": \"now\", \"parameters\": {\"a\": 1}}", "", &["now {\"a\": 1}"]),
    (
        Family::Llama3,
        "<|python_tag|>{\"type\": \"function\", \"name\": \"now\", \"parameters\": {}}; {\"name\": \"add\", \"parameters\": {}}",
        "",
        &["now {}", "add {}"],
    ),
    (Family::Llama3, "{\"answer\": 42}", "{\"answer\": 42}", &[]),
    (Family::Llama3, "Use {\"name\": \"now\"} there.", "Use {\"name\": \"now\"} there.", &[]),
    // Mistral.
    (
        Family::Mistral,
        "[TOOL_CALLS] [{\"name\": \"now\", \"arguments\": {\"a\": [1, 2]}}, {\"name\": \"add\", \"arguments\": {}, \"id\": \"x\"}]",
        "",
        &["now {\"a\": [1, 2]}", "add {}"],
    ),
    (
        Family::MistralArgs,
        "Yes.[TOOL_CALLS]now[ARGS]{\"a\": 1}[TOOL_CALLS]add[CALL_ID]123456789[ARGS]{}",
        "Yes.",
        &["now {\"a\": 1}", "add {}"],
    ),
    (Family::MistralArgs, "[TOOL_CALLS]rm[ARGS]{}", "[TOOL_CALLS]rm[ARGS]{}", &[]),
    (Family::MistralArgs, "[TOOL_CALLS]now", "[TOOL_CALLS]now", &[]),
    // DeepSeek V3.1 and R1.
    (
        Family::DeepSeek,
        "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>now<｜tool▁sep｜>{\"a\": 1}<｜tool▁call▁end｜><｜tool▁call▁begin｜>add<｜tool▁sep｜>{}<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
        "",
        &["now {\"a\": 1}", "add {}"],
    ),
    (
        Family::DeepSeek,
        "<｜tool▁calls▁begin｜><｜tool▁call▁begin｜>function<｜tool▁sep｜>now\n```json\n{\"a\": 1}\n```<｜tool▁call▁end｜><｜tool▁calls▁end｜>",
        "",
        &["now {\"a\": 1}"],
    ),
    // Qwen3-Coder.
    (
        Family::QwenTags,
        "I look.\n\n<tool_call>\n<function=now>\n<parameter=zone>\n12\n</parameter>\n<parameter=n>\n12\n</parameter>\n</function>\n</tool_call>\n<tool_call>\n<function=add>\n</function>\n</tool_call>",
        "I look.",
        &["now {\"zone\": \"12\", \"n\": 12}", "add {}"],
    ),
    (
        Family::QwenTags,
        "<function=now>\n<parameter=zone>\n  a \"b\"\n\n<c> </para\n</parameter>\n<parameter=n>True</parameter></function>",
        "",
        &["now {\"zone\": \"  a \\\"b\\\"\\n\\n<c> </para\", \"n\": true}"],
    ),
    (
        Family::QwenTags,
        "<tool_call>\n<function=now>\n<parameter=zone>\n\n</parameter>\n<parameter=n>\n[1, \"x\n</parameter>\n</function>\n</tool_call>",
        "",
        &["now {\"zone\": \"\", \"n\": \"[1, \\\"x\"}"],
    ),
    (Family::QwenTags, "<tool_call>{\"name\": \"now\", \"arguments\": {}}</tool_call>", "", &["now {}"]),
    (
        Family::QwenTags,
        "<tool_call>\n<function=rm>\n</function>\n</tool_call>",
        "<tool_call>\n<function=rm>\n</function>\n</tool_call>",
        &[],
    ),
    (
        Family::QwenTags,
        "<tool_call>\n<function=now>\n<parameter=zone>\nUTC\n</parameter>\noops",
        "<tool_call>\n<function=now>\n<parameter=zone>\nUTC\n</parameter>\noops",
        &[],
    ),
    (
        Family::QwenTags,
        "<tool_call>\n<function=now>\n<parameter=zone>\nUTC\n</parameter>\n<parameter=zone>\nCET\n</parameter>\n</function>",
        "<tool_call>\n<function=now>\n<parameter=zone>\nUTC\n</parameter>\n<parameter=zone>\nCET\n</parameter>\n</function>",
        &[],
    ),
    // GLM 4.5 and 4.6, then 4.7.
    (
        Family::GlmTags,
        "I look.\n<tool_call>now\n<arg_key>zone</arg_key>\n<arg_value>a\nb</arg_value>\n<arg_key>n</arg_key>\n<arg_value>{\"k\": [1]}</arg_value>\n</tool_call>\n<tool_call>add\n</tool_call>",
        "I look.",
        &["now {\"zone\": \"a\\nb\", \"n\": {\"k\": [1]}}", "add {}"],
    ),
    (
        Family::GlmTags,
        "<tool_call>now<arg_key>zone</arg_key><arg_value> 1 </arg_value></tool_call><tool_call>add</tool_call>",
        "",
        &["now {\"zone\": \" 1 \"}", "add {}"],
    ),
    (
        Family::GlmTags,
        "<tool_call>now <arg_key>n</arg_key> <arg_value>x</arg_value> </tool_call>",
        "",
        &["now {\"n\": \"x\"}"],
    ),
    (Family::GlmTags, "<tool_call>nowhere\n</tool_call>", "<tool_call>nowhere\n</tool_call>", &[]),
    (Family::GlmTags, "<tool_call>now\n<arg_key>zone", "<tool_call>now\n<arg_key>zone", &[]),
    // Models that were not trained to call.
    (Family::Generic, " {\"name\": \"now\", \"arguments\": {}}", "", &["now {}"]),
    (
        Family::Generic,
        "Sure:\n```json\n{\"name\": \"now\", \"parameters\": {\"a\": 1}}\n```\nBye",
        "Sure:",
        &["now {\"a\": 1}"],
    ),
    (
        Family::Generic,
        "```json\n{\"name\": \"now\"}\n```\n```json\n{\"name\": \"add\"}\n```",
        "",
        &["now {}", "add {}"],
    ),
    (Family::Generic, "```json\n{\"colour\": \"red\"}\n```", "```json\n{\"colour\": \"red\"}\n```", &[]),
    (Family::Generic, "[Note] no call, `code` and ``", "[Note] no call, `code` and ``", &[]),
];

#[test]
fn answers_of_every_family_are_read() {
    for (family, text, content, calls) in ANSWERS {
        let whole = stop(*family, text);
        let (said, made) = summary(&whole);
        let said = said.strip_suffix("Bye").unwrap_or(&said);
        assert_eq!((said, made), (*content, calls.iter().map(|&call| call.to_owned()).collect()), "{text}");
        let wanted = if calls.is_empty() { FinishReason::Stop } else { FinishReason::ToolCalls };
        assert_eq!(whole.reason, Some(wanted), "{text}");
    }
}

#[test]
fn reasoning_is_read_with_and_without_its_beginning() {
    for (open, text, reasoning, content) in [
        (false, "<think>\nHm.\n</think>\n\nYes.", "Hm.", "Yes."),
        (false, "Yes <think> no.", "", "Yes <think> no."),
        (true, "Hm. </ think\n</think>\n\nYes.", "Hm. </ think", "Yes."),
        (true, "<think>\nHm.</think>Yes.", "Hm.", "Yes."),
        (true, "Hm. <tool_call>", "Hm. <tool_call>", ""),
        (true, "Hm. </thi", "Hm. </thi", ""),
        (false, "<think></think>\n", "", ""),
    ] {
        let reading = Reading { open, ..reading(Family::Hermes) };
        let whole = read(reading, &[text], FinishReason::Length).expect("read");
        assert_eq!((whole.reasoning.as_str(), whole.content.as_str()), (reasoning, content), "{text}");
    }
    let text = "<think>Hm.</think>\n\n{\"name\": \"now\", \"parameters\": {}}";
    let whole = stop(Family::Llama3, text);
    assert_eq!((whole.reasoning.as_str(), summary(&whole).1), ("Hm.", vec!["now {}".to_owned()]));
}

#[test]
fn what_was_asked_for_decides_about_the_end() {
    let two = "<tool_call>{\"name\": \"now\"}</tool_call><tool_call>{\"name\": \"add\"}</tool_call>";
    let one = Reading { parallel: false, ..reading(Family::Hermes) };
    assert_eq!(summary(&read(one, &[two], FinishReason::Stop).expect("read")).1, ["now {}"]);
    let named = Reading { named: true, forced: true, ..reading(Family::Hermes) };
    assert_eq!(read(named, &[two], FinishReason::Stop).expect("read").reason, Some(FinishReason::Stop));
    let forced = || Reading { forced: true, ..reading(Family::Hermes) };
    let error = read(forced(), &["No."], FinishReason::Stop).expect_err("no call");
    assert!(matches!(error, EngineError::ToolCall { length: 3 }), "{error}");
    let cut = "<tool_call>{\"name\": \"now\", \"arguments\": {\"a\": ";
    let whole = read(forced(), &[cut], FinishReason::Length).expect("read");
    assert_eq!((summary(&whole).1, whole.reason), (vec!["now {\"a\": ".to_owned()], Some(FinishReason::Length)));
    let cut = "<tool_call>{\"na";
    assert_eq!(read(forced(), &[cut], FinishReason::Length).expect("read").content, cut);
    let nobody = Reading { names: Vec::new(), ..reading(Family::Hermes) };
    assert_eq!(read(nobody, &[two], FinishReason::Stop).expect("read").content, two);
}

/// Texts made of what matters to the reader.
fn texts() -> impl Strategy<Value = String> {
    let words = [
        "<tool_call>",
        "</tool_call>",
        "<think>",
        "</think>",
        "\n",
        " ",
        "{",
        "}",
        "[",
        "]",
        "\"name\": \"now\"",
        ", ",
        "\"arguments\": {\"a\": \"é\"}",
        "\"parameters\": null",
        "```json",
        "```",
        "<|python_tag|>",
        "[TOOL_CALLS]",
        "now[ARGS]{}",
        "{\"name\": \"add\", \"arguments\": {\"b\": [1]}}",
        "text",
        "<",
        "`",
        ";",
        "<｜tool▁call▁begin｜>",
        "now<｜tool▁sep｜>{}",
        "<｜tool▁call▁end｜>",
        "<function=now>",
        "<parameter=zone>",
        "<parameter=n>",
        "</parameter>",
        "</function>",
        "now",
        "<arg_key>zone</arg_key>",
        "<arg_key>n</arg_key>",
        "<arg_value>",
        "</arg_value>",
        "1",
    ];
    let made =
        proptest::collection::vec(proptest::sample::select(words.to_vec()), 0..12).prop_map(|words| words.concat());
    let seen = proptest::sample::select(ANSWERS.to_vec()).prop_map(|(_, text, ..)| text.to_owned());
    prop_oneof![made, seen]
}

fn families() -> impl Strategy<Value = Family> {
    use Family::{DeepSeek, Generic, GlmTags, Hermes, Llama3, Mistral, MistralArgs, QwenTags};
    proptest::sample::select(vec![Hermes, Llama3, Mistral, MistralArgs, DeepSeek, QwenTags, GlmTags, Generic])
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn cuts_do_not_matter(text in texts(), family in families(), open: bool, either: bool, cuts in proptest::collection::vec(0_usize..80, 0..6)) {
        let asked = || Reading { open, either, ..reading(family) };
        let whole = read(asked(), &[&text], FinishReason::Stop).expect("read");
        let mut places: Vec<usize> = cuts.into_iter().filter(|&cut| text.is_char_boundary(cut)).collect();
        places.extend([0, text.len()]);
        places.sort_unstable();
        let pieces: Vec<&str> = places.windows(2).map(|ends| &text[ends[0]..ends[1]]).collect();
        prop_assert_eq!(&read(asked(), &pieces, FinishReason::Stop).expect("read"), &whole);
        let chars: Vec<String> = text.chars().map(String::from).collect();
        let chars: Vec<&str> = chars.iter().map(String::as_str).collect();
        prop_assert_eq!(&read(asked(), &chars, FinishReason::Stop).expect("read"), &whole);
        for (_, name, arguments) in &whole.calls {
            prop_assert!(["now", "add"].contains(&name.as_str()));
            prop_assert!(matches!(serde_json::from_str(arguments), Ok(Value::Object(_))), "{}", arguments);
        }
        let is_silent = whole.content.is_empty() && whole.reasoning.is_empty() && whole.calls.is_empty();
        let nothing = ["<think>", "</think>"].iter().fold(text.clone(), |text, mark| text.replace(mark, ""));
        prop_assert!(!is_silent || nothing.trim().is_empty(), "lost: {:?}", text);
    }
}

fn tools(choice: &Value, strict: bool, parallel: bool) -> Tools {
    let schema = json!({"type": "object", "properties": {"zone": {"type": "string"}}});
    let now = json!({"name": "now", "parameters": schema, "strict": strict});
    let mut rest = json!({
        "tools": [{"type": "function", "function": now}, {"type": "function", "function": {"name": "add"}}],
        "tool_choice": choice, "parallel_tool_calls": parallel,
    });
    Tools::take(rest.as_object_mut().expect("object")).expect("tools")
}

fn format(family: Family, control: &[(&str, u32)]) -> ChatFormat {
    let control = control.iter().map(|&(text, id)| (text.to_owned(), id)).collect();
    ChatFormat { family, reasoning: Reasoning::default(), knows_system: true, control }
}

fn lark(format: &ChatFormat, tools: &Tools, open: bool) -> (String, Starts) {
    let restriction = restriction(format, tools, open, None).expect("restricted");
    let Grammar::Lark(lark) = restriction.grammar else { panic!("not Lark") };
    (lark, restriction.starts)
}

#[test]
fn forced_calls_have_the_familys_own_form() {
    let required = tools(&json!("required"), false, true);
    for (family, control, start) in [
        (
            Family::Hermes,
            &[][..],
            "start: \"<tool_call>\" \"\\n\" call \"\\n\" \"</tool_call>\" (\"\\n\" \"<tool_call>\" \"\\n\" call \"\\n\" \"</tool_call>\"){0,7}",
        ),
        (Family::Mistral, &[("[TOOL_CALLS]", 5)], "start: <[5]> \"[\" call (\", \" call){0,7} \"]\""),
        (Family::MistralArgs, &[("[TOOL_CALLS]", 5), ("[ARGS]", 6)], "start: <[5]> call (<[5]> call){0,7}"),
        (Family::Llama3, &[], "start: call"),
        (Family::Generic, &[], "start: call"),
    ] {
        let (text, starts) = lark(&format(family, control), &required, false);
        assert_eq!((text.lines().next(), starts), (Some(start), Starts::AtOnce), "{family:?}");
        assert!(text.contains("\ncall: call_0 | call_1\n"), "{text}");
    }
    let (text, starts) = lark(
        &format(Family::Generic, &[]),
        &tools(&json!({"type": "function", "function": {"name": "add"}}), false, true),
        true,
    );
    assert_eq!(starts, Starts::After("</think>".to_owned()));
    assert_eq!(
        text,
        "start: LEAD? call\nLEAD: /[ \\n]{1,4}/\ncall: call_0\n\
         call_0: \"{\\\"name\\\": \\\"add\\\", \\\"arguments\\\": \" arguments_0 \"}\"\n\
         arguments_0: %json {\"type\":\"object\",\"properties\":{},\"additionalProperties\":false,\
         \"x-guidance\":{\"whitespace_flexible\":false,\"item_separator\":\", \",\"key_separator\":\": \",\"json_allowed_escapes\":\"nrbtf\\\\\\\"\"}}\n"
    );
}

#[test]
fn a_chosen_call_is_held_to_strict_schemas_only() {
    let hermes = format(Family::Hermes, &[]);
    assert_eq!(restriction(&hermes, &tools(&json!("auto"), false, true), false, None), None);
    assert_eq!(restriction(&hermes, &tools(&json!("none"), true, true), false, None), None);
    let (text, starts) = lark(&hermes, &tools(&json!("auto"), true, false), true);
    assert_eq!(starts, Starts::After("<tool_call>".to_owned()));
    assert!(text.starts_with("start: \"\\n\" call \"\\n\" \"</tool_call>\"\n"), "{text}");
    assert!(text.contains("arguments_1: %json {\"type\":\"object\",\"x-guidance\""), "not strict: {text}");
    let (text, starts) = lark(&format(Family::Llama3, &[]), &tools(&json!("auto"), true, true), false);
    assert_eq!(starts, Starts::AtOnce);
    assert!(text.starts_with("start: (TEXT | call)\n") && text.contains("\nTEXT: /"), "{text}");
}

#[test]
fn messages_are_prepared_for_the_template() {
    let call = json!({"id": "call_1", "type": "function", "function": {"name": "now", "arguments": ""}});
    let message = |value: Value| Message::parse(value, "m").expect("a message");
    let messages = || {
        vec![
            Message::text(Role::System, "Be brief."),
            Message::text(Role::User, "a"),
            message(json!({"role": "assistant", "content": "Wait.", "reasoning": "Hm.", "tool_calls": [call]})),
            message(json!({"role": "tool", "tool_call_id": "call_1", "content": "noon"})),
            Message::text(Role::User, "b"),
        ]
    };
    let tools = tools(&json!("auto"), false, true);
    let generic = prepare(&format(Family::Generic, &[]), messages(), &tools);
    let texts: Vec<String> = generic.iter().map(|message| message.text_content().expect("text")).collect();
    assert!(texts[0].starts_with("Be brief.\n\nYou can call these tools."), "{}", texts[0]);
    assert_eq!(texts[1..], ["a", "Wait.\n{\"name\": \"now\", \"arguments\": {}}", "Result of now:\nnoon\n\nb"]);
    let hermes = prepare(&format(Family::Hermes, &[]), messages(), &tools);
    assert_eq!(hermes[2].rest["tool_calls"], json!([call]));
    assert_eq!(hermes[2].rest["reasoning_content"], "Hm.");
    let mistral = prepare(&format(Family::Mistral, &[]), messages(), &tools);
    let id = mistral[3].rest["tool_call_id"].as_str().expect("id");
    assert_eq!((id.len(), &mistral[2].rest["tool_calls"][0]["id"]), (9, &json!(id)));
    let no_system = ChatFormat { knows_system: false, ..format(Family::Generic, &[]) };
    let prepared = prepare(&no_system, vec![Message::text(Role::User, "a")], &tools);
    assert_eq!(prepared.len(), 1);
    assert!(prepared[0].text_content().expect("text").ends_with("plain words.\n\na"));
}
