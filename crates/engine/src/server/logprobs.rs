//! Log-probabilities as the two routes write them.

use lla_protocol::openai::{ChatLogprobs, ChatTokenLogprob, CompletionLogprobs, TopLogprob};
use serde::Serialize;
use serde_json::{Map, Value};

use super::echo::Echo;
use crate::logprobs::{Scored, TokenLogprobs};

/// JSON has no infinity: this is what the OpenAI API writes for what can not happen.
const IMPOSSIBLE: f64 = -9999.0;

/// The shape of chats.
pub(super) fn chat(tokens: &[TokenLogprobs]) -> Option<Value> {
    let content = tokens.iter().map(|place| ChatTokenLogprob {
        token: text(&place.chosen),
        logprob: logprob(&place.chosen),
        bytes: Some(place.chosen.bytes.clone()),
        top_logprobs: place.top.iter().map(top).collect(),
    });
    json(&ChatLogprobs { content: Some(content.collect()), refusal: None })
}

fn top(scored: &Scored) -> TopLogprob {
    TopLogprob { token: text(scored), logprob: logprob(scored), bytes: Some(scored.bytes.clone()) }
}

/// The shape of completions, part by part: offsets go on from one part to the next.
#[derive(Debug, Default)]
pub(super) struct TextLogprobs {
    /// Characters of the parts so far.
    characters: usize,
    lists: CompletionLogprobs,
}

impl TextLogprobs {
    /// Adds an echoed prompt.
    pub(super) fn echo(&mut self, echo: &Echo) {
        let mut place = Place::new(&echo.text, self.characters);
        if let Some(tokens) = &echo.tokens {
            self.lists.text_offset.push(place.pass(echo.first.as_bytes()));
            self.lists.tokens.push(echo.first.clone());
            self.lists.token_logprobs.push(None);
            self.lists.top_logprobs.push(None);
            self.add_tokens(&mut place, tokens);
        }
        self.characters += echo.text.chars().count();
    }

    /// Adds a part of the answer.
    pub(super) fn add(&mut self, part: &str, tokens: &[TokenLogprobs]) {
        self.add_tokens(&mut Place::new(part, self.characters), tokens);
        self.characters += part.chars().count();
    }

    fn add_tokens(&mut self, place: &mut Place<'_>, tokens: &[TokenLogprobs]) {
        for token in tokens {
            self.lists.text_offset.push(place.pass(&token.chosen.bytes));
            self.lists.tokens.push(text(&token.chosen));
            self.lists.token_logprobs.push(Some(logprob(&token.chosen)));
            self.lists.top_logprobs.push(Some(by_text(token)));
        }
    }

    /// The lists so far; those that follow begin anew.
    pub(super) fn take(&mut self) -> Option<Value> {
        json(&std::mem::take(&mut self.lists))
    }
}

/// The likeliest tokens, and the one that stands there even if it is none of them. Tokens that are
/// written alike (parts of characters) share the entry of the likeliest.
fn by_text(place: &TokenLogprobs) -> Map<String, Value> {
    let mut entries = Map::new();
    for scored in place.top.iter().chain([&place.chosen]) {
        entries.entry(text(scored)).or_insert_with(|| logprob(scored).into());
    }
    entries
}

/// Finds the places of tokens in their text.
struct Place<'a> {
    rest: &'a [u8],
    /// Characters before `rest`, one that is cut by it included.
    characters: usize,
}

impl<'a> Place<'a> {
    fn new(text: &'a str, before: usize) -> Self {
        Self { rest: text.as_bytes(), characters: before }
    }

    /// Where the next token begins. One that is not in the text (a control token in front, a space
    /// that the tokenizer added, what a stop string cut off) takes none of it up.
    fn pass(&mut self, token: &[u8]) -> usize {
        let spaceless = token.strip_prefix(b" ").unwrap_or(token);
        let length = [token, spaceless].into_iter().find(|bytes| self.rest.starts_with(bytes)).map_or(0, <[u8]>::len);
        let within_character = self.rest.first().is_some_and(|&byte| is_continuation(byte));
        let begin = self.characters - usize::from(within_character && self.characters > 0);
        let (passed, rest) = self.rest.split_at(length);
        self.characters += passed.iter().filter(|&&byte| !is_continuation(byte)).count();
        self.rest = rest;
        begin
    }
}

