//! Threads that compute: how many, and a pool that stays.
//!
//! How ggml waits (its own pool; OpenMP is off): a worker polls for the next graph `poll` x 131,072
//! times, then sleeps on a condition variable; at the barriers inside a graph it spins for some
//! microseconds and then yields its core at every turn (`native/patient_wait.h`; x86-64 Linux).
//! Without a pool attached to the context ggml makes and joins a pool for every single step.
//!
//! Measured (SmolLM2-135M Q4_1, AVX-512, 2 cores, tokens per second of prefill / decode): alone, an
//! attached pool with poll 1: 485 / 149, disposable pools: 470 / 138, one thread: 265 / 141. Beside a
//! process that burns one core: attached pool 245 / 73, disposable 245 / 7, one thread 256 / 132. So
//! attach a pool, with [`POLL`]; prefill is never worse with all cores; decoding a small model gains
//! little from a second thread alone and loses half beside others.

use std::ptr::NonNull;

use llama_cpp_2::context::LlamaContext;
use llama_cpp_sys_2 as sys;

use super::{CpuError, backend};

/// Cores that this process may use: affinity and cgroup CPU quota (v1 and v2) respected, at least 1.
#[must_use]
pub fn available_cores() -> usize {
    // The standard library reads sched_getaffinity and the cgroup's cpu.max / cfs_quota (rounded down).
    std::thread::available_parallelism().map_or(1, usize::from)
}

/// The poll level to use: covers the gap between two steps (sampling, sending), and lets an idle
/// engine sleep after some 10 milliseconds; ggml's default of 50 burns a core for half a second.
pub const POLL: u32 = 1;

/// ggml worker threads that stay between steps. For one context; made once, kept for the life of
/// the process (an engine process has one context).
#[derive(Debug)]
pub struct ThreadPool {
    pool: NonNull<sys::ggml_threadpool>,
    threads: usize,
}

impl ThreadPool {
    /// Starts `threads` - 1 workers; the thread that decodes is the last one. `poll`: 0 (sleep at
    /// once) to 100; ggml's default is 50.
    ///
    /// Call it after the CPU variant is applied: the workers run that variant's code.
    ///
    /// # Errors
    /// When `threads` is 0 or above ggml's limit of 512, or ggml has no pool.
    pub fn new(threads: usize, poll: u32) -> Result<Self, CpuError> {
        let count = i32::try_from(threads).ok().filter(|count| (1..=512).contains(count));
        let count = count.ok_or_else(|| CpuError::Backend(format!("a pool of {threads} threads; use 1 to 512")))?;
        let registered = backend::current().ok_or_else(|| CpuError::Backend("no CPU backend".to_owned()))?;
        let function = registered.function(c"ggml_threadpool_new");
        if function.is_null() {
            return Err(CpuError::Backend("no ggml_threadpool_new".to_owned()));
        }
        type New = unsafe extern "C" fn(*mut sys::ggml_threadpool_params) -> sys::ggml_threadpool_t;
        // SAFETY: ggml registers `ggml_threadpool_new` under this name; the parameters are copied.
        let pool = unsafe {
            let function: New = std::mem::transmute(function);
            let mut params = sys::ggml_threadpool_params_default(count);
            params.poll = poll.min(100);
            function(&raw mut params)
        };
        let pool = NonNull::new(pool).ok_or_else(|| CpuError::Backend("the threads can not be started".to_owned()))?;
        Ok(Self { pool, threads })
    }

    /// How many threads compute, the decoding one included.
    #[must_use]
    pub fn threads(&self) -> usize {
        self.threads
    }

    /// Gives the pool to a context, for decode and prefill. It is never freed after that.
    ///
    /// # Errors
    /// When the context can not be reached.
    pub fn attach(self, context: &mut LlamaContext<'_>) -> Result<(), CpuError> {
        let context = raw(context)?;
        // SAFETY: the context is alive; the pool is given away and lives for ever, so the context can
        // not outlive it, and it is attached to this context only.
        unsafe { sys::llama_attach_threadpool(context.as_ptr(), self.pool.as_ptr(), self.pool.as_ptr()) };
        Ok(())
    }
}

/// Sets how many threads the next steps use: `decode` for batches of one token, `batch` for larger
/// ones. Cheap, at any step; with a pool attached, at most its size.
///
/// # Errors
/// When the context can not be reached.
pub fn set_threads(context: &mut LlamaContext<'_>, decode: usize, batch: usize) -> Result<(), CpuError> {
    let count = |threads: usize| i32::try_from(threads.clamp(1, 512)).unwrap_or(1);
    let context = raw(context)?;
    // SAFETY: the context is alive and borrowed exclusively.
    unsafe { sys::llama_set_n_threads(context.as_ptr(), count(decode), count(batch)) };
    Ok(())
}

/// The C context inside the wrapper. llama-cpp-2 (pinned exactly) hides it and has neither thread
/// pools nor a change of the thread count; its `Debug` form shows the address, which is the one way
/// that does not guess at the wrapper's layout.
fn raw(context: &mut LlamaContext<'_>) -> Result<NonNull<sys::llama_context>, CpuError> {
    let shown = format!("{context:?}");
    let address = address_in(&shown).ok_or_else(|| CpuError::Backend(format!("no address in {shown:?}")))?;
    let pointer = NonNull::new(std::ptr::with_exposed_provenance_mut(address));
    pointer.ok_or_else(|| CpuError::Backend("the context has no address".to_owned()))
}

/// The address in `LlamaContext { context: 0x7f.. }`.
fn address_in(shown: &str) -> Option<usize> {
    let digits = shown.strip_prefix("LlamaContext { context: 0x")?.strip_suffix(" }")?;
    usize::from_str_radix(digits, 16).ok()
}

#[cfg(test)]
mod tests {
    use super::address_in;

    #[test]
    fn only_the_known_debug_form_gives_an_address() {
        assert_eq!(address_in("LlamaContext { context: 0x7f12ab }"), Some(0x7f_12ab));
        for other in ["", "LlamaContext { context: 12 }", "LlamaContext { context: 0x }", "LlamaContext { a: 0x1 }"] {
            assert_eq!(address_in(other), None, "{other}");
        }
    }
}
