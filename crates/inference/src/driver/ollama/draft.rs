//! Requests of the domain -> requests of Ollama that lack only their window. Pure.

use lla_protocol::openai::{Logprobs, Prompt, Sampling, ToolChoice, Tools};
use lla_protocol::{FieldError, Fields, ollama};
use serde::Serialize;
use serde_json::Value;

use super::answer::Shape;
use super::card::Card;
use super::config::OllamaConfig;
use super::estimate::Tokens;
use super::window::{Need, Window};
use super::{fields, messages};
use crate::{ChatRequest, CompletionRequest, Error};

/// A request of Ollama, without its window.
#[derive(Debug, Clone)]
pub(super) struct Draft {
    body: Body,
    pub(super) need: Need,
    pub(super) shape: Shape,
    /// The choice that it answers, and which of the request's prompts that is about.
    pub(super) choice: u32,
    pub(super) prompt: u32,
    /// Where the first image stands.
    image_at: Option<String>,
}

#[derive(Debug, Clone, Serialize)]
#[serde(untagged)]
pub(super) enum Body {
    Chat(ollama::ChatRequest),
    Generate(ollama::GenerateRequest),
}

/// What Ollama is asked for one choice each: it has no `n`, and takes one prompt at a time.
///
/// # Errors
/// Names the field that Ollama has no place for.
pub(super) fn chat(request: ChatRequest) -> Result<Vec<Draft>, FieldError> {
    let ChatRequest { model, messages, sampling, max_tokens, n, extra: mut rest } = request;
    fields::check_sampling(&sampling)?;
    let tools = Tools::take(&mut rest)?;
    let format = fields::take_format(&mut rest)?;
    let think = fields::take_think(&mut rest)?;
    let logprobs = take_logprobs(&mut rest, Logprobs::of_chat)?;
    fields::nothing_else(&rest, n)?;
    let converted = messages::convert(messages)?;
    let tool_list: Vec<Value> = if tools.callable() {
        tools.tools.iter().map(lla_protocol::openai::Tool::for_template).collect()
    } else {
        Vec::new()
    };
    let tool_tokens = tool_list.iter().map(|tool| Tokens::of(&tool.to_string()));
    let prompt = tool_tokens.fold(converted.tokens.message(), |sum, tokens| sum.and(tokens.perhaps()));
    let body = ollama::ChatRequest {
        model,
        messages: converted.messages,
        tools: tool_list,
        format,
        options: options(sampling),
        keep_alive: None,
        think,
        truncate: false,
        logprobs: logprobs.is_some(),
        top_logprobs: logprobs.unwrap_or(0),
        stream: true,
    };
    let draft = Draft {
        body: Body::Chat(body),
        need: Need::new(prompt, max_tokens),
        shape: Shape::Chat { one_call: !tools.parallel && tools.choice != ToolChoice::None },
        choice: 0,
        prompt: 0,
        image_at: converted.image_at,
    };
    Ok((0..n.unwrap_or(1)).map(|choice| draft.for_choice(choice, 0)).collect())
}

/// Like [`chat`] for texts to continue.
///
/// # Errors
/// Names the field that Ollama has no place for.
pub(super) fn completion(request: CompletionRequest) -> Result<Vec<Draft>, FieldError> {
    let CompletionRequest { model, prompt, sampling, max_tokens, n, extra: mut rest } = request;
    fields::check_sampling(&sampling)?;
    let Prompt::Texts(texts) = prompt else {
        return Err(FieldError::new("prompt", "unsupported_content", "Ollama takes texts, no tokens: send the text"));
    };
    if let Some(index) = texts.iter().position(String::is_empty) {
        let path = if texts.len() == 1 { "prompt".to_owned() } else { format!("prompt[{index}]") };
        return Err(FieldError::new(&path, "invalid_value", "Ollama continues no empty text"));
    }
    let format = fields::take_format(&mut rest)?;
    let logprobs = take_logprobs(&mut rest, Logprobs::of_completion)?;
    fields::nothing_else(&rest, n)?;
    let mut drafts = Vec::new();
    let mut choice = 0;
    for (prompt, text) in (0_u32..).zip(texts) {
        let need = Need::new(Tokens::of(&text).message(), Some(max_tokens));
        let body = ollama::GenerateRequest {
            model: model.clone(),
            prompt: text,
            raw: true,
            options: options(sampling.clone()),
            format: format.clone(),
            keep_alive: None,
            think: None,
            truncate: false,
            logprobs: logprobs.is_some(),
            top_logprobs: logprobs.unwrap_or(0),
            stream: true,
        };
        let shape = Shape::Completion { top: logprobs.is_some_and(|top| top > 0) };
        let draft = Draft { body: Body::Generate(body), need, shape, choice: 0, prompt: 0, image_at: None };
        for same in 0..n.unwrap_or(1) {
            drafts.push(draft.for_choice(choice, prompt).with_seed(same));
            choice += 1;
        }
    }
    Ok(drafts)
}