/// A byte of UTF-8 that does not begin a character.
fn is_continuation(byte: u8) -> bool {
    byte & 0xC0 == 0x80
}

fn text(scored: &Scored) -> String {
    String::from_utf8_lossy(&scored.bytes).into_owned()
}

fn logprob(scored: &Scored) -> f64 {
    // `max` also takes the number when the other is none.
    f64::from(scored.logprob).max(IMPOSSIBLE)
}

fn json(logprobs: &impl Serialize) -> Option<Value> {
    serde_json::to_value(logprobs)
        .inspect_err(|error| tracing::error!(%error, "log-probabilities could not be written as JSON"))
        .ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn scored(bytes: &[u8], logprob: f32) -> Scored {
        Scored { token: 1, bytes: bytes.to_vec(), logprob }
    }

    fn place(bytes: &[u8], top: &[Scored]) -> TokenLogprobs {
        TokenLogprobs { chosen: scored(bytes, -0.5), top: top.to_vec() }
    }

    fn offsets(lists: Option<Value>) -> Value {
        lists.expect("lists")["text_offset"].clone()
    }

    #[test]
    fn chats_list_bytes_and_replace_parts_of_characters() {
        let found = chat(&[place("é".as_bytes(), &[scored(b"\xc3", f32::NEG_INFINITY)])]).expect("shaped");
        let top = json!({"token": "\u{fffd}", "logprob": -9999.0, "bytes": [195]});
        let entry = json!({"token": "é", "logprob": -0.5, "bytes": [195, 169], "top_logprobs": [top]});
        assert_eq!(found, json!({"content": [entry], "refusal": null}));
    }

    #[test]
    fn completions_list_what_stands_there_among_the_likeliest() {
        let mut shape = TextLogprobs::default();
        let entry = place(b"a", &[scored(b"b", -0.25), scored(b"\xc3", -1.0), scored(b"\xc4", -2.0)]);
        shape.add("a", &[entry, place(b"c", &[])]);
        let lists = shape.take().expect("lists");
        let top = json!([{"b": -0.25, "\u{fffd}": -1.0, "a": -0.5}, {"c": -0.5}]);
        assert_eq!((&lists["top_logprobs"], &lists["tokens"]), (&top, &json!(["a", "c"])));
        assert_eq!(lists["token_logprobs"], json!([-0.5, -0.5]));
    }

    #[test]
    fn offsets_are_characters_of_the_whole_text() {
        let mut shape = TextLogprobs::default();
        let tokens = [place(b" \xc3\xa9", &[]), place(b"x", &[])];
        let echo = Echo { text: "éx".to_owned(), first: "<s>".to_owned(), tokens: Some(tokens.to_vec()) };
        shape.echo(&echo);
        assert_eq!(offsets(shape.take()), json!([0, 0, 1]));
        // One character of two tokens, then one that a stop string has cut off.
        shape.add("日!", &[place(b"\xe6\x97", &[]), place(b"\xa5", &[]), place(b"!", &[]), place(b"END", &[])]);
        assert_eq!(offsets(shape.take()), json!([2, 2, 3, 4]));
        shape.add("z", &[place(b"z", &[])]);
        assert_eq!(offsets(shape.take()), json!([4]));
    }

    #[test]
    fn an_echo_without_scores_only_moves_the_offsets() {
        let mut shape = TextLogprobs::default();
        shape.echo(&Echo { text: "abc".to_owned(), first: "abc".to_owned(), tokens: None });
        shape.add("d", &[place(b"d", &[])]);
        assert_eq!(offsets(shape.take()), json!([3]));
    }
}
