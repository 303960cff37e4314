//! Reasoning sections (`<think>…</think>`): which models write them, and what a request may say
//! about them.
//!
//! What it does not: read answers (`tool_calls/reader.rs` does), or count the tokens of a section
//! while it is generated (the worker does, told by [`crate::Thinking`]).

use lla_protocol::FieldError;
use serde_json::{Map, Value};

use crate::chat_format::uses;
use crate::constraint::Starts;

/// What begins a reasoning section.
pub const OPEN: &str = "<think>";
/// What ends it.
pub const CLOSE: &str = "</think>";
/// What is written when a section is ended from outside.
pub const FORCED_END: &str = "\n</think>\n\n";

/// Variables by which templates turn reasoning on and off.
const SWITCHES: [&str; 2] = ["enable_thinking", "thinking"];
/// The words of `reasoning_effort`.
const EFFORTS: [&str; 6] = ["none", "minimal", "low", "medium", "high", "xhigh"];

/// What a model's template tells about reasoning.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Reasoning {
    /// The model writes reasoning sections.
    pub thinks: bool,
    /// The variable that turns them on and off.
    pub switch: Option<&'static str>,
}

impl Reasoning {
    /// Reads it off a template.
    #[must_use]
    pub fn detect(source: &str) -> Self {
        let thinks = source.contains(OPEN) || source.contains(CLOSE);
        let switch = SWITCHES.into_iter().find(|name| thinks && uses(source, name));
        Self { thinks, switch }
    }
}

/// The prompt leaves the model inside a reasoning section. `tail`: the end of the prompt's text.
#[must_use]
pub fn is_open(tail: &str) -> bool {
    tail.trim_end().ends_with(OPEN)
}

/// From where on an answer is restricted: behind the reasoning, if the prompt leaves the model in it.
#[must_use]
pub fn starts(is_open: bool) -> Starts {
    if is_open { Starts::After(CLOSE.to_owned()) } else { Starts::AtOnce }
}

/// What a request says about reasoning.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ReasoningRequest {
    /// Most tokens of the section (`thinking_token_budget`); `None`: no limit.
    pub budget: Option<u32>,
}

/// Takes `reasoning_effort` and `thinking_token_budget` (vLLM's name) out of a request, and sets the
/// variables of the template that they stand for; those that the caller set stay.
///
/// A model that can not think ignores both: what is asked for is a limit, and it is kept. A model
/// that always thinks is told `none` by a budget of 0.
///
/// # Errors
/// An unknown word, or a budget that is no number of tokens.
pub fn take(
    rest: &mut Map<String, Value>,
    kwargs: &mut Map<String, Value>,
    reasoning: Reasoning,
) -> Result<ReasoningRequest, FieldError> {
    let effort = take_effort(rest)?;
    let mut budget = take_budget(rest)?;
    if let Some(effort) = effort {
        match reasoning.switch {
            Some(switch) => drop(kwargs.entry(switch).or_insert(Value::Bool(effort != "none"))),
            None if effort == "none" && reasoning.thinks => budget = Some(0),
            None => {}
        }
        kwargs.entry("reasoning_effort").or_insert(Value::String(effort));
    }
    Ok(ReasoningRequest { budget })
}

fn take_effort(rest: &mut Map<String, Value>) -> Result<Option<String>, FieldError> {
    match rest.shift_remove("reasoning_effort") {
        None | Some(Value::Null) => Ok(None),
        Some(Value::String(word)) if EFFORTS.contains(&word.as_str()) => Ok(Some(word)),
        Some(Value::String(_)) => {
            let message = format!("must be one of {}", EFFORTS.join(", "));
            Err(FieldError::new("reasoning_effort", "invalid_value", &message))
        }
        Some(_) => Err(FieldError::new("reasoning_effort", "invalid_type", "expected a string")),
    }
}

/// -1 is no limit, as in vLLM.
fn take_budget(rest: &mut Map<String, Value>) -> Result<Option<u32>, FieldError> {
    const NAME: &str = "thinking_token_budget";
    match rest.shift_remove(NAME) {
        None | Some(Value::Null) => Ok(None),
        Some(value) if value.as_i64() == Some(-1) => Ok(None),
        Some(value) => match value.as_u64().and_then(|tokens| u32::try_from(tokens).ok()) {
            Some(tokens) => Ok(Some(tokens)),
            None => Err(FieldError::new(NAME, "invalid_value", "expected a number of tokens, or -1 for no limit")),
        },
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn templates_tell_whether_the_model_thinks() {
        let qwen = Reasoning::detect("{% if enable_thinking is false %}<think></think>{% endif %}");
        assert_eq!(qwen, Reasoning { thinks: true, switch: Some("enable_thinking") });
        let r1 = Reasoning::detect("{{ '<think>\\n' }}");
        assert_eq!(r1, Reasoning { thinks: true, switch: None });
        assert_eq!(Reasoning::detect("{{ thinking }}"), Reasoning::default());
        assert!(is_open("<|assistant|>\n<think>\n") && !is_open("<think>\n\n</think>\n\n") && !is_open("assistant\n"));
    }

    #[test]
    fn effort_becomes_the_templates_switch_or_a_budget() {
        let with = |rest: Value, kwargs: Value, switch: Option<&'static str>| {
            let (Value::Object(mut rest), Value::Object(mut kwargs)) = (rest, kwargs) else { panic!("objects") };
            let taken = take(&mut rest, &mut kwargs, Reasoning { thinks: true, switch });
            taken.map(|request| (request.budget, Value::Object(kwargs)))
        };
        let switch = Some("enable_thinking");
        let none = json!({"reasoning_effort": "none"});
        let off = json!({"enable_thinking": false, "reasoning_effort": "none"});
        assert_eq!(with(none.clone(), json!({}), switch), Ok((None, off)));
        let own = json!({"enable_thinking": true, "reasoning_effort": "none"});
        assert_eq!(with(none.clone(), json!({"enable_thinking": true}), switch), Ok((None, own)));
        assert_eq!(with(none, json!({}), None).expect("read").0, Some(0));
        assert_eq!(with(json!({"thinking_token_budget": 5}), json!({}), None), Ok((Some(5), json!({}))));
        assert_eq!(with(json!({"thinking_token_budget": -1}), json!({}), None), Ok((None, json!({}))));
        for wrong in [json!({"reasoning_effort": "much"}), json!({"reasoning_effort": 1})] {
            assert_eq!(with(wrong, json!({}), None).expect_err("refused").param.as_deref(), Some("reasoning_effort"));
        }
        for wrong in [json!({"thinking_token_budget": -2}), json!({"thinking_token_budget": "x"})] {
            assert!(with(wrong, json!({}), None).is_err());
        }
    }
}
