//! Where a server is: its address as people write it, and what its routes stand under.

use reqwest::Url;

/// Reads an address from the configuration; the error says what is wrong with it.
pub(super) fn parse(text: &str) -> Result<Url, String> {
    let example = "write it as in \"http://127.0.0.1:8000/v1\"";
    let url = Url::parse(text).map_err(|error| format!("is no URL ({error}); {example}"))?;
    match url.scheme() {
        "http" | "https" if url.has_host() => Ok(url),
        _ => Err(format!("must begin with http:// or https://; {example}")),
    }
}

/// What the routes of a server stand under, without a slash at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Bases {
    /// `/health` and `/tokenize`: `http://host`.
    pub(super) root: String,
    /// The API: `http://host/v1`.
    pub(super) api: String,
}

impl Bases {
    /// A path with a version (`/v1`, `/api/paas/v4`, `/v1beta/openai`) is taken as it is; otherwise `/v1` is added.
    pub(super) fn of(url: &Url) -> Self {
        let mut url = url.clone();
        url.set_query(None);
        url.set_fragment(None);
        let whole = url.as_str().trim_end_matches('/').to_owned();
        let is_version = |segment: &str| {
            segment.strip_prefix('v').is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
        };
        let has_version = url.path_segments().is_some_and(|mut segments| segments.any(is_version));
        if !has_version {
            let api = format!("{whole}/v1");
            return Self { root: whole, api };
        }
        let root = whole.rsplit_once('/').filter(|(_, last)| is_version(last)).map_or(whole.as_str(), |(root, _)| root);
        Self { root: root.to_owned(), api: whole }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_understood_as_people_write_them() {
        for (written, root, api) in [
            ("http://h:8000", "http://h:8000", "http://h:8000/v1"),
            ("http://h:8000/v1/", "http://h:8000", "http://h:8000/v1"),
            ("https://h/openai/v1", "https://h/openai", "https://h/openai/v1"),
            ("https://h/api/paas/v4", "https://h/api/paas", "https://h/api/paas/v4"),
            ("https://h/v1beta/openai", "https://h/v1beta/openai", "https://h/v1beta/openai"),
            ("https://h/proxy", "https://h/proxy", "https://h/proxy/v1"),
            ("http://h/a b", "http://h/a%20b", "http://h/a%20b/v1"),
        ] {
            let url = parse(written).expect(written);
            assert_eq!(Bases::of(&url), Bases { root: root.to_owned(), api: api.to_owned() }, "{written}");
        }
        for wrong in ["h:8000", "ftp://h", "", "http://"] {
            assert!(parse(wrong).is_err(), "{wrong}");
        }
    }
}
