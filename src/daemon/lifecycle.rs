//! Start, signals, reload and stop.

use std::{path::Path, sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use tokio::{
    signal::unix::{Signal, SignalKind, signal},
    sync::watch,
    time::Instant,
};

use super::{Shared, bell::Bell, note_clock, notify, reload::reload, socket, turn, watch::Watch, web};
use crate::{
    admin::Reply,
    app::{self, App, AppError, Exit, Options},
    config::Environment,
    run::claim,
    standing::Daemon,
    store::StoreError,
};

/// How often files are looked at and the watchdog is fed.
const LOOK: Duration = Duration::from_secs(2);
/// Between two answers of arXiv, or two outcomes of mails, a turn takes no longer than this and the budget for retries
/// together: else it is stuck. A whole turn may take as long as there are mails.
const STEP_MAX: Duration = Duration::from_secs(3600);
/// Without a turn for this long the bell or the brain is stuck.
const SILENCE_MAX: Duration = Duration::from_secs(180);
/// The bell rings this often.
const BELL: Duration = Duration::from_secs(60);
/// The store must answer within this time.
const PING_MAX: Duration = Duration::from_secs(10);
/// A command's mail in hand may delay the end this long; systemd kills after 90 s.
const LAST_MAIL_MAX: Duration = Duration::from_secs(60);

/// Why nothing is done under a clock that cannot be believed.
const CLOCK_WRONG: &str = "the clock is more than an hour behind what this daemon has seen, or away from the database's; \
                           nothing is done until it is right";

/// Runs until SIGTERM or SIGINT, or until something happens that cannot heal.
pub async fn serve(config_path: &Path) -> Result<Reply, AppError> {
    let environment = Environment::from_process();
    let loaded = app::load_config(config_path, &environment)?;
    if let Some(problem) = loaded.config.contact_problem() {
        return Err(AppError::Setting(problem));
    }
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    let mut signals = Signals::new().map_err(anyhow::Error::new)?;
    let app = Arc::new(App::open(loaded, &Options::default()).await?);
    note_clock(&*app.store, app.clock.now()).await?;
    app.standing.begin(app.clock.now());
    let mut watch = Watch::new(&app.config);
    let socket_path = socket::path(&app.config.state_dir, &environment);
    let shared = Arc::new(Shared {
        config_path: config_path.to_owned(),
        app: watch::Sender::new(Arc::clone(&app)),
        stop: app.stop.clone(),
        bell: Bell::default(),
    });
    let mut is_door_ours = false;
    match socket::listen(&socket_path).await {
        Ok(listener) => {
            is_door_ours = true;
            tokio::spawn(socket::answer(listener, Arc::clone(&shared)));
        }
        Err(error) => tracing::warn!(
            path = %socket_path.display(), %error,
            "no control socket: the other commands will not reach this daemon"
        ),
    }
    // Bound before the service counts as ready.
    let web = web::start(&app, shared.app.subscribe(), &shared.stop)?;
    let mut scheduler = shared.bell.hang().await.map_err(anyhow::Error::new)?;
    let pulse = Arc::new(Pulse::default());
    let mut brain = tokio::spawn(think(Arc::clone(&shared), Arc::clone(&pulse)));
    shared.bell.ring();
    greet(&app, config_path);
    drop(app);
    notify::ready("waiting for the next slot");

    let mut look = tokio::time::interval(LOOK);
    let ended = loop {
        let mut stop_asked = false;
        tokio::select! {
            ended = &mut brain => break ended,
            _ = signals.terminate.recv() => stop_asked = true,
            _ = signals.interrupt.recv() => stop_asked = true,
            _ = signals.hangup.recv() => {
                notify::reloading();
                reload(&shared, &environment, true).await;
                watch = Watch::new(&shared.app().config);
                notify::ready("waiting for the next slot");
            }
            _ = look.tick() => {
                let app = shared.app();
                if watch.has_changed(&app.config) {
                    reload(&shared, &environment, false).await;
                }
                feed_watchdog(&app, &pulse).await;
            }
        }
        if stop_asked && shared.stop.is_cancelled() {
            tracing::warn!("stopped at once, at the second signal");
            return Ok(ended_early());
        }
        if stop_asked {
            tracing::info!("stopping: no new work; the mail in hand is finished");
            notify::stopping();
            shared.stop.cancel();
            shared.bell.ring();
        }
    };
    // A run that came through the control socket may be in the middle of a mail.
    let app = shared.app();
    let is_whole = tokio::select! {
        _ended = app.run_lock.lock() => true,
        () = tokio::time::sleep(LAST_MAIL_MAX) => false,
        _ = signals.terminate.recv() => false,
        _ = signals.interrupt.recv() => false,
    };
    if !is_whole {
        tracing::warn!("a command is broken off; the next start goes on from there");
    }
    if let Some(web) = web {
        web.ended().await;
    }
    if let Err(error) = scheduler.shutdown().await {
        tracing::debug!(%error, "the bell did not stop");
    }
    if is_door_ours {
        // The file is only a door; that it cannot be removed harms nobody.
        let _left_behind = std::fs::remove_file(&socket_path);
    }
    if let Err(error) = claim::give_back(&*app.store, &app.delivery.worker).await {
        tracing::debug!(%error, "the run claim is left to run out");
    }
    match ended {
        Ok(Ok(())) if is_whole => {
            tracing::info!("stopped");
            Ok(Reply::done(String::new()))
        }
        Ok(Ok(())) => Ok(ended_early()),
        // A new start restores the latest export; status 65 would keep systemd from making one.
        Ok(Err(error @ StoreError::Damaged { .. })) => {
            Err(anyhow::anyhow!("{error}; the next start restores the latest export").into())
        }
        Ok(Err(error)) => Err(error.into()),
        Err(panic) => Err(anyhow::anyhow!("the daemon's work ended abnormally: {panic}").into()),
    }
}

/// Something was in hand. Nothing is lost, the next start goes on with it.
fn ended_early() -> Reply {
    Reply {
        output: String::new(),
        problems: Vec::new(),
        exit: Exit::Incomplete,
    }
}

/// The brain: one turn after each ring, until told to stop.
async fn think(shared: Arc<Shared>, pulse: Arc<Pulse>) -> Result<(), StoreError> {
    let mut memory = turn::Memory::default();
    let mut next = turn::Next::default();
    loop {
        tokio::select! {
            () = shared.bell.wait() => {}
            () = until(&shared, next.at) => {}
            () = until_passed_over(&shared, next.claimed.as_deref()) => {}
        }
        if shared.stop.is_cancelled() {
            return Ok(());
        }
        let app = shared.app();
        let is_believed = note_clock(&*app.store, app.clock.now()).await?;
        app.standing.halted((!is_believed).then_some(CLOCK_WRONG));
        if !is_believed {
            tracing::error!("{CLOCK_WRONG}");
            pulse.beat();
            next = turn::Next::default();
            continue;
        }
        pulse.begin();
        next = match turn::turn(&app, &mut memory, &shared.stop).await {
            // Where several workers share the state: nothing is lost, the next turn looks again.
            Err(StoreError::Conflict(what)) => {
                tracing::warn!(
                    what,
                    "another worker was faster; this one looks again at the next minute"
                );
                turn::Next::default()
            }
            done => done?,
        };
        pulse.beat();
    }
}

/// Keeps the run claim alive between turns, so that the runs stay with one worker; returns when it is lost.
async fn until_passed_over(shared: &Shared, claimed: Option<&str>) {
    let Some(people) = claimed else {
        return std::future::pending().await;
    };
    let app = shared.app();
    claim::until_lost(&*app.store, &app.delivery.worker, people).await;
}

/// Sleeps until a slot that comes before the bell rings again; for ever, if there is none.
async fn until(shared: &Shared, slot: Option<DateTime<Utc>>) {
    let Some(slot) = slot else {
        return std::future::pending().await;
    };
    let now = shared.app().clock.now();
    match (slot - now).to_std() {
        Ok(left) if left < BELL => tokio::time::sleep(left).await,
        Ok(_) => std::future::pending().await,
        Err(_) => {}
    }
}

fn greet(app: &App, config_path: &Path) {
    let now = app.clock.now();
    let next = app
        .roster
        .people()
        .iter()
        .map(|person| person.schedule.next_after(now))
        .min();
    tracing::info!(
        version = env!("CARGO_PKG_VERSION"),
        config = %std::path::absolute(config_path).unwrap_or_else(|_| config_path.to_owned()).display(),
        state_dir = %app.config.state_dir.display(),
        n_subscribers = app.roster.people().len(),
        schedule = app.config.schedule.text(),
        timezone = app.config.timezone.name(),
        next_slot = next.map(|at| at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)),
        "serving"
    );
}

