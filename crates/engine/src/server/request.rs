//! From what came over the wire to what the engine generates. Everything here may take a while on a
//! long prompt (rendering, tokenizing), so it runs beside the threads that serve connections.

use std::sync::Arc;

use lla_protocol::FieldError;
use lla_protocol::openai::{ChatCompletionRequest, CompletionRequest, Logprobs, Message, Prompt, Sampling, Tools};
use serde_json::{Map, Value};

use super::State;
use super::echo::Echo;
use super::generate::{Generate, no_text};
use super::structured;
use super::unsupported::refuse;
use crate::chat_format::ChatFormat;
use crate::constraint::{Constraint, Grammar, Restriction, Starts, prepare_schema};
use crate::error::EngineError;
use crate::model::ModelCard;
use crate::options::SamplingDefaults;
use crate::reasoning;
use crate::sampler::SamplingParams;
use crate::sequence::{GenerateRequest, Thinking};
use crate::template::TemplateOptions;
use crate::tool_calls::{self, Family, Reading};

/// Tokens at the end of a prompt that are looked at for an open reasoning section.
const TAIL: usize = 16;

/// The generations that one request asks for, and how it wants the answer.
#[derive(Debug)]
pub(super) struct Job {
    /// `n` for each prompt, in order of prompts.
    pub(super) generations: Vec<GenerateRequest>,
    /// Generations per prompt.
    pub(super) per_prompt: usize,
    /// One per prompt when prompts are given back, else none.
    pub(super) echoes: Vec<Echo>,
    /// Whether log-probabilities were asked for.
    pub(super) logprobs: bool,
    /// What is looked for in the answers; `None`: they are plain text.
    pub(super) reading: Option<Arc<Reading>>,
    pub(super) stream: bool,
    pub(super) include_usage: bool,
}

/// Reads a chat request.
pub(super) fn chat(state: &State, body: &[u8]) -> Result<Job, EngineError> {
    let engine = state.engine.as_ref();
    let mut request = ChatCompletionRequest::parse(body)?;
    check_model(engine.card(), Some(&request.model))?;
    check_generates(engine)?;
    let n = request.n.unwrap_or(1);
    request.rest.shift_remove("top_logprobs");
    let structured = structured::take(&mut request.rest)?;
    let format = engine.chat_format();
    let tools = Tools::take(&mut request.rest)?;
    let mut kwargs = take_kwargs(&mut request.rest)?;
    let thought = reasoning::take(&mut request.rest, &mut kwargs, format.reasoning)?;
    refuse(&request.rest, n)?;
    state.check_choices("n", 1, n)?;
    check_text_only(&request.messages)?;
    let add_generation_prompt = boolean(&request.rest, "add_generation_prompt")?.unwrap_or(true);
    let params = sampling_params(&request.sampling, state.defaults, engine.card().n_vocab)?;
    let messages = tool_calls::prepare(format, request.messages, &tools);
    let defined = template_tools(format.family, &tools);
    let options = TemplateOptions { add_generation_prompt, tools: defined.as_ref(), kwargs: &kwargs };
    let prompt = engine.render_chat(&messages, &options)?;
    let window = engine.card().window;
    check_window(&prompt, request.max_tokens, window)?;
    let open = reasoning::is_open(&engine.detokenize(&prompt[prompt.len().saturating_sub(TAIL)..]));
    let thinking = thought.budget.filter(|_| format.reasoning.thinks || open).map(|budget| Thinking {
        open,
        marker: reasoning::CLOSE.to_owned(),
        end: engine.tokenize(reasoning::FORCED_END, false, true),
        budget: Some(budget),
    });
    let answer = structured.as_ref().map(|(grammar, _)| grammar);
    let calls = tool_calls::restriction(format, &with_checked_schemas(format, &tools)?, open, answer);
    let either = calls.as_ref().is_some_and(|calls| matches!(calls.grammar, Grammar::CallsOr { .. }));
    // By itself as well: its errors are its own, also where a forced call leaves no room for it, and an answer
    // that was cut is closed as one.
    let answer = structured.map(|(grammar, param)| (Restriction { grammar, starts: reasoning::starts(open) }, param));
    let answer = compiled(engine, answer)?.filter(|_| either || calls.is_none());
    let calls = compiled(engine, calls.map(|calls| (calls, "tools".to_owned())))?;
    let calls = calls.map(|calls| calls.ended_by(format.family.value_end()));
    let constraint = match (calls, answer) {
        (Some(calls), Some(answer)) => Some(calls.closed_as(&answer)),
        (calls, answer) => calls.or(answer),
    };
    let shape = Shape { params, max_tokens: request.max_tokens, n, logprobs: request.logprobs, constraint, thinking };
    Ok(Job {
        generations: shape.generations(&[prompt], &request.sampling),
        per_prompt: n as usize,
        echoes: Vec::new(),
        logprobs: request.logprobs.top.is_some(),
        reading: Reading::new(format, &tools, open, either).map(Arc::new),
        stream: request.stream,
        include_usage: request.stream_options.include_usage,
    })
}

