//! The grammar that makes a model call a tool, in llguidance's dialect of Lark.

use lla_protocol::openai::{Tool, ToolChoice, Tools};
use serde_json::{Value, json};

use super::family::{CALL_BEGIN, CALL_END, CALLS_BEGIN, CALLS_END, Family, SEPARATOR};
use super::tagged::Tags;
use crate::chat_format::ChatFormat;
use crate::constraint::{Grammar, GrammarError, Restriction, Starts};
use crate::reasoning;

mod tagged;
mod text;

use self::tagged::TaggedWriter;

/// Most further calls in one answer: a weak model would call for ever.
const FURTHER_CALLS: u32 = 7;

/// What answers to a request must look like.
///
/// A forced call (`required`, named) holds from the start of the answer, behind the reasoning if the
/// prompt leaves the model in it (`open`). With `auto` the model is free until it begins a call; then
/// the call is held to the schemas of the tools, if one of them is `strict`. `None`: nothing is asked
/// of calls.
///
/// `answer` is what an answer without a call has to be. With `auto` the answer as a whole is then either
/// that or calls; where calls are forced it counts for nothing.
#[must_use]
pub fn restriction(format: &ChatFormat, tools: &Tools, open: bool, answer: Option<&Grammar>) -> Option<Restriction> {
    let strict = tools.tools.iter().any(|tool| tool.strict);
    if !tools.callable() || tools.choice == ToolChoice::Auto && !strict && answer.is_none() {
        return None;
    }
    let family = format.family;
    let writer = Writer { format, tools, splits: family.is_bare() && answer.is_some() && !tools.forced() };
    let calls = format!("{}{}", writer.before_first(), writer.first());
    if tools.forced() {
        return Some(writer.restriction(&lead(open, &calls), reasoning::starts(open)));
    }
    if let Some(answer) = answer {
        let either = lead(open, &format!("(@answer | {calls})"));
        let grammar = Grammar::CallsOr { calls: writer.lark(&either), answer: Box::new(answer.clone()) };
        return Some(Restriction { grammar, starts: reasoning::starts(open) });
    }
    if family.is_bare() {
        // What begins like a call is one; everything else is text.
        let either = lead(open, &format!("(TEXT | {})", writer.first()));
        let lark = writer.lark(&either) + "TEXT: /[^\\s{\\[`](.|\\n)*/\n";
        return Some(Restriction { grammar: Grammar::Lark(lark), starts: reasoning::starts(open) });
    }
    Some(writer.restriction(&writer.first(), Starts::After(writer.trigger().to_owned())))
}

/// Checks that calls in this format can be held to the schema of a tool's parameters, which
/// [`crate::constraint::prepare_schema`] has made ready.
///
/// # Errors
/// Names the first keyword that they can not be held to.
pub(crate) fn check_parameters(format: &ChatFormat, schema: &Value) -> Result<(), GrammarError> {
    if format.family.tags().is_some() { text::check(schema) } else { Ok(()) }
}

/// Behind a reasoning section models write line breaks.
fn lead(open: bool, start: &str) -> String {
    if open { format!("LEAD? {start}") } else { start.to_owned() }
}

struct Writer<'a> {
    format: &'a ChatFormat,
    tools: &'a Tools,
    /// Calls stand beside JSON that may begin like them, so they are made of the same pieces as JSON is:
    /// a longer piece would swallow the brace of the other.
    splits: bool,
}

