//! `$ref`: only inside the schema.

use serde_json::{Value, json};

use super::super::error::GrammarError;
use super::{Target, Walk, definition_name, invalid, join, unsupported};

impl Walk<'_> {
    /// The reference for llguidance. Its target is remembered, to be checked once.
    pub(super) fn reference(&mut self, value: &Value, path: &str) -> Result<Value, GrammarError> {
        let text = value.as_str().ok_or_else(|| invalid(path, "expected a string"))?;
        let pointer = text.strip_prefix('#').filter(|pointer| pointer.is_empty() || pointer.starts_with('/'));
        let Some(pointer) = pointer else {
            return Err(unsupported(path, "only references inside the schema ('#', '#/$defs/…') are followed"));
        };
        if pointer.is_empty() {
            return Ok(json!("#"));
        }
        let pointer = percent_decoded(pointer).ok_or_else(|| invalid(path, "it is not encoded as a URI"))?;
        let known = self.targets.iter().position(|target| target.pointer == pointer);
        let index = match known {
            Some(index) => index,
            None => {
                let value = self.root.pointer(&pointer).ok_or_else(|| invalid(path, "it points at nothing"))?;
                let parts = pointer.split('/').skip(1).map(|part| part.replace("~1", "/").replace("~0", "~"));
                let place = parts.fold(String::new(), |place, part| join(&place, &part));
                self.targets.push(Target { pointer, path: place, value });
                self.targets.len() - 1
            }
        };
        Ok(Value::String(format!("#/$defs/{}", definition_name(index))))
    }
}

fn percent_decoded(text: &str) -> Option<String> {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        if byte == b'%' {
            let digits = [rest.next()?, rest.next()?];
            let digits = std::str::from_utf8(&digits).ok()?;
            bytes.push(u8::from_str_radix(digits, 16).ok()?);
        } else {
            bytes.push(byte);
        }
    }
    String::from_utf8(bytes).ok()
}
