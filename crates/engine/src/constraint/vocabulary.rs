//! The vocabulary of a model as llguidance needs it. Built once per loaded model, shared by all
//! requests.

use std::collections::HashMap;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;

use llguidance::ParserFactory;
use llguidance::api::ParserLimits;
use llguidance::earley::SlicedBiasComputer;
use llguidance::panic_utils::catch_unwind;
use llguidance::toktrie::{INVALID_TOKEN, InferenceCapabilities, TokEnv, TokRxInfo, TokTrie, TokenizerEnv};

use super::error::first_line;
use super::finite::is_of_number;

/// Byte that is never part of UTF-8 text and that llguidance keeps for itself.
const MARKER_BYTE: u8 = 0xff;

/// Turns text into tokens, the way the model was trained.
pub(crate) type Tokenize = Box<dyn Fn(&str) -> Vec<u32> + Send + Sync>;

/// What a vocabulary is made of.
pub(crate) struct Words {
    /// The bytes that each token adds to an answer; empty for those that add none.
    pub(crate) bytes: Vec<Vec<u8>>,
    /// Texts of tokens that add nothing to an answer: markers are looked for in them, too.
    pub(crate) control: HashMap<u32, Vec<u8>>,
    /// Tokens that end an answer.
    pub(crate) ends: Vec<u32>,
    /// The model's own tokenizer, control tokens not parsed.
    pub(crate) tokenize: Tokenize,
}

/// A vocabulary, ready to compile grammars for.
pub struct ConstraintVocabulary {
    factory: ParserFactory,
    control: HashMap<u32, Vec<u8>>,
    /// Tokens that hold an exponent of a number with its digits; few vocabularies have any.
    exponents: Vec<u32>,
    /// For each byte the token that is this byte alone.
    single: Vec<Option<u32>>,
}

impl std::fmt::Debug for ConstraintVocabulary {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ConstraintVocabulary").field("tokens", &self.trie().vocab_size()).finish_non_exhaustive()
    }
}

impl ConstraintVocabulary {
    /// Builds the tree of all tokens.
    ///
    /// # Errors
    /// Tells (for the log) why llguidance refuses the vocabulary.
    pub(crate) fn new(words: Words) -> Result<Self, String> {
        catch_unwind(AssertUnwindSafe(|| Ok(Self::build(words))))
            .unwrap_or_else(|error| Err(first_line(&error.to_string())))
    }

    fn build(words: Words) -> Result<Self, String> {
        let Words { mut bytes, control, ends, tokenize } = words;
        for word in &mut bytes {
            // No such token can be part of a text; to llguidance the byte would name a special token.
            if word.contains(&MARKER_BYTE) {
                word.clear();
            }
        }
        for &end in &ends {
            if let Some(word) = bytes.get_mut(end as usize) {
                word.clear();
            }
        }
        let single = single_bytes(&bytes);
        let exponents = with_exponents(&bytes);
        let size = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
        let info = TokRxInfo::new(size, ends.first().copied().unwrap_or(INVALID_TOKEN));
        let trie = TokTrie::from(&info, &bytes);
        let trie = if ends.is_empty() { trie } else { trie.with_eos_tokens(&ends) };
        let environment: TokEnv = Arc::new(Tokenizer { trie, tokenize });
        let slices = SlicedBiasComputer::general_slices();
        let mut factory = ParserFactory::new(&environment, InferenceCapabilities::default(), &slices)
            .map_err(|error| error.to_string())?;
        factory.quiet();
        *factory.limits_mut() = limits();
        Ok(Self { factory, control, exponents, single })
    }

    pub(super) fn factory(&self) -> &ParserFactory {
        &self.factory
    }

    fn trie(&self) -> &TokTrie {
        self.factory.tok_env().tok_trie()
    }

    /// What a token adds to an answer.
    pub(super) fn bytes(&self, token: u32) -> &[u8] {
        if (token as usize) < self.trie().vocab_size() { self.trie().token(token) } else { &[] }
    }

    /// What a token adds to an answer, or the text of a control token.
    pub(super) fn bytes_or_text(&self, token: u32) -> &[u8] {
        self.control.get(&token).map_or_else(|| self.bytes(token), Vec::as_slice)
    }

    /// Whether a token ends an answer.
    pub(super) fn ends(&self, token: u32) -> bool {
        self.trie().eos_tokens().contains(&token)
    }

    /// Tokens that hold an exponent of a number with its digits.
    pub(super) fn with_exponents(&self) -> &[u32] {
        &self.exponents
    }

    /// The token that is this byte alone.
    pub(super) fn single(&self, byte: u8) -> Option<u32> {
        self.single.get(usize::from(byte)).copied().flatten()
    }

    /// Some tokens that spell these bytes (longest first, not the model's way); `None` when the
    /// vocabulary can not.
    pub(super) fn spell(&self, bytes: &[u8]) -> Option<Vec<u32>> {
        let tokens = self.trie().greedy_tokenize(bytes);
        spells(self.trie(), &tokens, bytes).then_some(tokens)
    }
}

/// llguidance's limits, with less memory for one grammar and without the caller's text in errors.
fn limits() -> ParserLimits {
    ParserLimits {
        max_lexer_states: 50_000,
        max_grammar_size: 200_000,
        verbose_errors: false,
        ..ParserLimits::default()
    }
}

fn with_exponents(words: &[Vec<u8>]) -> Vec<u32> {
    let holds = |word: &[u8]| {
        let number = word.iter().take_while(|byte| is_of_number(**byte));
        let exponent = number.skip_while(|byte| !matches!(byte, b'e' | b'E'));
        exponent.filter(|byte| byte.is_ascii_digit()).count() > 0
    };
    (0u32..).zip(words).filter(|(_, word)| holds(word)).map(|(token, _)| token).collect()
}

fn single_bytes(words: &[Vec<u8>]) -> Vec<Option<u32>> {
    let mut single = vec![None; 256];
    for (token, word) in (0u32..).zip(words) {
        if let [byte] = word.as_slice() {
            single[usize::from(*byte)].get_or_insert(token);
        }
    }
    single
}

fn spells(trie: &TokTrie, tokens: &[u32], bytes: &[u8]) -> bool {
    let mut rest = bytes;
    for &token in tokens {
        let known = (token as usize) < trie.vocab_size();
        match known.then(|| rest.strip_prefix(trie.token(token))).flatten() {
            Some(after) => rest = after,
            None => return false,
        }
    }
    rest.is_empty()
}

/// Tokens of forced text.
///
/// They are the model's own (llama.cpp's), not the longest ones of the tree: a model continues badly
/// after tokens that it has never seen in such a row, and only with the model's own does llguidance
/// force tokens at all. Some vocabularies put a blank in front of a text or can not spell a part of a
/// character: then the bytes differ, and the longest tokens of the tree are taken.
struct Tokenizer {
    trie: TokTrie,
    tokenize: Tokenize,
}

impl TokenizerEnv for Tokenizer {
    fn tok_trie(&self) -> &TokTrie {
        &self.trie
    }

    fn tokenize_bytes(&self, bytes: &[u8]) -> Vec<u32> {
        let own = std::str::from_utf8(bytes).ok().map(|text| (self.tokenize)(text));
        match own {
            Some(tokens) if spells(&self.trie, &tokens, bytes) => tokens,
            _ => self.trie.greedy_tokenize(bytes),
        }
    }
}
