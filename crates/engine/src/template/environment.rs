//! The Jinja environment of chat templates: what the Hugging Face libraries give their templates.

use minijinja::syntax::SyntaxConfig;
use minijinja::value::{Kwargs, Value};
use minijinja::{Environment, Error, ErrorKind, State, escape_formatter};
use serde::Serialize as _;
use serde_json::ser::{CompactFormatter, Formatter, PrettyFormatter, Serializer};

/// Steps of one rendering; also bounds what it may allocate, to 64 bytes per step. A message costs
/// some hundred steps, so this is enough for ten thousand messages and ends a hostile template in
/// well under a second.
const FUEL: u64 = 4_000_000;
/// Nested blocks; a macro or a call costs several.
const RECURSION: usize = 200;

/// What `raise_exception` was called with.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub(super) struct Refusal(pub(super) String);

/// An environment without templates.
pub(super) fn new() -> Environment<'static> {
    let mut environment = Environment::new();
    // These settings can not fail: only custom delimiters can.
    if let Ok(syntax) = SyntaxConfig::builder().trim_blocks(true).lstrip_blocks(true).build() {
        environment.set_syntax(syntax);
    }
    environment.set_fuel(Some(FUEL));
    environment.set_recursion_limit(RECURSION);
    // Errors must not carry the variables: they are prompts.
    environment.set_debug(false);
    environment.set_unknown_method_callback(minijinja_contrib::pycompat::unknown_method_callback);
    environment.set_formatter(|out, state, value| match value.kind() {
        minijinja::value::ValueKind::Bool => Ok(out.write_str(if value.is_true() { "True" } else { "False" })?),
        minijinja::value::ValueKind::None => Ok(out.write_str("None")?),
        _ => escape_formatter(out, state, value),
    });
    environment.add_function("raise_exception", raise_exception);
    environment.add_function("strftime_now", strftime_now);
    environment.add_filter("tojson", tojson);
    // Python can not iterate over `None`: templates ask this before they count tools.
    environment.add_test("iterable", |value: &Value| !value.is_none() && value.try_iter().is_ok());
    environment
}

/// Replaces the tags `generation` and `endgeneration`, which mark what to train on, by an `if` that
/// is always true: they mean nothing for rendering, and minijinja does not know them.
pub(super) fn without_generation_tags(source: &str) -> String {
    let mut out = String::with_capacity(source.len());
    let mut rest = source;
    while let Some((before, tag)) = rest.split_once("{%") {
        out.push_str(before);
        out.push_str("{%");
        rest = tag;
        let Some((inner, after)) = tag.split_once("%}") else { break };
        let replacement = match inner.trim_matches(['-', '+']).trim() {
            "generation" => "if true",
            "endgeneration" => "endif",
            _ => continue,
        };
        let sign =
            |found: Option<char>| found.filter(|sign| "-+".contains(*sign)).map(String::from).unwrap_or_default();
        out.push_str(&format!("{} {replacement} {}%}}", sign(inner.chars().next()), sign(inner.chars().next_back())));
        rest = after;
    }
    out.push_str(rest);
    out
}

fn raise_exception(message: String) -> Result<Value, Error> {
    Err(Error::new(ErrorKind::InvalidOperation, "the template refuses the messages").with_source(Refusal(message)))
}

fn strftime_now(state: &State<'_, '_>, format: &str) -> Result<String, Error> {
    let format = Kwargs::from_iter([("format", Value::from(format))]);
    minijinja_contrib::filters::datetimeformat(state, minijinja_contrib::globals::now(), format)
}

/// `json.dumps(value, ensure_ascii=False, ...)`: keys in their order, nothing escaped for HTML.
#[expect(clippy::needless_pass_by_value, reason = "the signature that minijinja calls")]
fn tojson(value: &Value, indent: Option<Value>, options: Kwargs) -> Result<Value, Error> {
    let indent = match indent {
        Some(indent) => Some(indent),
        None => options.get::<Option<Value>>("indent")?,
    };
    let width = match indent.filter(|indent| !indent.is_none() && !indent.is_undefined()) {
        Some(indent) => Some(usize::try_from(indent)?.min(16)),
        None => None,
    };
    let separators = options.get::<Option<Vec<String>>>("separators")?;
    let sort = options.get::<Option<bool>>("sort_keys")?.unwrap_or(false);
    let _ascii: Option<bool> = options.get("ensure_ascii")?;
    options.assert_all_used()?;
    let mut json = serde_json::to_value(value).map_err(not_json)?;
    if sort {
        json.sort_all_objects();
    }
    let text = match width {
        Some(width) => write_json(&json, PrettyFormatter::with_indent(" ".repeat(width).as_bytes()))?,
        None => match separators.as_deref() {
            Some([item, key]) => write_json(&json, Separated { item, key })?,
            _ => write_json(&json, Separated { item: ", ", key: ": " })?,
        },
    };
    Ok(Value::from(text))
}

fn write_json(json: &serde_json::Value, formatter: impl Formatter) -> Result<String, Error> {
    let mut bytes = Vec::new();
    json.serialize(&mut Serializer::with_formatter(&mut bytes, formatter)).map_err(not_json)?;
    String::from_utf8(bytes).map_err(|error| Error::new(ErrorKind::BadSerialization, "not UTF-8").with_source(error))
}

fn not_json(error: serde_json::Error) -> Error {
    Error::new(ErrorKind::BadSerialization, "can not be written as JSON").with_source(error)
}

/// One line, with Python's separators.
struct Separated<'a> {
    item: &'a str,
    key: &'a str,
}

impl Formatter for Separated<'_> {
    fn begin_array_value<W: ?Sized + std::io::Write>(&mut self, writer: &mut W, first: bool) -> std::io::Result<()> {
        if first { CompactFormatter.begin_array_value(writer, true) } else { writer.write_all(self.item.as_bytes()) }
    }

    fn begin_object_key<W: ?Sized + std::io::Write>(&mut self, writer: &mut W, first: bool) -> std::io::Result<()> {
        if first { CompactFormatter.begin_object_key(writer, true) } else { writer.write_all(self.item.as_bytes()) }
    }

    fn begin_object_value<W: ?Sized + std::io::Write>(&mut self, writer: &mut W) -> std::io::Result<()> {
        writer.write_all(self.key.as_bytes())
    }
}
