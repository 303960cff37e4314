//! Proves that a variant runs on this machine, by letting a child process compute with it.
//!
//! A child, because the failure we look for is a signal (SIGILL, SIGSEGV) in native code. Nothing is
//! remembered on disk: a virtual machine may wake up on another host. Costs some 20 to 50 ms.

use std::ffi::OsString;
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use super::Variant;

/// A variant that computed right.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Proof {
    /// What was proven.
    pub variant: Variant,
    /// Wall time, start of the child included.
    pub took: Duration,
}

/// Why a variant is not proven.
#[derive(Debug, thiserror::Error)]
pub enum ProofError {
    /// The child could not be started or watched.
    #[error("the test process can not be run: {0}")]
    Spawn(#[from] std::io::Error),
    /// The child failed: a signal, or a wrong result.
    #[error("the test process ended with {0}")]
    Failed(ExitStatus),
    /// The child did not end in time and was killed.
    #[error("the test process did not end within {0:?}")]
    TimedOut(Duration),
    /// The child ended well, and did not say what was to be proven.
    #[error("the test process did not confirm the variant")]
    NotConfirmed,
}

/// How the child is started: `exe args... <variant>`.
#[derive(Debug, Clone)]
pub struct Prover {
    /// The executable.
    pub exe: PathBuf,
    /// What comes before the variant's name; default `engine --self-test`.
    pub args: Vec<OsString>,
    /// How long it may take; default 5 s (a loaded machine, a cold disk).
    pub limit: Duration,
}

impl Prover {
    /// The default for an executable.
    #[must_use]
    pub fn new(exe: &Path) -> Self {
        Self { exe: exe.to_owned(), args: vec!["engine".into(), "--self-test".into()], limit: Duration::from_secs(5) }
    }

    /// Runs the child and judges it: exit status 0 and the variant's [`confirmation`] on standard output.
    ///
    /// # Errors
    /// On any signal, other exit status, time-out, or missing confirmation.
    pub fn prove(&self, variant: Variant) -> Result<Proof, ProofError> {
        let began = Instant::now();
        let mut child = Command::new(&self.exe)
            .args(&self.args)
            .arg(variant.name())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()?;
        let status = wait(&mut child, began, self.limit)?;
        if !status.success() {
            return Err(ProofError::Failed(status));
        }
        let mut said = String::new();
        if let Some(output) = child.stdout.take() {
            // The child has ended; the limit is for a grandchild that might keep the pipe open.
            output.take(confirmation(variant).len() as u64).read_to_string(&mut said)?;
        }
        if said != confirmation(variant) {
            return Err(ProofError::NotConfirmed);
        }
        Ok(Proof { variant, took: began.elapsed() })
    }
}

/// What the child must print first.
pub(super) fn confirmation(variant: Variant) -> String {
    format!("cpu variant {variant} computes right")
}

/// [`Prover::prove`] with the defaults.
///
/// # Errors
/// When the variant is not proven, for whatever reason.
pub fn prove(exe: &Path, variant: Variant) -> Result<Proof, ProofError> {
    Prover::new(exe).prove(variant)
}

/// Waits for the child; kills it at the limit.
fn wait(child: &mut Child, began: Instant, limit: Duration) -> Result<ExitStatus, ProofError> {
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(status);
        }
        if began.elapsed() >= limit {
            child.kill()?;
            child.wait()?;
            return Err(ProofError::TimedOut(limit));
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}
