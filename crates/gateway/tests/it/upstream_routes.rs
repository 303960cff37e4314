//! What reaches a backend: the routes that the driver knows, and no path that a caller can think of.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Body;
use axum::http::{Method, Request, Uri};
use axum::response::{IntoResponse as _, Response};
use lla_gateway::{AppState, Build, ServerConfig, app};
use lla_inference::mock::NoEngines;
use lla_inference::{Fleet, FleetConfig, HttpBackendConfig};
use serde_json::json;
use tower::ServiceExt as _;

use crate::harness::post;

/// Everything that may be asked of a vLLM.
const KNOWN: [&str; 12] = [
    "GET /v1/models",
    // Whether it is an Ollama.
    "GET /api/version",
    "GET /api/tags",
    "GET /version",
    "GET /health",
    "GET /openapi.json",
    "GET /metrics",
    "POST /tokenize",
    "POST /v1/chat/completions",
    "POST /v1/completions",
    "POST /v1/embeddings",
    "POST /v1/systemone",
];

/// Routes of vLLM and of `llama-server` that change the server or look into it.
const ADMINISTRATIVE: [&str; 16] = [
    "/v1/load_lora_adapter",
    "/v1/unload_lora_adapter",
    "/adapters",
    "/sleep",
    "/wake_up",
    "/reset_prefix_cache",
    "/collective_rpc",
    "/start_profile",
    "/server_info",
    "/openapi.json",
    "/lora-adapters",
    "/props",
    "/slots",
    "/models/load",
    "/tokenize",
    "/v1/../sleep",
];

type Seen = Arc<Mutex<BTreeSet<String>>>;

async fn vllm(seen: Seen) -> String {
    let answer = move |method: Method, uri: Uri| {
        let seen = Arc::clone(&seen);
        async move { answer(&seen, &method, &uri) }
    };
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("port");
    let url = format!("http://{}", listener.local_addr().expect("address"));
    let router = Router::new().fallback(answer);
    tokio::spawn(async move { axum::serve(listener, router).await.expect("serve") });
    url
}

fn answer(seen: &Seen, method: &Method, uri: &Uri) -> Response {
    seen.lock().expect("lock").insert(format!("{method} {}", uri.path()));
    let finished =
        json!([{"index": 0, "message": {"role": "assistant", "content": "a"}, "text": "a", "finish_reason": "stop"}]);
    let body = match uri.path() {
        "/v1/models" => json!({"data": [{"id": "m", "owned_by": "vllm", "max_model_len": 64, "parent": null}]}),
        "/version" => json!({"version": "9"}),
        _ => json!({"choices": finished}),
    };
    ([("content-type", "application/json")], body.to_string()).into_response()
}

#[tokio::test]
async fn only_known_routes_reach_a_backend() {
    let seen = Seen::default();
    let backend = HttpBackendConfig { url: Some(vllm(Arc::clone(&seen)).await), ..HttpBackendConfig::default() };
    let backends = BTreeMap::from([("gpu".to_owned(), backend)]);
    let fleet = Fleet::new(FleetConfig { backends, ..FleetConfig::default() }, Arc::new(NoEngines)).expect("fleet");
    fleet.refresh().await;
    let build = Build { version: "1".to_owned(), commit: None, features: Vec::new() };
    let router = app(AppState::new(ServerConfig::default(), fleet, build).expect("state"));
    let send =
        async |request: Request<Body>| router.clone().oneshot(request).await.expect("the router never fails").status();

    let chat = json!({"model": "m", "messages": [{"role": "user", "content": "a"}]});
    assert_eq!(send(post("/v1/chat/completions", &chat)).await, 200);
    assert_eq!(send(post("/v1/completions", &json!({"model": "m", "prompt": "a"}))).await, 200);
    assert_eq!(send(Request::get("/health").body(Body::empty()).expect("request")).await, 200);
    for path in ADMINISTRATIVE {
        for method in [Method::GET, Method::POST, Method::DELETE, Method::PUT] {
            let request = Request::builder().method(&method).uri(path).header("content-type", "application/json");
            let status = send(request.body(Body::from("{}")).expect("request")).await;
            assert!([404, 405].contains(&status.as_u16()), "{method} {path}: {status}");
        }
    }
    // A name of a model is a name, never a path.
    let names = ["../sleep", "m/../../sleep", "..%2Fsleep"];
    for name in names {
        let chat = json!({"model": name, "messages": [{"role": "user", "content": "a"}]});
        assert_eq!(send(post("/v1/chat/completions", &chat)).await, 404);
        assert_eq!(send(Request::get(format!("/v1/models/{name}")).body(Body::empty()).expect("request")).await, 404);
    }
    let seen = seen.lock().expect("lock").clone();
    let unknown: Vec<_> = seen.iter().filter(|route| !KNOWN.contains(&route.as_str())).collect();
    assert!(unknown.is_empty(), "{unknown:?}");
    assert!(seen.contains("POST /v1/chat/completions"));
}
