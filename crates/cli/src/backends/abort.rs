//! Whether a server stops when the caller leaves, where it can be seen from outside.

use std::time::{Duration, Instant};

use futures_util::StreamExt as _;
use lla_inference::{Backend, ChatRequest, Dialect, Error, Event, HttpBackendConfig};
use reqwest::Method;
use serde_json::{Value, json};

use super::finding::Finding;
use super::talk::question;
use crate::endpoint::Endpoint;

/// How long a server may take to notice: a step on a slow machine, not an answer.
const PATIENCE: Duration = Duration::from_secs(3);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);
/// Pieces after which the caller leaves.
const PIECES: usize = 3;

/// Starts a long answer, leaves in the middle, and looks whether the server is free again.
pub async fn run(backend: &dyn Backend, config: &HttpBackendConfig, model: &str, window: Option<u32>) -> Finding {
    let Some(server) = Endpoint::of_backend(config) else {
        return Finding::not_offered("its address can not be asked");
    };
    let Some(before) = running(&server).await else {
        return Finding::not_offered("the server does not tell how many requests it works on");
    };
    let during = match leave_in_the_middle(backend, long_answer(config.dialect, model, window), &server).await {
        Ok(Some(during)) => during,
        Ok(None) => return Finding::not_offered("the answer was over before it could be left"),
        Err(error) => return Finding::failed(&error),
    };
    if during <= before {
        return Finding::not_offered(format!("the request was not among the {during} that the server tells of"));
    }
    let left = Instant::now();
    while left.elapsed() < PATIENCE {
        if running(&server).await.is_some_and(|now| now <= before) {
            let milliseconds = left.elapsed().as_secs_f64() * 1e3;
            return Finding::yes(format!("it was free {milliseconds:.0} ms after the caller had left"));
        }
        tokio::time::sleep(PAUSE).await;
    }
    Finding::no(format!("it still worked {} s after the caller had left", PATIENCE.as_secs()))
}

/// An answer that goes on for longer than the look at it, within the window.
fn long_answer(dialect: Dialect, model: &str, window: Option<u32>) -> ChatRequest {
    let max_tokens = window.map_or(1024, |window| (window / 2).clamp(64, 4096));
    let mut request = question(model, "Count from one to ten thousand in words.", max_tokens, json!({}));
    // Others refuse the field.
    request.sampling.ignore_eos = matches!(dialect, Dialect::Vllm | Dialect::LlamaServer | Dialect::LlaEngine);
    request
}

/// How many requests the server worked on before the caller left; `None` when the answer ended by itself.
async fn leave_in_the_middle(
    backend: &dyn Backend,
    request: ChatRequest,
    server: &Endpoint,
) -> Result<Option<u64>, Error> {
    let mut events = backend.chat(request).await?;
    let mut pieces = 0;
    while let Some(event) = events.next().await {
        if let Event::Delta(_) = event? {
            pieces += 1;
        }
        if pieces == PIECES {
            let during = running(server).await;
            drop(events);
            return Ok(during);
        }
    }
    Ok(None)
}

/// How many requests a server works on now: metrics of vLLM, of an engine of ours and of llama-server,
/// llama-server's slots, or a gateway's health.
async fn running(server: &Endpoint) -> Option<u64> {
    if let Some(count) = fetch(server, "metrics").await.as_deref().and_then(in_metrics) {
        return Some(count);
    }
    for path in ["slots", "health"] {
        let told = fetch(server, path).await.and_then(|text| serde_json::from_str(&text).ok());
        if let Some(count) = told.as_ref().and_then(in_json) {
            return Some(count);
        }
    }
    None
}

async fn fetch(server: &Endpoint, path: &str) -> Option<String> {
    let response = server.root_request(Method::GET, path).timeout(PATIENCE).send().await.ok()?;
    if response.status().is_success() { response.text().await.ok() } else { None }
}

fn in_metrics(text: &str) -> Option<u64> {
    let names = ["vllm:num_requests_running", "llamacpp:requests_processing"];
    let value = |line: &str| {
        let name = line.split(['{', ' ']).next()?;
        let value: f64 = line.rsplit(' ').next()?.parse().ok()?;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a small count")]
        names.contains(&name).then_some(value.max(0.0) as u64)
    };
    let mut found = text.lines().filter_map(value).peekable();
    found.peek()?;
    Some(found.sum())
}

fn in_json(told: &Value) -> Option<u64> {
    if let Some(slots) = told.as_array() {
        let busy = |slot: &Value| slot["is_processing"].as_bool();
        let busy: Option<Vec<bool>> = slots.iter().map(busy).collect();
        return busy.map(|busy| busy.into_iter().filter(|&busy| busy).count() as u64);
    }
    told["gateway"]["in_flight"].as_u64()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_are_read_from_what_servers_tell() {
        let vllm = "# HELP vllm:num_requests_running x\nvllm:num_requests_running{engine=\"0\"} 2.0\nvllm:num_requests_running{engine=\"1\"} 1.0\nvllm:num_requests_waiting 9\n";
        assert_eq!(in_metrics(vllm), Some(3));
        assert_eq!(in_metrics("llamacpp:requests_processing 1\n"), Some(1));
        assert_eq!(in_metrics("process_cpu_seconds 1\n"), None);
        assert_eq!(in_json(&json!([{"is_processing": true}, {"is_processing": false}])), Some(1));
        assert_eq!(in_json(&json!({"gateway": {"in_flight": 4}})), Some(4));
        assert_eq!((in_json(&json!({"status": "ok"})), in_json(&json!([{"id": 0}]))), (None, None));
    }
}
