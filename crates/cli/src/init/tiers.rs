//! What models are for, judged by what their names and servers say of them.

use std::sync::LazyLock;

use lla_inference::Tier;
use regex::Regex;

/// Parts of names of models that do not chat: they make vectors, rank texts, hear or speak.
static NO_CHAT: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?i)embed|minilm|rerank|whisper|(^|[-_/.:])(bge|gte|e5|tts|clip|colbert|reward)([-_/.:]|$)").ok()
});
/// `8b`, `1.5B`, `135m`, `8x7b` as a part of a name of its own; `e4b` is how some makers write an effective
/// size.
static SIZE: LazyLock<Option<Regex>> = LazyLock::new(|| {
    Regex::new(r"(?i)(?:^|[-_/:. ])e?(?:(\d{1,3})x)?(\d{1,4}(?:\.\d{1,3})?)([bmt])(?:[-_/:. ]|$)").ok()
});

/// A model of a server.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// The server's name for it.
    pub id: String,
    /// How many parameters it has, where the server or the name tells.
    pub parameters: Option<f64>,
    /// Whether it chats and runs on this machine.
    pub chats: bool,
}

impl Candidate {
    /// A model of which only the name is known.
    #[must_use]
    pub fn named(id: &str) -> Self {
        Self { id: id.to_owned(), parameters: parameters(id), chats: !is_no_chat_model(id) }
    }
}

/// Whether the name is that of a model for vectors, ranking, hearing or speaking.
#[must_use]
pub fn is_no_chat_model(name: &str) -> bool {
    NO_CHAT.as_ref().is_some_and(|pattern| pattern.is_match(name))
}

/// The number of parameters that a name (`Qwen3-8B`) or a figure of a server (`8.0B`) tells.
#[must_use]
pub fn parameters(text: &str) -> Option<f64> {
    let found = SIZE.as_ref()?.captures(text)?;
    let experts = found.get(1).map_or(Ok(1.0), |experts| experts.as_str().parse::<f64>()).ok()?;
    let number: f64 = found.get(2)?.as_str().parse().ok()?;
    let unit = match found.get(3)?.as_str() {
        "m" | "M" => 1e6,
        "t" | "T" => 1e12,
        _ => 1e9,
    };
    Some(experts * number * unit)
}

/// How much larger `main` must be than `small`: the same model in two forms is no choice.
const APART: f64 = 1.2;

/// Which of the models are to be `small` and `main`: the smallest that chats and the largest. With one
/// size alone both mean the same model, and with no model there is none. Models of unknown size count only
/// when no size is known.
#[must_use]
pub fn choose(models: &[Candidate]) -> Vec<(usize, Tier)> {
    let chats = || models.iter().enumerate().filter(|(_, model)| model.chats);
    let sized = || chats().filter_map(|(index, model)| Some((index, model.parameters?)));
    let smallest = sized().min_by(|left, right| left.1.total_cmp(&right.1));
    // `max_by` takes the last among equals: the first is as good and the list's own choice.
    let largest = sized().min_by(|left, right| right.1.total_cmp(&left.1));
    let first = chats().map(|(index, _)| index).next();
    match (smallest, largest) {
        (Some(small), Some(main)) if main.1 > APART * small.1 => vec![(small.0, Tier::Small), (main.0, Tier::Main)],
        // The gateway falls back from `small` to `main`, so one tier answers to both names.
        (_, largest) => largest.map(|(index, _)| index).or(first).map(|only| (only, Tier::Main)).into_iter().collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_are_read_from_names_and_figures() {
        for (text, wanted) in [
            ("Qwen/Qwen3-8B", Some(8e9)),
            ("llama3.2:1b", Some(1e9)),
            ("smollm2-135m-instruct", Some(135e6)),
            ("qwen2.5:1.5b-instruct-q4_K_M", Some(1.5e9)),
            ("mixtral-8x7b", Some(56e9)),
            ("qwen3-30b-a3b", Some(30e9)),
            ("gemma3n:e4b", Some(4e9)),
            ("/models/SmolLM2-1.7B-Instruct.Q4_1.gguf", Some(1.7e9)),
            ("kimi-k2-1t", Some(1e12)),
            ("8.0B", Some(8e9)),
            ("134.52M", Some(134.52e6)),
            ("phi-3-mini-4k-instruct", None),
            ("gpt-4o", None),
            ("", None),
        ] {
            assert_eq!(parameters(text), wanted, "{text}");
        }
    }

    #[test]
    fn models_that_do_not_chat_are_known_by_name() {
        for name in ["nomic-embed-text:latest", "BAAI/bge-m3", "all-minilm", "text-embedding-3-small", "whisper-1"] {
            assert!(is_no_chat_model(name), "{name}");
        }
        for name in ["qwen3:8b", "llama3.2", "gemma3", "bgepilot-7b", "smollm2-135m-instruct"] {
            assert!(!is_no_chat_model(name), "{name}");
        }
    }

    #[test]
    fn the_smallest_is_small_and_the_largest_main() {
        let choice = |names: &[&str]| {
            let models: Vec<Candidate> = names.iter().map(|name| Candidate::named(name)).collect();
            choose(&models)
        };
        let (small, main) = (Tier::Small, Tier::Main);
        assert_eq!(choice(&["a-8b", "b-1b", "nomic-embed-30m", "c-70b", "d"]), [(1, small), (3, main)]);
        assert_eq!(choice(&["nomic-embed", "a-8b"]), [(1, main)]);
        assert_eq!(choice(&["nomic-embed", "b", "c"]), [(1, main)]);
        assert_eq!(choice(&["a-8b", "b-8b"]), [(0, main)]);
        assert_eq!(choice(&["a-135m", "b-134m"]), [(0, main)]);
        assert_eq!(choice(&["nomic-embed"]), []);
        assert_eq!(choice(&[]), []);
    }
}
