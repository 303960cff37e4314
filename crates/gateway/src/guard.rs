//! Which requests are let in at all: those that no strange web page can have sent.
//!
//! A browser lets every page send requests to this machine, and keeps only the answers from it. A page
//! whose name is made to point to this machine (DNS rebinding) gets the answers too. So the name that a
//! request calls us by (`Host`) must be ours, and the page that it comes from (`Origin`) must be one of
//! `server.cors.allowed_origins`, or come from here. Programs send no `Origin`, and call us by our name.
//!
//! An address is nobody's but ours: a page can not make `http://192.0.2.1/` lead elsewhere.

use std::net::IpAddr;

use axum::extract::{Request, State};
use axum::http::uri::Authority;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use crate::config::{Origins, ServerConfig};
use crate::error::{ApiError, Reason};
use crate::mcp;
use crate::state::AppState;

/// The rules of one gateway.
#[derive(Debug)]
pub(crate) struct Guard {
    names: Names,
    origins: Origins,
    /// Whether every route is guarded, or only those that may read files for the caller.
    every_route: bool,
}

/// Names, with or without port, in lower case.
#[derive(Debug)]
enum Names {
    Any,
    These(Vec<Authority>),
}

impl Guard {
    /// The rules of a configuration that has been checked.
    pub(crate) fn new(config: &ServerConfig, origins: Origins) -> Self {
        let any = config.allowed_hosts.iter().any(|name| name == "*");
        let listens = name_of(&config.listen);
        let names = if any {
            Names::Any
        } else {
            let own = ["localhost", listens.as_str()].into_iter();
            let all = own.chain(config.allowed_hosts.iter().map(String::as_str));
            Names::These(all.filter_map(|name| name.to_ascii_lowercase().parse().ok()).collect())
        };
        let every_route = is_this_machine(&listens) || (!any && !config.allowed_hosts.is_empty());
        Self { names, origins, every_route }
    }

    /// Whether a request with these headers may go to `path`.
    fn check(&self, path: &str, headers: &HeaderMap, authority: Option<&Authority>) -> Result<(), ApiError> {
        let reads_files = path == mcp::PATH || path.strip_prefix(mcp::PATH).is_some_and(|rest| rest.starts_with('/'));
        if !self.every_route && !reads_files {
            return Ok(());
        }
        let named = headers.get_all(header::HOST).iter().map(HeaderValue::as_bytes);
        for name in named.chain(authority.map(|authority| authority.as_str().as_bytes())) {
            if !self.is_ours(name) {
                let name = String::from_utf8_lossy(name);
                return Err(Reason::HostNotAllowed.error(format!(
                    "the host '{name}' is not one of this gateway's names; add it to server.allowed_hosts if it is"
                )));
            }
        }
        for origin in headers.get_all(header::ORIGIN) {
            if !self.lets_in(origin, headers) {
                let origin = String::from_utf8_lossy(origin.as_bytes()).into_owned();
                return Err(Reason::OriginNotAllowed.error(format!(
                    "pages of the origin '{origin}' may not call this gateway; add it to \
                     server.cors.allowed_origins if they should"
                )));
            }
        }
        Ok(())
    }

    fn is_ours(&self, name: &[u8]) -> bool {
        let Names::These(names) = &self.names else { return true };
        let Ok(called) = Authority::try_from(name.to_ascii_lowercase().as_slice()) else { return false };
        if called.as_str().contains('@') {
            return false;
        }
        let bare = |authority: &Authority| authority.host().trim_end_matches('.').to_owned();
        is_address(called.host())
            || names.iter().any(|own| {
                bare(own) == bare(&called) && own.port_u16().is_none_or(|port| called.port_u16() == Some(port))
            })
    }

    fn lets_in(&self, origin: &HeaderValue, headers: &HeaderMap) -> bool {
        match &self.origins {
            Origins::Any => true,
            Origins::Listed(listed) if listed.contains(origin) => true,
            _ => is_same_origin(origin, headers),
        }
    }
}

/// A page that came from here may call here; that `Host` is ours has been checked.
fn is_same_origin(origin: &HeaderValue, headers: &HeaderMap) -> bool {
    let text = |value: &HeaderValue| value.to_str().unwrap_or_default().to_ascii_lowercase();
    let Some(host) = headers.get(header::HOST).map(text) else { return false };
    ["http://", "https://"].iter().any(|scheme| text(origin).strip_prefix(scheme) == Some(host.as_str()))
}

/// The name in an address to listen on. One that means "all" is nobody's name, and no request has it.
fn name_of(listen: &str) -> String {
    let name = listen.rsplit_once(':').map_or(listen, |(name, _)| name);
    name.trim_matches(['[', ']']).to_owned()
}

