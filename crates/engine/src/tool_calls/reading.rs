//! What is looked for in an answer, and what it turns out to hold.

use lla_protocol::openai::{ToolChoice, Tools};

use super::family::Family;
use super::values::{Types, of_parameters};
use crate::chat_format::ChatFormat;

/// What to look for in an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reading {
    /// The format of calls.
    pub family: Family,
    /// The tools that may be called; none: calls are not looked for.
    pub names: Vec<String>,
    /// What the parameters of each tool may be, for formats that write values bare.
    pub parameters: Vec<(String, Vec<(String, Types)>)>,
    /// More than one call is handed on.
    pub parallel: bool,
    /// An answer without a call is an error.
    pub forced: bool,
    /// The caller named the function: such an answer ends with `stop`, as at OpenAI.
    pub named: bool,
    /// The model may begin with a reasoning section.
    pub thinks: bool,
    /// The prompt leaves the model in one.
    pub open: bool,
    /// The answer is calls and nothing else, or a text of a form that the caller asked for. Calls begin
    /// it then; one without a marker has blanks behind its colons, which JSON of a schema has not.
    pub either: bool,
}

impl Reading {
    /// What to look for in answers to a request; `None`: they are plain text. `either`: see the field.
    #[must_use]
    pub fn new(format: &ChatFormat, tools: &Tools, open: bool, either: bool) -> Option<Self> {
        let names =
            if tools.callable() { tools.tools.iter().map(|tool| tool.name.clone()).collect() } else { Vec::new() };
        let described = tools.tools.iter().filter(|_| format.family.tags().is_some());
        let reading = Self {
            family: format.family,
            names,
            parameters: described.map(|tool| (tool.name.clone(), of_parameters(tool))).collect(),
            parallel: tools.parallel,
            forced: tools.forced(),
            named: tools.choice == ToolChoice::Named,
            thinks: format.reasoning.thinks || open,
            open,
            either,
        };
        (reading.thinks || !reading.names.is_empty()).then_some(reading)
    }
}

/// What an answer turned out to hold, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// Text for the caller.
    Content(String),
    /// Text of the reasoning section.
    Reasoning(String),
    /// A call begins.
    CallStart {
        /// Counts the calls of the answer from 0.
        index: u32,
        /// Unique name of the call.
        id: String,
        /// The tool.
        name: String,
    },
    /// Text of the JSON object of a call's arguments.
    CallArguments {
        /// Which call.
        index: u32,
        /// To append.
        text: String,
    },
    /// A call that had begun is none: its arguments are not JSON. Its text follows as content.
    CallDropped {
        /// Which call.
        index: u32,
    },
}
