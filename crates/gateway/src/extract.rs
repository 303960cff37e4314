//! Reads what a request carries, with our own errors: the JSON body and the headers we act on.
//!
//! A body is read *after* admission (see `routes/chat.rs`), so that the memory for bodies is bounded
//! by `max_in_flight * max_body`.

use std::time::Duration;

use axum::body::{Body, HttpBody};
use axum::http::{HeaderMap, header};
use bytes::{Bytes, BytesMut};
use http_body_util::BodyExt;
use lla_inference::ErrorKind;
use lla_inference::route::Tier;

use crate::config::ServerConfig;
use crate::error::{ApiError, Reason};

/// Header that picks a tier.
const TIER_HEADER: &str = "x-tier";
/// How much of a body that is too large is still read before the answer, and for how long: a
/// client that is still sending would otherwise see a reset connection instead of our error.
const DISCARD_BYTES: usize = 64 << 20;
const DISCARD_TIME: Duration = Duration::from_secs(2);

/// Reads the body of a JSON request.
pub(crate) async fn json_body(config: &ServerConfig, headers: &HeaderMap, body: Body) -> Result<Bytes, ApiError> {
    check_media_type(headers)?;
    let limit = config.max_body.0;
    let reading = read_limited(body, limit);
    match tokio::time::timeout(config.body_timeout, reading).await {
        Ok(read) => read,
        Err(_) => {
            let seconds = config.body_timeout.as_secs_f64();
            Err(Reason::BodyTimeout.error(format!("the request body did not arrive within {seconds} s")))
        }
    }
}

async fn read_limited(mut body: Body, limit: usize) -> Result<Bytes, ApiError> {
    let announced = body.size_hint().lower();
    if announced > limit as u64 {
        return Err(too_large(body, limit).await);
    }
    let mut whole = BytesMut::new();
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| {
            tracing::debug!(%error, "a request body broke off");
            invalid("the request body broke off before its end").code("incomplete_body")
        })?;
        let Ok(data) = frame.into_data() else { continue };
        if whole.len() + data.len() > limit {
            return Err(too_large(body, limit).await);
        }
        whole.extend_from_slice(&data);
    }
    Ok(whole.freeze())
}

async fn too_large(mut body: Body, limit: usize) -> ApiError {
    let mut left = DISCARD_BYTES;
    let discard = async {
        while let Some(Ok(frame)) = body.frame().await {
            let length = frame.data_ref().map_or(0, Bytes::len);
            if length > left {
                break;
            }
            left -= length;
        }
    };
    // Whether the client finished or not, it gets the same answer.
    drop(tokio::time::timeout(DISCARD_TIME, discard).await);
    Reason::BodyTooLarge.error(format!("the request body is larger than {limit} bytes, the limit of this server"))
}

/// JSON or nothing. Anything else is most likely a form or a file by mistake; and a web page may
/// send text, but not JSON, to us without asking the browser's permission first.
fn check_media_type(headers: &HeaderMap) -> Result<(), ApiError> {
    let Some(value) = headers.get(header::CONTENT_TYPE) else { return Ok(()) };
    let text = value.to_str().unwrap_or_default();
    let essence = text.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    if essence == "application/json" || (essence.starts_with("application/") && essence.ends_with("+json")) {
        return Ok(());
    }
    Err(Reason::MediaType.error("send JSON, with the header 'content-type: application/json'"))
}

/// The tier that the `X-Tier` header asks for.
pub(crate) fn tier(headers: &HeaderMap) -> Result<Option<Tier>, ApiError> {
    let Some(value) = headers.get(TIER_HEADER) else { return Ok(None) };
    let text = value.to_str().unwrap_or_default().trim().to_ascii_lowercase();
    match Tier::parse(&text) {
        Some(tier) => Ok(Some(tier)),
        None => Err(invalid("the header 'X-Tier' must be 'small' or 'main'").param("X-Tier").code("invalid_value")),
    }
}

fn invalid(message: &str) -> ApiError {
    Reason::Domain(ErrorKind::InvalidRequest).error(message)
}
