//! Which format of tool calls a model was trained on, as its chat template shows it.

use super::tagged::{GLM, QWEN, Tags};
use crate::chat_format::uses;

/// A format of tool calls.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Family {
    /// `<tool_call>{"name": …, "arguments": …}</tool_call>`: Hermes, Qwen 2.5 and 3, Granite 4.
    Hermes,
    /// `{"name": …, "parameters": …}`, also after `<|python_tag|>`: Llama 3.1 to 3.3.
    Llama3,
    /// `[TOOL_CALLS][{"name": …, "arguments": …}]`: Mistral up to 2025.
    Mistral,
    /// `[TOOL_CALLS]name[ARGS]{…}`: Mistral since 2025.
    MistralArgs,
    /// `<｜tool▁call▁begin｜>name<｜tool▁sep｜>{…}<｜tool▁call▁end｜>`: DeepSeek V3 and R1 of 2025.
    DeepSeek,
    /// `<tool_call><function=name><parameter=key>value</parameter></function></tool_call>` in lines:
    /// Qwen3-Coder, Qwen 3.5.
    QwenTags,
    /// `<tool_call>name<arg_key>key</arg_key><arg_value>value</arg_value></tool_call>`: GLM since 4.5.
    GlmTags,
    /// The template knows no tools, or a format that is not known here: the tools are listed in a
    /// system message, and a call is `{"name": …, "arguments": …}`.
    Generic,
}

/// Texts that are part of a format. Where they are control tokens, the engine shows them in answers.
pub(crate) const MARKERS: &[&str] = &[
    "<think>",
    "</think>",
    "<tool_call>",
    "</tool_call>",
    "<arg_key>",
    "</arg_key>",
    "<arg_value>",
    "</arg_value>",
    "<|python_tag|>",
    "[TOOL_CALLS]",
    "[ARGS]",
    "[CALL_ID]",
    CALLS_BEGIN,
    CALLS_END,
    CALL_BEGIN,
    CALL_END,
    SEPARATOR,
];

/// How templates that write calls as JSON begin the member with the arguments.
const ARGUMENTS: &str = "\"arguments";
pub(super) const CALLS_BEGIN: &str = "<｜tool▁calls▁begin｜>";
pub(super) const CALLS_END: &str = "<｜tool▁calls▁end｜>";
pub(super) const CALL_BEGIN: &str = "<｜tool▁call▁begin｜>";
pub(super) const CALL_END: &str = "<｜tool▁call▁end｜>";
pub(super) const SEPARATOR: &str = "<｜tool▁sep｜>";

impl Family {
    /// Reads the family off a chat template.
    #[must_use]
    pub fn detect(source: &str) -> Self {
        // Templates that only render calls of the past do not tell the model how to call.
        if !uses(source, "tools") {
            return Self::Generic;
        }
        match source {
            _ if source.contains("[TOOL_CALLS]") && source.contains("[ARGS]") => Self::MistralArgs,
            _ if source.contains("[TOOL_CALLS]") => Self::Mistral,
            _ if source.contains("<tool_call>") && source.contains("<arg_key>") => Self::GlmTags,
            _ if ["<tool_call>", "<function=", "<parameter="].iter().all(|tag| source.contains(tag)) => Self::QwenTags,
            // Others put JSON into that tag, or other tags around it, which is not read here.
            _ if source.contains("<function=") => Self::Generic,
            _ if source.contains(CALL_BEGIN) => Self::DeepSeek,
            _ if source.contains("<tool_call>") && source.contains(ARGUMENTS) => Self::Hermes,
            _ if source.contains("ipython") && !source.contains(ARGUMENTS) => Self::Llama3,
            _ => Self::Generic,
        }
    }

