//! The read-only side over TCP: what it answers, and how little one client can take.
//!
//! One request a connection, and one deadline for all of it, so that a client that sends slowly, reads
//! slowly or does nothing is gone when it passes; sooner when others come, for the oldest gives way. GET and
//! HEAD alone get past the door (READ-ONLY-OUTSIDE).

use std::sync::Arc;
use std::time::Duration;

use axum::body::HttpBody as _;
use axum::extract::{Path, Request, State};
use axum::http::header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE};
use axum::http::{HeaderValue, Method, StatusCode};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use axum::{Extension, Json, Router};
use hyper::server::conn::http1;
use hyper_util::rt::TokioIo;
use hyper_util::service::TowerToHyperService;
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::metrics::Metrics;
use super::room::Room;
use super::status::{NoAnswer, StatusHandle};
use crate::clock::instant_now;
use crate::model::{Liveness, Status};

/// Connections open at once; for one more the oldest is closed, so that idle ones keep nobody out. Bounds memory to
/// `CONNECTIONS_MAX` × `HEAD_BYTES_MAX` = 4 MiB for reading, and leaves file descriptors for looks.
pub const CONNECTIONS_MAX: usize = 256;

/// How long a connection may last, whatever it does. Below the 10 s that Prometheus gives a scrape, so that
/// one which had to wait for idle connections to end still gets its answer.
pub const CONNECTION_WITHIN: Duration = Duration::from_secs(5);

/// The longest request line and headers together. A browser sends about 1 KiB.
const HEAD_BYTES_MAX: usize = 16 * 1024;

/// An answer beyond this, in bytes, is a large one. Smaller ones take up 16 MiB on all connections together.
const LARGE: u64 = 64 * 1024;

/// Large answers under way at once; for one more the oldest is broken off. The metrics of 10,000 checks are some 20 MB, and
/// whoever reads them slowly, or not at all, would hold as many of them in memory as there are connections.
pub const LARGE_ANSWERS_MAX: usize = 8;

/// How long answers under way may take once the stop is asked for; the whole process has 5 s.
const STOP_WITHIN: Duration = Duration::from_secs(1);

/// Rest after a failed accept: out of file descriptors, it would fail again at once.
const ACCEPT_REST: Duration = Duration::from_millis(100);

/// A failed accept is logged this often at most: whoever waits to be let in must not fill the log.
const TOLD_AGAIN_AFTER: Duration = Duration::from_secs(60);

/// The version of Prometheus' text format that is written.
const PROMETHEUS_TEXT: &str = "text/plain; version=0.0.4; charset=utf-8";

const INDEX: &str = "\
pointsman keeps a DNS name pointing at the regions that are alive.

/healthz                   does the process work
/readyz                    is there a verdict on every region
/metrics                   for Prometheus
/api/v1/status             everything, as JSON
/api/v1/services/{name}    one service, as JSON

Read only: GET and HEAD.
";

/// Answers on `listener` until `stop` is cancelled, then ends within 1 s.
pub async fn serve(listener: &TcpListener, status: StatusHandle, metrics: Metrics, stop: CancellationToken) {
    let router = router(Site { status, metrics, large: Arc::new(Room::of(LARGE_ANSWERS_MAX)) });
    let room = Room::of(CONNECTIONS_MAX);
    let mut connections = JoinSet::new();
    let mut told: Option<Instant> = None;
    loop {
        tokio::select! {
            () = stop.cancelled() => break,
            Some(ended) = connections.join_next() => {
                if let Err(panic) = ended {
                    tracing::error!(%panic, "an answer of the admin side broke off");
                }
            }
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => {
                    let seat = CancellationToken::new();
                    room.enter(&seat);
                    connections.spawn(connection(stream, router.clone(), seat));
                }
                Err(error) => {
                    if told.is_none_or(|told| told.elapsed() >= TOLD_AGAIN_AFTER) {
                        tracing::warn!(%error, "the admin side could not accept a connection");
                        told = Some(instant_now());
                    }
                    tokio::time::sleep(ACCEPT_REST).await;
                }
            },
        }
    }
    let all_ended = async { while connections.join_next().await.is_some() {} };
    tokio::time::timeout(STOP_WITHIN, all_ended).await.ok();
}