/// The tools that the template gets. With `tool_choice: none` the model does not see them: it can not
/// call what it does not know. Templates that know no tools get them as a message.
fn template_tools(family: Family, tools: &Tools) -> Option<Value> {
    let shown = tools.callable() && family != Family::Generic;
    shown.then(|| tools.tools.iter().map(lla_protocol::openai::Tool::for_template).collect())
}

/// Reads a text completion request.
///
/// As in vLLM, texts get BOS in front (unless `add_special_tokens` is false) and control tokens
/// written in them count: this is the raw interface, the caller writes the template.
pub(super) fn completion(state: &State, body: &[u8]) -> Result<Job, EngineError> {
    let engine = state.engine.as_ref();
    let mut request = CompletionRequest::parse(body)?;
    check_model(engine.card(), Some(&request.model))?;
    check_generates(engine)?;
    let n = request.n.unwrap_or(1);
    request.rest.shift_remove("echo");
    let structured = structured::take(&mut request.rest)?;
    refuse(&request.rest, n)?;
    state.check_choices("prompt", request.prompt.len(), n)?;
    let add_special = boolean(&request.rest, "add_special_tokens")?.unwrap_or(true);
    let params = sampling_params(&request.sampling, state.defaults, engine.card().n_vocab)?;
    let prompts = prompt_tokens(engine, &request.prompt, add_special)?;
    for prompt in &prompts {
        check_window(prompt, Some(request.max_tokens), engine.card().window)?;
    }
    let echoes = if request.logprobs.echo { echoes(engine, request.prompt, &prompts) } else { Vec::new() };
    let restriction = |(grammar, param)| (Restriction { grammar, starts: Starts::AtOnce }, param);
    let constraint = compiled(engine, structured.map(restriction))?;
    let (logprobs, max_tokens) = (request.logprobs, Some(request.max_tokens));
    let shape = Shape { params, max_tokens, n, logprobs, constraint, thinking: None };
    Ok(Job {
        generations: shape.generations(&prompts, &request.sampling),
        per_prompt: n as usize,
        echoes,
        logprobs: request.logprobs.top.is_some(),
        reading: None,
        stream: request.stream,
        include_usage: request.stream_options.include_usage,
    })
}

/// What all generations of a request share.
struct Shape {
    params: SamplingParams,
    max_tokens: Option<u32>,
    n: u32,
    logprobs: Logprobs,
    constraint: Option<Constraint>,
    thinking: Option<Thinking>,
}