async fn feed_watchdog(app: &App, pulse: &Pulse) {
    let answers = tokio::time::timeout(PING_MAX, app.store.ping()).await;
    let is_alive = pulse.is_alive(app.metrics.progress(), app.config.arxiv.retry_budget);
    let is_away = app.store.claim_ttl().is_some() && !matches!(answers, Ok(Ok(())));
    if is_alive && is_away {
        // A new process would find the database no better, and forget which mails were accepted meanwhile.
        notify::alive("the database does not answer");
    } else if is_alive && matches!(answers, Ok(Ok(()))) {
        notify::alive(&in_brief(app));
    } else {
        tracing::error!("the scheduler or the store does not move; the watchdog is not fed");
    }
}

/// What `systemctl status` shows.
fn in_brief(app: &App) -> String {
    match app.standing.daemon() {
        Some(Daemon { halted: Some(why), .. }) => why.to_owned(),
        Some(Daemon {
            refused: Some(refused), ..
        }) => format!("serving; the configuration file is not in force: {}", refused.why),
        _ => "serving".to_owned(),
    }
}

/// When the brain last moved.
#[derive(Debug)]
struct Pulse(std::sync::Mutex<Beat>);

#[derive(Debug)]
struct Beat {
    since: Instant,
    is_busy: bool,
    /// What had been done by then.
    progress: u64,
}

