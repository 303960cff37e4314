//! Runs the built binary in a world of its own: no configuration, no state, no variables of ours.

use std::path::Path;
use std::process::{Command, Output};

/// The binary, blind to the user's folders and settings.
pub(crate) fn lla(home: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_lla"));
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(|name| name.starts_with("LLA_")) {
            command.env_remove(name);
        }
    }
    command.env("LLA_HOME", home).env("NO_COLOR", "1").current_dir(home).stdin(std::process::Stdio::null());
    command
}

/// Standard output, standard error, exit code.
pub(crate) fn run(command: &mut Command) -> (String, String, i32) {
    let Output { status, stdout, stderr } = command.output().expect("lla runs");
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("utf-8");
    (text(stdout), text(stderr), status.code().expect("an exit code, no signal"))
}
