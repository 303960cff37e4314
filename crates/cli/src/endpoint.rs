//! Where an HTTP API is that a command asks directly, and the client to ask it with.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use lla_inference::HttpBackendConfig;
use reqwest::{Client, Method, RequestBuilder, Url, redirect};
use secrecy::{ExposeSecret as _, SecretString};

use crate::failure::{Exit, Failure, OrFail as _};

/// How long a connection may take to open.
const CONNECT: Duration = Duration::from_secs(5);

/// A server of the OpenAI API.
#[derive(Debug, Clone)]
pub struct Endpoint {
    client: Client,
    /// `http://host`, what `/health` and `/metrics` stand under.
    root: String,
    /// `http://host/v1`.
    api: String,
    key: Option<SecretString>,
}

impl Endpoint {
    /// The server at `url`, with or without the version at its end: `http://h:8000` and
    /// `http://h:8000/v1` are the same. `flag` is what an error names.
    ///
    /// # Errors
    /// When `url` is no address of a server, or holds a password.
    pub fn new(flag: &str, url: &str, key: Option<SecretString>) -> Result<Self, Failure> {
        let mut parsed = Url::parse(url)
            .map_err(|error| Failure::usage(format!("{flag}: is no URL ({error})")).hint(example(flag)))?;
        if !matches!(parsed.scheme(), "http" | "https") || !parsed.has_host() {
            return Err(Failure::usage(format!("{flag}: must begin with http:// or https://")).hint(example(flag)));
        }
        if !parsed.username().is_empty() || parsed.password().is_some() {
            return Err(Failure::usage(format!("{flag}: must not hold a user or password"))
                .hint("give the key with --api-key env:NAME"));
        }
        parsed.set_query(None);
        parsed.set_fragment(None);
        let whole = parsed.as_str().trim_end_matches('/');
        // A path with a version is the base of the API as it is: /v1, /api/paas/v4, /v1beta/openai.
        let has_version = parsed.path_segments().is_some_and(|mut segments| segments.any(is_version));
        let (root, api) = if has_version {
            let root = whole.rsplit_once('/').filter(|(_, last)| is_version(last)).map_or(whole, |(root, _)| root);
            (root.to_owned(), whole.to_owned())
        } else {
            (whole.to_owned(), format!("{whole}/v1"))
        };
        Ok(Self { client: client(is_loopback(&parsed), None).or_fail(Exit::Bug)?, root, api, key })
    }

    /// The server of a section of the configuration; `None` when the section can not be used.
    #[must_use]
    pub fn of_backend(config: &HttpBackendConfig) -> Option<Self> {
        let key = config.api_key.clone();
        match (&config.url, &config.socket) {
            (Some(url), _) => Self::new("url", url, key).ok(),
            (None, Some(socket)) => {
                // The host does not matter on a socket, but HTTP wants one.
                let root = "http://localhost".to_owned();
                Some(Self { client: client(true, Some(socket)).ok()?, api: format!("{root}/v1"), root, key })
            }
            (None, None) => None,
        }
    }

    /// The base of the API, for people.
    #[must_use]
    pub fn api(&self) -> &str {
        &self.api
    }

    /// A request to something under the API's base (`models`).
    pub fn api_request(&self, method: Method, path: &str) -> RequestBuilder {
        self.request(method, format!("{}/{path}", self.api))
    }

    /// A request to something beside the API (`health`).
    pub fn root_request(&self, method: Method, path: &str) -> RequestBuilder {
        self.request(method, format!("{}/{path}", self.root))
    }

    fn request(&self, method: Method, url: String) -> RequestBuilder {
        let request = self.client.request(method, url);
        match &self.key {
            Some(key) => request.bearer_auth(key.expose_secret()),
            None => request,
        }
    }
}

fn example(flag: &str) -> String {
    format!("write it as in {flag} http://127.0.0.1:8000/v1")
}

fn is_version(segment: &str) -> bool {
    segment.strip_prefix('v').is_some_and(|rest| rest.starts_with(|first: char| first.is_ascii_digit()))
}

fn is_loopback(url: &Url) -> bool {
    url.host_str().is_some_and(|host| {
        let address = host.trim_start_matches('[').trim_end_matches(']').parse::<IpAddr>();
        host == "localhost" || address.is_ok_and(|address| address.is_loopback())
    })
}

/// A client that follows no redirects: a key must not travel to where a server points.
fn client(loopback: bool, socket: Option<&PathBuf>) -> reqwest::Result<Client> {
    let mut builder = Client::builder()
        .user_agent(concat!("lla/", env!("CARGO_PKG_VERSION")))
        .connect_timeout(CONNECT)
        .redirect(redirect::Policy::none())
        .tcp_nodelay(true);
    // A proxy of the environment must not be asked for an address of this machine. A new connection costs
    // next to nothing here, and some servers (`llama-server`) close kept ones without a word.
    if loopback {
        builder = builder.no_proxy().pool_max_idle_per_host(0);
    }
    if let Some(socket) = socket {
        builder = builder.unix_socket(socket.as_path());
    }
    builder.build()
}

/// The innermost cause: "connection refused" rather than "error sending request".
#[must_use]
pub fn innermost(error: &reqwest::Error) -> String {
    let mut cause: &dyn std::error::Error = error;
    while let Some(next) = cause.source() {
        cause = next;
    }
    cause.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_taken_as_people_write_them() {
        for (written, root, api) in [
            ("http://127.0.0.1:1", "http://127.0.0.1:1", "http://127.0.0.1:1/v1"),
            ("http://127.0.0.1:1/v1/", "http://127.0.0.1:1", "http://127.0.0.1:1/v1"),
            ("http://h/api/v3?key=x", "http://h/api", "http://h/api/v3"),
            ("http://h/proxy", "http://h/proxy", "http://h/proxy/v1"),
        ] {
            drop(rustls::crypto::ring::default_provider().install_default());
            let endpoint = Endpoint::new("--url", written, None).expect(written);
            assert_eq!((endpoint.root.as_str(), endpoint.api()), (root, api), "{written}");
        }
    }

    #[test]
    fn wrong_addresses_name_the_flag_and_show_no_password() {
        for wrong in ["h:1", "127.0.0.1:1", "", "ftp://h", "http://user:pass@h"] {
            let failure = Endpoint::new("--url", wrong, None).expect_err(wrong);
            let text = failure.to_string();
            assert!(failure.exit == Exit::Usage && text.contains("--url") && !text.contains("pass@"), "{text}");
        }
    }
}
