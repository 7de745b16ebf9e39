//! `status`: on one screen, whether all is well, what was sent, what waits, what broke and what comes next.

use std::{collections::BTreeMap, fmt::Write as _};

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use serde::Serialize;

use super::{Reply, json, moment};
use crate::{
    app::{App, AppError},
    delivery::attempt_in_words,
    model::{Ending, EntryState, KeywordCoverage, RelayTrouble, SubscriberId, Suppression},
    run::Report,
    store::{DocumentKind, EntryFilter, documents, exports, recovery, relays},
};

/// How many of the latest runs are shown.
const RUNS_SHOWN: usize = 5;
/// How many digests on their way are listed one by one.
const ENTRIES_SHOWN: usize = 10;
/// For how long a recovery of the state is shown.
const RECOVERY_SHOWN: TimeDelta = TimeDelta::days(14);

#[derive(Debug, Serialize)]
struct Status {
    well: bool,
    troubles: Vec<String>,
    runs: Vec<Report>,
    keywords: Vec<Coverage>,
    outbox: BTreeMap<&'static str, usize>,
    on_their_way: Vec<OnItsWay>,
    /// Subscribers whose latest digest is over without having been accepted.
    not_delivered: Vec<NotDelivered>,
    /// Where there are several.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    relays: Vec<RelayStatus>,
    suppressions: Vec<Suppression>,
    arxiv_paused_until: Option<DateTime<Utc>>,
    next_slots: Vec<(String, DateTime<Utc>)>,
    n_subscribers: usize,
    exported: Option<DateTime<Utc>>,
}

#[derive(Debug, Serialize)]
struct Coverage {
    query: String,
    last_complete: Option<DateTime<Utc>>,
    incomplete_since: Option<DateTime<Utc>>,
    why: Option<String>,
    n_papers: usize,
    empty_answers: u32,
}

#[derive(Debug, Serialize)]
struct NotDelivered {
    digest: String,
    state: &'static str,
    how: Ending,
    at: DateTime<Utc>,
    last_outcome: Option<String>,
}

#[derive(Debug, Serialize)]
struct RelayStatus {
    name: String,
    /// `None`: it takes mail, as far as is known.
    trouble: Option<RelayTrouble>,
}

#[derive(Debug, Serialize)]
struct OnItsWay {
    digest: String,
    n_papers: usize,
    state: &'static str,
    n_attempts: u32,
    next_attempt: DateTime<Utc>,
    last_outcome: Option<String>,
}

pub(super) async fn command(app: &App, as_json: bool) -> Result<Reply, AppError> {
    let status = gather(app).await?;
    Ok(Reply::done(if as_json {
        json(&status)?
    } else {
        words(&status, app.clock.now())
    }))
}

async fn gather(app: &App) -> Result<Status, AppError> {
    let store = &*app.store;
    let now = app.clock.now();
    let mut runs: Vec<Report> = documents::load_all::<Report>(store, DocumentKind::Run)
        .await?
        .into_iter()
        .map(|(_, run)| run.value)
        .collect();
    runs.drain(..runs.len().saturating_sub(RUNS_SHOWN));
    runs.reverse();
    let keywords: Vec<Coverage> = documents::load_all::<KeywordCoverage>(store, DocumentKind::Coverage)
        .await?
        .into_iter()
        .map(|(key, coverage)| coverage_of(&key, coverage.value))
        .collect();
    let entries = store
        .entries(&EntryFilter {
            subscriber: None,
            active_only: false,
        })
        .await?;
    let mut outbox = BTreeMap::new();
    let mut on_their_way = Vec::new();
    // Entries come by subscriber and number: the latest is the last.
    let mut not_delivered: BTreeMap<SubscriberId, NotDelivered> = BTreeMap::new();
    for entry in entries {
        let state = state_name(&entry.value.state);
        *outbox.entry(state).or_insert(0) += 1;
        let id = &entry.value.digest.id;
        not_delivered.remove(&id.subscriber);
        if let EntryState::Ended { at, how } = entry.value.state {
            let ended = NotDelivered {
                digest: id.to_string(),
                state,
                how,
                at,
                last_outcome: entry.value.attempts.last().map(attempt_in_words),
            };
            not_delivered.insert(id.subscriber.clone(), ended);
        }
        if entry.value.is_active() {
            on_their_way.push(OnItsWay {
                digest: entry.value.digest.id.to_string(),
                n_papers: entry.value.digest.papers().count(),
                state,
                n_attempts: entry.value.n_attempts,
                next_attempt: entry.value.next_attempt,
                last_outcome: entry.value.attempts.last().map(attempt_in_words),
            });
        }
    }
    let suppressions = documents::load_all::<Suppression>(store, DocumentKind::Suppression)
        .await?
        .into_iter()
        .map(|(_, s)| s.value)
        .collect();
    let known = relays::troubles(store).await?;
    let names = app.delivery.transport.names();
    let relays = names.into_iter().map(|name| RelayStatus {
        trouble: known.get(&name).cloned(),
        name,
    });
    let relays: Vec<RelayStatus> = relays.collect();
    let gate = app.run.fetcher.client().gate().state().await?.value;
    let mut slots = BTreeMap::new();
    for person in app.roster.people() {
        slots
            .entry(person.schedule.next_after(now))
            .or_insert_with(|| format!("{} {}", person.schedule.text(), person.schedule.zone()));
    }
    let latest = exports::latest(store).await?;
    let mut status = Status {
        well: true,
        troubles: Vec::new(),
        runs,
        keywords,
        outbox,
        on_their_way,
        not_delivered: not_delivered.into_values().collect(),
        relays: if relays.len() > 1 { relays } else { Vec::new() },
        suppressions,
        arxiv_paused_until: gate.paused_until.filter(|until| *until > now),
        next_slots: slots.into_iter().take(3).map(|(at, text)| (text, at)).collect(),
        n_subscribers: app.roster.people().len(),
        exported: latest.at,
    };
    status.troubles = troubles(&status, gate.why.as_deref());
    status.troubles.extend(gate.clock_trouble());
    let recovery = recovery::latest(store).await?.value;
    let recent = recovery.filter(|recovery| now - recovery.at < RECOVERY_SHOWN);
    status
        .troubles
        .extend(recent.map(|recovery| format!("at {} {}", moment(recovery.at), recovery.in_words())));
    if let Some((since, why)) = latest.failing {
        status
            .troubles
            .push(format!("no export of the state since {}: {why}", moment(since)));
    }
    status.well = status.troubles.is_empty();
    Ok(status)
}

