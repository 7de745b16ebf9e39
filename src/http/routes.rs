//! Which request is answered by what, and what every answer has in common.

use std::{sync::Arc, time::Duration};

use axum::{
    Router,
    extract::{Request, State},
    http::{HeaderName, HeaderValue, StatusCode, header},
    middleware::{self, Next},
    response::{IntoResponse, Response},
    routing::get,
};
use tower_http::{catch_panic::CatchPanicLayer, limit::RequestBodyLimitLayer, timeout::TimeoutLayer};

use super::{Current, answer, cache::Cache, gauges, papers, reader, views};
use crate::{app::App, metrics::Route};

/// One request may take this long. Leaving waits for a mail in hand, but not as long.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(15);
/// Bytes of a body: a mail program's form has less than two hundred.
const BODY_BYTES_MAX: usize = 4 * 1024;
/// Bytes of the address that is asked for.
const TARGET_BYTES_MAX: usize = 512;
/// The store must answer within this time.
const READY_MAX: Duration = Duration::from_secs(5);

/// On every answer. Nothing is loaded but the page itself; nobody may keep it, frame it, or learn its address.
const HEADERS: [(HeaderName, &str); 8] = [
    (
        header::CONTENT_SECURITY_POLICY,
        "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'",
    ),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::X_FRAME_OPTIONS, "DENY"),
    (header::REFERRER_POLICY, "no-referrer"),
    (header::CACHE_CONTROL, "no-store"),
    (HeaderName::from_static("x-robots-tag"), "noindex, nofollow"),
    (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
    (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
];

/// What the handlers share.
#[derive(Debug, Clone)]
pub(super) struct Web {
    current: Current,
    pub(super) cache: Arc<Cache>,
}

impl Web {
    /// The configuration in force.
    pub(super) fn app(&self) -> Arc<App> {
        Arc::clone(&self.current.borrow())
    }
}

/// All of it.
pub(super) fn router(current: Current) -> Router {
    let web = Web {
        current,
        cache: Arc::default(),
    };
    Router::new()
        .route("/u/{token}", get(reader::show).post(reader::act))
        .route("/d/{token}", get(views::digest))
        .route("/s/{file}", get(views::feed))
        .route("/", get(papers::show))
        .route("/healthz", get(async || "ok\n"))
        .route("/readyz", get(ready))
        .route("/metrics", get(gauges::show))
        .route("/favicon.ico", get(async || StatusCode::NO_CONTENT))
        .fallback(nothing)
        .with_state(web.clone())
        .layer(CatchPanicLayer::custom(panicked))
        .layer(TimeoutLayer::with_status_code(
            StatusCode::SERVICE_UNAVAILABLE,
            REQUEST_TIMEOUT,
        ))
        .layer(RequestBodyLimitLayer::new(BODY_BYTES_MAX))
        .layer(middleware::from_fn_with_state(web, frame))
}

/// Refuses what is too long, sets the headers, and counts.
async fn frame(State(web): State<Web>, request: Request, next: Next) -> Response {
    let app = web.app();
    let target = request.uri().path_and_query().map_or(0, |target| target.as_str().len());
    let route = route(request.uri().path());
    let mut response = if target > TARGET_BYTES_MAX {
        answer::not_found(&app)
    } else {
        next.run(request).await
    };
    let headers = response.headers_mut();
    for (name, value) in HEADERS {
        headers.insert(name, HeaderValue::from_static(value));
    }
    app.metrics.served(route, response.status().as_u16());
    response
}

fn route(path: &str) -> Route {
    match path.split('/').nth(1).unwrap_or_default() {
        "u" => Route::Reader,
        "d" => Route::Digest,
        "s" => Route::Feed,
        "" => Route::Page,
        "healthz" | "readyz" | "metrics" => Route::Health,
        _ => Route::Other,
    }
}

async fn nothing(State(web): State<Web>) -> Response {
    answer::not_found(&web.app())
}

/// Whether the store answers: what stands before the daemon may send requests here. That the process lives is another
/// question, and `/healthz` answers it without asking the store.
async fn ready(State(web): State<Web>) -> Response {
    match tokio::time::timeout(READY_MAX, web.app().store.ping()).await {
        Ok(Ok(())) => "ready\n".into_response(),
        Ok(Err(error)) => {
            tracing::error!(%error, "not ready: the store does not answer");
            (StatusCode::SERVICE_UNAVAILABLE, "the store does not answer\n").into_response()
        }
        Err(_elapsed) => (StatusCode::SERVICE_UNAVAILABLE, "the store does not answer\n").into_response(),
    }
}

fn panicked(_: Box<dyn std::any::Any + Send>) -> Response {
    tracing::error!("a request to the web part failed by a mistake in the program; please report this");
    (StatusCode::INTERNAL_SERVER_ERROR, "something went wrong here\n").into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn routes_are_counted_by_their_first_part() {
        for (path, expected) in [
            ("/u/v1.k.x.y", Route::Reader),
            ("/d/x", Route::Digest),
            ("/s/x.atom", Route::Feed),
            ("/", Route::Page),
            ("/metrics", Route::Health),
            ("/wp-login.php", Route::Other),
            ("", Route::Page),
        ] {
            assert_eq!(route(path), expected, "{path}");
        }
    }
}
