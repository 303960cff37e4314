//! Closes JSON that was cut anywhere, by its form alone.

mod scanner;
#[cfg(test)]
mod tests;

pub(super) use scanner::Scanner;

/// Most braces that are tried as the beginning of JSON inside of another text.
const MOST_BRACES: usize = 256;

/// What to append to `text`, the beginning of a JSON text, so that the whole is JSON. `None` when
/// `text` is no such beginning.
pub(super) fn close_json(text: &str) -> Option<String> {
    let mut scanner = Scanner::default();
    text.bytes().try_for_each(|byte| scanner.push(byte))?;
    Some(scanner.closing())
}

/// The JSON that `text` ends in the middle of, from its outermost brace on.
pub(super) fn open_json(text: &str) -> Option<&str> {
    let open = |from: &&str| {
        let mut scanner = Scanner::default();
        from.bytes().try_for_each(|byte| scanner.push(byte)).is_some() && !scanner.closing().is_empty()
    };
    text.match_indices('{').map(|(place, _)| &text[place..]).take(MOST_BRACES).find(open)
}
