//! Tests of the binary `lla` and of its configuration, from outside.

#![expect(clippy::expect_used, reason = "helpers of tests fail as tests do")]
#![cfg_attr(
    feature = "engine",
    expect(clippy::panic, clippy::print_stdout, reason = "helpers of tests fail as tests do, and tell figures")
)]

mod backends;
mod bench;
mod command_line;
mod configuration;
#[cfg(feature = "engine")]
mod damaged;
mod fake_api;
mod init;
#[cfg(feature = "engine")]
mod real;
mod support;
mod tools;
