//! What is laid over the file: `LLA_*` variables, then flags.
//!
//! `LLA_SERVER__LISTEN=0.0.0.0:80` sets `server.listen`: two underscores separate the parts of the
//! path, case does not matter. A part that names a model or backend of the file may spell `-` and
//! `.` as `_` (`LLA_MODELS__SMOLLM2_135M_INSTRUCT__CONTEXT`). The value is read as TOML would read it
//! (`true`, `4096`, `["a"]`) and as plain text where that does not fit the key. Variables without
//! two underscores (`LLA_HOME`, `LLA_CONFIG`, `LLA_LOG`, …) are not keys.

use toml::{Table, Value};

use super::Place;

/// One value from outside the file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Override {
    /// Who set it.
    pub place: Place,
    /// The parts of the path.
    pub path: Vec<String>,
    /// The value as written.
    pub text: String,
}

impl Override {
    /// A flag's value.
    #[must_use]
    pub fn flag(name: &'static str, path: &[&str], text: impl Into<String>) -> Self {
        let path = path.iter().map(|&part| part.to_owned()).collect();
        Self { place: Place::Flag(name), path, text: text.into() }
    }

    /// Readings of the text to try, in order.
    #[must_use]
    pub fn values(&self) -> Vec<Value> {
        let plain = Value::String(self.text.clone());
        // Tables are left out: a variable sets one key.
        let typed = format!("value = {}", self.text).parse::<Table>().ok().filter(|table| table.len() == 1);
        match typed.and_then(|mut table| table.remove("value")) {
            Some(typed) if typed != plain && !typed.is_table() => vec![typed, plain],
            _ => vec![plain],
        }
    }
}

/// The overrides among the variables of an environment, sorted by name so that the order does not
/// depend on the system.
#[must_use]
pub fn from_environment(variables: impl Iterator<Item = (String, String)>) -> Vec<Override> {
    let mut found: Vec<Override> = variables
        .filter_map(|(name, text)| {
            let parts = name.strip_prefix("LLA_").filter(|rest| rest.contains("__"))?;
            let path = parts.split("__").map(str::to_lowercase).collect();
            Some(Override { place: Place::Variable(name), path, text })
        })
        .collect();
    found.sort_by(|a, b| a.path.cmp(&b.path));
    found
}

/// Puts `value` at the path; returns the path with the keys as they are spelled in the table, or the
/// part at which something else than a table is in the way.
///
/// # Errors
/// The path up to the value that is in the way.
pub fn put(table: &mut Table, path: &[String], value: Value) -> Result<String, String> {
    let mut spelled = Vec::new();
    let mut here = table;
    for (depth, part) in path.iter().enumerate() {
        let key = here.keys().find(|key| same(key, part)).unwrap_or(part).clone();
        spelled.push(key.clone());
        if depth + 1 == path.len() {
            here.insert(key, value);
            break;
        }
        let next = here.entry(key).or_insert_with(|| Value::Table(Table::new()));
        match next {
            Value::Table(next) => here = next,
            _ => return Err(spelled.join(".")),
        }
    }
    Ok(spelled.join("."))
}

/// Whether a variable's part means this key.
fn same(key: &str, part: &str) -> bool {
    let plain = |text: &str| text.to_lowercase().replace(['-', '.', '/', ':'], "_");
    plain(key) == plain(part)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn variables_with_two_underscores_are_keys() {
        let environment = [
            ("LLA_SERVER__MAX_IN_FLIGHT", "3"),
            ("LLA_HOME", "/x"),
            ("LLA_LOG", "debug"),
            ("HOME", "/"),
            ("LLA_LOG__LEVEL", "warn"),
        ];
        let found = from_environment(environment.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())));
        let paths: Vec<String> = found.iter().map(|wish| wish.path.join(".")).collect();
        assert_eq!(paths, ["log.level", "server.max_in_flight"]);
    }

    #[test]
    fn text_is_read_as_toml_first() {
        let values = |text: &str| Override::flag("--x", &["a"], text).values();
        assert_eq!(values("3"), [Value::Integer(3), Value::String("3".into())]);
        assert_eq!(values("127.0.0.1:80"), [Value::String("127.0.0.1:80".into())]);
        assert_eq!(values("\"3\"")[0], Value::String("3".into()));
        assert_eq!(values("[\"a\"]")[0], Value::Array(vec![Value::String("a".into())]));
        assert_eq!(values("1\nother = 2"), [Value::String("1\nother = 2".into())]);
    }

    #[test]
    fn puts_at_the_key_as_it_is_spelled() {
        let mut table: Table = "[models.\"Qwen3-0.6b\"]\ncontext = 1".parse().expect("toml");
        let path = |text: &str| text.split('/').map(str::to_owned).collect::<Vec<_>>();
        let put_at = put(&mut table, &path("models/qwen3_0_6b/context"), Value::Integer(7));
        assert_eq!(put_at.as_deref(), Ok("models.Qwen3-0.6b.context"));
        assert_eq!(table["models"]["Qwen3-0.6b"]["context"], Value::Integer(7));
        assert_eq!(put(&mut table, &path("log/level"), Value::Integer(7)).as_deref(), Ok("log.level"));
        assert_eq!(put(&mut table, &path("log/level/x"), Value::Integer(7)), Err("log.level".to_owned()));
    }
}
