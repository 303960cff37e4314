//! What this machine's CPU and operating system say they support.
//!
//! Advertised is not proven: see `prove.rs`.

use super::Variant;

/// Instruction sets by name, with what the machine says of each (the operating system's support for
/// the wide registers included).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CpuFeatures {
    present: Vec<&'static str>,
}

/// Needed by [`Variant::Baseline`] on x86-64.
const BASELINE_NEEDS: [&str; 4] = ["avx2", "fma", "f16c", "bmi2"];
/// Needed by [`Variant::Avx512`] on top of the baseline.
const AVX512_NEEDS: [&str; 6] = ["avx512f", "avx512cd", "avx512vl", "avx512dq", "avx512bw", "avx512vnni"];

impl CpuFeatures {
    /// Asks the machine. Empty on platforms other than x86-64, which have one variant only.
    #[must_use]
    pub fn detect() -> Self {
        Self { present: detect() }
    }

    /// For tests and for rules that are asked about other machines.
    #[must_use]
    pub fn of(present: &[&'static str]) -> Self {
        Self { present: present.to_vec() }
    }

    /// Whether the machine has an instruction set, named as Rust's target features are.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        self.present.contains(&name)
    }

    /// Names of all that was found.
    #[must_use]
    pub fn names(&self) -> &[&'static str] {
        &self.present
    }

    /// What a variant needs and the machine lacks; empty when it may be tried.
    #[must_use]
    pub fn missing_for(&self, variant: Variant) -> Vec<&'static str> {
        let mut missing = Vec::new();
        if cfg!(target_arch = "x86_64") {
            missing.extend(BASELINE_NEEDS);
        }
        if variant == Variant::Avx512 {
            missing.extend(AVX512_NEEDS);
        }
        missing.retain(|name| !self.has(name));
        missing
    }
}

#[cfg(target_arch = "x86_64")]
fn detect() -> Vec<&'static str> {
    macro_rules! present {
        ($($name:tt),+ $(,)?) => {
            [$(($name, std::is_x86_feature_detected!($name))),+]
                .into_iter()
                .filter_map(|(name, present)| present.then_some(name))
                .collect()
        };
    }
    present!(
        "sse4.2",
        "avx",
        "avx2",
        "fma",
        "f16c",
        "bmi2",
        "avxvnni",
        "avx512f",
        "avx512cd",
        "avx512vl",
        "avx512dq",
        "avx512bw",
        "avx512vnni",
        "avx512vbmi",
        "avx512bf16",
    )
}

#[cfg(not(target_arch = "x86_64"))]
fn detect() -> Vec<&'static str> {
    Vec::new()
}