/// How many of the likeliest tokens are asked for; `None`: no log-probabilities.
fn take_logprobs(
    rest: &mut serde_json::Map<String, Value>,
    read: impl Fn(&Fields) -> Result<Logprobs, FieldError>,
) -> Result<Option<u32>, FieldError> {
    let fields = Fields::from_value(Value::Object(std::mem::take(rest)), "")?;
    let logprobs = read(&fields)?;
    *rest = fields.rest();
    rest.shift_remove("logprobs");
    rest.shift_remove("top_logprobs");
    Ok(logprobs.top)
}

fn options(sampling: Sampling) -> ollama::Options {
    ollama::Options {
        num_ctx: None,
        num_predict: None,
        temperature: sampling.temperature,
        top_p: sampling.top_p,
        // Both -1 and 0 switch it off, Ollama only knows the latter.
        top_k: sampling.top_k.map(|top_k| top_k.max(0)),
        min_p: sampling.min_p,
        seed: sampling.seed,
        stop: sampling.stop,
        repeat_penalty: sampling.repetition_penalty,
        presence_penalty: sampling.presence_penalty,
        frequency_penalty: sampling.frequency_penalty,
    }
}

impl Draft {
    fn for_choice(&self, choice: u32, prompt: u32) -> Self {
        let copy = Self { choice, prompt, ..self.clone() };
        match copy.body {
            Body::Chat(_) => copy.with_seed(choice),
            Body::Generate(_) => copy,
        }
    }

    /// Choices of the same prompt differ also with a seed.
    fn with_seed(mut self, offset: u32) -> Self {
        let seed = &mut self.options().seed;
        *seed = seed.map(|seed| seed.wrapping_add(i64::from(offset)));
        self
    }

    fn options(&mut self) -> &mut ollama::Options {
        match &mut self.body {
            Body::Chat(body) => &mut body.options,
            Body::Generate(body) => &mut body.options,
        }
    }

    /// Where it is to be sent.
    pub(super) fn path(&self) -> &'static str {
        match self.body {
            Body::Chat(_) => "api/chat",
            Body::Generate(_) => "api/generate",
        }
    }

    /// Adapts it to what the model can do.
    ///
    /// # Errors
    /// When it asks for what the model can not do.
    pub(super) fn fit(&mut self, card: &Card, model: &str) -> Result<(), Error> {
        let refuse = |what: &str, param: &str, code: &str| {
            let message = format!("the model '{model}' {what}");
            Err(Error::InvalidRequest { message, param: Some(param.to_owned()), code: Some(code.to_owned()) })
        };
        if !card.can("completion") {
            return refuse("does not generate text: use it for embeddings", "model", "unsupported_model");
        }
        if let Some(path) = self.image_at.as_deref().filter(|_| !card.can("vision")) {
            return refuse("can not see images", path, "unsupported_content");
        }
        match &mut self.body {
            Body::Chat(body) if !body.tools.is_empty() && !card.can("tools") => {
                refuse("can not call tools: its template has no place for them", "tools", "unsupported_parameter")
            }
            Body::Chat(body) => {
                if !card.can("thinking") {
                    // It thinks as much as it can, which is not at all.
                    body.think = None;
                }
                Ok(())
            }
            Body::Generate(body) => {
                // The whole text is the answer, whatever tags are in it.
                body.think = card.is_known_to("thinking").then_some(ollama::Think::Switch(false));
                Ok(())
            }
        }
    }

    /// The whole request.
    pub(super) fn body(&self, window: Window, config: &OllamaConfig) -> Body {
        let mut draft = self.clone();
        let options = draft.options();
        (options.num_ctx, options.num_predict) = (Some(window.num_ctx), Some(window.num_predict));
        match &mut draft.body {
            Body::Chat(body) => body.keep_alive = config.keep_alive(),
            Body::Generate(body) => body.keep_alive = config.keep_alive(),
        }
        draft.body
    }
}

#[cfg(test)]
mod tests;
