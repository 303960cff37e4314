//! Several backends with the same model: requests are shared, prompts that begin alike stay together, and nobody
//! notices when one of them dies.

use std::sync::atomic::Ordering;
use std::time::Duration;

use axum::Router;
use serde_json::json;
use tokio::task::JoinSet;

use crate::faults::{ask, gateway};
use crate::faulty_server::{Fault, FaultyServer};
use crate::harness::post;

const PER_SECOND: u32 = 200;

async fn three() -> (Vec<FaultyServer>, Router) {
    let mut servers = Vec::new();
    for _ in 0..3 {
        servers.push(FaultyServer::start(Fault::None).await);
    }
    let urls: Vec<(&str, &str)> =
        ["a", "b", "c"].into_iter().zip(&servers).map(|(name, server)| (name, server.url.as_str())).collect();
    // Generous: what is tested is who answers, not how fast.
    let router = gateway(&urls, |config| {
        for backend in config.backends.values_mut() {
            backend.timeouts = lla_inference::Timeouts::default();
        }
    })
    .await;
    (servers, router)
}

async fn answer(router: Router, number: u32) -> bool {
    let text = format!("{number}: a question of its own");
    let body =
        json!({"model": "m", "stream": number.is_multiple_of(2), "messages": [{"role": "user", "content": text}]});
    let (status, body) = ask(&router, post("/v1/chat/completions", &body)).await;
    status == 200 && (body.contains("\"stop\"") || body.contains("[DONE]"))
}

/// Sends requests at an even pace; how many there were and how many failed.
async fn load(router: &Router, from: u32, count: u32) -> u32 {
    let mut pace = tokio::time::interval(Duration::from_secs(1) / PER_SECOND);
    let mut running = JoinSet::new();
    for number in from..from + count {
        pace.tick().await;
        running.spawn(answer(router.clone(), number));
    }
    running.join_all().await.into_iter().map(|is_whole| u32::from(!is_whole)).sum()
}

#[tokio::test]
async fn one_of_three_dies_under_load_and_no_request_fails() {
    let (mut servers, router) = three().await;
    assert_eq!(load(&router, 0, 100).await, 0);
    assert!(servers.iter().all(|server| server.asked.load(Ordering::SeqCst) > 10), "all three share the requests");

    let dying = servers.remove(1);
    let address = dying.url.trim_start_matches("http://").to_owned();
    let (failed, ()) = tokio::join!(load(&router, 1000, 300), async {
        tokio::time::sleep(Duration::from_millis(500)).await;
        drop(dying);
    });
    assert_eq!(failed, 0);

    let back = FaultyServer::start_at(&address, Fault::None).await;
    let used_again = async {
        let mut number = 10_000;
        while back.asked.load(Ordering::SeqCst) < 10 {
            assert_eq!(load(&router, number, 50).await, 0);
            number += 50;
        }
    };
    tokio::time::timeout(Duration::from_secs(60), used_again).await.expect("it gets requests again");
}

#[tokio::test]
async fn prompts_that_begin_alike_go_to_one_replica() {
    let (servers, router) = three().await;
    let asked = || servers.iter().map(|server| server.asked.load(Ordering::SeqCst)).collect::<Vec<_>>();
    let instructions = "You are careful. ".repeat(100);
    for number in 0..12 {
        let messages =
            json!([{"role": "system", "content": instructions}, {"role": "user", "content": number.to_string()}]);
        let (status, _) =
            ask(&router, post("/v1/chat/completions", &json!({"model": "m", "messages": messages}))).await;
        assert_eq!(status, 200);
    }
    assert_eq!(asked().iter().filter(|count| **count > 0).count(), 1, "{:?}", asked());
}

#[tokio::test]
async fn one_of_them_can_be_named() {
    let (servers, router) = three().await;
    for _ in 0..3 {
        let body = json!({"model": "b/m", "messages": [{"role": "user", "content": "hello"}]});
        assert_eq!(ask(&router, post("/v1/chat/completions", &body)).await.0, 200);
    }
    let asked: Vec<usize> = servers.iter().map(|server| server.asked.load(Ordering::SeqCst)).collect();
    assert_eq!(asked, [0, 3, 0]);
}
