//! Closes JSON that was cut anywhere, by its form alone.

mod scanner;
#[cfg(test)]
mod tests;

pub(super) use scanner::Scanner;

/// What to append to `text`, the beginning of a JSON text, so that the whole is JSON. `None` when
/// `text` is no such beginning.
pub(super) fn close_json(text: &str) -> Option<String> {
    let mut scanner = Scanner::default();
    text.bytes().try_for_each(|byte| scanner.push(byte))?;
    Some(scanner.closing())
}
