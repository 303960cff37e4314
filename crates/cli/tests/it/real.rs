//! The whole house with the real model: `lla serve`, its engine process, and clients that leave.
//!
//! `LLA_TEST_MODEL` names the GGUF file. Without it the tests say "skipped", unless
//! `LLA_REQUIRE_MODEL=1` (as `make test` sets) makes that a failure.

mod client;
mod gateway;

use std::time::Instant;

pub(crate) use gateway::model;

use client::{Ended, Stream};
use gateway::{Gateway, eventually};

#[tokio::test(flavor = "multi_thread")]
async fn a_chat_is_streamed_and_shown_by_health() {
    let Some(gateway) = Gateway::start().await else { return };
    let mut stream = Stream::chat(&gateway, 16, false).await;
    assert!(stream.until_text().await, "text before the end");
    let Ended::Done { completion_tokens, .. } = stream.end().await else { panic!("a whole answer") };
    assert!((1..=16).contains(&completion_tokens), "{completion_tokens}");
    let health = gateway.health().await;
    assert_eq!(health["status"], "ok", "{health}");
    assert!(gateway.engine_pid().await > 0);
}

/// Products and attention with each instruction set that this machine has, against plain Rust. In processes
/// of their own, as the engine does it at start: one process has one instruction set.
#[test]
#[cfg(target_arch = "x86_64")]
fn every_instruction_set_of_this_machine_computes_right() {
    let home = tempfile::tempdir().expect("a folder");
    for variant in ["baseline", "avx512"] {
        let mut command = crate::support::lla(home.path());
        let (stdout, stderr, code) = crate::support::run(command.args(["engine", "--self-test", variant]));
        // 69: this machine or this build has none of it. A wrong result has the same code, and other words.
        let not_there = code == 69 && !stderr.contains("is wrong") && variant != "baseline";
        assert!(not_there || (code == 0 && stdout.contains("computes right")), "{variant}: {code} {stdout} {stderr}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_killed_engine_ends_its_streams_with_an_error_and_the_next_request_gets_a_new_one() {
    let Some(mut gateway) = Gateway::start().await else { return };
    let mut streams = Vec::new();
    for _ in 0..4 {
        let mut stream = Stream::chat(&gateway, 4000, true).await;
        assert!(stream.until_text().await);
        streams.push(stream);
    }
    let before = gateway.engine_pid().await;
    gateway::signal("KILL", before);
    for stream in streams {
        match stream.end().await {
            Ended::Error { message, kind } => assert!(!message.is_empty() && !kind.is_empty()),
            other => panic!("a typed error event, not {other:?}"),
        }
    }
    let began = Instant::now();
    let answer = Stream::chat(&gateway, 8, true).await.end().await;
    println!("next answer after {:?}", began.elapsed());
    assert!(matches!(answer, Ended::Done { completion_tokens: 8, .. }), "{answer:?}");
    assert_ne!(gateway.engine_pid().await, before, "a new engine");
    assert!(gateway.runs(), "the gateway never restarts");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_client_that_leaves_stops_its_sequence() {
    let Some(gateway) = Gateway::start().await else { return };
    let mut streams = Vec::new();
    for _ in 0..3 {
        let mut stream = Stream::chat(&gateway, 4000, true).await;
        assert!(stream.until_text().await);
        streams.push(stream);
    }
    assert!(gateway.running().await >= 1.0, "the engine counts them");
    drop(streams);
    eventually("no sequence runs", async || gateway.running().await < 1.0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn sigterm_lets_running_answers_finish_and_ends_with_0() {
    let Some(mut gateway) = Gateway::start().await else { return };
    let mut stream = Stream::chat(&gateway, 200, true).await;
    assert!(stream.until_text().await);
    let engine = gateway.engine_pid().await;
    gateway::signal("TERM", gateway.pid());
    let ended = stream.end().await;
    assert!(matches!(ended, Ended::Done { completion_tokens: 200, .. }), "{ended:?}");
    assert_eq!(gateway.exit_code().await, Some(0));
    eventually("the engine has ended too", async || !gateway::is_alive(engine)).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn thirty_two_streams_run_side_by_side() {
    let Some(gateway) = Gateway::start().await else { return };
    let began = Instant::now();
    let opened = futures_util::future::join_all((0..32).map(|_| Stream::chat(&gateway, 64, true))).await;
    let watched = futures_util::future::join_all(opened.into_iter().map(|mut stream| async {
        assert!(stream.until_text().await);
        let first = Instant::now();
        (first, stream.end().await)
    }))
    .await;
    println!("32 streams of 64 tokens: {:?}", began.elapsed());
    let mut last_first = began;
    let mut first_end = None;
    for (first, ended) in watched {
        let Ended::Done { completion_tokens, finish, at } = ended else { panic!("complete: {ended:?}") };
        assert_eq!((completion_tokens, finish.as_str()), (64, "length"));
        last_first = last_first.max(first);
        first_end = Some(first_end.map_or(at, |end: Instant| end.min(at)));
    }
    // Side by side: everyone had text before anyone was through.
    assert!(Some(last_first) < first_end, "no stream waits for another to finish");
}
