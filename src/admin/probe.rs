//! `check --online`: everything that a configuration connects to, tried.

use std::{fmt::Write as _, io, net::SocketAddr, path::Path, time::Duration};

use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::Instant,
};

use super::{
    Reply,
    check::{not_mailed, suppressions},
};
use crate::{
    app::{self, App, AppError, Exit},
    config::{self, Changes, Environment, StoreConfig},
    store::{Store, postgres::PostgresStore},
};

/// How long, and of how many bytes, the answer of a web part may be that listens already.
const HEALTH_MAX: Duration = Duration::from_secs(5);
const HEALTH_BYTES_MAX: u64 = 4096;
/// How many differences from what is in force are listed.
const CHANGES_SHOWN: usize = 20;

/// Tries everything that a run under the configuration in that file needs. Sends nothing.
///
/// # Errors
///
/// The problems of the file, where a daemon with another configuration carries this out.
pub(super) async fn command(app: &App, file: &Path) -> Result<Reply, AppError> {
    if app.standing.daemon().is_none() {
        // It was read from this file just now.
        return probe(app, state(&*app.store).await).await;
    }
    let mut loaded = app::load_config(file, &Environment::from_process())?;
    let changes = config::diff(&app.config, &loaded.config);
    if changes.is_empty() {
        return probe(app, state(&*app.store).await).await;
    }
    let tried_state = state_of(app, &loaded.config, &changes).await;
    if !loaded.config.mail.token_key_file.exists() {
        // To try a configuration makes no key: the start does.
        loaded
            .config
            .mail
            .token_key_file
            .clone_from(&app.config.mail.token_key_file);
    }
    let mut reply = probe(&app.rebuild(loaded)?, tried_state).await?;
    reply.output.push_str(&not_in_force(&changes));
    Ok(reply)
}

/// What came of trying one thing, how it went, and how long it took.
struct Tried {
    took: Duration,
    result: Result<String, String>,
}

async fn timed(trying: impl Future<Output = Result<String, String>>) -> Tried {
    let began = Instant::now();
    let result = trying.await;
    Tried {
        took: began.elapsed(),
        result,
    }
}

async fn state(store: &dyn Store) -> Tried {
    timed(async { store.describe().await.map_err(|error| error.to_string()) }).await
}

/// The state of a configuration that is not in force: a database is asked, while files that only one process may open are
/// left to the start.
async fn state_of(app: &App, config: &config::Config, changes: &Changes) -> Tried {
    let is_another = |key: &String| key == "state_dir" || key.starts_with("store.");
    if !changes.needs_restart.iter().any(is_another) {
        return state(&*app.store).await;
    }
    timed(async {
        match &config.store {
            StoreConfig::Postgres(settings) => {
                let opened = PostgresStore::open(settings).await.map_err(|error| error.to_string())?;
                opened.store.describe().await.map_err(|error| error.to_string())
            }
            StoreConfig::Sled => Ok(format!(
                "{} is another one than the daemon's and is opened at its restart, not now",
                config.state_dir.display()
            )),
        }
    })
    .await
}

/// Says what was tried, how it went and how long it took.
async fn probe(app: &App, state: Tried) -> Result<Reply, AppError> {
    let mut reply = Reply::done(String::new());
    let mut note = |what: &str, Tried { took, result }: Tried| {
        let took = took.as_millis();
        match result {
            Ok(words) => reply.output.push_str(&format!("ok      {what} ({took} ms): {words}\n")),
            Err(why) => {
                reply.output.push_str(&format!("failed  {what} ({took} ms)\n"));
                reply.problems.push(format!("{what}: {why}"));
                reply.exit = Exit::Failed;
            }
        }
    };
    note("state", state);
    note("arXiv", timed(app.run.fetcher.probe()).await);
    let names = app.delivery.transport.names();
    for (relay, name) in names.iter().enumerate() {
        let what = match names.len() {
            1 => "mail".to_owned(),
            _ => format!("mail through {name}"),
        };
        note(&what, timed(app.delivery.transport.probe(relay)).await);
    }
    if let Some(address) = app.config.web.listen {
        note("web", timed(listener(address)).await);
    }
    let gate = app.run.fetcher.client().gate().state().await?.value;
    if let Some(words) = gate.clock_trouble() {
        reply.problems.push(format!("warning: {words}"));
    }
    let suppressions = suppressions(app).await?;
    reply.output.push_str(&not_mailed(&app.config, &suppressions));
    Ok(reply)
}

/// That the running daemon has another configuration, in what they differ, and how the one that was tried takes effect.
fn not_in_force(changes: &Changes) -> String {
    let how = if !changes.needs_restart.is_empty() {
        format!("{} want a restart", changes.needs_restart.join(", "))
    } else if changes.removes_many() {
        "more than a fifth of the subscribers would go, so it waits for `systemctl reload paperround` (SIGHUP)"
            .to_owned()
    } else {
        "it is read when the file has been still for some seconds, or now by `systemctl reload paperround` (SIGHUP)"
            .to_owned()
    };
    let mut text = format!("\nNot in force yet in the running daemon: {how}\n");
    for line in changes.lines.iter().take(CHANGES_SHOWN) {
        // Writing to a string cannot fail.
        let _infallible = writeln!(text, "  {line}");
    }
    if changes.lines.len() > CHANGES_SHOWN {
        let _infallible = writeln!(text, "  and {} more changes", changes.lines.len() - CHANGES_SHOWN);
    }
    text
}

/// Whether the web part could listen there, or does already.
async fn listener(address: SocketAddr) -> Result<String, String> {
    match TcpListener::bind(address).await {
        Ok(_closed_again) => Ok(format!("{address} is free to listen on")),
        Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
            match tokio::time::timeout(HEALTH_MAX, is_ours(address)).await {
                Ok(Ok(true)) => Ok(format!("{address} answers")),
                Ok(_) | Err(_) => Err(format!("web.listen: another program holds {address}")),
            }
        }
        Err(error) => Err(format!("web.listen: {address} cannot be opened: {error}")),
    }
}

async fn is_ours(address: SocketAddr) -> io::Result<bool> {
    let mut stream = TcpStream::connect(address).await?;
    stream
        .write_all(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
        .await?;
    let mut answer = Vec::new();
    stream.take(HEALTH_BYTES_MAX).read_to_end(&mut answer).await?;
    Ok(answer.starts_with(b"HTTP/1.1 200 ") && answer.ends_with(b"ok\n"))
}
