//! Images as Ollama takes them: the base64 of a `data:` URL.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

/// Why an image can not be sent on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ImageError {
    /// It stands elsewhere.
    #[error("images are not fetched from addresses: send a data URL as in \"data:image/png;base64,...\"")]
    NotHere,
    /// A `data:` URL without base64.
    #[error("expected a data URL with base64 as in \"data:image/png;base64,...\"")]
    NotBase64,
    /// What should be base64 is none.
    #[error("the base64 of the image can not be read")]
    Broken,
}

/// The base64 behind a `data:` URL, once it is known to be some.
///
/// # Errors
/// When the image is not in the URL itself, or not readable.
pub fn image_data(url: &str) -> Result<&str, ImageError> {
    let has_scheme = url.get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("data:"));
    let rest = url.get(5..).filter(|_| has_scheme).ok_or(ImageError::NotHere)?;
    let (kind, data) = rest.split_once(',').ok_or(ImageError::NotBase64)?;
    if !kind.to_ascii_lowercase().ends_with(";base64") {
        return Err(ImageError::NotBase64);
    }
    match STANDARD.decode(data) {
        Ok(bytes) if !bytes.is_empty() => Ok(data),
        _ => Err(ImageError::Broken),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_data_urls_with_base64_are_taken() {
        for (url, expected) in [
            ("data:image/png;base64,aGk=", Ok("aGk=")),
            ("DATA:image/png;BASE64,aGk=", Ok("aGk=")),
            ("data:;base64,aGk=", Ok("aGk=")),
            ("https://example.com/a.png", Err(ImageError::NotHere)),
            ("file:///etc/passwd", Err(ImageError::NotHere)),
            ("", Err(ImageError::NotHere)),
            ("dätä", Err(ImageError::NotHere)),
            ("data:image/png,hi", Err(ImageError::NotBase64)),
            ("data:image/png;base64", Err(ImageError::NotBase64)),
            ("data:image/png;base64,", Err(ImageError::Broken)),
            ("data:image/png;base64,a b", Err(ImageError::Broken)),
        ] {
            assert_eq!(image_data(url), expected, "{url}");
        }
    }
}
