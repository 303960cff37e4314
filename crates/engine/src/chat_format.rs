//! What a model's chat template tells about its answers: tool calls and reasoning sections.

use crate::reasoning::Reasoning;
use crate::tool_calls::Family;

/// How a model writes tool calls and reasoning.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChatFormat {
    /// The format of its tool calls.
    pub family: Family,
    /// Its reasoning sections.
    pub reasoning: Reasoning,
    /// The template takes system messages.
    pub knows_system: bool,
    /// Markers of the format that are control tokens of the model, with their ids.
    pub control: Vec<(String, u32)>,
}

impl ChatFormat {
    /// Reads the format off a template.
    #[must_use]
    pub fn detect(source: &str, control: Vec<(String, u32)>) -> Self {
        let refuses_system = source.contains("System role not supported");
        Self {
            family: Family::detect(source),
            reasoning: Reasoning::detect(source),
            knows_system: source.contains("system") && !refuses_system,
            control,
        }
    }

    /// The id of a marker that is a control token.
    pub(crate) fn control_id(&self, marker: &str) -> Option<u32> {
        self.control.iter().find(|(text, _)| text == marker).map(|&(_, id)| id)
    }
}

/// The template reads the variable `name`: it stands in a tag, outside of strings, and not as a
/// member of something else.
pub(crate) fn uses(source: &str, name: &str) -> bool {
    let tags = source.split("{%").skip(1).map(|tag| until(tag, "%}"));
    let prints = source.split("{{").skip(1).map(|tag| until(tag, "}}"));
    tags.chain(prints).any(|tag| has_word(tag, name))
}

fn until<'a>(text: &'a str, end: &str) -> &'a str {
    text.split_once(end).map_or(text, |(inner, _)| inner)
}

fn has_word(tag: &str, name: &str) -> bool {
    let (mut quote, mut word, mut member) = (None, String::new(), false);
    for char in tag.chars().chain([' ']) {
        if let Some(open) = quote {
            if char == open {
                quote = None;
            }
            continue;
        }
        if char.is_alphanumeric() || char == '_' {
            word.push(char);
            continue;
        }
        if word == name && !member {
            return true;
        }
        if !word.is_empty() || char != ' ' {
            member = char == '.';
        }
        word.clear();
        quote = matches!(char, '"' | '\'').then_some(char);
    }
    false
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_are_told_from_strings_and_members() {
        for (source, wanted) in [
            ("{% if tools %}", true),
            ("{%- if tools is defined and tools %}", true),
            ("{{ x + tools|tojson }}", true),
            ("{{ 'your tools' }}", false),
            ("{{ message.tools }}", false),
            ("{{ tools_in_user_message }}", false),
            ("tools", false),
        ] {
            assert_eq!(uses(source, "tools"), wanted, "{source}");
        }
    }
}
