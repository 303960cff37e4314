//! From a restriction to the state of a generation.

use std::sync::Arc;

use llguidance::api::TopLevelGrammar;
use llguidance::{JsonCompileOptions, Matcher, regex_to_lark};
use serde_json::{Value, json};

use super::error::{GrammarError, first_line};
use super::vocabulary::ConstraintVocabulary;
use super::{Constraint, Grammar, Restriction, Starts, lark, schema};

/// Longest regular expression in bytes.
const LONGEST_REGEX: usize = 16 << 10;
/// Most brackets inside one another in a regular expression or a grammar: their parsers recurse.
const DEEPEST: usize = 64;
/// Most bytes that may be forced at once: they are tokenized anew at each step.
const MOST_FORCED: usize = 16 << 10;
/// Most choices.
const MOST_CHOICES: usize = 1000;
/// Longest choices in bytes, together.
const LONGEST_CHOICES: usize = 64 << 10;

impl Constraint {
    /// Compiles a restriction for a vocabulary. Takes some milliseconds; the limits keep it below
    /// about a second.
    ///
    /// # Errors
    /// When the grammar is invalid, asks for what is not supported, or is too large.
    pub fn compile(vocabulary: &Arc<ConstraintVocabulary>, restriction: &Restriction) -> Result<Self, GrammarError> {
        Ok(Compiled::new(vocabulary, &restriction.grammar)?.constraint(vocabulary, &restriction.starts))
    }
}

/// A grammar that has been compiled for a vocabulary and that no generation has used.
pub(super) struct Compiled {
    matcher: Matcher,
    /// Whether it is one of JSON.
    json: bool,
    /// Whether it may hold numbers of JSON.
    has_numbers: bool,
    /// Bytes of the lexer's tables.
    lexer: usize,
}

impl Compiled {
    /// Takes some milliseconds, see [`Constraint::compile`].
    pub(super) fn new(vocabulary: &ConstraintVocabulary, grammar: &Grammar) -> Result<Self, GrammarError> {
        let (top, json) = top_level(grammar)?;
        let mut parser = vocabulary.factory().create_parser(top).map_err(|error| refused(grammar, &error))?;
        parser.start_without_prompt();
        let lexer = parser.parser.lexer_stats().num_bytes;
        let mut matcher = Matcher::new(Ok(parser));
        check_beginning(&mut matcher)?;
        let has_numbers = match grammar {
            Grammar::JsonObject | Grammar::JsonSchema(_) | Grammar::CallsOr { .. } => true,
            Grammar::Lark(lark) => lark.contains("%json"),
            Grammar::Regex(_) | Grammar::Choice(_) => false,
        };
        Ok(Self { matcher, json, has_numbers, lexer })
    }

    /// A generation's own copy: what it learns of the grammar stays with it, so that neither locks nor
    /// the limit on what is learned are shared by requests.
    pub(super) fn constraint(&self, vocabulary: &Arc<ConstraintVocabulary>, starts: &Starts) -> Constraint {
        let marker = match starts {
            Starts::AtOnce => None,
            Starts::After(marker) => Some(marker.as_str()),
        };
        Constraint::new(Arc::clone(vocabulary), self.matcher.deep_clone(), marker, self.json, self.has_numbers)
    }

    /// About how much memory it takes, for a grammar whose text has `length` bytes: measured by the
    /// growth of the process.
    pub(super) fn bytes(&self, length: usize) -> usize {
        self.lexer + 32 * length
    }
}

/// Tries the first step, so that a language without texts is refused here and not in the middle of a
/// generation.
fn check_beginning(matcher: &mut Matcher) -> Result<(), GrammarError> {
    let forced = matcher.compute_ff_bytes().len();
    if forced > MOST_FORCED {
        let message = format!("at most {MOST_FORCED} bytes may be fixed in a row, it begins with more");
        return Err(GrammarError::new("", "grammar_too_complex", message));
    }
    match matcher.clone().compute_mask_or_eos() {
        Ok(_) => Ok(()),
        Err(error) => Err(invalid(&format!("no text fits it: {}", first_line(&error.to_string())))),
    }
}

/// The grammar for llguidance, and whether it is one of JSON.
fn top_level(grammar: &Grammar) -> Result<(TopLevelGrammar, bool), GrammarError> {
    Ok(match grammar {
        Grammar::JsonObject => (json_grammar(json!({"type": "object"})), true),
        Grammar::JsonSchema(schema) => (json_grammar(schema::prepare(schema)?), true),
        // `\d` and `\w` are ASCII, as in patterns of a schema: nobody means the digits of all scripts.
        Grammar::Regex(regex) => (TopLevelGrammar::from_regex(&regex_to_lark(checked_regex(regex)?, "dw")), false),
        Grammar::Choice(choices) => (TopLevelGrammar::from_regex(&choices_regex(choices)?), false),
        Grammar::Lark(lark) => (TopLevelGrammar::from_lark(lark::checked(lark)?), false),
        Grammar::CallsOr { calls, answer } => {
            let mut grammar = TopLevelGrammar::from_lark(lark::checked(calls)?);
            for mut part in top_level(answer)?.0.grammars {
                part.name = Some("answer".to_owned());
                grammar.grammars.push(part);
            }
            (grammar, false)
        }
    })
}

