//! What a shell command works on: arguments, files, or standard input.

use std::path::{Path, PathBuf};

use lla_tools::{FileRead, Files, Limits};
use serde_json::Value;

use crate::args::InputArgs;
use crate::chat::input::Input;
use crate::failure::{Exit, Failure, OrFail as _};
use crate::output;

/// The text, and the files that it came from.
///
/// A file that is named on the command line is one that its user wants read: every folder is allowed. It
/// is held to the limits of size and kind all the same.
pub(super) async fn text(args: &InputArgs, limits: Limits) -> Result<(String, Vec<FileRead>), Failure> {
    if let Some(text) = &args.text {
        return Ok((text.clone(), Vec::new()));
    }
    if args.files.is_empty() {
        return Ok((standard_input().await?, Vec::new()));
    }
    let everywhere = Files::new([PathBuf::from("/")], limits);
    let (mut texts, mut read) = (Vec::new(), Vec::new());
    for file in &args.files {
        if file == Path::new("-") {
            texts.push(standard_input().await?);
            continue;
        }
        let absolute = std::path::absolute(file).or_fail(Exit::Usage)?;
        let found = everywhere.read(&absolute.display().to_string()).await.map_err(|error| {
            let text = error.to_string().replace(&absolute.display().to_string(), &file.display().to_string());
            Failure::usage(text)
        })?;
        for mut one in found {
            one.read.path = file.display().to_string();
            texts.push(one.text);
            read.push(one.read);
        }
    }
    Ok((texts.join("\n\n"), read))
}

async fn standard_input() -> Result<String, Failure> {
    if std::io::IsTerminal::is_terminal(&std::io::stdin()) {
        output::note("(reading the text from the terminal; Ctrl-D ends it)");
    }
    Input::all().await.map_err(|error| Failure::usage(format!("standard input can not be used: {error}")))
}

/// JSON from a file, or as it stands in the argument of `flag`.
pub(super) fn json(flag: &str, given: &str) -> Result<Value, Failure> {
    let text = if given.trim_start().starts_with(['{', '[']) {
        given.to_owned()
    } else {
        std::fs::read_to_string(given)
            .map_err(|error| Failure::usage(format!("{flag}: the file {given} can not be read: {error}")))?
    };
    serde_json::from_str(&text).map_err(|error| Failure::usage(format!("{flag} is no JSON: {error}")))
}
