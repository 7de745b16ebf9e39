//! `check`: the configuration in words, and with `--online` everything it connects to.

use std::{fmt::Write as _, io, net::SocketAddr, path::Path, time::Duration};

use chrono::{DateTime, Utc};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    time::Instant,
};

use super::{Reply, moment, sender, suppression};
use crate::{
    app::{self, App, AppError, Exit},
    arxiv::calendar,
    config::{self, Config, Environment, Loaded},
    model::Suppression,
    roster::{self, suppression_key},
    store::StoreError,
};

/// How many coming slots of each schedule are shown.
const SLOTS_SHOWN: usize = 3;
/// How long, and of how many bytes, the answer of a web part may be that listens already.
const HEALTH_MAX: Duration = Duration::from_secs(5);
const HEALTH_BYTES_MAX: u64 = 4096;

/// Reads a configuration with the environment of the daemon and says what [`check`] says of it, and who in it is not
/// mailed.
///
/// # Errors
///
/// Every problem that was found.
pub(super) async fn in_daemon(app: &App, path: &Path) -> Result<Reply, AppError> {
    let loaded = app::load_config(path, &Environment::from_process())?;
    let mut reply = check(&loaded, app.clock.now());
    reply
        .output
        .push_str(&not_mailed(&loaded.config, &suppressions(app).await?));
    Ok(reply)
}

/// The subscribers of a configuration who are not mailed whatever it says, each with the reason; nothing if there are none.
pub fn not_mailed(config: &Config, suppressions: &[Suppression]) -> String {
    let mut text = String::new();
    for subscriber in config.subscribers() {
        let key = suppression_key(&subscriber.address);
        if let Some(found) = suppressions.iter().find(|suppression| suppression.address == key) {
            // Writing to a string cannot fail.
            let _infallible = writeln!(
                text,
                "  {}: {} since {} ({}); `paperround suppression remove` undoes it",
                subscriber.id,
                suppression::in_words(found.reason),
                moment(found.since),
                found.evidence
            );
        }
    }
    if text.is_empty() {
        return text;
    }
    format!("\nConfigured, but not mailed\n{text}")
}

async fn suppressions(app: &App) -> Result<Vec<Suppression>, StoreError> {
    Ok(roster::suppressions(&*app.store).await?.into_values().collect())
}

/// The configuration in words: who gets what when, and what deserves a second look. Opens nothing.
pub fn check(loaded: &Loaded, now: DateTime<Utc>) -> Reply {
    let config = &loaded.config;
    let subscribers = config.subscribers();
    let mut text = format!(
        "{} is in order.\n",
        config
            .files
            .first()
            .map_or_else(String::new, |file| file.display().to_string())
    );
    let mut line = |words: std::fmt::Arguments<'_>| {
        // Writing to a string cannot fail.
        let _infallible = writeln!(text, "{words}");
    };
    match &config.store {
        config::StoreConfig::Sled => line(format_args!("state: {}", config.state_dir.display())),
        database @ config::StoreConfig::Postgres(_) => line(format_args!("state: {database}")),
    }
    line(format_args!(
        "mail: from {} by {}",
        config.mail.from.address,
        transport(config)
    ));
    line(format_args!("\n{} subscribers", subscribers.len()));
    for subscriber in &subscribers {
        let keywords: Vec<&str> = subscriber
            .keywords
            .iter()
            .map(|(heading, _)| heading.as_str())
            .collect();
        line(format_args!("  {}: {}", subscriber.id, keywords.join(", ")));
    }
    let named = config.named_keywords();
    if !named.is_empty() {
        line(format_args!("\nNamed keywords"));
        for (name, n_uses) in named {
            line(format_args!("  {name}: used {n_uses} times"));
        }
    }
    let mut schedules: Vec<_> = subscribers.iter().map(|subscriber| &subscriber.schedule).collect();
    schedules.sort_by_key(|schedule| (schedule.text().to_owned(), schedule.zone().name()));
    schedules.dedup_by_key(|schedule| (schedule.text().to_owned(), schedule.zone().name()));
    line(format_args!("\nSchedules, with their next {SLOTS_SHOWN} times"));
    for schedule in schedules {
        let slots: Vec<DateTime<Utc>> = schedule.slots_after(now).take(SLOTS_SHOWN).collect();
        let times: Vec<String> = slots
            .iter()
            .map(|at| {
                at.with_timezone(&schedule.zone())
                    .format("%a %F %H:%M:%S %Z")
                    .to_string()
            })
            .collect();
        line(format_args!(
            "  {} ({}): {}",
            schedule.text(),
            schedule.zone().name(),
            times.join(", ")
        ));
        if slots.iter().any(|at| is_before_turnover(*at)) {
            line(format_args!(
                "    between an announcement (20:00 US Eastern) and 00:30 not all of it can be read: these digests cover the announcement before"
            ));
        }
    }
    if let Some(problem) = config.contact_problem() {
        line(format_args!("\n`serve` will refuse to start: {problem}"));
    }
    let mut problems: Vec<String> = loaded
        .warnings
        .iter()
        .map(|warning| format!("warning: {warning}"))
        .collect();
    let mut exit = Exit::Done;
    match sender::lines(config) {
        Ok(lines) => {
            for words in lines {
                line(format_args!("{words}"));
            }
        }
        Err(error) => {
            problems.push(error.to_string());
            exit = Exit::Configuration;
        }
    }
    Reply {
        output: text,
        problems,
        exit,
    }
}

