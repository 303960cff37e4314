//! A hub on loopback that answers as the real one does: metadata as JSON, files by a redirect to another
//! server, whose answers know nothing of checksums.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{Path, Request, State};
use axum::http::{HeaderMap, Method, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use axum::routing::{any, get};
use sha2::{Digest as _, Sha256};

use super::*;
use crate::models::files;
use crate::models::progress::Progress;
use crate::models::pull::{Outside, pull_with};
use crate::models::store::{Installed, Store};
use lla_protocol::gguf::testing::model_bytes;

const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

/// What the hub has, how it misbehaves, and what it was asked.
#[derive(Default)]
struct Shelf {
    files: BTreeMap<String, Vec<u8>>,
    /// Files whose announced checksum is another one.
    lies: bool,
    /// How many of the next answers break off, and after how many bytes.
    breaks: usize,
    break_after: usize,
    /// Whether ranges are ignored.
    no_ranges: bool,
    /// Status for every request, instead of an answer.
    refuse: Option<u16>,
    /// Where the files' server is; another origin than the hub's.
    files_server: Option<SocketAddr>,
    asked: Vec<String>,
}

type Shared = Arc<Mutex<Shelf>>;

struct FakeHub {
    shelf: Shared,
    store: Store,
    outside: Outside,
    folder: tempfile::TempDir,
}

impl FakeHub {
    async fn new(files: &[(&str, &[u8])]) -> Self {
        // Ring, as main() does; another test may have been first.
        drop(rustls::crypto::ring::default_provider().install_default());
        let shelf = Shared::default();
        shelf.lock().unwrap().files = files.iter().map(|(name, bytes)| ((*name).to_owned(), bytes.to_vec())).collect();
        let cdn = serve(Router::new().route("/blob/{*file}", get(blob)).with_state(Arc::clone(&shelf))).await;
        shelf.lock().unwrap().files_server = Some(cdn);
        let hub = Router::new()
            .route("/api/models/{owner}/{repo}", get(info))
            .route("/api/models/{owner}/{repo}/revision/{revision}", get(info))
            .route("/{owner}/{repo}/resolve/{revision}/{*file}", any(resolve))
            .with_state(Arc::clone(&shelf));
        let address = serve(hub).await;
        let folder = tempfile::tempdir().unwrap();
        let hub = Hub {
            endpoint: format!("http://{address}"),
            token: Some("hf_secret".to_owned().into()),
            cache: folder.path().join("cache"),
            offline: false,
            pause: Duration::from_millis(1),
        };
        let store = Store::new(folder.path().join("models"));
        Self { shelf, store, outside: Outside { pip: None, hub }, folder }
    }

    async fn pull(&self, source: &str) -> Result<Installed, StoreError> {
        pull_with(&self.store, source, &Progress::quiet(), &self.outside).await
    }

    fn set(&self, change: impl FnOnce(&mut Shelf)) {
        change(&mut self.shelf.lock().unwrap());
    }

    /// The requests that carried bytes: method, file, range.
    fn asked(&self, mark: &str) -> Vec<String> {
        self.shelf.lock().unwrap().asked.iter().filter(|line| line.contains(mark)).cloned().collect()
    }
}

async fn serve(router: Router) -> SocketAddr {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap();
    tokio::spawn(async move { axum::serve(listener, router).await });
    address
}

fn note(shelf: &mut Shelf, what: &str, headers: &HeaderMap) {
    let text =
        |name: header::HeaderName| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or("-").to_owned();
    let (range, token) = (text(header::RANGE), text(header::AUTHORIZATION));
    shelf.asked.push(format!("{what} range={range} token={token}"));
}

async fn info(State(shelf): State<Shared>, request: Request) -> Response {
    let mut shelf = shelf.lock().unwrap();
    note(&mut shelf, &format!("INFO {}", request.uri().path()), request.headers());
    if let Some(status) = shelf.refuse {
        return StatusCode::from_u16(status).unwrap().into_response();
    }
    let siblings: Vec<_> = shelf.files.keys().map(|name| serde_json::json!({"rfilename": name})).collect();
    let body = serde_json::json!({
        "_id": "1", "id": "owner/Tiny-GGUF", "sha": COMMIT, "siblings": siblings, "private": false,
        "gated": false, "tags": ["gguf"], "downloads": 1, "likes": 1, "cardData": {"license": "mit"},
    });
    ([(header::CONTENT_TYPE, "application/json")], body.to_string()).into_response()
}

async fn resolve(
    State(shelf): State<Shared>,
    method: Method,
    Path((_, _, revision, file)): Path<(String, String, String, String)>,
    headers: HeaderMap,
) -> Response {
    let mut shelf = shelf.lock().unwrap();
    note(&mut shelf, &format!("{method} resolve/{revision}/{file}"), &headers);
    let Some(bytes) = shelf.files.get(&file) else { return StatusCode::NOT_FOUND.into_response() };
    let tag = if shelf.lies { "0".repeat(64) } else { files::hex(&Sha256::digest(bytes)) };
    let place = format!("http://{}/blob/{file}", shelf.files_server.unwrap());
    Response::builder()
        .status(StatusCode::FOUND)
        .header("location", place)
        .header("x-repo-commit", COMMIT)
        .header("x-linked-etag", format!("\"{tag}\""))
        .header("x-linked-size", bytes.len().to_string())
        .body(Body::empty())
        .unwrap()
}

/// The files' server: ranges, and no header of the hub's.
async fn blob(State(shelf): State<Shared>, method: Method, Path(file): Path<String>, headers: HeaderMap) -> Response {
    let mut shelf = shelf.lock().unwrap();
    note(&mut shelf, &format!("{method} blob/{file}"), &headers);
    let bytes = shelf.files.get(&file).cloned().unwrap_or_default();
    let range = headers.get(header::RANGE).and_then(|value| value.to_str().ok()).filter(|_| !shelf.no_ranges);
    let start = range.and_then(|range| range.strip_prefix("bytes=")?.split_once('-')?.0.parse::<usize>().ok());
    let part = bytes[start.unwrap_or(0).min(bytes.len())..].to_vec();
    let status = if start.is_some() { StatusCode::PARTIAL_CONTENT } else { StatusCode::OK };
    let answer = Response::builder().status(status).header(header::CONTENT_LENGTH, part.len().to_string());
    if method == Method::GET && shelf.breaks > 0 {
        shelf.breaks -= 1;
        let first = Bytes::from(part[..shelf.break_after.min(part.len())].to_vec());
        let (sender, receiver) = tokio::sync::mpsc::channel(1);
        tokio::spawn(async move {
            drop(sender.send(Ok(first)).await);
            // Until the first part has been taken and, the stream having no more, been written.
            drop(sender.reserve().await);
            for _ in 0..100 {
                tokio::task::yield_now().await;
            }
            drop(sender.send(Err(std::io::Error::other("broken on purpose"))).await);
        });
        let parts =
            futures_util::stream::unfold(receiver, |mut receiver| async { Some((receiver.recv().await?, receiver)) });
        return answer.body(Body::from_stream(parts)).unwrap();
    }
    answer.body(Body::from(part)).unwrap()
}

#[tokio::test]
async fn a_file_is_chosen_verified_and_installed() {
    let (model, other) = (model_bytes("q4"), model_bytes("q8"));
    let hub = FakeHub::new(&[("README.md", b"x"), ("Tiny-Q4_K_M.gguf", &model), ("Tiny-Q8_0.gguf", &other)]).await;
    let installed = hub.pull("hf:owner/Tiny-GGUF").await.unwrap();
    assert_eq!((installed.name.as_str(), installed.manifest.licence.as_deref()), ("tiny", Some("mit")));
    assert_eq!(std::fs::read(&installed.path).unwrap(), model);
    let named = hub.pull("hf:owner/Tiny-GGUF/Tiny-Q8_0.gguf").await.unwrap();
    assert_eq!((named.name.as_str(), std::fs::read(&named.path).unwrap()), ("tiny-q8_0", other));
    assert_eq!(hub.pull("hf:owner/Tiny-GGUF").await.unwrap(), installed, "without asking again");
    assert_eq!(hub.asked("INFO").len(), 2);
    // Asked for by commit, and the token goes to the hub only.
    assert!(hub.asked("resolve/").iter().all(|line| line.contains(COMMIT) && line.contains("Bearer hf_secret")));
    assert!(hub.asked("blob/").iter().all(|line| line.ends_with("token=-")), "{:?}", hub.asked("blob/"));
    let revision = hub.pull("hf:owner/Tiny-GGUF@v1/Tiny-Q4_K_M.gguf").await.unwrap();
    assert_eq!(revision.name, "tiny-q4_k_m");
    assert!(hub.asked("INFO").iter().any(|line| line.contains("/revision/v1")));
}

#[tokio::test]
async fn a_broken_download_goes_on_where_it_ended() {
    let model = model_bytes("a");
    let hub = FakeHub::new(&[("m-Q8_0.gguf", &model)]).await;
    hub.set(|shelf| (shelf.breaks, shelf.break_after) = (3, 100));
    let installed = hub.pull("hf:owner/M-GGUF").await.unwrap();
    assert_eq!(std::fs::read(&installed.path).unwrap(), model);
    let ranges: Vec<String> =
        hub.asked("GET blob/").iter().map(|line| line.split(' ').nth(2).unwrap().to_owned()).collect();
    let expected = ["range=-", "range=bytes=100-", "range=bytes=200-", "range=bytes=300-"];
    assert_eq!(ranges, expected);
}

#[tokio::test]
async fn an_interrupted_pull_goes_on_in_the_next_one() {
    let model = model_bytes("a");
    let hub = FakeHub::new(&[("m-Q8_0.gguf", &model)]).await;
    hub.set(|shelf| (shelf.breaks, shelf.break_after) = (100, 0));
    let error = hub.pull("hf:owner/M-GGUF").await.unwrap_err();
    assert!(matches!(error, StoreError::NoNetwork { .. }), "{error}");
    hub.set(|shelf| (shelf.breaks, shelf.break_after) = (1, 150));
    // What a killed process leaves: a part. (This one ends by itself, after the break.)
    drop(hub.pull("hf:owner/M-GGUF").await);
    hub.store.remove("m").unwrap();
    let staging = hub.store.staging("m");
    std::fs::create_dir_all(&staging).unwrap();
    let sha256 = files::hex(&Sha256::digest(&model));
    let part = staging.join(format!("{}-m-Q8-0-gguf.part", &sha256[..16]));
    std::fs::write(&part, &model[..333]).unwrap();
    std::fs::write(staging.join("older-version.part"), b"old").unwrap();
    hub.set(|shelf| shelf.asked.clear());
    assert_eq!(std::fs::read(hub.pull("hf:owner/M-GGUF").await.unwrap().path).unwrap(), model);
    assert!(hub.asked("GET blob/")[0].contains("range=bytes=333-"), "{:?}", hub.asked("blob/"));
    assert!(!staging.exists());
    // A damaged part is noticed by the checksum, and everything is brought again.
    hub.store.remove("m").unwrap();
    std::fs::create_dir_all(&staging).unwrap();
    std::fs::write(&part, vec![0; 333]).unwrap();
    assert_eq!(std::fs::read(hub.pull("hf:owner/M-GGUF").await.unwrap().path).unwrap(), model);
}

#[tokio::test]
async fn a_server_without_ranges_is_noticed() {
    let model = model_bytes("a");
    let hub = FakeHub::new(&[("m-Q8_0.gguf", &model)]).await;
    hub.set(|shelf| (shelf.breaks, shelf.break_after, shelf.no_ranges) = (1, 100, true));
    assert_eq!(std::fs::read(hub.pull("hf:owner/M-GGUF").await.unwrap().path).unwrap(), model);
}

#[tokio::test]
async fn refusals_are_explained() {
    let model = model_bytes("a");
    let hub = FakeHub::new(&[("m-Q8_0.gguf", &model), ("b-Q4_0-00001-of-00002.gguf", &model)]).await;
    let cases = [
        (401, "private or gated"),
        (403, "may not read"),
        (404, "no such repository"),
        (429, "no more requests"),
        (418, "status 418"),
        (503, "out of order"),
    ];
    for (status, expected) in cases {
        hub.set(|shelf| shelf.refuse = Some(status));
        let error = hub.pull("hf:owner/M-GGUF").await.unwrap_err();
        assert!(matches!(error, StoreError::Hub { .. }) && error.to_string().contains(expected), "{status}: {error}");
    }
    hub.set(|shelf| shelf.refuse = None);
    for (source, expected) in [
        ("hf:owner/M-GGUF/none.gguf", "there is no file none.gguf"),
        ("hf:owner/M-GGUF/b-Q4_0-00001-of-00002.gguf", "part of a split model"),
    ] {
        let error = hub.pull(source).await.unwrap_err();
        assert!(error.to_string().contains(expected) && error.hint().is_some(), "{error}");
    }
    let pinned = format!("hf:owner/M-GGUF/m-Q8_0.gguf#sha256={}", "1".repeat(64));
    assert!(matches!(hub.pull(&pinned).await, Err(StoreError::WrongHash { .. })));
    assert!(hub.asked("blob/").is_empty(), "nothing was moved for it");
    let mut elsewhere = hub.outside.clone();
    elsewhere.hub.endpoint += "/owner/repo/resolve/main";
    let error = pull_with(&hub.store, "hf:a/b", &Progress::quiet(), &elsewhere).await.unwrap_err();
    assert!(error.to_string().contains("no such repository"), "{error}");
    hub.set(|shelf| shelf.lies = true);
    let error = hub.pull("hf:owner/M-GGUF").await.unwrap_err();
    assert!(matches!(error, StoreError::WrongHash { .. }), "{error}");
    let mut away = hub;
    // A port that was open a moment ago and is not any more.
    away.outside.hub.endpoint = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        format!("http://{}", listener.local_addr().unwrap())
    };
    let error = away.pull("hf:owner/M-GGUF").await.unwrap_err();
    assert!(matches!(error, StoreError::NoNetwork { .. }) && error.hint().is_some(), "{error}");
    assert!(away.store.list().unwrap().is_empty());
}

