//! `x-request-id`: the caller's own is kept, others get one.

use axum::extract::Request;
use axum::http::{HeaderName, HeaderValue};
use axum::middleware::Next;
use axum::response::Response;

const NAME: HeaderName = HeaderName::from_static("x-request-id");
/// Longer ones are replaced.
const MAX_LENGTH: usize = 128;

/// Puts the id on the answer.
pub(super) async fn echo(request: Request, next: Next) -> Response {
    let id = request.headers().get(NAME).filter(|id| is_usable(id)).cloned().unwrap_or_else(fresh);
    let mut response = next.run(request).await;
    response.headers_mut().insert(NAME, id);
    response
}

fn is_usable(id: &HeaderValue) -> bool {
    !id.is_empty() && id.len() <= MAX_LENGTH && id.as_bytes().iter().all(u8::is_ascii_graphic)
}

fn fresh() -> HeaderValue {
    let id = format!("req-{}", uuid::Uuid::now_v7().simple());
    HeaderValue::from_str(&id).unwrap_or(HeaderValue::from_static("req-unknown"))
}
