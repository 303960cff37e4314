//! Landlock and a filter of system calls, by two crates that wrap the kernel's interfaces safely.

use std::collections::BTreeMap;
use std::path::Path;

use landlock::{
    ABI, Access as _, AccessFs, AccessNet, CompatLevel, Compatible as _, PathBeneath, PathFd, Ruleset,
    RulesetAttr as _, RulesetCreatedAttr as _, RulesetError, RulesetStatus, Scope,
};
use seccompiler::{BpfProgram, SeccompAction, SeccompFilter};

use super::Sandbox;
use crate::options::Listen;

/// The newest rules that this code was written for; older kernels get what they know.
const FILES: ABI = ABI::V5;
const SCOPES: ABI = ABI::V6;

/// Calls that serving never makes: the listening socket is there, `accept` makes the others.
const REFUSED: [libc::c_long; 9] = [
    libc::SYS_socket,
    libc::SYS_connect,
    libc::SYS_bind,
    libc::SYS_execve,
    libc::SYS_execveat,
    libc::SYS_ptrace,
    libc::SYS_process_vm_readv,
    libc::SYS_process_vm_writev,
    // A way around any filter of calls.
    libc::SYS_io_uring_setup,
];

pub(super) fn enter(listen: &Listen) -> Sandbox {
    let mut sandbox = Sandbox::default();
    match restrict_files(listen) {
        Ok(files) => sandbox.files = files,
        Err(error) => tracing::debug!(%error, "no Landlock rules for files"),
    }
    match restrict_network() {
        Ok(network) => sandbox.network = network,
        Err(error) => tracing::debug!(%error, "no Landlock rules for the network"),
    }
    match refuse_calls() {
        Ok(()) => sandbox.calls = true,
        Err(error) => tracing::debug!(%error, "no filter of system calls"),
    }
    sandbox
}

fn restrict_files(listen: &Listen) -> Result<bool, RulesetError> {
    let mut rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessFs::from_write(FILES) | AccessFs::Execute)?
        .create()?;
    if let Listen::Unix(socket) = listen {
        let folder = socket.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
        match PathFd::new(folder) {
            Ok(folder) => rules = rules.add_rule(PathBeneath::new(folder, AccessFs::RemoveFile))?,
            // The socket's file then stays at the end; the next engine replaces it.
            Err(error) => tracing::debug!(%error, "the socket's folder can not be opened"),
        }
    }
    Ok(rules.restrict_self()?.ruleset != RulesetStatus::NotEnforced)
}

/// Apart from the files: where the kernel has no such rules, nothing else gets lost.
fn restrict_network() -> Result<bool, RulesetError> {
    let rules = Ruleset::default()
        .set_compatibility(CompatLevel::BestEffort)
        .handle_access(AccessNet::BindTcp | AccessNet::ConnectTcp)?
        .scope(Scope::from_all(SCOPES))?
        .create()?;
    Ok(rules.restrict_self()?.ruleset != RulesetStatus::NotEnforced)
}

fn refuse_calls() -> Result<(), seccompiler::Error> {
    let rules: BTreeMap<i64, _> = REFUSED.iter().map(|&call| (call, Vec::new())).collect();
    let errno = u32::try_from(libc::EPERM).unwrap_or(1);
    let arch = std::env::consts::ARCH.try_into()?;
    let filter = SeccompFilter::new(rules, SeccompAction::Allow, SeccompAction::Errno(errno), arch)?;
    let program: BpfProgram = filter.try_into()?;
    seccompiler::apply_filter(&program)
}