/// The tools with schemas that calls can be held to; those that nothing holds a call to stay as they are.
fn with_checked_schemas(format: &ChatFormat, tools: &Tools) -> Result<Tools, EngineError> {
    let mut checked = tools.clone();
    for (index, tool) in checked.tools.iter_mut().enumerate() {
        if tools.callable() && (tools.forced() || tool.strict) {
            let param = format!("tools[{index}].function.parameters");
            let schema = prepare_schema(&tool.schema()).map_err(|error| error.under(&param))?;
            tool_calls::check_parameters(format, &schema).map_err(|error| error.under(&param))?;
            tool.parameters = schema.as_object().cloned();
        }
    }
    Ok(checked)
}

/// What restricts the answer, made ready once for all choices; with the field that asks for it.
fn compiled(
    engine: &dyn Generate,
    restriction: Option<(Restriction, String)>,
) -> Result<Option<Constraint>, EngineError> {
    let Some((restriction, param)) = restriction else { return Ok(None) };
    engine.compile(&restriction).map(Some).map_err(|error| error.under(&param))
}

impl Shape {
    /// With a seed, choice `i` is seeded `seed + i`: repeatable, and not `n` times the same.
    fn generations(&self, prompts: &[Vec<u32>], sampling: &Sampling) -> Vec<GenerateRequest> {
        let choice = |prompt: &[u32], index: u32| {
            let seed = self.params.seed.map(|seed| seed.wrapping_add(i64::from(index)));
            GenerateRequest {
                prompt: prompt.to_vec(),
                params: SamplingParams { seed, ..self.params.clone() },
                max_tokens: self.max_tokens,
                stop: sampling.stop.clone(),
                ignore_eos: sampling.ignore_eos,
                logprobs: self.logprobs.top,
                prompt_logprobs: self.logprobs.echo && self.logprobs.top.is_some(),
                constraint: self.constraint.clone(),
                thinking: self.thinking.clone(),
            }
        };
        prompts.iter().flat_map(|prompt| (0..self.n).map(|index| choice(prompt, index))).collect()
    }
}

/// Refuses any name but the model's own.
pub(super) fn check_model(card: &ModelCard, asked: Option<&str>) -> Result<(), EngineError> {
    match asked {
        Some(model) if model != card.name => {
            Err(EngineError::ModelNotFound { model: shortened(model), serving: card.name.clone() })
        }
        _ => Ok(()),
    }
}

/// Refuses text of a model for embeddings.
pub(super) fn check_generates(engine: &dyn Generate) -> Result<(), EngineError> {
    if engine.vectors().is_some() { Err(no_text(engine.card())) } else { Ok(()) }
}

/// Names come back in errors: not at any length.
fn shortened(name: &str) -> String {
    name.chars().take(200).collect()
}

/// Refuses parts that are not text, by the place of the first one.
pub(super) fn check_text_only(messages: &[Message]) -> Result<(), FieldError> {
    for (index, message) in messages.iter().enumerate() {
        if let Err((part, _)) = message.text_content() {
            let path = format!("messages[{index}].content[{part}]");
            return Err(FieldError::new(&path, "unsupported_content", "this model reads parts of type 'text' only"));
        }
    }
    Ok(())
}

/// Refuses what can never fit, before anything waits in a queue. A caller that names no
/// `max_tokens` wants at least one token.
fn check_window(prompt: &[u32], max_tokens: Option<u32>, window: u32) -> Result<(), EngineError> {
    let prompt_tokens = u32::try_from(prompt.len()).unwrap_or(u32::MAX);
    let max_tokens = max_tokens.unwrap_or(1);
    if prompt_tokens.saturating_add(max_tokens) > window {
        return Err(EngineError::ContextLength { prompt_tokens, max_tokens, window });
    }
    Ok(())
}

fn prompt_tokens(engine: &dyn Generate, prompt: &Prompt, add_special: bool) -> Result<Vec<Vec<u32>>, FieldError> {
    let lists: Vec<Vec<u32>> = match prompt {
        Prompt::Texts(texts) => texts.iter().map(|text| engine.tokenize(text, add_special, true)).collect(),
        Prompt::Tokens(lists) => {
            check_ids("prompt", lists.iter().flatten(), engine.card().n_vocab)?;
            lists.clone()
        }
    };
    if lists.iter().any(Vec::is_empty) {
        return Err(FieldError::new("prompt", "invalid_value", "a prompt must have at least one token"));
    }
    Ok(lists)
}

