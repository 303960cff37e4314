//! Writing to the terminal: results to standard output, everything else to standard error.
//!
//! A reader that has gone (`lla models list | head -1`) is no error: [`print()`] then says
//! [`Written::ReaderGone`] and the command ends quietly. Nothing else in this crate touches the
//! standard streams, so that the lints against stray `println!` can stay on.

use std::io::{IsTerminal as _, Write as _};

/// Whether anybody still reads standard output.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Written {
    /// The text has been handed over.
    Yes,
    /// The reader has closed the pipe (or the terminal is gone): writing more is pointless.
    ReaderGone,
}

/// Writes `text` to standard output as it is and flushes it, so that streamed text is seen at once.
pub fn print(text: &str) -> Written {
    let mut stdout = std::io::stdout().lock();
    written(&stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()))
}

/// Writes `text` and a line end to standard output.
pub fn line(text: &str) -> Written {
    let mut stdout = std::io::stdout().lock();
    written(&writeln!(stdout, "{text}").and_then(|()| stdout.flush()))
}

/// Writes a line for the human to standard error; there is nobody to tell when that fails.
pub fn note(text: &str) {
    let mut stderr = std::io::stderr().lock();
    written(&writeln!(stderr, "{text}"));
}

/// Whether a person looks at standard error.
#[must_use]
pub fn is_terminal() -> bool {
    std::io::stderr().is_terminal()
}

/// A broken pipe, a full disk, a closed descriptor: there is no other place to report any of them.
fn written(result: &std::io::Result<()>) -> Written {
    if result.is_ok() { Written::Yes } else { Written::ReaderGone }
}