#[tokio::test]
async fn the_cache_of_the_hub_is_used_and_offline_is_honoured() {
    let model = model_bytes("a");
    let mut hub = FakeHub::new(&[("m-Q8_0.gguf", &model)]).await;
    hub.outside.hub.offline = true;
    let error = hub.pull("hf:owner/M-GGUF").await.unwrap_err();
    assert!(error.to_string().contains("HF_HUB_OFFLINE"), "{error}");
    let cached = hub.folder.path().join("cache/models--owner--M-GGUF");
    std::fs::create_dir_all(cached.join("refs")).unwrap();
    std::fs::create_dir_all(cached.join("snapshots").join(COMMIT)).unwrap();
    std::fs::write(cached.join("refs/main"), COMMIT).unwrap();
    let file = cached.join("snapshots").join(COMMIT).join("m-Q8_0.gguf");
    std::fs::write(&file, &model).unwrap();
    let installed = hub.pull("hf:owner/M-GGUF").await.unwrap();
    assert_eq!(std::fs::read(&installed.path).unwrap(), model);
    assert!(hub.asked("").is_empty(), "no request at all");
    hub.store.remove("m").unwrap();
    assert!(file.is_file(), "the cache keeps its own");
    hub.outside.hub.offline = false;
    hub.pull("hf:owner/M-GGUF").await.unwrap();
    assert!(hub.asked("blob/").is_empty(), "taken from the cache");
    // A damaged cache is passed over.
    hub.store.remove("m").unwrap();
    std::fs::write(&file, vec![0; model.len()]).unwrap();
    assert_eq!(std::fs::read(hub.pull("hf:owner/M-GGUF").await.unwrap().path).unwrap(), model);
    assert_eq!(std::fs::read(&file).unwrap(), vec![0; model.len()], "and left as it is");
}