/// Whether arXiv has announced but not all its interfaces have turned over.
fn is_before_turnover(at: DateTime<Utc>) -> bool {
    let latest = calendar::latest_announcement(at);
    !calendar::is_deferred(latest.evening) && at < latest.visible_from()
}

fn transport(config: &config::Config) -> String {
    match &config.mail.transport {
        config::Transport::Smtp(relays) => {
            let names: Vec<&str> = relays.iter().map(|relay| relay.name.as_str()).collect();
            format!("SMTP through {}", names.join(", else "))
        }
        config::Transport::Sendmail { program } => program.display().to_string(),
        config::Transport::Maildir { dir } => format!("writing into the Maildir {}", dir.display()),
    }
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

/// Tries everything that a run needs, and says what was tried, how it went and how long it took. Sends nothing.
pub async fn probe(app: &App) -> Result<Reply, AppError> {
    let mut reply = Reply::done(String::new());
    let mut note = |what: &str, began: Instant, result: Result<String, String>| {
        let took = began.elapsed().as_millis();
        match result {
            Ok(words) => reply.output.push_str(&format!("ok      {what} ({took} ms): {words}\n")),
            Err(why) => {
                reply.output.push_str(&format!("failed  {what} ({took} ms)\n"));
                reply.problems.push(format!("{what}: {why}"));
                reply.exit = Exit::Failed;
            }
        }
    };
    let began = Instant::now();
    note(
        "state",
        began,
        app.store.describe().await.map_err(|error| error.to_string()),
    );
    let began = Instant::now();
    note("arXiv", began, app.run.fetcher.probe().await);
    let names = app.delivery.transport.names();
    for (relay, name) in names.iter().enumerate() {
        let what = match names.len() {
            1 => "mail".to_owned(),
            _ => format!("mail through {name}"),
        };
        let began = Instant::now();
        note(&what, began, app.delivery.transport.probe(relay).await);
    }
    if let Some(address) = app.config.web.listen {
        let began = Instant::now();
        note("web", began, listener(address).await);
    }
    let gate = app.run.fetcher.client().gate().state().await?.value;
    if let Some(words) = gate.clock_trouble() {
        reply.problems.push(format!("warning: {words}"));
    }
    reply
        .output
        .push_str(&not_mailed(&app.config, &suppressions(app).await?));
    Ok(reply)
}
