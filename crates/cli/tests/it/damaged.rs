//! Damaged copies of the real model, given to the real engine process: it ends with a sentence and an
//! exit code, never by a signal. And what that process may not do while it serves.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::Path;
use std::process::Stdio;

use crate::real::model;
use crate::support::{lla, run};

/// Cuts the file inside its header, which holds a whole vocabulary.
const HEADER: usize = 64 << 10;

/// Loads a model and ends, since its standard input has ended.
fn load(home: &Path, model: &Path, more: &[&str]) -> (String, i32) {
    let mut command = lla(home);
    command.args(["engine", "--listen", "tcp:127.0.0.1:0", "--exit-with-stdin", "--context", "512", "--model"]);
    let (_, error, code) = run(command.arg(model).args(more));
    (error, code)
}

#[test]
fn a_damaged_model_ends_the_engine_with_a_reason() {
    let Some(model) = model() else { return };
    let home = tempfile::tempdir().expect("folder");
    let bytes = fs::read(model).expect("model");
    let damaged = home.path().join("damaged.gguf");
    let attempt = |what: &str, bytes: &[u8], expected: Option<&str>| {
        fs::write(&damaged, bytes).expect("write");
        let (error, code) = load(home.path(), &damaged, &[]);
        match expected {
            Some(expected) => {
                assert!(code == 69 && error.contains(expected), "{what}: {code} {error}");
                assert!(error.contains("damaged.gguf"), "{what}: {error}");
            }
            None => assert!(code == 0 || (code == 69 && error.contains("error: ")), "{what}: {code} {error}"),
        }
    };
    attempt("cut off", &bytes[..bytes.len() - 1000], Some("1000 bytes are missing; pull it again"));
    attempt("cut off in the header", &bytes[..HEADER], Some("it ends inside"));
    attempt("another magic", b"<!DOCTYPE html><html></html>", Some("web page"));
    let mut absurd = bytes.clone();
    absurd[8..16].fill(0xff);
    attempt("absurd counts", &absurd, Some("its header claims"));
    // Bytes of the header changed here and there: refused, or loaded all the same.
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    for round in 0..6 {
        let mut changed = bytes.clone();
        for _ in 0..4 {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            let random = usize::try_from(state >> 33).expect("31 bits");
            changed[24 + random % 2000] ^= 1 << (random % 8);
        }
        attempt(&format!("round {round}"), &changed, None);
    }
}

#[test]
fn a_cache_larger_than_the_memory_is_refused_with_the_numbers() {
    let Some(model) = model() else { return };
    let home = tempfile::tempdir().expect("folder");
    let (error, code) = load(home.path(), &model, &["--kv-tokens", "4000000000"]);
    assert_eq!(code, 69, "{error}");
    assert!(error.contains("are available") && error.contains("--kv-tokens"), "{error}");
}

#[test]
#[cfg(target_os = "linux")]
fn a_serving_engine_has_given_up_new_privileges() {
    let Some(model) = model() else { return };
    let home = tempfile::tempdir().expect("folder");
    let mut command = lla(home.path());
    command.args(["engine", "--listen", "tcp:127.0.0.1:0", "--exit-with-stdin", "--context", "512"]);
    command.args(["--log", "info,lla_engine=debug", "--model"]).arg(&model);
    let mut engine =
        command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().expect("lla runs");
    let mut log = BufReader::new(engine.stderr.take().expect("standard error"));
    let mut said = String::new();
    while !said.contains("the engine serves") {
        assert!(log.read_line(&mut said).expect("a line") > 0, "it ended: {said}");
    }
    let status = fs::read_to_string(format!("/proc/{}/status", engine.id())).expect("status");
    drop(engine.stdin.take());
    drop(log.read_to_string(&mut said));
    let code = engine.wait().expect("ended").code();
    let filtered = said.contains("calls: true");
    assert!(!filtered || status.contains("NoNewPrivs:\t1") && status.contains("Seccomp:\t2"), "{status}");
    if !filtered {
        println!("skipped: the kernel has no filters of system calls");
    }
    assert_eq!(code, Some(0), "{said}");
}
