//! Reads the fields of a JSON object one by one, with errors that name the field and the fix.
//!
//! Request bodies are open: a client may send fields that only its upstream knows. So a body is
//! read as an object, the fields that we act on are taken out with their type and range checked,
//! and what is left rides along untouched. (`#[serde(flatten)]` would do the last part, but reports
//! a wrong type without the name of the field.)

use std::ops::RangeInclusive;

use serde_json::{Map, Value};

/// A request that can not be served as it is: which field, and what would be right.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct FieldError {
    /// Path of the field as the caller wrote it (`messages[1].content`); `None` for the whole body.
    pub param: Option<String>,
    /// One sentence for the caller. It never quotes the value of a text field.
    pub message: String,
    /// Stable machine-readable code (`invalid_type`, `out_of_range`, …).
    pub code: &'static str,
}

impl FieldError {
    /// An error about the field `param`; `message` is completed to `'param': message`.
    #[must_use]
    pub fn new(param: &str, code: &'static str, message: &str) -> Self {
        Self { param: Some(param.to_owned()), message: format!("'{param}': {message}"), code }
    }

    /// An error about the body as a whole.
    #[must_use]
    pub fn body(code: &'static str, message: impl Into<String>) -> Self {
        Self { param: None, message: message.into(), code }
    }

    /// The same error about a field inside of `path` (`items[0]`).
    #[must_use]
    pub fn inside(mut self, path: &str) -> Self {
        if let Some(param) = &mut self.param {
            let full = format!("{path}.{param}");
            self.message = self.message.replacen(&format!("'{param}'"), &format!("'{full}'"), 1);
            *param = full;
        }
        self
    }

    fn wrong_type(param: &str, expected: &str, found: &Value) -> Self {
        Self::new(param, "invalid_type", &format!("expected {expected}, got {}", kind_of(found)))
    }
}

/// Names the JSON type of a value for a message to the caller.
fn kind_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(n) if n.is_f64() => "a decimal number",
        Value::Number(_) => "an integer",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

/// The fields of one JSON object, taken out one at a time. `null` counts as absent.
#[derive(Debug)]
pub struct Fields {
    map: Map<String, Value>,
    /// Path in front of every name in errors: `""` or `messages[0].`.
    prefix: String,
}

impl Fields {
    /// Reads a whole request body.
    ///
    /// # Errors
    /// When `body` is empty, not JSON, or not an object.
    pub fn from_body(body: &[u8]) -> Result<Self, FieldError> {
        if body.is_empty() {
            return Err(FieldError::body("empty_body", "the request body is empty: send a JSON object"));
        }
        let value: Value = serde_json::from_slice(body).map_err(|error| {
            FieldError::body(
                "invalid_json",
                format!("the request body is not valid JSON (line {}, column {})", error.line(), error.column()),
            )
        })?;
        Self::from_value(value, "")
    }

    /// Reads one object inside a body; `path` is where it stands (`messages[0]`).
    ///
    /// # Errors
    /// When `value` is not an object.
    pub fn from_value(value: Value, path: &str) -> Result<Self, FieldError> {
        match value {
            Value::Object(map) => {
                let prefix = if path.is_empty() { String::new() } else { format!("{path}.") };
                Ok(Self { map, prefix })
            }
            other if path.is_empty() => Err(FieldError::body(
                "invalid_type",
                format!("the request body must be a JSON object, got {}", kind_of(&other)),
            )),
            other => Err(FieldError::wrong_type(path, "an object", &other)),
        }
    }

    /// The full path of the field `name`, for errors made by the caller of this type.
    #[must_use]
    pub fn path(&self, name: &str) -> String {
        format!("{}{name}", self.prefix)
    }

    /// Takes a field out as it is; `None` when absent or `null`.
    pub fn take(&mut self, name: &str) -> Option<Value> {
        self.map.shift_remove(name).filter(|value| !value.is_null())
    }

