//! The id of a request: the caller's own if usable, else a new one; on every answer.

use axum::http::{HeaderMap, HeaderName, HeaderValue};
use uuid::Uuid;

/// Name of the header, in and out.
pub(crate) const HEADER: HeaderName = HeaderName::from_static("x-request-id");
/// Longest id that is taken over.
const MAX_LENGTH: usize = 128;

/// The id for a request with these headers.
///
/// A caller's id goes into logs and back out, so only short visible ASCII is taken over.
pub(crate) fn of(headers: &HeaderMap) -> HeaderValue {
    match headers.get(&HEADER) {
        Some(given) if is_usable(given) => given.clone(),
        _ => fresh(),
    }
}

fn is_usable(value: &HeaderValue) -> bool {
    let bytes = value.as_bytes();
    (1..=MAX_LENGTH).contains(&bytes.len()) && bytes.iter().all(u8::is_ascii_graphic)
}

fn fresh() -> HeaderValue {
    let id = Uuid::now_v7().hyphenated().to_string();
    // Hexadecimal digits and hyphens always are a header value.
    HeaderValue::from_str(&id).unwrap_or_else(|_| HeaderValue::from_static("unknown"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_short_visible_ascii_is_taken_over() {
        for (given, kept) in [
            (b"abc-1".as_slice(), true),
            (b"a b", false),
            (b"", false),
            (b"caf\xe9", false),
            (&[b'x'; 128], true),
            (&[b'x'; 129], false),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(HEADER, HeaderValue::from_bytes(given).expect("header"));
            assert_eq!(of(&headers).as_bytes() == given, kept, "{given:?}");
        }
        let made = of(&HeaderMap::new());
        assert_eq!(made.len(), 36);
        assert_ne!(made, of(&HeaderMap::new()));
    }
}
