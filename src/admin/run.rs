//! `run`: one run now, from fetch to settled outcomes.

use std::{path::Path, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::{Reply, conclude, json};
use crate::{
    app::{App, AppError, Exit},
    delivery::{self, Delivered},
    model::{EntryState, OutboxEntry, Slot, SubscriberId},
    run::{self, Recorded, Report, SlotBook, Stages, claim},
    store::{self, Batch, DocumentKind, EntryFilter, EntryPages, StoreError, Versioned, documents},
};

/// A run gives mails that failed for a passing reason one more chance after this long.
const SECOND_CHANCE: Duration = Duration::from_secs(1);
/// How much longer than a claim holds a run waits for it, and how often it looks.
const CLAIM_MARGIN: Duration = Duration::from_secs(5);
const CLAIM_INTERVAL: Duration = Duration::from_millis(200);
/// How many reports are kept for `status`.
const REPORTS_KEPT: usize = 30;

pub(super) async fn command(
    app: &App,
    only_due: bool,
    dry_run_out: Option<&Path>,
    resume: bool,
    as_json: bool,
) -> Result<Reply, AppError> {
    if resume {
        app.run.fetcher.client().gate().resume().await?;
    }
    let report = match dry_run_out {
        Some(out) => dry_run(app, out).await?,
        None if only_due => run_due(app, &app.stop).await?,
        None => run_everyone(app, &app.stop).await?,
    };
    if dry_run_out.is_none() {
        conclude(app, report.is_complete()).await?;
    }
    let exit = if report.is_complete() {
        Exit::Done
    } else {
        Exit::Incomplete
    };
    let output = if as_json { json(&report)? } else { in_words(&report) };
    let problems = report
        .incomplete
        .iter()
        .map(|keyword| {
            format!(
                "incomplete: {} since {}: {}",
                keyword.keyword,
                keyword.since.format("%F %H:%M UTC"),
                keyword.why
            )
        })
        .collect();
    Ok(Reply { output, problems, exit })
}

/// One run for everyone who is not paused, whatever the schedules. It completes no scheduled slot.
pub async fn run_everyone(app: &App, stop: &CancellationToken) -> Result<Report, AppError> {
    let everyone: Vec<SubscriberId> = app.roster.people().iter().map(|person| person.id.clone()).collect();
    run_for(app, &everyone, None, stop).await
}

/// One run for those whose slot has come, for use from cron. Their slots are completed by it.
pub async fn run_due(app: &App, stop: &CancellationToken) -> Result<Report, AppError> {
    let now = app.clock.now();
    let mut slots = SlotBook::load(&*app.store).await?;
    let due: Vec<(SubscriberId, Slot)> = app
        .roster
        .people()
        .iter()
        .filter_map(|person| Some((person.id.clone(), slots.due(&person.schedule, now)?)))
        .collect();
    slots.save(&*app.store).await?;
    let people: Vec<SubscriberId> = due.iter().map(|(id, _)| id.clone()).collect();
    let slot = due.into_iter().map(|(_, slot)| slot).max_by_key(|slot| slot.at);
    let report = run_for(app, &people, slot, stop).await?;
    slots.complete(&*app.store).await?;
    Ok(report)
}

async fn run_for(
    app: &App,
    people: &[SubscriberId],
    slot: Option<Slot>,
    stop: &CancellationToken,
) -> Result<Report, AppError> {
    let _alone = app.run_lock.lock().await;
    let (store, worker, people_of) = (&*app.store, &app.delivery.worker, app.roster.fingerprint());
    take_claim(app, &people_of, stop).await?;
    let lost = stop.child_token();
    let run = run_alone(app, people, slot, &lost);
    let report = claim::keep(store, worker, &people_of, &lost, run).await;
    claim::give_back(store, worker).await?;
    report
}

/// Waits for the claim for as long as a dead worker may still hold it.
async fn take_claim(app: &App, people: &str, stop: &CancellationToken) -> Result<(), AppError> {
    let ttl = app
        .store
        .claim_ttl()
        .and_then(|ttl| ttl.to_std().ok())
        .unwrap_or_default();
    let began = Instant::now();
    while let Some(holder) = claim::claim(&*app.store, &app.delivery.worker, people).await? {
        if began.elapsed() > ttl + CLAIM_MARGIN {
            return Err(AppError::Busy(holder.worker));
        }
        tokio::select! {
            () = tokio::time::sleep(CLAIM_INTERVAL) => {}
            () = stop.cancelled() => return Err(AppError::Stopped),
        }
    }
    Ok(())
}

async fn run_alone(
    app: &App,
    people: &[SubscriberId],
    slot: Option<Slot>,
    stop: &CancellationToken,
) -> Result<Report, AppError> {
    let mut watch = Watch::start();
    let mut report = Report {
        slot,
        ..Report::default()
    };
    // The fetch may wait for arXiv for a long time; dropped, it loses nothing: what is not recorded is fetched again.
    let recorded = tokio::select! {
        recorded = run::fetch_and_record(&app.run, &app.roster, &mut report) => recorded?,
        () = stop.cancelled() => return Err(AppError::Stopped),
    };
    report.stages_ms.fetch = watch.lap_ms();
    run::assemble_and_enqueue(&app.run, &app.roster, people, &recorded, &mut report).await?;
    report.stages_ms.assemble = watch.lap_ms();
    let delivered = deliver(app, stop).await?;
    report.stages_ms.deliver = watch.lap_ms();
    account(app, &mut report, &delivered).await?;
    report.duration_ms = watch.all_ms();
    keep(app, &report).await?;
    log(&report);
    super::export::publish(app, &recorded.incomplete).await?;
    run::upkeep(&app.run).await?;
    Ok(report)
}

/// Tells how long a run and its stages took.
struct Watch {
    began: Instant,
    lap: Instant,
}

impl Watch {
    fn start() -> Self {
        let began = Instant::now();
        Self { began, lap: began }
    }

    /// Milliseconds since the lap before, or the start.
    fn lap_ms(&mut self) -> u64 {
        let now = Instant::now();
        milliseconds(now - std::mem::replace(&mut self.lap, now))
    }

    /// Milliseconds since the start.
    fn all_ms(&self) -> u64 {
        milliseconds(self.began.elapsed())
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// A fetch whose papers are recorded, for the slots that it serves.
#[derive(Debug)]
pub struct Fetch {
    /// What it left behind.
    pub recorded: Recorded,
    /// Its part of the report.
    pub report: Report,
    /// When it began.
    pub at: DateTime<Utc>,
    /// How long it took, by the machine's clock.
    pub duration: TimeDelta,
}

/// Fetches for everyone, and records.
pub async fn fetch(app: &App) -> Result<Fetch, StoreError> {
    let _alone = app.run_lock.lock().await;
    let mut watch = Watch::start();
    let at = app.clock.now();
    let mut report = Report::default();
    let recorded = run::fetch_and_record(&app.run, &app.roster, &mut report).await?;
    report.stages_ms.fetch = watch.lap_ms();
    report.duration_ms = watch.all_ms();
    keep(app, &report).await?;
    log(&report);
    run::upkeep(&app.run).await?;
    Ok(Fetch {
        recorded,
        report,
        at,
        duration: TimeDelta::from_std(watch.began.elapsed()).unwrap_or(TimeDelta::zero()),
    })
}

/// Assembles and sends the digests of the people whose slot has come. `None` if it was broken off before all of them
/// were assembled.
pub async fn serve_slots(
    app: &App,
    people: &[SubscriberId],
    slot: Option<Slot>,
    fetch: &Fetch,
    stop: &CancellationToken,
) -> Result<Option<Report>, StoreError> {
    let _alone = app.run_lock.lock().await;
    let mut watch = Watch::start();
    let mut report = Report {
        slot,
        fetched_at: Some(fetch.at),
        began: Some(app.clock.now()),
        duration_ms: 0,
        stages_ms: Stages::default(),
        ..fetch.report.clone()
    };
    // Each digest is enqueued by one write, so that it may be broken off between any two.
    tokio::select! {
        enqueued = run::assemble_and_enqueue(&app.run, &app.roster, people, &fetch.recorded, &mut report) => drop(enqueued?),
        () = stop.cancelled() => return Ok(None),
    }
    report.stages_ms.assemble = watch.lap_ms();
    let delivered = delivery::deliver(&app.delivery, app.clock.now(), stop).await?;
    report.stages_ms.deliver = watch.lap_ms();
    account(app, &mut report, &delivered).await?;
    report.duration_ms = watch.all_ms();
    keep(app, &report).await?;
    log(&report);
    super::export::publish(app, &fetch.recorded.incomplete).await?;
    Ok(Some(report))
}

/// Sends what is due, and once more what failed for a passing reason: a relay that dropped one connection
/// should not cost a day.
async fn deliver(app: &App, stop: &CancellationToken) -> Result<Delivered, StoreError> {
    let now = app.clock.now();
    let mut delivered = delivery::deliver(&app.delivery, now, stop).await?;
    if delivered.retrying + delivered.unconfirmed > 0 && !stop.is_cancelled() {
        tokio::time::sleep(SECOND_CHANCE).await;
        let again = delivery::deliver(&app.delivery, now + TimeDelta::days(6), stop).await?;
        delivered.accepted += again.accepted;
        delivered.failed += again.failed;
        delivered.stopped = again.stopped;
    }
    Ok(delivered)
}

/// Fills in the counts of digests: what ended in this run, and what is still on its way whoever queued it.
async fn account(app: &App, report: &mut Report, delivered: &Delivered) -> Result<(), StoreError> {
    let (mut n_active, mut n_unconfirmed) = (0, 0);
    let active = EntryFilter {
        active_only: true,
        ..EntryFilter::default()
    };
    let mut pages = EntryPages::new(&*app.store, active);
    while let Some(page) = pages.next().await? {
        let is_unconfirmed = |entry: &OutboxEntry| entry.n_unconfirmed > 0 || entry.state == EntryState::Held;
        n_active += page.len();
        n_unconfirmed += page.iter().filter(|entry| is_unconfirmed(&entry.value)).count();
    }
    report.accepted = delivered.accepted;
    report.failed = delivered.failed;
    report.unconfirmed = n_unconfirmed;
    report.retrying = n_active - n_unconfirmed;
    report.queued = report.accepted + report.failed + report.unconfirmed + report.retrying;
    if let Some(why) = &delivered.stopped {
        tracing::error!(why, "sending stopped early; the rest goes later");
    }
    Ok(())
}

/// Counts the run, and keeps its report among the latest for `status`.
async fn keep(app: &App, report: &Report) -> Result<(), StoreError> {
    app.metrics
        .run_ended(report.is_complete(), Duration::from_millis(report.duration_ms));
    match try_keep(app, report).await {
        // Another worker has thrown away the same old ones.
        Err(StoreError::Conflict(_)) => try_keep(app, report).await,
        done => done,
    }
}

async fn try_keep(app: &App, report: &Report) -> Result<(), StoreError> {
    let kept = documents::load_all::<Report>(&*app.store, DocumentKind::Run).await?;
    let key = report.began.map_or_else(String::new, |began| {
        began.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
    });
    let revision = kept
        .iter()
        .find(|(other, _)| *other == key)
        .map_or(0, |(_, document)| document.revision);
    let written = Versioned {
        value: report.clone(),
        revision,
    };
    let mut batch = Batch {
        documents: vec![documents::to_write(DocumentKind::Run, &key, &written)?],
        ..Batch::default()
    };
    let n_surplus = kept.len().saturating_sub(REPORTS_KEPT);
    for (key, old) in kept.into_iter().take(n_surplus) {
        batch.documents.push(Versioned {
            value: crate::store::Document {
                kind: DocumentKind::Run,
                key,
                value: None,
            },
            revision: old.revision,
        });
    }
    app.store.commit(batch).await
}

/// The one line that accounts for everything.
fn log(report: &Report) {
    tracing::info!(
        run.slot = report.slot.as_ref().map(ToString::to_string),
        run.fetched_at = report
            .fetched_at
            .map(|at| at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true)),
        fetched = report.fetched,
        new = report.new,
        known = report.known,
        rejected = report.rejected,
        matched = report.matched,
        excluded = report.excluded,
        already_seen = report.already_seen,
        queued = report.queued,
        accepted = report.accepted,
        failed = report.failed,
        unconfirmed = report.unconfirmed,
        retrying = report.retrying,
        waiting = report.waiting,
        incomplete = report.incomplete.len(),
        silence = report.silence.map(|silence| silence.in_words("the fetch before")),
        requests = report.requests,
        duration_ms = report.duration_ms,
        fetch_ms = report.stages_ms.fetch,
        assemble_ms = report.stages_ms.assemble,
        deliver_ms = report.stages_ms.deliver,
        "run ended"
    );
}

fn in_words(report: &Report) -> String {
    let mut words = format!(
        "{} papers fetched ({} new, {} known, {} unreadable); {} matches recorded, {} excluded, {} sent before or on their way\n\
         {} digests: {} accepted, {} failed, {} unconfirmed, {} retrying; {} papers wait for a later digest\n",
        report.fetched,
        report.new,
        report.known,
        report.rejected,
        report.matched,
        report.excluded,
        report.already_seen,
        report.queued,
        report.accepted,
        report.failed,
        report.unconfirmed,
        report.retrying,
        report.waiting,
    );
    if let Some(silence) = report.silence {
        words.push_str(&format!("nothing new: {}\n", silence.in_words("the fetch before")));
    }
    for found in report.found_alone() {
        words.push_str(&format!("{found}\n"));
    }
    if !report.incomplete.is_empty() {
        words.push_str(&format!(
            "{} keywords incomplete; nothing is lost, the next run goes on\n",
            report.incomplete.len()
        ));
    }
    words
}

/// Renders everyone's digest into `out` on a copy of the state, and sends nothing.
async fn dry_run(app: &App, out: &Path) -> Result<Report, AppError> {
    let mut report = Report::default();
    let recorded = run::fetch_and_record(&app.run, &app.roster, &mut report).await?;
    let everyone: Vec<SubscriberId> = app.roster.people().iter().map(|person| person.id.clone()).collect();
    let enqueued = run::assemble_and_enqueue(&app.run, &app.roster, &everyone, &recorded, &mut report).await?;
    std::fs::create_dir_all(out).map_err(|error| AppError::Usage(format!("{}: {error}", out.display())))?;
    for digest in &enqueued {
        let Some(entry) = app.store.entry(&digest.id).await? else {
            continue;
        };
        let papers = store::papers_of(&*app.store, &entry.value.digest).await?;
        let composed = app
            .delivery
            .composer
            .compose(&entry.value.digest, &entry.value.message_id, &papers)
            .map_err(anyhow::Error::new)?;
        let name = file_name(&digest.id.subscriber);
        for (extension, bytes) in [
            ("eml", composed.bytes),
            ("html", composed.html.to_string().into_bytes()),
            ("txt", composed.text.to_string().into_bytes()),
        ] {
            let path = out.join(format!("{name}.{extension}"));
            std::fs::write(&path, bytes).map_err(|error| AppError::Usage(format!("{}: {error}", path.display())))?;
        }
    }
    report.queued = enqueued.len();
    Ok(report)
}

/// A subscriber's name as a file name: what is not a letter, a digit or one of `.-_@+` becomes `_`.
fn file_name(id: &SubscriberId) -> String {
    let safe = |c: char| {
        if c.is_ascii_alphanumeric() || ".-_@+".contains(c) {
            c
        } else {
            '_'
        }
    };
    let name: String = id.0.chars().map(safe).take(100).collect();
    if name.starts_with('.') {
        format!("_{name}")
    } else {
        name
    }
}