    /// Looks at a field without taking it.
    #[must_use]
    pub fn peek(&self, name: &str) -> Option<&Value> {
        self.map.get(name).filter(|value| !value.is_null())
    }

    /// Reads a field with one of the methods that take, and leaves it where it is.
    ///
    /// # Errors
    /// Those of `read`.
    pub fn look<T>(
        &self,
        name: &str,
        read: impl FnOnce(&mut Self, &str) -> Result<T, FieldError>,
    ) -> Result<T, FieldError> {
        let map = self.map.get(name).map(|value| (name.to_owned(), value.clone())).into_iter().collect();
        read(&mut Self { map, prefix: self.prefix.clone() }, name)
    }

    /// What has not been taken: rides along to upstreams that may know it.
    #[must_use]
    pub fn rest(self) -> Map<String, Value> {
        self.map
    }

    /// Takes a string.
    ///
    /// # Errors
    /// When the field holds anything else.
    pub fn string(&mut self, name: &str) -> Result<Option<String>, FieldError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::String(text)) => Ok(Some(text)),
            Some(other) => Err(FieldError::wrong_type(&self.path(name), "a string", &other)),
        }
    }

    /// Takes a string that must be there.
    ///
    /// # Errors
    /// When the field is absent or holds anything else.
    pub fn required_string(&mut self, name: &str) -> Result<String, FieldError> {
        self.string(name)?.ok_or_else(|| self.missing(name))
    }

    /// The error for a field that must be there.
    #[must_use]
    pub fn missing(&self, name: &str) -> FieldError {
        FieldError::new(&self.path(name), "missing_required_parameter", "this field is required")
    }

    /// Takes a boolean.
    ///
    /// # Errors
    /// When the field holds anything else.
    pub fn boolean(&mut self, name: &str) -> Result<Option<bool>, FieldError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Bool(flag)) => Ok(Some(flag)),
            Some(other) => Err(FieldError::wrong_type(&self.path(name), "a boolean", &other)),
        }
    }

    /// Takes a finite number within `range`.
    ///
    /// # Errors
    /// When the field holds anything else, or a number outside `range`.
    pub fn number(&mut self, name: &str, range: RangeInclusive<f64>) -> Result<Option<f64>, FieldError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let wrong_type = || FieldError::wrong_type(&self.path(name), "a number", &value);
        let number = value.as_f64().ok_or_else(wrong_type)?;
        if range.contains(&number) {
            Ok(Some(number))
        } else {
            Err(out_of_range(&self.path(name), &format!("{number}"), &format!("{} and {}", range.start(), range.end())))
        }
    }

    /// Takes an integer within `range`.
    ///
    /// # Errors
    /// When the field holds anything else, or an integer outside `range`.
    pub fn integer(&mut self, name: &str, range: RangeInclusive<i64>) -> Result<Option<i64>, FieldError> {
        let Some(value) = self.take(name) else { return Ok(None) };
        let number = integral(&value).ok_or_else(|| FieldError::wrong_type(&self.path(name), "an integer", &value))?;
        if range.contains(&number) {
            return Ok(Some(number));
        }
        let bounds = match *range.end() {
            i64::MAX => format!("{} or more", range.start()),
            end => format!("{} and {end}", range.start()),
        };
        Err(out_of_range(&self.path(name), &number.to_string(), &bounds))
    }

    /// Takes an integer of at least `min` that fits 32 bits (counts of tokens, choices).
    ///
    /// # Errors
    /// When the field holds anything else.
    pub fn count(&mut self, name: &str, min: u32) -> Result<Option<u32>, FieldError> {
        let taken = self.integer(name, i64::from(min)..=i64::from(u32::MAX))?;
        Ok(taken.and_then(|number| u32::try_from(number).ok()))
    }

    /// Takes an array.
    ///
    /// # Errors
    /// When the field holds anything else.
    pub fn array(&mut self, name: &str) -> Result<Option<Vec<Value>>, FieldError> {
        match self.take(name) {
            None => Ok(None),
            Some(Value::Array(items)) => Ok(Some(items)),
            Some(other) => Err(FieldError::wrong_type(&self.path(name), "an array", &other)),
        }
    }

    /// Takes an object, to be read field by field in turn.
    ///
    /// # Errors
    /// When the field holds anything else.
    pub fn object(&mut self, name: &str) -> Result<Option<Fields>, FieldError> {
        let path = self.path(name);
        self.take(name).map(|value| Self::from_value(value, &path)).transpose()
    }
}

