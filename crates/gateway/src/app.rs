//! Every route and every layer of the gateway, in one function.

use std::any::Any;

use axum::Router;
use axum::extract::Request;
use axum::http::{HeaderName, Method};
use axum::middleware::from_fn_with_state;
use axum::response::{IntoResponse, Response};
use axum::routing::{any, get, post};
use tower_http::catch_panic::CatchPanicLayer;
use tower_http::cors::{AllowHeaders, AllowOrigin, CorsLayer};

use crate::access_log;
use crate::config::Origins;
use crate::error::{ApiError, Reason};
use crate::guard;
use crate::mcp;
use crate::request_id;
use crate::routes::{chat, completions, decisions, embeddings, health, models, systemone, tools};
use crate::state::AppState;

/// The gateway as a service: routes, and around them, outermost first:
/// 1. request id and log line (`access_log::track`);
/// 2. panics become our 500;
/// 3. CORS;
/// 4. strange web pages are refused (`guard::guard`).
pub fn app(state: AppState) -> Router {
    let router = Router::new()
        .route("/v1/chat/completions", post(chat::create))
        .route("/v1/completions", post(completions::create))
        .route("/v1/decisions", post(decisions::create))
        .route("/v1/systemone", post(systemone::create))
        .route("/v1/embeddings", post(embeddings::create))
        .route("/v1/models", get(models::list))
        // Names of models may hold slashes.
        .route("/v1/models/{*id}", get(models::retrieve))
        .route(mcp::PATH, any(mcp::http::handle))
        .route("/mcp/tools", get(tools::list))
        .route("/mcp/tools/{name}", post(tools::call))
        .route("/health", get(health::detailed))
        .route("/health/live", get(health::live))
        .route("/health/ready", get(health::ready))
        .fallback(unknown_url)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(from_fn_with_state(state.clone(), guard::guard));

    let router = match cors(state.origins()) {
        Some(cors) => router.layer(cors),
        None => router,
    };
    router
        .layer(CatchPanicLayer::custom(panicked))
        .layer(from_fn_with_state(state.clone(), access_log::track))
        .with_state(state)
}

async fn unknown_url(request: Request) -> ApiError {
    let (method, path) = (request.method(), request.uri().path());
    Reason::UnknownUrl.error(format!("unknown URL: {method} {path}"))
}

/// The `Allow` header is added by the router.
async fn method_not_allowed(request: Request) -> ApiError {
    let (method, path) = (request.method(), request.uri().path());
    Reason::MethodNotAllowed.error(format!("{path} does not take {method}; the header 'allow' says what it does"))
}

fn cors(origins: &Origins) -> Option<CorsLayer> {
    let origins = match origins {
        Origins::None => return None,
        Origins::Any => AllowOrigin::any(),
        Origins::Listed(list) => AllowOrigin::list(list.iter().cloned()),
    };
    let layer = CorsLayer::new()
        .allow_origin(origins)
        .allow_methods([Method::GET, Method::POST])
        // The official clients send a dozen headers about themselves.
        .allow_headers(AllowHeaders::mirror_request())
        .expose_headers([
            request_id::HEADER,
            axum::http::header::RETRY_AFTER,
            HeaderName::from_static("mcp-session-id"),
        ]);
    Some(layer)
}

/// The panic's text may hold anything: it goes to the log, not to the caller.
#[expect(clippy::needless_pass_by_value, reason = "the signature that the layer calls")]
fn panicked(cause: Box<dyn Any + Send + 'static>) -> Response {
    let text = cause
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| cause.downcast_ref::<&str>().copied())
        .unwrap_or("no text");
    tracing::error!(panic = text, "a handler panicked");
    ApiError::internal().into_response()
}