fn is_this_machine(name: &str) -> bool {
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

fn is_address(host: &str) -> bool {
    host.trim_matches(['[', ']']).parse::<IpAddr>().is_ok()
}

/// Whether a name can stand in `server.allowed_hosts`.
pub(crate) fn is_name(name: &str) -> bool {
    name == "*" || (!name.contains(['@', '/', '*', ' ']) && name.parse::<Authority>().is_ok())
}

/// Lets a request through, or answers it with 403.
pub(crate) async fn guard(State(app): State<AppState>, request: Request, next: Next) -> Response {
    let (path, authority) = (request.uri().path(), request.uri().authority());
    match app.guard().check(path, request.headers(), authority) {
        Ok(()) => next.run(request).await,
        Err(error) if path == mcp::PATH => mcp::http::refuse(&error),
        Err(error) => error.into_response(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::CorsConfig;

    fn guard(listen: &str, hosts: &[&str], origins: &[&str]) -> Guard {
        let text = |all: &[&str]| all.iter().map(|&one| one.to_owned()).collect::<Vec<_>>();
        let cors = CorsConfig { allowed_origins: text(origins) };
        let origins = cors.origins().expect("origins");
        let config = ServerConfig { listen: listen.to_owned(), allowed_hosts: text(hosts), ..ServerConfig::default() };
        config.check().expect("a good configuration");
        Guard::new(&config, origins)
    }

    fn lets_in(guard: &Guard, path: &str, host: &str, origin: &str) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in [(header::HOST, host), (header::ORIGIN, origin)] {
            if !value.is_empty() {
                headers.insert(name, HeaderValue::from_str(value).expect("header"));
            }
        }
        guard.check(path, &headers, None).is_ok()
    }

    #[test]
    fn a_request_calls_us_by_a_name_of_ours() {
        let here = guard("127.0.0.1:7117", &["llm.example:80", "Box.lan"], &[]);
        for (host, ours) in [
            ("", true),
            ("localhost", true),
            ("LOCALHOST:7117", true),
            ("localhost.", true),
            ("127.0.0.1:7117", true),
            ("[::1]:7117", true),
            ("192.168.0.9:7117", true),
            ("box.lan:1", true),
            ("llm.example:80", true),
            ("llm.example", false),
            ("llm.example:81", false),
            ("evil.example", false),
            ("localhost.evil.example", false),
            ("localhost@evil.example", false),
            ("evil.example@localhost", false),
            ("127.0.0.1.evil.example", false),
            ("not a host", false),
        ] {
            for path in ["/v1/models", "/mcp", "/mcp/tools/classify", "/health"] {
                assert_eq!(lets_in(&here, path, host, ""), ours, "{host} {path}");
            }
        }
        assert!(lets_in(&guard("127.0.0.1:7117", &["*"], &[]), "/v1/models", "evil.example", ""));
    }

    #[test]
    fn a_page_is_from_here_or_allowed() {
        let here = guard("localhost:7117", &[], &["https://app.example"]);
        for (origin, host, allowed) in [
            ("https://app.example", "localhost:7117", true),
            ("https://app.example:444", "localhost:7117", false),
            ("https://evil.example", "localhost:7117", false),
            ("http://localhost:7117", "localhost:7117", true),
            ("http://localhost:3000", "localhost:7117", false),
            ("http://localhost", "localhost", true),
            ("null", "localhost:7117", false),
            ("file://", "localhost:7117", false),
            ("http://evil.example", "evil.example", false),
        ] {
            assert_eq!(lets_in(&here, "/v1/models", host, origin), allowed, "{origin} {host}");
        }
        assert!(lets_in(&guard("localhost:1", &[], &["*"]), "/v1/models", "localhost:1", "null"));
    }

    #[test]
    fn where_others_may_call_only_what_reads_files_is_guarded_unless_names_are_given() {
        let open = guard("0.0.0.0:7117", &[], &[]);
        for (path, guarded) in [
            ("/v1/chat/completions", false),
            ("/mcpx", false),
            ("/mcp", true),
            ("/mcp/tools", true),
            ("/mcp/tools/classify", true),
        ] {
            assert_eq!(lets_in(&open, path, "box.lan", ""), !guarded, "{path}");
        }
        assert!(!lets_in(&open, "/mcp", "0", ""), "no name at all");
        let named = guard("box.lan:7117", &["llm.example"], &[]);
        assert!(lets_in(&named, "/mcp", "box.lan:7117", ""));
        assert!(!lets_in(&named, "/v1/models", "evil.example", ""));
    }
}
