//! `notifications/cancelled` over HTTP, for revisions before 2026-07-28: it comes as a request of its own.
//!
//! A client that begins with `initialize` gets a name (`Mcp-Session-Id`) which it sends with everything
//! that follows. Nothing is kept under it but its running calls: they are found by it and by their id.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// The header with a client's name.
const SESSION: HeaderName = HeaderName::from_static("mcp-session-id");

/// A call's client and id.
type Key = (HeaderValue, String);

/// The running calls of clients with a name.
#[derive(Debug, Default)]
pub(crate) struct Calls(Mutex<HashMap<Key, CancellationToken>>);

/// One running call; forgotten when dropped.
#[derive(Debug)]
pub(super) struct Running {
    calls: Arc<Calls>,
    key: Option<Key>,
    /// Fires when the client cancels the call.
    pub(super) cancelled: CancellationToken,
}

impl Calls {
    /// A `std` mutex: held for a few instructions, never across an await.
    fn lock(&self) -> MutexGuard<'_, HashMap<Key, CancellationToken>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes note of a message: a call can be cancelled from now on, a cancelled one is.
    pub(super) fn see(self: &Arc<Self>, headers: &HeaderMap, message: &Value) -> Running {
        let session = headers.get(SESSION);
        let key = |id: &Value| Some((session?.clone(), id.to_string())).filter(|_| !id.is_null());
        let cancelled = CancellationToken::new();
        match message["method"].as_str() {
            Some("notifications/cancelled") => {
                if let Some(token) = key(&message["params"]["requestId"]).and_then(|key| self.lock().remove(&key)) {
                    token.cancel();
                }
            }
            Some("tools/call") => {
                if let Some(key) = key(&message["id"]) {
                    self.lock().insert(key.clone(), cancelled.clone());
                    return Running { calls: Arc::clone(self), key: Some(key), cancelled };
                }
            }
            _ => {}
        }
        Running { calls: Arc::clone(self), key: None, cancelled }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if let Some(key) = &self.key {
            self.calls.lock().remove(key);
        }
    }
}

/// Gives a client that begins a name.
pub(super) fn name_client(message: &Value, headers: &mut HeaderMap) {
    if message["method"] == "initialize"
        && let Ok(name) = HeaderValue::from_str(&Uuid::new_v4().simple().to_string())
    {
        headers.insert(SESSION, name);
    }
}