fn json_grammar(mut schema: Value) -> TopLevelGrammar {
    let options = JsonCompileOptions {
        whitespace_flexible: false,
        // `schema.rs` lets a oneOf pass only when no value fits two of its branches.
        coerce_one_of: true,
        // Without \uXXXX every text has one spelling: otherwise a key could be written in another way
        // and so escape the schema of its property.
        json_allowed_escapes: Some("nrbtf\\\"".to_owned()),
        ..JsonCompileOptions::default()
    };
    options.apply_to(&mut schema);
    TopLevelGrammar::from_json_schema(schema)
}

/// The expression without the anchors that the match as a whole implies.
fn checked_regex(regex: &str) -> Result<&str, GrammarError> {
    if regex.len() > LONGEST_REGEX {
        return Err(too_long("the regular expression", regex.len(), LONGEST_REGEX));
    }
    let escapes = |text: &str| text.bytes().rev().take_while(|&byte| byte == b'\\').count() % 2 == 1;
    if escapes(regex) {
        return Err(invalid("the regular expression ends with a single backslash"));
    }
    check_depth(regex)?;
    let inner = regex.strip_prefix('^').unwrap_or(regex);
    let inner = inner.strip_suffix('$').filter(|before| !escapes(before)).unwrap_or(inner);
    if inner.is_empty() {
        return Err(invalid("the regular expression matches nothing but the empty text"));
    }
    Ok(inner)
}

/// An expression that matches exactly these texts. One lexeme is much cheaper than as many rules.
fn choices_regex(choices: &[String]) -> Result<String, GrammarError> {
    let bytes: usize = choices.iter().map(String::len).sum();
    if choices.len() > MOST_CHOICES || bytes > LONGEST_CHOICES {
        let limits = format!("at most {MOST_CHOICES} choices of {LONGEST_CHOICES} bytes together");
        let message = format!("{limits} are possible, got {} of {bytes} bytes", choices.len());
        return Err(GrammarError::new("", "grammar_too_complex", message));
    }
    if choices.is_empty() {
        return Err(invalid("at least one choice is needed"));
    }
    if let Some(index) = choices.iter().position(String::is_empty) {
        return Err(GrammarError::new(&format!("[{index}]"), "invalid_grammar", "a choice must not be empty"));
    }
    let mut regex = String::with_capacity(bytes * 2);
    for (index, choice) in choices.iter().enumerate() {
        if index > 0 {
            regex.push('|');
        }
        for character in choice.chars() {
            if character.is_ascii() && !character.is_ascii_alphanumeric() {
                regex.push_str(&format!("\\x{:02x}", u32::from(character)));
            } else {
                regex.push(character);
            }
        }
    }
    Ok(regex)
}

/// Counts brackets without reading strings and classes: a text that looks too deep is refused.
pub(super) fn check_depth(text: &str) -> Result<(), GrammarError> {
    let mut depth = 0usize;
    for byte in text.bytes() {
        match byte {
            b'(' | b'[' | b'{' => depth += 1,
            b')' | b']' | b'}' => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > DEEPEST {
            let message = format!("brackets may be at most {DEEPEST} deep");
            return Err(GrammarError::new("", "grammar_too_complex", message));
        }
    }
    Ok(())
}

pub(super) fn invalid(message: &str) -> GrammarError {
    GrammarError::new("", "invalid_grammar", message)
}

pub(super) fn too_long(what: &str, bytes: usize, limit: usize) -> GrammarError {
    GrammarError::new("", "grammar_too_complex", format!("{what} may have {limit} bytes, got {bytes}"))
}

/// What llguidance says about a grammar that passed our own checks.
fn refused(grammar: &Grammar, error: &dyn std::fmt::Display) -> GrammarError {
    let reason = first_line(&error.to_string());
    let complex = ["fuel", "too large", "too many", "too big", "too complex", "limit"];
    let lower = reason.to_lowercase();
    let (what, code) = match grammar {
        Grammar::JsonObject | Grammar::JsonSchema(_) => ("the schema", "invalid_schema"),
        Grammar::Regex(_) => ("the regular expression", "invalid_grammar"),
        Grammar::Choice(_) => ("the list of choices", "invalid_grammar"),
        Grammar::Lark(_) | Grammar::CallsOr { .. } => ("the grammar", "invalid_grammar"),
    };
    let code = if complex.iter().any(|word| lower.contains(word)) { "grammar_too_complex" } else { code };
    GrammarError::new("", code, format!("{what} can not be used: {reason}"))
}
