//! `lla init`: finds the servers of this machine and writes a first configuration.
//!
//! [`probe`] asks who answers on the usual ports, [`judge`] says what it is, [`tiers`] judges which models are for what, [`draft`]
//! writes the file. Only loopback addresses are asked, and no file is replaced unless that was said.

pub mod draft;
pub mod judge;
pub mod probe;
pub mod tiers;

use std::io::Write as _;
use std::path::Path;

use futures_util::future::join_all;
use indexmap::IndexSet;
use judge::{Found, Kind};

use crate::args::InitArgs;
use crate::failure::{Exit, Failure, Outcome};
use crate::output;

/// Where servers listen when nobody says otherwise: Ollama, llama-server (now and before), LM Studio, vLLM.
pub const USUAL_PORTS: [u16; 5] = [11434, 9931, 8080, 1234, 8000];

/// Looks around and prints or writes the configuration.
///
/// # Errors
/// When the file is there already, or can not be written.
pub async fn run(args: &InitArgs) -> Outcome {
    if let Some(path) = args.write.as_deref().filter(|path| !args.force && path.symlink_metadata().is_ok()) {
        return Err(exists(path));
    }
    let ports: IndexSet<u16> =
        if args.ports.is_empty() { &USUAL_PORTS[..] } else { &args.ports }.iter().copied().collect();
    let found: Vec<Found> = join_all(ports.iter().map(|&port| probe::look(port))).await.into_iter().flatten().collect();
    for server in &found {
        output::note(&tell(server));
    }
    let servers: Vec<Found> = found.into_iter().filter(|server| server.kind != Kind::Gateway).collect();
    if servers.is_empty() {
        let list: Vec<String> = ports.iter().map(u16::to_string).collect();
        output::note(&format!("no server on 127.0.0.1, ports {}: the model inside lla will run", list.join(", ")));
    }
    let text = draft::text(&servers);
    let Some(path) = &args.write else {
        output::print(&text);
        return Ok(());
    };
    write(path, &text, args.force)?;
    output::line(&format!("{} is written", path.display()));
    let named = if path == Path::new(crate::config::find::FILE_NAME) {
        String::new()
    } else {
        format!(" --config {}", path.display())
    };
    output::note(&format!("next: lla config check{named}, lla backends list{named}, lla serve{named}"));
    Ok(())
}

/// One line about a server.
fn tell(server: &Found) -> String {
    let version = server.version.as_ref().map_or_else(String::new, |version| format!(" {}", draft::plain(version)));
    let what = match (server.kind, server.needs_key, server.models.len()) {
        (Kind::Gateway, ..) => "left out: it is no backend".to_owned(),
        (_, true, _) => "wants a key: see the comment in the file".to_owned(),
        (_, _, 1) => "1 model".to_owned(),
        (_, _, count) => format!("{count} models"),
    };
    format!("127.0.0.1:{}: {}{version}, {what}", server.port, server.kind.title())
}

/// Writes the whole file or nothing; it may come to hold keys, so only its owner reads it.
fn write(path: &Path, text: &str, force: bool) -> Outcome {
    let failed = |error: std::io::Error| {
        Failure { exit: Exit::Unavailable, error: error.into(), hint: None }
            .hint(format!("can {} be written?", path.display()))
    };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut file = tempfile::NamedTempFile::new_in(folder).map_err(failed)?;
    file.write_all(text.as_bytes()).and_then(|()| file.as_file().sync_all()).map_err(failed)?;
    if force {
        file.persist(path).map_err(|error| failed(error.error))?;
        return Ok(());
    }
    // Somebody may have made one since it was looked for.
    match file.persist_noclobber(path) {
        Ok(_) => Ok(()),
        Err(error) if error.error.kind() == std::io::ErrorKind::AlreadyExists => Err(exists(path)),
        Err(error) => Err(failed(error.error)),
    }
}

fn exists(path: &Path) -> Failure {
    Failure::usage(format!("--write: {} is there already", path.display()))
        .hint("--force replaces it; without --write the text is only printed")
}
