//! Grammars of the last requests, compiled: agents send the same tools and schemas again and again,
//! and ten tools take milliseconds to compile, a copy takes microseconds.

use std::sync::{Arc, Mutex, PoisonError};

use lru::LruCache;

use super::compile::Compiled;
use super::{Constraint, ConstraintVocabulary, GrammarError, Restriction};

/// Most grammars that are kept.
const MOST: usize = 64;
/// Most bytes of memory that they may take together, as [`Compiled::bytes`] guesses them.
const MOST_BYTES: usize = 32 << 20;

/// What was compiled for one vocabulary, the least recently used dropped first.
///
/// Grammars with an error are not kept. Two requests that need the same one at the same time may both
/// compile it.
pub(crate) struct GrammarCache {
    kept: Mutex<Kept>,
}

struct Kept {
    /// By the grammar as a text of JSON, which keeps the order of a schema's properties.
    grammars: LruCache<String, Arc<Compiled>>,
    bytes: usize,
    most: usize,
    most_bytes: usize,
}

impl Default for GrammarCache {
    fn default() -> Self {
        Self::new(MOST, MOST_BYTES)
    }
}

impl GrammarCache {
    fn new(most: usize, most_bytes: usize) -> Self {
        Self { kept: Mutex::new(Kept { grammars: LruCache::unbounded(), bytes: 0, most, most_bytes }) }
    }

    /// Like [`Constraint::compile`]; also tells whether the grammar was there already.
    ///
    /// # Errors
    /// Those of [`Constraint::compile`].
    pub(crate) fn compile(
        &self,
        vocabulary: &Arc<ConstraintVocabulary>,
        restriction: &Restriction,
    ) -> Result<(Constraint, bool), GrammarError> {
        let key = serde_json::to_string(&restriction.grammar)
            .map_err(|error| GrammarError::new("", "invalid_grammar", error.to_string()))?;
        let known = self.locked(|kept| kept.grammars.get(&key).map(Arc::clone));
        let found = known.is_some();
        let compiled = match known {
            Some(compiled) => compiled,
            None => {
                let compiled = Arc::new(Compiled::new(vocabulary, &restriction.grammar)?);
                self.locked(|kept| kept.insert(key, Arc::clone(&compiled)));
                compiled
            }
        };
        Ok((compiled.constraint(vocabulary, &restriction.starts), found))
    }

    fn locked<T>(&self, work: impl FnOnce(&mut Kept) -> T) -> T {
        work(&mut self.kept.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl Kept {
    fn insert(&mut self, key: String, compiled: Arc<Compiled>) {
        let bytes = compiled.bytes(key.len());
        // One that is too large would push out all others and then itself.
        if bytes > self.most_bytes {
            return;
        }
        self.bytes += bytes;
        if let Some((key, before)) = self.grammars.push(key, compiled) {
            self.bytes -= before.bytes(key.len());
        }
        while self.grammars.len() > self.most || self.bytes > self.most_bytes {
            let Some((key, oldest)) = self.grammars.pop_lru() else { break };
            self.bytes -= oldest.bytes(key.len());
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::tests::vocabulary;
    use super::*;
    use crate::constraint::{Grammar, Starts};

    fn compile(cache: &GrammarCache, grammar: &Grammar, starts: Starts) -> (Constraint, bool) {
        let restriction = Restriction { grammar: grammar.clone(), starts };
        cache.compile(&vocabulary(), &restriction).expect("compiles")
    }

    fn found(cache: &GrammarCache, text: &str) -> bool {
        compile(cache, &Grammar::Regex(text.to_owned()), Starts::AtOnce).1
    }

    #[test]
    fn the_least_recently_used_goes_first() {
        let cache = GrammarCache::new(2, MOST_BYTES);
        for (text, known) in
            [("a", false), ("b", false), ("a", true), ("c", false), ("a", true), ("b", false), ("c", false)]
        {
            assert_eq!(found(&cache, text), known, "{text}");
        }
        let size = cache.locked(|kept| kept.bytes);
        let small = GrammarCache::new(MOST, size);
        assert!(!found(&small, "a") && !found(&small, "b") && found(&small, "a") && !found(&small, "c"));
        assert!(!found(&small, "b"), "bytes count");
        let none = GrammarCache::new(MOST, 1);
        assert!(!found(&none, "a") && !found(&none, "a"));
        let bytes = cache.locked(|kept| {
            kept.grammars.iter().map(|(key, compiled)| compiled.bytes(key.len())).sum::<usize>() == kept.bytes
        });
        assert!(bytes);
        cache
            .compile(&vocabulary(), &Restriction { grammar: Grammar::Regex("(".into()), starts: Starts::AtOnce })
            .expect_err("no expression");
    }

    #[test]
    fn what_is_kept_is_not_changed_by_those_who_use_it() {
        let cache = GrammarCache::default();
        let grammar = Grammar::Choice(vec!["left".into(), "right".into()]);
        let (mut one, known) = compile(&cache, &grammar, Starts::AtOnce);
        assert!(!known);
        for byte in "left".bytes() {
            one.accept(byte.into()).expect("allowed");
        }
        let (mut two, known) = compile(&cache, &grammar, Starts::AtOnce);
        assert!(known && one.is_complete() && !two.is_complete());
        two.accept(b'r'.into()).expect("allowed");
        // The same grammar may begin elsewhere.
        let (later, known) = compile(&cache, &grammar, Starts::After("</think>".into()));
        assert!(known && !later.has_begun() && two.has_begun());
    }

    #[test]
    fn the_order_of_properties_is_part_of_a_schema() {
        let cache = GrammarCache::default();
        let schema = |first: &str, second: &str| {
            Grammar::JsonSchema(json!({"type": "object", "properties": {first: {"const": 1}, second: {"const": 2}},
                "required": [first, second], "additionalProperties": false}))
        };
        let (_, known) = compile(&cache, &schema("a", "b"), Starts::AtOnce);
        let (mut other, also_known) = compile(&cache, &schema("b", "a"), Starts::AtOnce);
        assert!(!known && !also_known);
        let forced: Vec<u8> = other.forced().iter().filter_map(|&token| u8::try_from(token).ok()).collect();
        assert!(forced.is_empty() || forced.starts_with(b"{\"b\""), "{forced:?}");
    }
}
