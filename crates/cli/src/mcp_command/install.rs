//! `lla mcp install`: what a client needs to start `lla mcp`, shown, or put into its configuration.
//!
//! Only our own entry is touched: comments, order and everything else in the file stay, and the file is
//! replaced whole or not at all.

mod edit;
mod place;

use std::path::{Path, PathBuf};

use crate::args::McpClient;
use crate::failure::{Exit, Failure, OrFail as _, Outcome};
use crate::output;

/// The name of our entry.
const NAME: &str = "lla";

/// What the client is to start.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Entry {
    command: String,
    args: Vec<String>,
}

/// Shows the entry, or writes it.
///
/// # Errors
/// When the client's file can not be read as what it should be, or not be written.
pub fn run(client: McpClient, write: bool, file: Option<&Path>, roots: &[PathBuf]) -> Outcome {
    let path = match file {
        Some(file) => std::path::absolute(file).or_fail(Exit::Usage)?,
        None => place::of(client)?,
    };
    let entry = entry(client, roots)?;
    if !write {
        output::print(&edit::merged(client, "", &entry).or_fail(Exit::Bug)?);
        output::note(&format!(
            "Put this into {}, or let it be done: lla mcp install {} --write",
            path.display(),
            place::word(client)
        ));
        return Ok(());
    }
    let before = match std::fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(Failure::unavailable(format!("{} can not be read: {error}", path.display()))),
    };
    let after = edit::merged(client, &before, &entry).map_err(|error| {
        let failure = Failure::usage(format!("{} is not changed: {error:#}", path.display()));
        failure.hint(format!("correct it, or put the entry in by hand: lla mcp install {}", place::word(client)))
    })?;
    if after == before {
        output::line(&format!("{} has it already", path.display()));
        return Ok(());
    }
    replace(&path, &after)
        .map_err(|error| Failure::unavailable(format!("{} can not be written: {error}", path.display())))?;
    output::line(&format!("{}: added the MCP server '{NAME}'", path.display()));
    Ok(())
}

/// This program by its full path: clients started from a desktop do not have the shell's PATH.
fn entry(client: McpClient, roots: &[PathBuf]) -> Result<Entry, Failure> {
    let program = std::env::current_exe().or_fail(Exit::Bug)?;
    let mut args = vec!["mcp".to_owned()];
    for root in roots {
        args.extend(["--root".to_owned(), root.display().to_string()]);
    }
    // Codex tells no roots, and starts its servers in the project's folder.
    if roots.is_empty() && client == McpClient::Codex {
        args.extend(["--root".to_owned(), ".".to_owned()]);
    }
    Ok(Entry { command: program.display().to_string(), args })
}

/// Replaces the file behind `path` (which may be a link, as in kept dotfiles), with the same rights.
fn replace(path: &Path, text: &str) -> std::io::Result<()> {
    let target = path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let folder = target.parent().unwrap_or_else(|| Path::new("."));
    std::fs::create_dir_all(folder)?;
    let mut temporary = tempfile::NamedTempFile::new_in(folder)?;
    std::io::Write::write_all(&mut temporary, text.as_bytes())?;
    if let Ok(existing) = std::fs::metadata(&target) {
        temporary.as_file().set_permissions(existing.permissions())?;
    }
    temporary.persist(&target)?;
    Ok(())
}
