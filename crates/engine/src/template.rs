//! Chat templates: from messages to the text that the model was trained on.
//!
//! What it does: renders the model's own Jinja template as the Hugging Face libraries do (same
//! whitespace rules, functions and `tojson`), within bounds on time and memory, and keeps text of
//! the caller from becoming control tokens (`guard.rs`), so that nobody can forge a system turn.
//!
//! What it does not: guess a format, tokenize, know models. Differences to Python: `strftime_now`
//! is UTC, and `tojson(ensure_ascii=true)` is ignored.
//!
//! Start at [`ChatTemplate::render`].

use std::error::Error as _;

use lla_protocol::openai::{Message, Role};
use minijinja::value::{Serde, Value as JinjaValue};
use minijinja::{Environment, ErrorKind};
use serde_json::{Map, Value};
use thiserror::Error;

use self::environment::Refusal;
use self::guard::{Guard, Strength};

mod environment;
mod guard;
#[cfg(test)]
mod tests;

/// The name of the one template in its environment.
const NAME: &str = "chat";

/// What the variables that the renderer sets are called; callers can not set them.
const RESERVED: [&str; 6] = ["messages", "tools", "documents", "add_generation_prompt", "bos_token", "eos_token"];

/// Why a template can not be used or messages can not be rendered.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TemplateError {
    /// The template itself is broken.
    #[error("the chat template is not valid: {0}")]
    Syntax(String),
    /// The template called `raise_exception`: these messages are not for this model.
    #[error("the model's chat template refuses the messages: {0}")]
    Refused(String),
    /// A part that is not text.
    #[error("{path}: this model reads text only, got a part of type '{kind}'")]
    UnsupportedPart {
        /// `messages[i].content[j]`
        path: String,
        /// The type of the part.
        kind: String,
    },
    /// A template argument with the name of a variable that the renderer sets.
    #[error("chat_template_kwargs.{0}: this variable is set by the engine and can not be given")]
    ReservedVariable(String),
    /// A control token of one character, which nothing can keep from being one.
    #[error("{path}: contains the control character {token:?} of this model; remove it")]
    ControlCharacter {
        /// The field, such as `messages[0]`.
        path: String,
        /// The control token.
        token: String,
    },
    /// All of Unicode's noncharacters are in the request.
    #[error("messages: contain too many different Unicode noncharacters; remove them")]
    Noncharacters,
    /// The template ran out of steps or memory.
    #[error("the chat template does too much work for these messages")]
    TooMuchWork,
    /// Anything else that went wrong while rendering.
    #[error("the chat template failed: {0}")]
    Failed(String),
}

impl TemplateError {
    /// The request is to blame, not the template: a 400 for the caller.
    #[must_use]
    pub fn is_callers_fault(&self) -> bool {
        !matches!(self, Self::Syntax(_) | Self::Failed(_))
    }

    /// The field of the request that is to blame.
    #[must_use]
    pub fn field(&self) -> Option<String> {
        match self {
            Self::UnsupportedPart { path, .. } | Self::ControlCharacter { path, .. } => Some(path.clone()),
            Self::ReservedVariable(name) => Some(format!("chat_template_kwargs.{name}")),
            Self::Refused(_) | Self::Noncharacters | Self::TooMuchWork => Some("messages".to_owned()),
            Self::Syntax(_) | Self::Failed(_) => None,
        }
    }
}

/// Texts of the model's special tokens.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SpecialTokens {
    /// `bos_token` of the template; undefined when `None`.
    pub bos: Option<String>,
    /// `eos_token` of the template; undefined when `None`.
    pub eos: Option<String>,
    /// Everything that the tokenizer turns into a control token.
    pub control: Vec<String>,
}

/// What a rendering may be told beside the messages.
#[derive(Debug, Clone, Copy)]
pub struct TemplateOptions<'a> {
    /// Ends the prompt with the opening of the assistant's turn.
    pub add_generation_prompt: bool,
    /// Tool definitions as they came (an array).
    pub tools: Option<&'a Value>,
    /// Further variables (`chat_template_kwargs`).
    pub kwargs: &'a Map<String, Value>,
}

/// A rendered prompt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rendered {
    /// Concatenated they are the text of the prompt. Each is to be tokenized by itself, with control
    /// tokens parsed: a border between two pieces keeps text of the caller from forming one.
    pub pieces: Vec<String>,
}

impl Rendered {
    /// The whole prompt.
    #[must_use]
    pub fn text(&self) -> String {
        self.pieces.concat()
    }
}

/// A compiled chat template.
#[derive(Debug)]
pub struct ChatTemplate {
    environment: Environment<'static>,
    specials: SpecialTokens,
    guard: Guard,
    /// The template knows the role `developer` itself.
    knows_developer: bool,
}

/// All that a caller said, ready for the template.
struct CallerInput {
    messages: Value,
    tools: Value,
    kwargs: Value,
}

impl ChatTemplate {
    /// Compiles the template.
    ///
    /// # Errors
    /// [`TemplateError::Syntax`] with the line.
    pub fn new(source: &str, specials: SpecialTokens) -> Result<Self, TemplateError> {
        let mut environment = environment::new();
        environment
            .add_template_owned(NAME, environment::without_generation_tags(source))
            .map_err(|error| TemplateError::Syntax(describe(&error)))?;
        let guard = Guard::new(&specials.control, source);
        Ok(Self { environment, specials, guard, knows_developer: source.contains("developer") })
    }

