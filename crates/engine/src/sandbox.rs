//! What the engine gives up before it reads a model: a damaged or hostile file can then make native
//! code do wrong, and still not write, call out, or start programs.
//!
//! On Linux, in force for the thread that calls [`enter`] and for all threads it starts later:
//! - Landlock: no writing, creating or removing of files, except removing in the folder of the Unix
//!   socket (its own file, at the end); no program is started; no TCP port is bound or connected to
//!   (kernel 6.7); no signals and no abstract sockets to others (6.12). Reading stays: adapters come
//!   at run time, and the files of its user are what Unix permissions are for.
//! - A system-call filter: no new sockets at all, which covers UDP and kernels without Landlock's
//!   network rules; no tracing of other processes. The listening socket is there before.
//!
//! Both set `no_new_privs`. What a kernel does not know is left out ([`Sandbox`] says what is in
//! force). Not used with a GPU: its drivers write to devices, and start threads and helpers as they
//! like. Not on other systems than Linux.

use crate::options::Listen;

#[cfg(target_os = "linux")]
mod linux;

/// What is in force.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Sandbox {
    /// Files can not be written, and programs not be started.
    pub files: bool,
    /// TCP ports can neither be bound nor connected to, by Landlock.
    pub network: bool,
    /// No new sockets and no tracing, by the filter of system calls.
    pub calls: bool,
}

/// Gives up what serving does not need. Call it after binding, before any thread is started.
///
/// Never fails: what can not be given up is missing in the answer, and the reason is logged.
#[must_use]
pub fn enter(listen: &Listen) -> Sandbox {
    #[cfg(target_os = "linux")]
    let sandbox = linux::enter(listen);
    #[cfg(not(target_os = "linux"))]
    let sandbox = {
        let _no_landlock = listen;
        Sandbox::default()
    };
    tracing::debug!(?sandbox, "what the engine may not do any more");
    sandbox
}
