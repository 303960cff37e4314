//! Which build this is.

use std::sync::LazyLock;

/// The version of the workspace.
pub const VERSION: &str = env!("CARGO_PKG_VERSION");

/// The commit it was built from, or `unknown`.
pub const COMMIT: &str = env!("LLA_BUILD_COMMIT");

/// The cargo features that change what the binary can do.
#[must_use]
pub fn features() -> Vec<&'static str> {
    [
        (cfg!(feature = "engine"), "engine"),
        (cfg!(feature = "cuda"), "cuda"),
        (cfg!(feature = "vulkan"), "vulkan"),
        (cfg!(feature = "metal"), "metal"),
        (cfg!(feature = "rocm"), "rocm"),
    ]
    .into_iter()
    .filter_map(|(on, name)| on.then_some(name))
    .collect()
}

/// What `lla --version` prints after the name.
#[must_use]
pub fn line() -> &'static str {
    static LINE: LazyLock<String> = LazyLock::new(|| {
        let features = features();
        let features = if features.is_empty() { "none".to_owned() } else { features.join(", ") };
        format!("{VERSION} (commit {COMMIT}, features: {features})")
    });
    &LINE
}