/// Accepts `3` and `3.0` (JavaScript clients do not tell them apart), not `3.5`.
fn integral(value: &Value) -> Option<i64> {
    if let Some(number) = value.as_i64() {
        return Some(number);
    }
    let number = value.as_f64()?;
    // 2^53: above it a double no longer tells neighbouring integers apart.
    let exact = number.fract() == 0.0 && number.abs() <= 9_007_199_254_740_992.0;
    #[expect(clippy::cast_possible_truncation, reason = "checked to be integral and below 2^53")]
    exact.then_some(number as i64)
}

fn out_of_range(path: &str, found: &str, bounds: &str) -> FieldError {
    let wanted = if bounds.contains(" and ") { format!("between {bounds}") } else { bounds.to_owned() };
    FieldError::new(path, "out_of_range", &format!("must be {wanted}, got {found}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fields(json: &str) -> Fields {
        Fields::from_body(json.as_bytes()).expect("an object")
    }

    #[test]
    fn bodies_that_are_no_objects_are_refused() {
        for (body, code) in
            [("", "empty_body"), ("{", "invalid_json"), ("[]", "invalid_type"), ("\"\\ud800\"", "invalid_json")]
        {
            assert_eq!(Fields::from_body(body.as_bytes()).expect_err(body).code, code, "{body}");
        }
        assert_eq!(Fields::from_body(b"\xff\xfe").expect_err("bytes").code, "invalid_json");
    }

    #[test]
    fn numbers_are_checked_by_type_and_range() {
        let error = fields(r#"{"temperature":"hot"}"#).number("temperature", 0.0..=2.0).expect_err("text");
        assert_eq!(error.param.as_deref(), Some("temperature"));
        assert_eq!(error.message, "'temperature': expected a number, got a string");
        let error = fields(r#"{"temperature":2.5}"#).number("temperature", 0.0..=2.0).expect_err("range");
        assert_eq!(error.message, "'temperature': must be between 0 and 2, got 2.5");
        assert_eq!(fields(r#"{"n":3.0}"#).integer("n", 1..=8), Ok(Some(3)));
        assert_eq!(fields(r#"{"n":null}"#).integer("n", 1..=8), Ok(None));
        assert!(fields(r#"{"n":3.5}"#).integer("n", 1..=8).is_err());
        assert_eq!(
            fields(r#"{"n":0}"#).count("n", 1).expect_err("range").message,
            "'n': must be between 1 and 4294967295, got 0"
        );
        assert!(fields(r#"{"n":1e300}"#).integer("n", i64::MIN..=i64::MAX).is_err());
    }

    #[test]
    fn inner_objects_keep_their_path() {
        let mut outer = fields(r#"{"stream_options":{"include_usage":1}}"#);
        let mut inner = outer.object("stream_options").expect("object").expect("there");
        let error = inner.boolean("include_usage").expect_err("type");
        assert_eq!(error.param.as_deref(), Some("stream_options.include_usage"));
    }

    #[test]
    fn what_is_not_taken_is_left() {
        let mut all = fields(r#"{"a":"x","z":1,"b":2}"#);
        assert_eq!(all.string("a"), Ok(Some("x".into())));
        assert_eq!(serde_json::to_string(&all.rest()).expect("json"), r#"{"z":1,"b":2}"#);
    }
}
