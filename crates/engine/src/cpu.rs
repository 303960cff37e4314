//! Which CPU code runs the model: chosen once, at start, before any model is loaded.
//!
//! On x86-64 Linux the binary carries ggml's CPU backend twice (see `build.rs`): for AVX2, the
//! least that the engine runs on, and for AVX-512 with VNNI; both with threads that wait patiently. Start reading at [`select_and_apply`]:
//! what the machine says ([`CpuFeatures`]) proposes a [`Variant`]; a child process proves it by
//! computing with it ([`prove()`]), because machines exist that advertise instructions and fault on
//! them; then ggml's registry is left with that one CPU backend ([`backend`]).
//!
//! What it does not do: AMX (advertised and faulting on machines we met, so not even compiled), other
//! platforms (they have the one variant that was compiled). llama.cpp's own code and ggml's base are
//! compiled for plain x86-64; only ggml's CPU backend has wider instructions.

mod backend;
mod features;
mod load;
mod prove;
mod self_test;
mod threads;

use std::path::Path;
use std::str::FromStr;
use std::sync::{Mutex, PoisonError};

pub use backend::backend_features;
pub use features::CpuFeatures;
pub(crate) use load::Governor;
pub use prove::{Proof, ProofError, Prover, prove};
pub use self_test::{SelfTestError, SelfTestReport, self_test};
pub use threads::{POLL, ThreadPool, available_cores, set_threads};

/// One compiled form of the CPU code.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Variant {
    /// What the platform always has; on x86-64: AVX2, FMA, F16C and BMI2.
    Baseline,
    /// AVX-512 (F, CD, VL, DQ, BW) and VNNI: Intel from Cascade Lake, AMD from Zen 4.
    Avx512,
}

impl Variant {
    /// All variants, fastest first.
    pub const ALL: [Self; 2] = [Self::Avx512, Self::Baseline];

    /// The name that options and `--self-test` use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Baseline => "baseline",
            Self::Avx512 => "avx512",
        }
    }

    /// Whether this binary contains the code.
    #[must_use]
    pub const fn is_compiled(self) -> bool {
        match self {
            Self::Baseline => true,
            Self::Avx512 => cfg!(lla_cpu_variants),
        }
    }
}

impl std::fmt::Display for Variant {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str(self.name())
    }
}

impl FromStr for Variant {
    type Err = CpuError;

    fn from_str(text: &str) -> Result<Self, CpuError> {
        let found = Self::ALL.into_iter().find(|variant| variant.name() == text);
        found.ok_or_else(|| CpuError::UnknownVariant { name: text.to_owned() })
    }
}

/// Why no CPU code can be used, or not the one that was asked for.
#[derive(Debug, thiserror::Error)]
pub enum CpuError {
    /// A name that is no variant.
    #[error("unknown CPU variant {name:?}; use `baseline` or `avx512`")]
    UnknownVariant {
        /// What was given.
        name: String,
    },
    /// The machine lacks what the least variant needs.
    #[error("this CPU lacks {missing}: models can not run in this process (use a remote backend)")]
    TooOld {
        /// The missing instruction sets, comma separated.
        missing: String,
    },
    /// The variant was asked for by name and can not be used.
    #[error("the CPU variant `{variant}` can not be used: {reason}; leave it out to choose automatically")]
    NotUsable {
        /// What was asked for.
        variant: Variant,
        /// Not compiled, not supported by the machine, or failed its test.
        reason: String,
    },
    /// A variant is in force already, and another one was asked for.
    #[error("the CPU variant `{active}` is in use; it can not be changed in a running process")]
    AlreadyApplied {
        /// What is in force.
        active: Variant,
    },
    /// ggml does not behave as this module needs; our own bug.
    #[error("ggml's CPU backend: {0}")]
    Backend(String),
}

/// Chooses a variant. Pure: `proven` is asked only for variants that the machine claims to support.
///
/// Without a request the fastest proven variant wins, and the baseline needs no proof.
///
/// # Errors
/// When the machine can not even run the baseline, or the requested variant is not usable.
pub fn select(
    features: &CpuFeatures,
    requested: Option<Variant>,
    proven: &dyn Fn(Variant) -> Result<(), String>,
) -> Result<Variant, CpuError> {
    let missing = features.missing_for(Variant::Baseline);
    if !missing.is_empty() {
        return Err(CpuError::TooOld { missing: missing.join(", ") });
    }
    let usable = |variant: Variant| {
        if variant == Variant::Baseline {
            return Ok(());
        }
        if !variant.is_compiled() {
            return Err("this binary was built without it".to_owned());
        }
        let missing = features.missing_for(variant);
        if !missing.is_empty() {
            return Err(format!("this CPU lacks {}", missing.join(", ")));
        }
        proven(variant)
    };
    match requested {
        Some(variant) => match usable(variant) {
            Ok(()) => Ok(variant),
            Err(reason) => Err(CpuError::NotUsable { variant, reason }),
        },
        None => Ok(Variant::ALL.into_iter().find(|&variant| usable(variant).is_ok()).unwrap_or(Variant::Baseline)),
    }
}

/// What is in force in this process.
static ACTIVE: Mutex<Option<Variant>> = Mutex::new(None);

/// The variant in force, when one has been applied.
#[must_use]
pub fn active() -> Option<Variant> {
    *ACTIVE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes a variant the only CPU backend of this process. Call it before any model is loaded; the
/// same variant may be applied again. The caller has made sure that the machine can run it.
///
/// # Errors
/// When another variant is in force, the variant is not compiled in, or ggml does not take it.
pub fn apply(variant: Variant) -> Result<(), CpuError> {
    let mut active = ACTIVE.lock().unwrap_or_else(PoisonError::into_inner);
    match *active {
        Some(current) if current == variant => return Ok(()),
        Some(current) => return Err(CpuError::AlreadyApplied { active: current }),
        None => {}
    }
    backend::make_only_cpu(variant)?;
    *active = Some(variant);
    Ok(())
}

/// The variant that [`select_and_apply`] would take without a request, proven by children of `exe`.
///
/// # Errors
/// When the machine can not even run the baseline.
pub fn choose(features: &CpuFeatures, exe: &Path) -> Result<Variant, CpuError> {
    select(features, None, &|variant| prove_and_log(exe, variant))
}

/// Sees what the machine can do, proves the best variant in a child process, and applies it.
///
/// The child is this executable with the arguments `engine --self-test <variant>`. In a program that
/// does not know them nothing but the baseline can be proven.
///
/// # Errors
/// See [`select`] and [`apply`].
pub fn select_and_apply(requested: Option<Variant>) -> Result<Variant, CpuError> {
    if let Some(current) = active() {
        return match requested {
            Some(wanted) if wanted != current => Err(CpuError::AlreadyApplied { active: current }),
            _ => Ok(current),
        };
    }
    let proven = |variant: Variant| match std::env::current_exe() {
        Ok(exe) => prove_and_log(&exe, variant),
        Err(error) => Err(format!("this executable can not be found: {error}")),
    };
    let variant = select(&CpuFeatures::detect(), requested, &proven)?;
    apply(variant)?;
    Ok(variant)
}

fn prove_and_log(exe: &Path, variant: Variant) -> Result<(), String> {
    match prove(exe, variant) {
        Ok(proof) => {
            tracing::debug!(%variant, took_ms = proof.took.as_secs_f64() * 1e3, "cpu code proven");
            Ok(())
        }
        Err(error) => {
            tracing::warn!(%variant, %error, "the CPU advertises this code's instructions, but the code is not proven: not used");
            Err(error.to_string())
        }
    }
}

#[cfg(test)]
mod tests;