fn troubles(status: &Status, gate_why: Option<&str>) -> Vec<String> {
    let mut troubles = Vec::new();
    for keyword in status
        .keywords
        .iter()
        .filter(|keyword| keyword.incomplete_since.is_some())
    {
        let since = keyword.incomplete_since.map_or_else(String::new, moment);
        troubles.push(format!(
            "{} is incomplete since {since}: {}",
            keyword.query,
            keyword.why.as_deref().unwrap_or("")
        ));
    }
    for entry in status.on_their_way.iter().filter(|entry| entry.n_attempts > 0) {
        let last = entry.last_outcome.as_deref().unwrap_or("being tried");
        troubles.push(format!(
            "digest {} is {} after {} attempts: {last}",
            entry.digest, entry.state, entry.n_attempts
        ));
    }
    for (relay, trouble) in failing(&status.relays) {
        troubles.push(format!(
            "the relay {relay} takes no mail since {}: {}",
            moment(trouble.since),
            trouble.why
        ));
    }
    if let Some(until) = status.arxiv_paused_until {
        troubles.push(format!(
            "no requests to arXiv until {}: {}",
            moment(until),
            gate_why.unwrap_or("")
        ));
    }
    troubles
}

/// The relays in trouble.
fn failing(relays: &[RelayStatus]) -> impl Iterator<Item = (&str, &RelayTrouble)> {
    relays
        .iter()
        .filter_map(|relay| Some((relay.name.as_str(), relay.trouble.as_ref()?)))
}

fn coverage_of(key: &str, coverage: KeywordCoverage) -> Coverage {
    Coverage {
        query: key.rsplit_once(' ').map_or(key, |(query, _)| query).to_owned(),
        last_complete: coverage.last_complete,
        incomplete_since: coverage.incomplete_since,
        why: coverage.why,
        n_papers: coverage.window.len(),
        empty_answers: coverage.empty_answers,
    }
}

fn state_name(state: &EntryState) -> &'static str {
    match state {
        EntryState::Due => "due",
        EntryState::Leased(_) => "being sent",
        EntryState::Held => "held",
        EntryState::Accepted { .. } => "accepted",
        EntryState::Ended { .. } => "ended",
    }
}

/// What an end means for the papers.
fn how_in_words(how: Ending) -> &'static str {
    match how {
        Ending::Returned => "refused, its papers wait for the next; since",
        Ending::Split => "refused, its papers come in two smaller ones; since",
        Ending::Undeliverable => "given up with its papers",
        Ending::Cancelled => "cancelled",
    }
}

