//! The web part: leaving by one click, a digest and a feed in the browser, the Daily Papers page, health and metrics.
//!
//! ```text
//! connections   accept, bounded in number and time
//!   └ routes    bounded in size; the same headers on every answer
//!       ├ reader   /u/TOKEN       stop, undo, pause: only by POST
//!       ├ views    /d/TOKEN, /s/TOKEN.atom
//!       ├ papers   /
//!       └ gauges   /metrics
//! ```
//!
//! It keeps nothing of its own: no cookie, no session, no script. What a token allows is decided by the token alone.

mod answer;
mod cache;
mod connections;
mod form;
mod gauges;
mod papers;
mod reader;
mod routes;
mod views;

use std::{io, sync::Arc};

use tokio_util::sync::CancellationToken;

use crate::app::App;

/// The configuration that is in force now, whatever reloads come.
pub type Current = tokio::sync::watch::Receiver<Arc<App>>;

/// Answers requests until `stop` is cancelled; those in hand are answered.
///
/// # Errors
/// The listener cannot be used.
pub async fn serve(listener: std::net::TcpListener, current: Current, stop: CancellationToken) -> io::Result<()> {
    let listener = tokio::net::TcpListener::from_std(listener)?;
    connections::accept(listener, routes::router(current), stop).await;
    Ok(())
}