    /// Renders the messages.
    ///
    /// # Errors
    /// A part that is not text, what the template refuses, too much work, or a failing template.
    pub fn render(&self, messages: &[Message], options: &TemplateOptions<'_>) -> Result<Rendered, TemplateError> {
        if let Some(name) = options.kwargs.keys().find(|name| RESERVED.contains(&name.as_str())) {
            return Err(TemplateError::ReservedVariable(name.clone()));
        }
        let input = self.caller_input(messages, options)?;
        let sentinel = self.sentinel(&input)?;
        let rendered = self.render_guarded(&input, options, sentinel, Strength::Tokens)?;
        if !self.guard.might_begin_token(&[&input.messages, &input.tools, &input.kwargs]) {
            return Ok(rendered);
        }
        // A template may cut text out of what the caller wrote and so put a token together that was
        // not there. Then breaking every character that begins a token is the answer; it is not the
        // first choice because it changes how innocent text is cut into tokens.
        let strict = self.render_guarded(&input, options, sentinel, Strength::Beginnings)?;
        let same = self.guard.tokens_in(&rendered.pieces) == self.guard.tokens_in(&strict.pieces);
        Ok(if same { rendered } else { strict })
    }

    fn caller_input(&self, messages: &[Message], options: &TemplateOptions<'_>) -> Result<CallerInput, TemplateError> {
        let messages: Result<Vec<Value>, TemplateError> =
            messages.iter().enumerate().map(|(index, message)| self.message(index, message)).collect();
        Ok(CallerInput {
            messages: Value::Array(messages?),
            tools: options.tools.cloned().unwrap_or(Value::Null),
            kwargs: Value::Object(options.kwargs.clone()),
        })
    }

    /// A message as templates expect it: text as content, arguments of tool calls as objects.
    fn message(&self, index: usize, message: &Message) -> Result<Value, TemplateError> {
        let content = message.text_content().map_err(|(part, kind)| TemplateError::UnsupportedPart {
            path: format!("messages[{index}].content[{part}]"),
            kind: kind.to_owned(),
        })?;
        let role = match message.role {
            Role::Developer if !self.knows_developer => Role::System,
            role => role,
        };
        let mut fields = Map::new();
        fields.insert("role".to_owned(), Value::from(role.as_str()));
        fields.insert("content".to_owned(), Value::from(content));
        // Clients send `null` for what is not there; templates ask `is defined`.
        for (name, value) in message.rest.iter().filter(|(_, value)| !value.is_null()) {
            fields.entry(name.as_str()).or_insert_with(|| value.clone());
        }
        if let Some(calls) = fields.get_mut("tool_calls").and_then(Value::as_array_mut) {
            calls.iter_mut().for_each(parse_arguments);
        }
        Ok(Value::Object(fields))
    }

    fn sentinel(&self, input: &CallerInput) -> Result<char, TemplateError> {
        self.guard.free_sentinel(&[&input.messages, &input.tools, &input.kwargs]).ok_or(TemplateError::Noncharacters)
    }

    fn render_guarded(
        &self,
        input: &CallerInput,
        options: &TemplateOptions<'_>,
        sentinel: char,
        strength: Strength,
    ) -> Result<Rendered, TemplateError> {
        let protect = |value: &Value, path: &str| {
            self.guard
                .protect(value, sentinel, strength)
                .map_err(|token| TemplateError::ControlCharacter { path: path.to_owned(), token })
        };
        let mut context = match protect(&input.kwargs, "chat_template_kwargs")? {
            Value::Object(kwargs) => kwargs,
            _ => Map::new(),
        };
        context.insert("messages".to_owned(), protect(&input.messages, "messages")?);
        context.insert("tools".to_owned(), protect(&input.tools, "tools")?);
        context.insert("documents".to_owned(), Value::Null);
        context.insert("add_generation_prompt".to_owned(), Value::Bool(options.add_generation_prompt));
        for (name, token) in [("bos_token", &self.specials.bos), ("eos_token", &self.specials.eos)] {
            if let Some(token) = token {
                context.insert(name.to_owned(), Value::from(token.as_str()));
            }
        }
        let template = self.environment.get_template(NAME).map_err(|error| failure(&error, sentinel))?;
        let text = template.render(JinjaValue::from(Serde(context))).map_err(|error| failure(&error, sentinel))?;
        let pieces = text.split(sentinel).filter(|piece| !piece.is_empty()).map(str::to_owned).collect();
        Ok(Rendered { pieces })
    }
}

/// The API has the arguments of a tool call as a string of JSON, templates expect the object.
fn parse_arguments(call: &mut Value) {
    let Some(arguments) = call.get_mut("function").and_then(|function| function.get_mut("arguments")) else { return };
    let parsed = arguments.as_str().and_then(|text| serde_json::from_str::<Value>(text).ok());
    if let Some(parsed @ Value::Object(_)) = parsed {
        *arguments = parsed;
    }
}

fn failure(error: &minijinja::Error, sentinel: char) -> TemplateError {
    let mut cause: Option<&(dyn std::error::Error + 'static)> = error.source();
    while let Some(inner) = cause {
        if let Some(Refusal(message)) = inner.downcast_ref::<Refusal>() {
            return TemplateError::Refused(message.replace(sentinel, ""));
        }
        if inner.downcast_ref::<minijinja::Error>().is_some_and(|inner| inner.kind() == ErrorKind::OutOfFuel) {
            return TemplateError::TooMuchWork;
        }
        cause = inner.source();
    }
    if error.kind() == ErrorKind::OutOfFuel {
        return TemplateError::TooMuchWork;
    }
    TemplateError::Failed(describe(error).replace(sentinel, ""))
}

/// Kind, detail and line; never a dump of variables, which would put prompts into logs.
fn describe(error: &minijinja::Error) -> String {
    let line = error.line().map(|line| format!(" (line {line})")).unwrap_or_default();
    let detail = error.detail().map(|detail| format!(": {detail}")).unwrap_or_default();
    format!("{}{detail}{line}", error.kind())
}
