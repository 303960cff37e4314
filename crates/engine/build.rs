//! Placeholder, replaced by the CPU variants build.
fn main() {}