impl Default for Pulse {
    fn default() -> Self {
        Self(std::sync::Mutex::new(Beat {
            since: Instant::now(),
            is_busy: false,
            progress: 0,
        }))
    }
}

impl Pulse {
    fn begin(&self) {
        self.set(true);
    }

    fn beat(&self) {
        self.set(false);
    }

    fn set(&self, is_busy: bool) {
        let mut beat = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        beat.since = Instant::now();
        beat.is_busy = is_busy;
    }

    /// Whether it moves: turn follows upon turn, and within a turn more and more is done.
    fn is_alive(&self, progress: u64, retry_budget: Duration) -> bool {
        let mut beat = self.0.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if beat.is_busy && beat.progress != progress {
            beat.since = Instant::now();
        }
        beat.progress = progress;
        let patience = if beat.is_busy {
            STEP_MAX + retry_budget
        } else {
            SILENCE_MAX
        };
        beat.since.elapsed() < patience
    }
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> std::io::Result<Self> {
        Ok(Self {
            terminate: signal(SignalKind::terminate())?,
            interrupt: signal(SignalKind::interrupt())?,
            hangup: signal(SignalKind::hangup())?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn a_long_turn_is_alive_while_it_gets_on_and_a_turn_that_hangs_is_not() {
        const BUDGET: Duration = Duration::from_secs(1200);
        let pulse = Pulse::default();
        let later = async |time: Duration, progress| {
            tokio::time::advance(time).await;
            pulse.is_alive(progress, BUDGET)
        };
        // Between turns the bell rings every minute.
        assert!(later(SILENCE_MAX / 2, 0).await);
        assert!(!later(SILENCE_MAX, 0).await);
        pulse.begin();
        // A mail a minute for a day.
        for n in 1..=24 * 60 {
            assert!(later(Duration::from_secs(60), n).await, "{n}");
        }
        let n = 24 * 60;
        assert!(later(STEP_MAX, n).await);
        assert!(!later(BUDGET, n).await);
        pulse.beat();
        assert!(later(SILENCE_MAX / 2, n).await);
        // What commands and readers do is no sign of life from a brain that should have had its turn.
        assert!(!later(SILENCE_MAX, n + 1).await);
    }
}
