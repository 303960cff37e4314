//! A question as a chat that names its answers: what backends are asked that can not score texts.

use lla_inference::ChatRequest;
use lla_protocol::openai::{Message, Role, Sampling};
use serde_json::{Map, Value};

use super::prompt::{asked, before};
use super::{Answers, DecideRequest, Label, Question};

/// What labels are called where one token must be enough.
const LETTERS: &str = "ABCDEFGHIJKLMNOPQRST";

/// How each label is called when the answer is one token; `None`: there are too many.
pub(super) fn short_names(question: &Question) -> Option<Vec<String>> {
    match &question.answers {
        Answers::Truth { .. } => Some(question.labels().into_iter().map(str::to_owned).collect()),
        Answers::OneOf(labels) | Answers::Scale(labels) => {
            let letters = LETTERS.chars().map(String::from);
            (labels.len() <= LETTERS.len()).then(|| letters.take(labels.len()).collect())
        }
    }
}

/// The chat that asks for one of `names`; they stand before the labels where they are not the same.
pub(super) fn chat(
    request: &DecideRequest,
    question: &Question,
    names: &[String],
    max_tokens: u32,
    extra: Map<String, Value>,
) -> ChatRequest {
    let mut text = before(request.context.as_deref(), &request.state);
    text.push_str("\n\n");
    text.push_str(&asked(question));
    if let Answers::OneOf(labels) | Answers::Scale(labels) = &question.answers {
        for (name, label) in names.iter().zip(labels) {
            text.push_str(&line(name, label));
        }
    }
    text.push_str(&format!("\n\nAnswer with one of these and nothing else: {}", names.join(", ")));
    ChatRequest {
        model: request.model.clone(),
        messages: vec![Message::text(Role::User, text)],
        sampling: Sampling { temperature: Some(0.0), ..Sampling::default() },
        max_tokens: Some(max_tokens),
        n: None,
        extra,
    }
}

fn line(name: &str, label: &Label) -> String {
    let label_name = label.name.trim();
    let head = if name == label_name { format!("\n- {name}") } else { format!("\n{name}) {label_name}") };
    match label.description.as_deref().map(str::trim) {
        Some(description) if !description.is_empty() => format!("{head}: {description}"),
        _ => head,
    }
}
