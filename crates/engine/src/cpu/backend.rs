//! ggml's registry of backends: puts one CPU variant in, takes the other out, looks things up.

use std::ffi::CStr;
use std::ptr::NonNull;

use llama_cpp_sys_2 as sys;

use super::{CpuError, Variant};

#[cfg(lla_cpu_variants)]
unsafe extern "C" {
    /// Entry points of the objects that `build.rs` makes. Each may execute its own instructions.
    fn lla_ggml_cpu_avx2_reg() -> sys::ggml_backend_reg_t;
    fn lla_ggml_cpu_avx512_reg() -> sys::ggml_backend_reg_t;
}

/// A backend registered with ggml. Lives as long as the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Registered(NonNull<sys::ggml_backend_reg>);

impl Registered {
    pub(super) fn as_ptr(self) -> sys::ggml_backend_reg_t {
        self.0.as_ptr()
    }

    /// The backend's only device.
    pub(super) fn device(self) -> sys::ggml_backend_dev_t {
        // SAFETY: the registration is valid for ever, and CPU backends have exactly one device.
        unsafe { sys::ggml_backend_reg_dev_get(self.as_ptr(), 0) }
    }

    /// A function of this very variant, by ggml's name for it; null when there is none.
    ///
    /// The direct symbols (`ggml_threadpool_new`, ...) are those of the baseline: whatever computes
    /// must be looked up here.
    pub(super) fn function(self, name: &CStr) -> *mut std::ffi::c_void {
        // SAFETY: valid registration, terminated name.
        unsafe { sys::ggml_backend_reg_get_proc_address(self.as_ptr(), name.as_ptr()) }
    }

    /// What the variant says it was compiled for, as `NAME` of ggml (`AVX2`, `AVX512_VNNI`, `REPACK`, ...).
    fn features(self) -> Vec<String> {
        let function = self.function(c"ggml_backend_get_features");
        if function.is_null() {
            return Vec::new();
        }
        // SAFETY: ggml documents this name with this signature.
        let function: sys::ggml_backend_get_features_t = unsafe { std::mem::transmute(function) };
        let Some(function) = function else { return Vec::new() };
        // SAFETY: the list is static and ends with a null name.
        let mut item = unsafe { function(self.as_ptr()) };
        let mut names = Vec::new();
        // SAFETY: as above; `item` stays inside the list because the loop stops at its end.
        while let Some(name) = unsafe { item.as_ref() }.and_then(|item| NonNull::new(item.name.cast_mut())) {
            // SAFETY: a terminated string of static life.
            names.push(unsafe { CStr::from_ptr(name.as_ptr()) }.to_string_lossy().into_owned());
            // SAFETY: the current item was not the last.
            item = unsafe { item.add(1) };
        }
        names
    }
}

/// What the CPU backend in force says it was compiled for; empty when there is none.
#[must_use]
pub fn backend_features() -> Vec<String> {
    current().map(Registered::features).unwrap_or_default()
}

/// The CPU backend in ggml's registry.
pub(super) fn current() -> Option<Registered> {
    // SAFETY: a lookup by a terminated name.
    NonNull::new(unsafe { sys::ggml_backend_reg_by_name(c"CPU".as_ptr()) }).map(Registered)
}

/// Leaves `variant` as the only CPU backend. Must run before anything holds a CPU device.
pub(super) fn make_only_cpu(variant: Variant) -> Result<(), CpuError> {
    let built_in = current().ok_or_else(|| CpuError::Backend("no CPU backend is registered".to_owned()))?;
    let Some(wanted) = entry(variant)? else { return Ok(()) };
    // SAFETY: `wanted` is a complete static registration of the same ggml version; nothing uses the
    // device of the built-in one yet (caller), so that taking it out leaves no pointer to it behind.
    unsafe {
        sys::ggml_backend_register(wanted.as_ptr());
        sys::ggml_backend_unload(built_in.as_ptr());
    }
    if current() != Some(wanted) {
        return Err(CpuError::Backend(format!("`{variant}` was registered and is not the one in force")));
    }
    let has_avx512 = wanted.features().iter().any(|name| name == "AVX512");
    if has_avx512 != (variant == Variant::Avx512) {
        return Err(CpuError::Backend(format!("`{variant}` was compiled for other instructions than it should be")));
    }
    Ok(())
}

/// The variant's own registration; none where the built-in backend is the variant.
#[cfg(lla_cpu_variants)]
fn entry(variant: Variant) -> Result<Option<Registered>, CpuError> {
    // SAFETY: the caller made sure that this machine runs the variant.
    let registration = unsafe {
        match variant {
            Variant::Baseline => lla_ggml_cpu_avx2_reg(),
            Variant::Avx512 => lla_ggml_cpu_avx512_reg(),
        }
    };
    let found = NonNull::new(registration).ok_or_else(|| CpuError::Backend(format!("`{variant}` has no entry")))?;
    Ok(Some(Registered(found)))
}

#[cfg(not(lla_cpu_variants))]
fn entry(variant: Variant) -> Result<Option<Registered>, CpuError> {
    match variant {
        Variant::Baseline => Ok(None),
        Variant::Avx512 => Err(CpuError::NotUsable { variant, reason: "this binary was built without it".to_owned() }),
    }
}
