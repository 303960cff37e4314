//! What has been said, and what a typed line means.

use serde_json::{Value, json};

/// A line of the human.
#[derive(Debug, PartialEq, Eq)]
pub enum Typed<'a> {
    /// Empty.
    Nothing,
    /// `/exit`, `/quit`.
    Exit,
    /// `/clear`.
    Clear,
    /// Some other `/word`.
    Unknown(&'a str),
    /// Something for the model.
    Say(&'a str),
}

/// Reads a line. Only a lone `/word` is a command: `/etc/hosts is a file` is a question.
#[must_use]
pub fn read(line: &str) -> Typed<'_> {
    let line = line.trim();
    match line {
        "" => Typed::Nothing,
        "/exit" | "/quit" => Typed::Exit,
        "/clear" => Typed::Clear,
        _ if line.strip_prefix('/').is_some_and(|rest| !rest.is_empty() && rest.chars().all(char::is_alphanumeric)) => {
            Typed::Unknown(line)
        }
        _ => Typed::Say(line),
    }
}

/// The messages so far.
#[derive(Debug)]
pub struct Conversation {
    messages: Vec<Value>,
    system: usize,
}

impl Conversation {
    /// A new one, with what the model is told first.
    #[must_use]
    pub fn new(system: Option<&str>) -> Self {
        let messages: Vec<Value> = system.map(|text| json!({"role": "system", "content": text})).into_iter().collect();
        Self { system: messages.len(), messages }
    }

    /// Forgets all but the system message.
    pub fn clear(&mut self) {
        self.messages.truncate(self.system);
    }

    /// Adds a question.
    pub fn ask(&mut self, text: &str) {
        self.messages.push(json!({"role": "user", "content": text}));
    }

    /// Adds the answer to the last question; without any text the question is taken back, as two
    /// questions in a row confuse models (and some templates refuse them).
    pub fn answered(&mut self, text: &str) {
        if text.is_empty() {
            self.messages.pop();
        } else {
            self.messages.push(json!({"role": "assistant", "content": text}));
        }
    }

    /// What is sent.
    #[must_use]
    pub fn messages(&self) -> &[Value] {
        &self.messages
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn commands_stand_alone() {
        assert_eq!(read("  "), Typed::Nothing);
        assert_eq!(read("/exit "), Typed::Exit);
        assert_eq!(read("/clear"), Typed::Clear);
        assert_eq!(read("/help"), Typed::Unknown("/help"));
        assert_eq!(read("/etc/hosts"), Typed::Say("/etc/hosts"));
        assert_eq!(read("/exit now please"), Typed::Say("/exit now please"));
    }

    #[test]
    fn a_question_without_answer_is_taken_back() {
        let mut conversation = Conversation::new(Some("be brief"));
        conversation.ask("a");
        conversation.answered("");
        assert_eq!(conversation.messages().len(), 1);
        conversation.ask("b");
        conversation.answered("c");
        assert_eq!(conversation.messages()[2]["content"], "c");
        conversation.clear();
        assert_eq!(conversation.messages().len(), 1);
    }
}
