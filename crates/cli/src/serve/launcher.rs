//! How the fleet starts an engine: this same binary again, as `lla engine`.

use std::path::{Path, PathBuf};

use lla_inference::{EngineModelConfig, Launch};
use tokio::process::Command;

use crate::config::LogConfig;
use crate::failure::{Exit, Failure, OrFail as _};

/// Makes the commands that start engines.
#[derive(Debug)]
pub struct EngineLauncher {
    program: PathBuf,
    log_level: String,
}

impl EngineLauncher {
    /// Engines run the program that runs now.
    ///
    /// # Errors
    /// When the system does not tell which that is.
    pub fn new(log: &LogConfig) -> Result<Self, Failure> {
        let program = program().or_fail(Exit::Bug)?;
        Ok(Self { program, log_level: log.level.clone() })
    }
}

/// The program that runs now. On Linux by its open file: it is the same program even after an update
/// has replaced the file under its name.
///
/// # Errors
/// When the system does not tell.
pub fn program() -> std::io::Result<PathBuf> {
    let open_file = Path::new("/proc/self/exe");
    if cfg!(target_os = "linux") && open_file.exists() { Ok(open_file.to_owned()) } else { std::env::current_exe() }
}

impl Launch for EngineLauncher {
    fn command(&self, model: &str, config: &EngineModelConfig, socket: &Path) -> Command {
        let mut command = Command::new(&self.program);
        // The name that `ps` shows.
        command.arg0("lla").arg("engine").args(config.to_args(model, socket)).env("LLA_LOG", &self.log_level);
        command
    }
}