/// One connection, from accept to close; `seat` is cancelled when it has to end. What goes wrong on it is the client's matter
/// and not logged.
async fn connection(stream: TcpStream, router: Router, seat: CancellationToken) {
    let _leaves = seat.clone().drop_guard();
    let seated = router.layer(Extension(seat.clone()));
    let exchange = http1::Builder::new()
        .keep_alive(false)
        .max_buf_size(HEAD_BYTES_MAX)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(seated));
    let in_time = tokio::time::timeout(CONNECTION_WITHIN, exchange);
    seat.run_until_cancelled(in_time).await;
}

#[derive(Clone)]
struct Site {
    status: StatusHandle,
    metrics: Metrics,
    /// For connections with a large answer.
    large: Arc<Room>,
}

fn router(site: Site) -> Router {
    Router::new()
        .route("/", get(async || INDEX))
        .route("/healthz", get(healthz))
        .route("/readyz", get(readyz))
        .route("/metrics", get(metrics))
        .route("/api/v1/status", get(status))
        .route("/api/v1/services/{name}", get(service))
        .fallback(unknown_path)
        .layer(middleware::from_fn_with_state(site.clone(), door))
        .with_state(site)
}

/// Lets GET and HEAD in, whatever the path, and nothing else.
async fn door(
    State(site): State<Site>,
    Extension(seat): Extension<CancellationToken>,
    request: Request,
    next: Next,
) -> Response {
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let allow = [(ALLOW, HeaderValue::from_static("GET, HEAD"))];
        let refusal = problem(StatusCode::METHOD_NOT_ALLOWED, "read only: GET and HEAD");
        return (allow, refusal).into_response();
    }
    let mut response = next.run(request).await;
    if response.body().size_hint().lower() > LARGE {
        site.large.enter(&seat);
    }
    // All of it is true for a moment only.
    response.headers_mut().insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

async fn healthz(State(site): State<Site>) -> Result<&'static str, NoAnswer> {
    site.status.ask().await.map(|_| "ok\n")
}

async fn readyz(State(site): State<Site>) -> Result<Response, NoAnswer> {
    let status = site.status.ask().await?;
    let waiting = without_verdict(&status);
    let code = if waiting.is_empty() { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    let answer = json!({ "ready": waiting.is_empty(), "without_verdict": waiting });
    Ok((code, Json(answer)).into_response())
}

/// The regions that nothing is known of yet, as `SERVICE/REGION`.
fn without_verdict(status: &Status) -> Vec<String> {
    let regions = status.services.iter().flat_map(|s| s.regions.iter().map(move |r| (s, r)));
    regions
        .filter(|(_, region)| region.liveness == Liveness::Unknown)
        .map(|(service, region)| format!("{}/{}", service.name, region.name))
        .collect()
}

async fn metrics(State(site): State<Site>) -> Result<Response, NoAnswer> {
    let status = site.status.ask().await?;
    Ok(match site.metrics.render(&status) {
        Ok(text) => ([(CONTENT_TYPE, PROMETHEUS_TEXT)], text).into_response(),
        Err(error) => problem(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    })
}

async fn status(State(site): State<Site>) -> Result<Json<Arc<Status>>, NoAnswer> {
    site.status.ask().await.map(Json)
}

async fn service(State(site): State<Site>, Path(name): Path<String>) -> Result<Response, NoAnswer> {
    let status = site.status.ask().await?;
    Ok(match status.services.iter().find(|service| service.name.as_str() == name) {
        Some(service) => Json(service).into_response(),
        None => problem(StatusCode::NOT_FOUND, "no service of that name is configured"),
    })
}

async fn unknown_path() -> Response {
    problem(StatusCode::NOT_FOUND, "no such page; / lists them")
}

/// An error as JSON: `{"error": "…"}`.
fn problem(code: StatusCode, error: &str) -> Response {
    (code, Json(json!({ "error": error }))).into_response()
}

impl IntoResponse for NoAnswer {
    fn into_response(self) -> Response {
        problem(StatusCode::SERVICE_UNAVAILABLE, &self.to_string())
    }
}