    /// What begins a call.
    pub(super) fn opens(self) -> &'static [&'static str] {
        match self {
            Self::Hermes | Self::GlmTags => &["<tool_call>"],
            // The outer tag is forgotten now and then.
            Self::QwenTags => &["<tool_call>", "<function="],
            Self::Llama3 => &["<|python_tag|>"],
            Self::Mistral | Self::MistralArgs => &["[TOOL_CALLS]"],
            Self::DeepSeek => &[CALLS_BEGIN, CALL_BEGIN],
            // Small models write what they saw most.
            Self::Generic => &["```json", "<tool_call>"],
        }
    }

    /// What ends an argument that is written without quotes, in formats that have such.
    #[must_use]
    pub fn value_end(self) -> Option<&'static str> {
        self.tags().map(|tags| if tags.lines { "\n</parameter>" } else { tags.value.1 })
    }

    /// What may stand after a call and is no text.
    pub(super) fn closes(self) -> &'static [&'static str] {
        match self {
            Self::Hermes | Self::QwenTags => &["</tool_call>"],
            Self::Llama3 | Self::GlmTags | Self::Mistral | Self::MistralArgs => &[],
            Self::DeepSeek => &["```", CALL_END, CALLS_END],
            Self::Generic => &["```", "</tool_call>"],
        }
    }

    /// The tags that the arguments stand in; `None`: they are JSON.
    pub(super) fn tags(self) -> Option<&'static Tags> {
        match self {
            Self::QwenTags => Some(&QWEN),
            Self::GlmTags => Some(&GLM),
            _ => None,
        }
    }

    /// A call may begin an answer without a marker.
    pub(super) fn is_bare(self) -> bool {
        matches!(self, Self::Llama3 | Self::Generic)
    }

    /// The name stands in front of the arguments instead of in one object with them.
    pub(super) fn has_header(self) -> bool {
        matches!(self, Self::Mistral | Self::MistralArgs | Self::DeepSeek)
    }

    /// The name in what stands between the marker and the arguments.
    pub(super) fn header_name(self, header: &str) -> Option<&str> {
        let name = match self {
            Self::DeepSeek => match header.split_once(SEPARATOR)? {
                (name, rest) if rest.trim().is_empty() => name,
                // Before V3.1 the kind of tool stood first, and the arguments in a fence.
                (_, rest) => rest.trim_end().trim_end_matches("```json"),
            },
            _ => header.split_once("[ARGS]")?.0.split("[CALL_ID]").next()?,
        };
        Some(name.trim())
    }

    /// The member that holds the arguments.
    pub(super) fn arguments_key(self) -> &'static str {
        if self == Self::Llama3 { "parameters" } else { "arguments" }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn families_are_read_off_templates() {
        for (source, wanted) in [
            ("{% if tools %}<tool_call>{\\\"name\\\": x, \\\"arguments\\\": y}{% endif %}", Family::Hermes),
            ("{% if tools %}<tool_call>name<arg_key>\"arguments\"{% endif %}", Family::GlmTags),
            ("{% if tools %}<tool_call><function=x><parameter=y>{% endif %}", Family::QwenTags),
            ("{% if tools %}<tool_call>{% endif %}", Family::Generic),
            ("{{ '<tool_call>' }}{{ message.tools }}{{ 'tools' }}", Family::Generic),
            ("{%- for t in tools %}ipython{% endfor %}", Family::Llama3),
            ("{% if tools %}[TOOL_CALLS]{% endif %}", Family::Mistral),
            ("{% if tools %}[TOOL_CALLS][ARGS]{% endif %}", Family::MistralArgs),
            ("{% if tools %}<tool_call><function=x>{% endif %}", Family::Generic),
            ("{% if tools %}<｜tool▁call▁begin｜>{% endif %}", Family::DeepSeek),
            ("{% if tools %}{% endif %}", Family::Generic),
            ("no Jinja at all: tools", Family::Generic),
        ] {
            assert_eq!(Family::detect(source), wanted, "{source}");
        }
    }

    #[test]
    fn names_are_read_off_headers() {
        for (family, header, wanted) in [
            (Family::MistralArgs, "f[ARGS]", Some("f")),
            (Family::MistralArgs, "f[CALL_ID]123[ARGS] ", Some("f")),
            (Family::MistralArgs, "f ", None),
            (Family::DeepSeek, "f<｜tool▁sep｜>", Some("f")),
            (Family::DeepSeek, "function<｜tool▁sep｜>f\n```json\n", Some("f")),
            (Family::DeepSeek, "f", None),
        ] {
            assert_eq!(family.header_name(header), wanted, "{header}");
        }
    }
}
