//! Whether a long prompt is read as a whole. Some servers cut what does not fit their window without a
//! word: the beginning of a prompt, its instructions, is then what is lost.

use lla_inference::Error;

use super::finding::Finding;
use super::talk::Said;
use crate::bench::prompt::Prompts;

/// Words of the prompt, each at least a token: more than the window of 4,096 to which servers cut.
pub const WORDS: u32 = 4_600;
/// What the first sentence tells.
const SECRET: &str = "marmalade";

/// A prompt of more than 4,096 tokens whose end asks for its beginning. New every time: what comes from a
/// cache is not counted by all servers.
#[must_use]
pub fn prompt(seed: u64) -> String {
    let filler = Prompts::new(WORDS, 0, seed).first();
    format!(
        "The code word is {SECRET}.\n\n{filler}\n\nNever mind the story. Which code word does the first sentence tell?"
    )
}

/// `window`: what the server says of the model.
#[must_use]
pub fn judge(window: Option<u32>, said: &Result<Said, Error>) -> Finding {
    let told = window.map_or_else(|| "window not told".to_owned(), |window| format!("window {window}"));
    let said = match said {
        Err(Error::ContextLength { message }) => {
            return Finding::yes(format!("{told}; a prompt that does not fit is refused: {message}"));
        }
        Err(error) => return Finding::failed(error),
        Ok(said) => said,
    };
    let knows = said.text.to_lowercase().contains(SECRET) || said.reasoning.to_lowercase().contains(SECRET);
    let known =
        if knows { "the model knows its first sentence" } else { "the model does not repeat its first sentence" };
    match said.usage {
        Some(usage) if usage.prompt_tokens >= WORDS => {
            Finding::yes(format!("{told}; {} tokens were read, {known}", usage.prompt_tokens))
        }
        _ if knows => Finding::yes(format!("{told}; {known} of more than {WORDS} tokens")),
        Some(usage) => Finding::no(format!(
            "{told}; cut without a word: {} of more than {WORDS} tokens were read",
            usage.prompt_tokens
        )),
        None => Finding::no(format!("{told}; perhaps cut: no usage, and {known}")),
    }
}

#[cfg(test)]
mod tests {
    use lla_protocol::openai::Usage;

    use super::super::finding::Works;
    use super::*;

    #[test]
    fn a_silent_cut_is_seen() {
        let judged = |tokens: Option<u32>, text: &str| {
            let usage = tokens.map(|tokens| Usage::new(tokens, 1));
            judge(Some(8192), &Ok(Said { usage, text: text.to_owned(), ..Said::default() })).works
        };
        assert_eq!(judged(Some(4700), "no idea"), Works::Yes);
        assert_eq!(judged(Some(2048), "no idea"), Works::No);
        assert_eq!(judged(Some(12), "It is Marmalade."), Works::Yes);
        assert_eq!((judged(None, "marmalade"), judged(None, "jam")), (Works::Yes, Works::No));
        let refusal = Error::ContextLength { message: "4,700 tokens, the window is 2,048".to_owned() };
        assert_eq!(judge(Some(2048), &Err(refusal)).works, Works::Yes);
        assert_eq!(judge(None, &Err(Error::Internal)).works, Works::No);
    }

    #[test]
    fn the_prompt_is_long_and_begins_with_the_secret() {
        let prompt = prompt(3);
        assert!(prompt.starts_with("The code word is marmalade.") && prompt.split_whitespace().count() > 4_600);
        assert_eq!(prompt.matches(SECRET).count(), 1);
    }
}
