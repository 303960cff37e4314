//! The fields that say how tokens are chosen and when a generation ends; the same in chat and in
//! text completions.

use std::collections::BTreeMap;

use serde::Serialize;
use serde_json::Value;

use crate::fields::{FieldError, Fields};

/// At most this many stop strings, as the OpenAI API has it.
const MAX_STOPS: usize = 4;

/// How tokens are chosen. `None` means that the caller did not say: the model's own default holds.
///
/// `top_k`, `min_p`, `repetition_penalty` and `ignore_eos` are vLLM's additions to the OpenAI API.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Sampling {
    /// 0 to 2; 0 takes the likeliest token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub temperature: Option<f64>,
    /// Above 0 up to 1: the smallest set of tokens with this probability mass.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_p: Option<f64>,
    /// The likeliest `top_k` tokens; -1 and 0 switch it off.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub top_k: Option<i32>,
    /// 0 to 1: tokens at least this likely, relative to the likeliest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub min_p: Option<f64>,
    /// -2 to 2, times the count of a token in the answer so far.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frequency_penalty: Option<f64>,
    /// -2 to 2, once for a token that is in the answer so far.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub presence_penalty: Option<f64>,
    /// Above 0 up to 10; 1 is none. Divides positive and multiplies negative logits of tokens in
    /// prompt or answer (Keskar et al., 2019, <https://arxiv.org/abs/1909.05858>).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub repetition_penalty: Option<f64>,
    /// Makes sampling repeatable.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub seed: Option<i64>,
    /// Token id -> added to its logit, -100 to 100.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub logit_bias: BTreeMap<u32, f64>,
    /// Texts at which the generation ends; they are not part of the answer.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub stop: Vec<String>,
    /// Goes on after the end-of-turn token (for load tests).
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub ignore_eos: bool,
}

impl Sampling {
    /// Takes the sampling fields out of a request.
    ///
    /// # Errors
    /// Names the first field with a wrong type or range.
    pub fn take(fields: &mut Fields) -> Result<Self, FieldError> {
        Ok(Self {
            temperature: fields.number("temperature", 0.0..=2.0)?,
            top_p: above_zero("top_p", fields.number("top_p", 0.0..=1.0)?)?,
            top_k: fields.integer("top_k", -1..=i64::from(i32::MAX))?.and_then(|top_k| i32::try_from(top_k).ok()),
            min_p: fields.number("min_p", 0.0..=1.0)?,
            frequency_penalty: fields.number("frequency_penalty", -2.0..=2.0)?,
            presence_penalty: fields.number("presence_penalty", -2.0..=2.0)?,
            repetition_penalty: above_zero("repetition_penalty", fields.number("repetition_penalty", 0.0..=10.0)?)?,
            seed: fields.integer("seed", i64::MIN..=i64::MAX)?,
            logit_bias: take_logit_bias(fields)?,
            stop: take_stop(fields)?,
            ignore_eos: fields.boolean("ignore_eos")?.unwrap_or(false),
        })
    }
}

fn above_zero(name: &str, number: Option<f64>) -> Result<Option<f64>, FieldError> {
    if number == Some(0.0) {
        return Err(FieldError::new(name, "out_of_range", "must be greater than 0, got 0"));
    }
    Ok(number)
}

fn take_logit_bias(fields: &mut Fields) -> Result<BTreeMap<u32, f64>, FieldError> {
    let mut biases = BTreeMap::new();
    let Some(inner) = fields.object("logit_bias")? else { return Ok(biases) };
    for (key, value) in inner.rest() {
        let path = format!("logit_bias.{key}");
        let token =
            key.parse::<u32>().map_err(|_| FieldError::new(&path, "invalid_value", "the key must be a token id"))?;
        let bias = value
            .as_f64()
            .filter(|bias| (-100.0..=100.0).contains(bias))
            .ok_or_else(|| FieldError::new(&path, "out_of_range", "must be a number between -100 and 100"))?;
        biases.insert(token, bias);
    }
    Ok(biases)
}

fn take_stop(fields: &mut Fields) -> Result<Vec<String>, FieldError> {
    let items = match fields.take("stop") {
        None => return Ok(Vec::new()),
        Some(Value::Array(items)) => items,
        Some(single @ Value::String(_)) => vec![single],
        Some(_) => return Err(FieldError::new("stop", "invalid_type", "expected a string or an array of strings")),
    };
    if items.len() > MAX_STOPS {
        let message = format!("at most {MAX_STOPS} stop strings are allowed, got {}", items.len());
        return Err(FieldError::new("stop", "out_of_range", &message));
    }
    let mut stops = Vec::with_capacity(items.len());
    for (index, item) in items.into_iter().enumerate() {
        match item {
            Value::String(text) if !text.is_empty() => stops.push(text),
            Value::String(_) => {
                return Err(FieldError::new(&format!("stop[{index}]"), "invalid_value", "must not be empty"));
            }
            _ => return Err(FieldError::new(&format!("stop[{index}]"), "invalid_type", "expected a string")),
        }
    }
    Ok(stops)
}

/// `stream_options`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize)]
pub struct StreamOptions {
    /// Adds one last chunk with the usage and no choices.
    pub include_usage: bool,
}

impl StreamOptions {
    /// Takes `stream` and `stream_options`: whether to stream, and with what.
    ///
    /// # Errors
    /// A wrong type, or `stream_options` without `stream: true`, which the OpenAI API refuses too.
    pub fn take(fields: &mut Fields) -> Result<(bool, Self), FieldError> {
        let stream = fields.boolean("stream")?.unwrap_or(false);
        let Some(mut inner) = fields.object("stream_options")? else { return Ok((stream, Self::default())) };
        if !stream {
            return Err(FieldError::new("stream_options", "invalid_value", "only allowed when 'stream' is true"));
        }
        let include_usage = inner.boolean("include_usage")?.unwrap_or(false);
        Ok((stream, Self { include_usage }))
    }
}