/// What is given back in front of the answers to `prompts`.
fn echoes(engine: &dyn Generate, prompt: Prompt, prompts: &[Vec<u32>]) -> Vec<Echo> {
    let texts: Vec<String> = match prompt {
        Prompt::Texts(texts) => texts,
        Prompt::Tokens(lists) => lists.iter().map(|tokens| engine.detokenize(tokens)).collect(),
    };
    let echo = |(text, tokens): (String, &Vec<u32>)| {
        let first = engine.detokenize(tokens.get(..1).unwrap_or_default());
        Echo { text, first, tokens: None }
    };
    texts.into_iter().zip(prompts).map(echo).collect()
}

/// Refuses ids that no token has.
pub(super) fn check_ids<'a>(
    param: &str,
    ids: impl IntoIterator<Item = &'a u32>,
    n_vocab: u32,
) -> Result<(), FieldError> {
    match ids.into_iter().find(|&&id| id >= n_vocab) {
        None => Ok(()),
        Some(id) => {
            let message = format!("token ids of this model are below {n_vocab}, got {id}");
            Err(FieldError::new(param, "out_of_range", &message))
        }
    }
}

fn boolean(rest: &Map<String, Value>, name: &str) -> Result<Option<bool>, FieldError> {
    match rest.get(name) {
        None | Some(Value::Null) => Ok(None),
        Some(Value::Bool(flag)) => Ok(Some(*flag)),
        Some(_) => Err(FieldError::new(name, "invalid_type", "expected a boolean")),
    }
}

/// vLLM's `chat_template_kwargs`: further variables of the template.
fn take_kwargs(rest: &mut Map<String, Value>) -> Result<Map<String, Value>, FieldError> {
    match rest.shift_remove("chat_template_kwargs") {
        None | Some(Value::Null) => Ok(Map::new()),
        Some(Value::Object(kwargs)) => Ok(kwargs),
        Some(_) => Err(FieldError::new("chat_template_kwargs", "invalid_type", "expected an object")),
    }
}

/// The request's values over the engine's over those of the OpenAI API.
fn sampling_params(
    sampling: &Sampling,
    defaults: SamplingDefaults,
    n_vocab: u32,
) -> Result<SamplingParams, FieldError> {
    let openai = SamplingParams::default();
    for token in sampling.logit_bias.keys() {
        check_ids(&format!("logit_bias.{token}"), [token], n_vocab)?;
    }
    let default_top_k = defaults.top_k.map(|top_k| i32::try_from(top_k).unwrap_or(i32::MAX));
    let chosen = |asked: Option<f64>, default: Option<f64>, openai: f32| asked.or(default).map_or(openai, narrow);
    Ok(SamplingParams {
        temperature: chosen(sampling.temperature, defaults.temperature, openai.temperature),
        top_p: chosen(sampling.top_p, defaults.top_p, openai.top_p),
        top_k: sampling.top_k.or(default_top_k).unwrap_or(openai.top_k),
        min_p: chosen(sampling.min_p, defaults.min_p, openai.min_p),
        frequency_penalty: chosen(sampling.frequency_penalty, None, openai.frequency_penalty),
        presence_penalty: chosen(sampling.presence_penalty, None, openai.presence_penalty),
        repetition_penalty: chosen(sampling.repetition_penalty, None, openai.repetition_penalty),
        seed: sampling.seed,
        logit_bias: sampling.logit_bias.iter().map(|(&token, &bias)| (token, narrow(bias))).collect(),
    })
}

#[expect(clippy::cast_possible_truncation, reason = "ranges are checked; logits are f32")]
fn narrow(number: f64) -> f32 {
    number as f32
}