fn words(status: &Status, now: DateTime<Utc>) -> String {
    let mut text = String::new();
    let mut line = |words: std::fmt::Arguments<'_>| {
        // Writing to a string cannot fail.
        let _infallible = writeln!(text, "{words}");
    };
    if status.well {
        line(format_args!(
            "All is well at {}; {} subscribers.",
            moment(now),
            status.n_subscribers
        ));
    } else {
        line(format_args!(
            "Not all is well at {}; {} subscribers.",
            moment(now),
            status.n_subscribers
        ));
        for trouble in &status.troubles {
            line(format_args!("  ! {trouble}"));
        }
    }
    line(format_args!("\nLatest runs"));
    if status.runs.is_empty() {
        line(format_args!("  none yet"));
    }
    for run in &status.runs {
        line(format_args!(
            "  {}  {}; {} of {} keywords complete; {} fetched, {} new; {} matched, {} already sent, {} excluded; {} digests \
             queued, {} accepted, {} failed, {} unconfirmed, {} retrying; {} waiting{}{}",
            run.began.map_or_else(String::new, moment),
            announcements(run),
            run.keywords.saturating_sub(run.incomplete.len()),
            run.keywords,
            run.fetched,
            run.new,
            run.matched,
            run.already_seen,
            run.excluded,
            run.queued,
            run.accepted,
            run.failed,
            run.unconfirmed,
            run.retrying,
            run.waiting,
            run.silence.map_or_else(String::new, |silence| format!(
                "; {}",
                silence.in_words("the fetch before")
            )),
            run.found_alone()
                .iter()
                .map(|found| format!("; {found}"))
                .collect::<String>(),
        ));
    }
    line(format_args!("\nSearches"));
    for keyword in &status.keywords {
        let last = keyword
            .last_complete
            .map_or_else(|| "never complete".to_owned(), |at| format!("complete {}", moment(at)));
        line(format_args!(
            "  {last}, {} papers in the window  {}",
            keyword.n_papers, keyword.query
        ));
    }
    let outbox: Vec<String> = status.outbox.iter().map(|(state, n)| format!("{n} {state}")).collect();
    line(format_args!(
        "\nOutbox: {}",
        if outbox.is_empty() {
            "empty".to_owned()
        } else {
            outbox.join(", ")
        }
    ));
    for entry in status.on_their_way.iter().take(ENTRIES_SHOWN) {
        line(format_args!(
            "  {}  {} papers, {}, {} attempts, next {}  {}",
            entry.digest,
            entry.n_papers,
            entry.state,
            entry.n_attempts,
            moment(entry.next_attempt),
            entry.last_outcome.as_deref().unwrap_or("")
        ));
    }
    if !status.not_delivered.is_empty() {
        line(format_args!("\nSubscribers whose latest digest was not accepted"));
    }
    for ended in status.not_delivered.iter().take(ENTRIES_SHOWN) {
        line(format_args!(
            "  {}  {} {}  {}",
            ended.digest,
            how_in_words(ended.how),
            moment(ended.at),
            ended.last_outcome.as_deref().unwrap_or("")
        ));
    }
    if status.not_delivered.len() > ENTRIES_SHOWN {
        line(format_args!(
            "  and {} more",
            status.not_delivered.len() - ENTRIES_SHOWN
        ));
    }
    if !status.relays.is_empty() {
        line(format_args!("\nRelays, in the order in which they are tried"));
        for relay in &status.relays {
            let state = match &relay.trouble {
                None => "takes mail, as far as is known".to_owned(),
                Some(trouble) => match trouble.rests_until.filter(|until| *until > now) {
                    Some(until) => format!("at rest until {}", moment(until)),
                    None => "tried again with the next mail".to_owned(),
                },
            };
            line(format_args!("  {}  {state}", relay.name));
        }
    }
    if !status.suppressions.is_empty() {
        line(format_args!("\nSuppressed addresses"));
        for suppression in &status.suppressions {
            line(format_args!(
                "  {}  {:?} since {}: {}",
                suppression.address,
                suppression.reason,
                moment(suppression.since),
                suppression.evidence
            ));
        }
    }
    line(format_args!(
        "\nLatest export of the state: {}",
        status.exported.map_or_else(|| "none yet".to_owned(), moment)
    ));
    line(format_args!("\nNext slots"));
    for (schedule, at) in &status.next_slots {
        line(format_args!("  {}  ({schedule})", moment(*at)));
    }
    text
}

/// Which announcements a run covers, in words.
fn announcements(run: &Report) -> String {
    let evening = |day: &NaiveDate| day.format("%a %-d %b").to_string();
    match run.announcements.as_slice() {
        [] => "no new announcement".to_owned(),
        [one] => format!("announcement of {}", evening(one)),
        [first, .., last] => format!("announcements of {} to {}", evening(first), evening(last)),
    }
}