impl Writer<'_> {
    fn restriction(&self, start: &str, starts: Starts) -> Restriction {
        Restriction { grammar: Grammar::Lark(self.lark(start)), starts }
    }

    fn lark(&self, start: &str) -> String {
        let mut lark = format!("start: {start}\nLEAD: /[ \\n]{{1,4}}/\n");
        let names: Vec<String> = (0..self.tools.tools.len()).map(|index| format!("call_{index}")).collect();
        lark.push_str(&format!("call: {}\n", names.join(" | ")));
        for (index, tool) in self.tools.tools.iter().enumerate() {
            match self.format.family.tags() {
                Some(tags) => lark.push_str(&self.tagged(tags).rules(index, tool)),
                None => {
                    lark.push_str(&format!("call_{index}: {}\n", self.call(index, &tool.name)));
                    lark.push_str(&format!("arguments_{index}: %json {}\n", self.schema(tool)));
                }
            }
        }
        if let Some(tags) = self.format.family.tags() {
            lark.push_str(&self.tagged(tags).shared_rules());
        }
        lark
    }

    /// What the model writes in front of the text that [`Writer::first`] describes.
    fn trigger(&self) -> &'static str {
        match self.format.family {
            Family::Hermes | Family::QwenTags | Family::GlmTags => "<tool_call>",
            Family::Mistral | Family::MistralArgs => "[TOOL_CALLS]",
            Family::DeepSeek => CALL_BEGIN,
            Family::Llama3 | Family::Generic => "",
        }
    }

    fn before_first(&self) -> String {
        match self.format.family {
            Family::DeepSeek => format!("{} {} ", self.marker(CALLS_BEGIN), self.marker(CALL_BEGIN)),
            family if family.is_bare() => String::new(),
            _ => format!("{} ", self.marker(self.trigger())),
        }
    }

    /// The first call and those that may follow, without what stands in front of the first.
    fn first(&self) -> String {
        let more = |between: String| match self.tools.parallel {
            true => format!(" ({between}){{0,{FURTHER_CALLS}}}"),
            false => String::new(),
        };
        let open = self.marker(self.trigger());
        match self.format.family {
            Family::Hermes | Family::QwenTags => {
                let body = format!("\"\\n\" call \"\\n\" {}", self.marker("</tool_call>"));
                format!("{body}{}", more(format!("\"\\n\" {open} {body}")))
            }
            Family::GlmTags => {
                let close = self.marker("</tool_call>");
                format!("call {close}{}", more(format!("\"\\n\" {open} call {close}")))
            }
            Family::Mistral => format!("\"[\" call{} \"]\"", more("\", \" call".to_owned())),
            Family::MistralArgs => format!("call{}", more(format!("{open} call"))),
            Family::DeepSeek => {
                let end = self.marker(CALL_END);
                format!("call {end}{} {}", more(format!("{open} call {end}")), self.marker(CALLS_END))
            }
            // These are trained on one call at a time.
            Family::Llama3 | Family::Generic => "call".to_owned(),
        }
    }

    fn call(&self, index: usize, name: &str) -> String {
        let family = self.format.family;
        match family {
            Family::MistralArgs => format!("{} {} arguments_{index}", literal(name), self.marker("[ARGS]")),
            Family::DeepSeek => format!("{} {} arguments_{index}", literal(name), self.marker(SEPARATOR)),
            _ => {
                let (key, rest) = ("\"name\"", format!("\"{name}\", \"{}\": ", family.arguments_key()));
                let head = match self.splits {
                    true => ["{", key, ": ", &rest].map(literal).join(" "),
                    false => literal(&format!("{{{key}: {rest}")),
                };
                format!("{head} arguments_{index} \"}}\"")
            }
        }
    }

    fn tagged<'b>(&'b self, tags: &'static Tags) -> TaggedWriter<'b> {
        TaggedWriter { format: self.format, tags, forced: self.tools.forced() }
    }

    /// The schema, to be written as models were trained to: one line, a space behind `:` and `,`. White
    /// space without end is what weak models fall into. No `\\uXXXX`: each text has one spelling.
    fn schema(&self, tool: &Tool) -> Value {
        let mut schema = if self.tools.forced() || tool.strict { tool.schema() } else { json!({"type": "object"}) };
        if let Value::Object(schema) = &mut schema {
            schema.entry("type").or_insert_with(|| "object".into());
        }
        in_one_line(schema)
    }

    fn marker(&self, text: &str) -> String {
        marker(self.format, text)
    }
}

/// A schema whose values are written in one line, with blanks behind `:` and `,`.
pub(super) fn in_one_line(mut schema: Value) -> Value {
    if let Value::Object(schema) = &mut schema {
        let form = json!({
            "whitespace_flexible": false, "item_separator": ", ", "key_separator": ": ",
            "json_allowed_escapes": "nrbtf\\\"",
        });
        schema.insert("x-guidance".to_owned(), form);
    }
    schema
}

/// A marker of the format: a control token by its id, otherwise its text.
pub(super) fn marker(format: &ChatFormat, text: &str) -> String {
    format.control_id(text).map_or_else(|| literal(text), |id| format!("<[{id}]>"))
}

/// A string of Lark is one of JSON.
pub(super) fn literal(text: &str) -> String {
    Value::from(text).to_string()
}
