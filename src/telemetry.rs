//! Where events go: one line each on standard error, as text or JSON, or the journal's own socket.

mod journal;

use std::io::IsTerminal;

use tracing::Subscriber;
use tracing_subscriber::{EnvFilter, Layer, layer::SubscriberExt, registry::LookupSpan, util::SubscriberInitExt};

use self::journal::Journal;

/// How events are written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum LogFormat {
    /// Lines for people.
    #[default]
    Text,
    /// One JSON object per line.
    Json,
}

/// Libraries that say more than an operator wants; lettre would even print credentials at its most talkative.
const QUIET: &str =
    "sled=warn,tokio_cron_scheduler=warn,lettre=info,hyper=info,hyper_util=info,rustls=info,reqwest=info,h2=info";

/// Starts logging for the whole process. `level` is `error`, `warn`, `info`, `debug` or `trace`; `RUST_LOG` adds to it.
///
/// Under systemd text goes to the journal's socket, which keeps priorities and cannot be forged by line breaks.
/// Colour is used on a terminal only.
pub fn start(format: LogFormat, level: &str) {
    let filter = match std::env::var("RUST_LOG") {
        Ok(extra) => EnvFilter::builder().parse_lossy(format!("{level},{QUIET},{extra},lettre=info")),
        Err(_) => EnvFilter::builder().parse_lossy(format!("{level},{QUIET}")),
    };
    let journal = (format == LogFormat::Text && std::env::var_os("JOURNAL_STREAM").is_some())
        .then(|| Journal::connect().ok())
        .flatten();
    let layer = match (journal, format) {
        (Some(journal), _) => journal_layer(journal).boxed(),
        (None, LogFormat::Json) => tracing_subscriber::fmt::layer()
            .json()
            .flatten_event(true)
            .with_writer(std::io::stderr)
            .boxed(),
        (None, LogFormat::Text) => tracing_subscriber::fmt::layer()
            .with_ansi(std::io::stderr().is_terminal())
            .with_target(false)
            .with_writer(std::io::stderr)
            .boxed(),
    };
    // A second start is a test's; the first one stays.
    let _already_started = tracing_subscriber::registry().with(filter).with(layer).try_init();
}

/// Events as lines without what the journal notes itself: time and priority.
fn journal_layer<S>(journal: Journal) -> impl Layer<S>
where
    S: Subscriber + for<'span> LookupSpan<'span>,
{
    tracing_subscriber::fmt::layer()
        .without_time()
        .with_level(false)
        .with_target(false)
        .with_ansi(false)
        .with_writer(journal)
}
