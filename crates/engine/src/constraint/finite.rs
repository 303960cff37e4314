//! Keeps numbers of JSON finite: `1e999` fits every schema of a number, but most readers make infinity
//! of it or refuse it.

use llguidance::toktrie::SimpleVob;

use super::vocabulary::ConstraintVocabulary;

/// A number this long may be near the end of what a double holds, also without an exponent (that is
/// from 309 digits on). No token has as many digits as are missing.
const LONG: usize = 160;

/// The end of the text, as far as it can be a number.
#[derive(Debug, Clone, Default)]
pub(super) struct Run(String);

impl Run {
    /// Takes the next bytes of the text.
    pub(super) fn push(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            if is_of_number(byte) {
                self.0.push(char::from(byte));
            } else {
                self.0.clear();
            }
        }
    }

    /// Takes tokens out of the mask with which the number would not be finite.
    pub(super) fn limit(&self, mask: &mut SimpleVob, vocabulary: &ConstraintVocabulary, may_end: bool) {
        let overflowing: Vec<u32> = if self.0.contains(['e', 'E']) || self.0.len() > LONG {
            mask.iter().filter(|&token| self.overflows(vocabulary.bytes(token))).collect()
        } else {
            let risky = vocabulary.with_exponents().iter().copied();
            risky.filter(|&token| mask.is_allowed(token) && self.overflows(vocabulary.bytes(token))).collect()
        };
        if overflowing.is_empty() || self.is_in_string(mask, vocabulary, may_end) {
            return;
        }
        let left = mask.num_set() - overflowing.len();
        if left > 0 {
            overflowing.iter().for_each(|&token| mask.disallow_token(token));
        }
    }

    /// Whether the digits stand in a string, where all are fine: a number never goes on with a quotation
    /// mark, and may end when it has a digit behind its exponent.
    ///
    /// Where nothing of a number is written yet it does not matter: what a token alone would write can
    /// be written with others, and then there is a number to look at.
    fn is_in_string(&self, mask: &SimpleVob, vocabulary: &ConstraintVocabulary, may_end: bool) -> bool {
        if self.0.is_empty() {
            return false;
        }
        let may_close = vocabulary.single(b'"').is_some_and(|quote| mask.is_allowed(quote));
        let is_other = |token: u32| !vocabulary.bytes(token).first().is_some_and(|byte| is_of_number(*byte));
        let must_go_on = self.0.ends_with(|last: char| last.is_ascii_digit()) && !may_end && !mask.iter().any(is_other);
        may_close || must_go_on
    }

    fn overflows(&self, bytes: &[u8]) -> bool {
        let more: String = bytes.iter().take_while(|byte| is_of_number(**byte)).map(|&byte| char::from(byte)).collect();
        if more.is_empty() {
            return false;
        }
        let number = format!("{}{more}", self.0);
        number.parse::<f64>().is_ok_and(f64::is_infinite)
    }
}

pub(super) fn is_of_number(byte: u8) -> bool {
    byte.is_ascii_digit() || matches!(byte, b'.' | b'-' | b'+' | b'e' | b'E')
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::{Value, json};

    use super::super::tests::{compiled, vocabulary};
    use crate::constraint::{Constraint, Grammar};

    fn allows(constraint: &mut Constraint, text: &str, next: &str) -> bool {
        let mut constraint = constraint.clone();
        for byte in text.bytes() {
            constraint.mask().expect("a mask");
            constraint.accept(byte.into()).expect("allowed");
        }
        let next = next.bytes().next().expect("a byte").into();
        constraint.mask().expect("a mask").is_none_or(|mask| mask.allows(next))
    }

    #[test]
    fn numbers_end_before_infinity_and_strings_do_not() {
        let mut any = compiled(Grammar::JsonSchema(json!({})));
        let digits = "9".repeat(308);
        for (text, next, wanted) in [
            ("1e30", "8", true),
            ("1e30", "9", false),
            ("-1E+30", "9", false),
            ("1e-30", "9", true),
            ("0.0001e31", "1", true),
            ("0.0001e31", "3", false),
            ("[1,\"1e30", "9", true),
            ("{\"1e30", "9", true),
            ("{\"a\":1e30", "9", false),
            (digits.as_str(), "9", false),
            (digits.as_str(), ".", true),
        ] {
            assert_eq!(allows(&mut any, text, next), wanted, "{text} {next}");
        }
        let mut code = compiled(Grammar::JsonSchema(json!({"type": "string", "pattern": "^\\d{3}e\\d{3}$"})));
        assert!(allows(&mut code, "\"123e45", "9") && allows(&mut code, "\"123e4", "9"));
        let mut own = compiled(Grammar::Regex("[0-9]+e[0-9]+".into()));
        assert!(allows(&mut own, "1e99", "9"), "a caller's own expression is kept");
        let mut least = compiled(Grammar::JsonSchema(json!({"type": "number", "minimum": 3})));
        assert!(!allows(&mut least, &digits, "9"));
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(200))]

        /// Walks that like digits and exponents, cut anywhere.
        #[test]
        fn whatever_is_written_is_finite(
            choices in proptest::collection::vec((any::<u16>(), 0_u8..10), 1..420),
            kind in 0_usize..5,
            steps in 1_usize..420,
        ) {
            let schemas = [
                json!({"type": "number"}),
                json!({"type": "number", "minimum": 0}),
                json!({"type": "number", "exclusiveMaximum": 2.5}),
                json!({"type": "array", "items": {"type": ["number", "string"]}}),
                json!({}),
            ];
            let mut constraint = compiled(Grammar::JsonSchema(schemas[kind].clone()));
            let mut text = Vec::new();
            for &(choice, liking) in choices.iter().take(steps) {
                if constraint.is_complete() {
                    break;
                }
                let mask = constraint.mask().expect("a mask").expect("begun");
                let likes = |token: &u32| {
                    let bytes = vocabulary().bytes(*token).to_vec();
                    let liked: &[u8] = if liking == 0 { b"eE" } else { b"0123456789" };
                    bytes.first().is_some_and(|byte| liked.contains(byte))
                };
                let all: Vec<u32> = mask.tokens().filter(|token| !vocabulary().bytes(*token).is_empty()).collect();
                let liked: Vec<u32> = all.iter().copied().filter(likes).collect();
                let from = if liked.is_empty() || liking == 9 { &all } else { &liked };
                prop_assert!(!from.is_empty() || mask.count() > 0);
                let Some(&token) = from.get(usize::from(choice) % from.len().max(1)) else { break };
                text.extend_from_slice(vocabulary().bytes(token));
                constraint.accept(token).expect("allowed");
            }
            let shown = String::from_utf8_lossy(&text).trim_end_matches('\u{fffd}').to_owned();
            let closed = format!("{shown}{}", constraint.closing(&shown));
            let value: Result<Value, _> = serde_json::from_str(&closed);
            prop_assert!(value.is_ok(), "{closed}");
        }
    }
}
