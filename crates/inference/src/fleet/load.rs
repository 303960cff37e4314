//! How much a request asks for, about: tokens to read and to write. And what its prompt begins with.

use lla_protocol::openai::{Content, Message, Part, Prompt};

use crate::resilience::balance::PrefixKey;
use crate::{ChatRequest, CompletionRequest, ScorePrompt, ScoreRequest};

/// Bytes per token, about, of text in most languages and models.
const BYTES_PER_TOKEN: u64 = 4;
/// Tokens of an answer without a limit, and the most that a limit counts for: few answers use theirs up.
const ANSWER: u32 = 512;

/// The key of a conversation's beginning.
pub(super) fn chat_key(request: &ChatRequest) -> PrefixKey {
    PrefixKey::of(
        request.messages.iter().flat_map(|message| std::iter::once(message.role.as_str()).chain(texts(message))),
    )
}

/// The key of a completion's beginning; `None` for tokens.
pub(super) fn completion_key(request: &CompletionRequest) -> Option<PrefixKey> {
    match &request.prompt {
        Prompt::Texts(texts) => texts.first().map(|text| PrefixKey::of([text.as_str()])),
        Prompt::Tokens(_) => None,
    }
}

/// Estimated tokens of a chat.
pub(super) fn of_chat(request: &ChatRequest) -> u64 {
    of_messages(&request.messages) + answers(request.max_tokens, request.n.unwrap_or(1) as usize)
}

/// Estimated tokens of a completion.
pub(super) fn of_completion(request: &CompletionRequest) -> u64 {
    of_prompt(&request.prompt) + answers(Some(request.max_tokens), request.choices())
}

/// Estimated tokens of texts to be read.
pub(super) fn of_prompt(prompt: &Prompt) -> u64 {
    match prompt {
        Prompt::Texts(texts) => texts.iter().map(|text| of_bytes(text.len())).sum(),
        Prompt::Tokens(lists) => lists.iter().map(|tokens| tokens.len() as u64).sum(),
    }
}

/// Estimated tokens of texts to be scored.
pub(super) fn of_scores(request: &ScoreRequest) -> u64 {
    let of_item = |prompt: &ScorePrompt| match prompt {
        ScorePrompt::Chat { messages, .. } => of_messages(messages),
        ScorePrompt::Text { prompt: text } => of_bytes(text.len()),
    };
    request.items.iter().map(|item| of_item(&item.prompt)).sum()
}

fn of_messages(messages: &[Message]) -> u64 {
    messages.iter().flat_map(texts).map(|text| of_bytes(text.len())).sum()
}

fn texts(message: &Message) -> impl Iterator<Item = &str> {
    let (one, parts): (Option<&str>, &[Part]) = match &message.content {
        Content::None => (None, &[]),
        Content::Text(text) => (Some(text), &[]),
        Content::Parts(parts) => (None, parts),
    };
    let parts = parts.iter().filter_map(|part| match part {
        Part::Text(text) => Some(text.as_str()),
        Part::Other { .. } => None,
    });
    one.into_iter().chain(parts)
}

fn of_bytes(bytes: usize) -> u64 {
    bytes as u64 / BYTES_PER_TOKEN + 1
}

fn answers(max_tokens: Option<u32>, choices: usize) -> u64 {
    u64::from(max_tokens.unwrap_or(ANSWER).min(ANSWER)) * choices as u64
}
