//! `status`: on one screen, whether all is well, what was sent, what waits, what broke and what comes next.

mod words;

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::{Reply, freshness, json, moment};
use crate::{
    app::{App, AppError},
    delivery::attempt_in_words,
    model::{Ending, EntryState, RelayTrouble, SubscriberId, Suppression},
    roster::{CHUNK, Roster},
    run::Report,
    store::{DocumentKind, EntryFilter, Store, StoreError, documents, exports, recovery, relays},
};

/// How many of the latest runs are shown.
const RUNS_SHOWN: usize = 5;
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
    n_paused: usize,
    exported: Option<DateTime<Utc>>,
}

#[derive(Debug, Serialize)]
struct Coverage {
    keyword: String,
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
        words::of(&status, app.clock.now())
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
    let keywords = freshness::keywords(app).await?.into_iter().map(coverage_of).collect();
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
        n_paused: count_paused(store, &app.roster, now).await?,
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

/// How many of those who are configured get nothing for now, because the configuration, the operator or they said so.
async fn count_paused(store: &dyn Store, roster: &Roster, now: DateTime<Utc>) -> Result<usize, StoreError> {
    let mut n_paused = 0;
    for people in roster.people().chunks(CHUNK) {
        let ids: Vec<SubscriberId> = people.iter().map(|person| person.id.clone()).collect();
        let states = store.subscribers(&ids).await?;
        n_paused += people
            .iter()
            .zip(&states)
            .filter(|(person, state)| {
                person
                    .paused_until
                    .max(state.value.paused_until)
                    .is_some_and(|until| until > now)
            })
            .count();
    }
    Ok(n_paused)
}

/// Every trouble in a sentence; what has befallen many in the same way, in one.
fn troubles(status: &Status, gate_why: Option<&str>) -> Vec<String> {
    let mut troubles = Vec::new();
    let mut incomplete: BTreeMap<&str, Vec<(DateTime<Utc>, &str)>> = BTreeMap::new();
    for keyword in &status.keywords {
        if let Some(since) = keyword.incomplete_since {
            let why = keyword.why.as_deref().unwrap_or("");
            incomplete.entry(why).or_default().push((since, &keyword.keyword));
        }
    }
    for (why, keywords) in incomplete {
        let since = keywords
            .iter()
            .map(|(since, _)| *since)
            .min()
            .map_or_else(String::new, moment);
        troubles.push(match keywords.as_slice() {
            [(_, one)] => format!("{one} is incomplete since {since}: {why}"),
            [(_, one), others @ ..] => {
                format!(
                    "{one} and {} other keywords are incomplete since {since}: {why}",
                    others.len()
                )
            }
            [] => continue,
        });
    }
    let mut digests: BTreeMap<(&str, &str), Vec<&OnItsWay>> = BTreeMap::new();
    for entry in status.on_their_way.iter().filter(|entry| entry.n_attempts > 0) {
        let last = entry.last_outcome.as_deref().unwrap_or("being tried");
        digests.entry((entry.state, last)).or_default().push(entry);
    }
    for ((state, last), entries) in digests {
        let n_attempts = entries.iter().map(|entry| entry.n_attempts).max().unwrap_or_default();
        troubles.push(match entries.as_slice() {
            [one] => format!("digest {} is {state} after {n_attempts} attempts: {last}", one.digest),
            [one, others @ ..] => format!(
                "digest {} and {} others are {state} after up to {n_attempts} attempts: {last}",
                one.digest,
                others.len()
            ),
            [] => continue,
        });
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

fn coverage_of((keyword, freshness): (String, freshness::Freshness)) -> Coverage {
    Coverage {
        keyword,
        last_complete: freshness.last_complete,
        incomplete_since: freshness.incomplete_since,
        why: freshness.why,
        n_papers: freshness.n_papers,
        empty_answers: freshness.empty_answers,
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
