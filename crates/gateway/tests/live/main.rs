//! The gateway in front of real servers, through its router and over HTTP: `make test-live`.
//!
//! Each file is about one kind of server and reads its address from a variable (`VLLM_URL`, ...); its tests print
//! that they skip when it is not set. Only the form of answers is asserted: the models are tiny.

#![expect(
    clippy::expect_used,
    clippy::panic,
    clippy::print_stdout,
    reason = "helpers of tests fail as tests do, and skipping has to be seen"
)]

mod answers;
mod gateway;
mod llama_server;
mod ollama;
mod vllm;
