//! Turns a crash of native code while a model is loaded into an orderly end of this process.
//!
//! What plain checks can find is found before (`model.rs`). llama.cpp still asserts, and may read past
//! what a damaged file holds; without the guard its supervisor would see a signal, and people a core
//! dump. With it: one sentence that names the file, and the exit code of a model that can not be used.

use std::ffi::c_int;
use std::path::Path;
use std::sync::atomic::{AtomicPtr, AtomicUsize, Ordering};

/// "A service that is needed is not there", as `sysexits.h` has it; the same as of any refused model.
const EXIT: c_int = 69;
/// How native code dies: failed assertions, bad addresses, a file that shrank, a division by zero.
const SIGNALS: [c_int; 5] = [libc::SIGABRT, libc::SIGSEGV, libc::SIGBUS, libc::SIGFPE, libc::SIGILL];

/// What the handler writes. Made before, since a handler may not allocate; never freed, since a
/// handler may be about to read it.
static TEXT: AtomicPtr<u8> = AtomicPtr::new(std::ptr::null_mut());
static LENGTH: AtomicUsize = AtomicUsize::new(0);

/// While it lives, a crash ends the process as described above. One at a time.
pub(crate) struct LoadGuard {
    before: Vec<(c_int, libc::sigaction)>,
}

impl LoadGuard {
    /// Watches over the loading of `model`.
    pub(crate) fn install(model: &Path) -> Self {
        let text = format!(
            "error: {}: llama.cpp crashed while it loaded the file: it is damaged, or of a kind that this version can \
             not run; pull it again, or take another one\n",
            model.display()
        );
        let text: &'static mut [u8] = Box::leak(text.into_bytes().into_boxed_slice());
        LENGTH.store(text.len(), Ordering::SeqCst);
        TEXT.store(text.as_mut_ptr(), Ordering::SeqCst);
        Self { before: SIGNALS.iter().filter_map(|&signal| Some((signal, set(signal, &ours())?))).collect() }
    }
}

impl Drop for LoadGuard {
    fn drop(&mut self) {
        for (signal, before) in &self.before {
            set(*signal, before);
        }
    }
}

fn ours() -> libc::sigaction {
    // SAFETY: all zeros is a valid value of this plain struct: no flags, an empty mask.
    let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
    let handler: extern "C" fn(c_int) = end;
    action.sa_sigaction = handler as usize;
    // On the alternative stack, where the thread has one: its own may be what overflowed.
    action.sa_flags = libc::SA_ONSTACK | libc::SA_RESETHAND;
    action
}

/// Sets what a signal does; returns what it did before.
fn set(signal: c_int, action: &libc::sigaction) -> Option<libc::sigaction> {
    // SAFETY: both pointers are to live structs of the right type, and the handler in them calls only
    // functions that are safe in a signal handler.
    unsafe {
        let mut before: libc::sigaction = std::mem::zeroed();
        (libc::sigaction(signal, action, &raw mut before) == 0).then_some(before)
    }
}

extern "C" fn end(_signal: c_int) {
    let text = TEXT.load(Ordering::SeqCst);
    let length = LENGTH.load(Ordering::SeqCst);
    // SAFETY: the text is never freed; write and _exit are async-signal-safe.
    unsafe {
        if !text.is_null() {
            libc::write(libc::STDERR_FILENO, text.cast(), length);
        }
        libc::_exit(EXIT);
    }
}
