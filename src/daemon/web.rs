//! The web part on a thread of its own.
//!
//! A flood of requests takes one core at most, and no thread that fetches or sends waits behind it.

use std::{io, net::TcpListener, thread::JoinHandle, time::Duration};

use tokio_util::sync::CancellationToken;

use crate::{
    app::{App, AppError},
    http,
};

/// How many threads may look up files or do other blocking work for it: none of it needs any.
const BLOCKING_THREADS_MAX: usize = 1;
/// How long the end waits for requests that are being answered.
const END_MAX: Duration = Duration::from_secs(15);

/// A running web part.
#[derive(Debug)]
pub(super) struct Web(JoinHandle<()>);

/// Opens the listener, if one is configured, and begins to answer.
///
/// # Errors
/// The address cannot be listened on. One that is merely in use may be free at the next start.
pub(super) fn start(app: &App, current: http::Current, stop: &CancellationToken) -> Result<Option<Web>, AppError> {
    let Some(address) = app.config.web.listen else {
        return Ok(None);
    };
    let cannot = |error: io::Error| {
        let words = format!("web.listen: {address} cannot be opened: {error}");
        match error.kind() {
            io::ErrorKind::AddrInUse | io::ErrorKind::AddrNotAvailable => AppError::Other(anyhow::anyhow!(words)),
            _ => AppError::Setting(words),
        }
    };
    let listener = TcpListener::bind(address).map_err(cannot)?;
    listener.set_nonblocking(true).map_err(cannot)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .max_blocking_threads(BLOCKING_THREADS_MAX)
        .build()
        .map_err(anyhow::Error::new)?;
    let address = listener.local_addr().map_err(cannot)?;
    let stop = stop.clone();
    let thread = std::thread::Builder::new()
        .name("web".to_owned())
        .spawn(move || {
            let served = runtime.block_on(http::serve(listener, current, stop));
            if let Err(error) = served {
                tracing::error!(%error, "the web part has ended: nobody can leave by one click until a restart");
            }
        })
        .map_err(anyhow::Error::new)?;
    tracing::info!(%address, page = app.config.web.page, "the web part listens");
    Ok(Some(Web(thread)))
}

impl Web {
    /// Waits until what was being answered is answered.
    pub(super) async fn ended(self) {
        let joined = tokio::task::spawn_blocking(move || self.0.join());
        match tokio::time::timeout(END_MAX, joined).await {
            Ok(Ok(Ok(()))) => {}
            Ok(_) => tracing::error!("the web part ended abnormally"),
            Err(_elapsed) => tracing::warn!("requests to the web part are broken off"),
        }
    }
}
