//! `status`: on one screen, whether all is well, what was sent, what waits, what broke and what comes next.

mod troubles;
mod words;

use std::collections::{BTreeMap, BTreeSet};

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;

use super::{Reply, freshness, json, moment};
use crate::{
    app::{App, AppError},
    delivery::attempt_in_words,
    model::{Ending, EntryState, OutboxEntry, RelayTrouble, Slot, SubscriberId, Suppression, WorkerId},
    roster::{CHUNK, Roster, suppression_key},
    run::{Report, SlotBook, claim},
    schedule::GRACE,
    standing::Daemon,
    store::{
        DocumentKind, EntryFilter, EntryPages, Store, StoreError, Versioned, documents, exports, recovery, relays,
    },
};

/// How many of the latest runs are shown.
const RUNS_SHOWN: usize = 5;
/// For how long a recovery of the state is shown.
const RECOVERY_SHOWN: TimeDelta = TimeDelta::days(14);

#[derive(Debug, Serialize)]
struct Status {
    well: bool,
    /// What is wrong with the service as a whole, in a few words.
    #[serde(skip_serializing_if = "Option::is_none")]
    headline: Option<&'static str>,
    troubles: Vec<String>,
    /// The daemon that answers; `None` where none runs here.
    daemon: Option<Daemon>,
    /// Who makes the runs, where several workers share the state.
    #[serde(skip_serializing_if = "Option::is_none")]
    runs_made_by: Option<WorkerId>,
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
    /// Of each schedule the next one, the soonest first.
    next_slots: Vec<NextSlot>,
    /// Of each schedule the first one that came and was not served within ten minutes.
    unserved: Vec<Slot>,
    n_subscribers: usize,
    paused: Vec<Paused>,
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
struct NextSlot {
    #[serde(flatten)]
    slot: Slot,
    n_subscribers: usize,
}

#[derive(Debug, Serialize)]
struct Paused {
    subscriber: SubscriberId,
    until: DateTime<Utc>,
}

#[derive(Debug, Serialize)]
struct NotDelivered {
    digest: String,
    state: &'static str,
    how: Ending,
    at: DateTime<Utc>,
    last_outcome: Option<String>,
    #[serde(skip)]
    address: String,
    /// Whether its reader is still to get mail, so that somebody should look why there was none.
    #[serde(skip)]
    is_missed: bool,
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
    /// Whether an attempt has failed, and not only that a relay is just taking it.
    is_failing: bool,
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
    let mut outbox = BTreeMap::new();
    let mut on_their_way = Vec::new();
    // Entries come by subscriber and number: the latest is the last.
    let mut not_delivered: BTreeMap<SubscriberId, NotDelivered> = BTreeMap::new();
    let mut pages = EntryPages::new(store, EntryFilter::default());
    while let Some(page) = pages.next().await? {
        for Versioned { value: entry, .. } in page {
            let state = state_name(&entry.state);
            *outbox.entry(state).or_insert(0) += 1;
            let id = &entry.digest.id;
            not_delivered.remove(&id.subscriber);
            if let EntryState::Ended { at, how } = entry.state {
                let ended = NotDelivered {
                    digest: id.to_string(),
                    state,
                    how,
                    at,
                    last_outcome: entry.attempts.last().map(attempt_in_words),
                    address: suppression_key(&entry.digest.address),
                    is_missed: false,
                };
                not_delivered.insert(id.subscriber.clone(), ended);
            }
            if entry.is_active() {
                on_their_way.push(OnItsWay {
                    digest: entry.digest.id.to_string(),
                    n_papers: entry.digest.papers().count(),
                    state,
                    n_attempts: entry.n_attempts,
                    next_attempt: entry.next_attempt,
                    last_outcome: entry.attempts.last().map(attempt_in_words),
                    is_failing: is_failing(&entry),
                });
            }
        }
    }
    let suppressions: Vec<Suppression> = documents::load_all::<Suppression>(store, DocumentKind::Suppression)
        .await?
        .into_iter()
        .map(|(_, s)| s.value)
        .collect();
    let suppressed: BTreeSet<&str> = suppressions.iter().map(|one| one.address.as_str()).collect();
    for (id, ended) in &mut not_delivered {
        ended.is_missed = ended.how != Ending::Cancelled
            && app.roster.get(id).is_some()
            && !suppressed.contains(ended.address.as_str());
    }
    let known = relays::troubles(store).await?;
    let names = app.delivery.transport.names();
    let relays = names.into_iter().map(|name| RelayStatus {
        trouble: known.get(&name).cloned(),
        name,
    });
    let relays: Vec<RelayStatus> = relays.collect();
    let gate = app.run.fetcher.client().gate().state().await?.value;
    let (next_slots, unserved) = slots(&SlotBook::load(store).await?, &app.roster, now);
    let latest = exports::latest(store).await?;
    let mut status = Status {
        well: true,
        headline: None,
        daemon: app.standing.daemon(),
        runs_made_by: claim::holder(store).await?,
        troubles: Vec::new(),
        runs,
        keywords,
        outbox,
        on_their_way,
        not_delivered: not_delivered.into_values().collect(),
        relays: if relays.len() > 1 { relays } else { Vec::new() },
        suppressions,
        arxiv_paused_until: gate.paused_until.filter(|until| *until > now),
        next_slots,
        unserved,
        n_subscribers: app.roster.people().len(),
        paused: paused(store, &app.roster, now).await?,
        exported: latest.at,
    };
    let of_service = troubles::of_service(&status);
    status.headline = of_service.first().map(|(headline, _)| *headline);
    let of_work = troubles::of_work(&status, gate.why.as_deref());
    status.troubles = of_service.into_iter().map(|(_, words)| words).chain(of_work).collect();
    status.troubles.extend(gate.clock_trouble());
    let standstill = freshness::standstill(app).await?;
    status
        .troubles
        .extend(standstill.map(|standstill| format!("since {}: {}", moment(standstill.since), standstill.in_words())));
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

/// Those who are configured and get nothing for now, because the configuration, the operator or they said so.
async fn paused(store: &dyn Store, roster: &Roster, now: DateTime<Utc>) -> Result<Vec<Paused>, StoreError> {
    let mut paused = Vec::new();
    for people in roster.people().chunks(CHUNK) {
        let ids: Vec<SubscriberId> = people.iter().map(|person| person.id.clone()).collect();
        let states = store.subscribers(&ids).await?;
        paused.extend(people.iter().zip(&states).filter_map(|(person, state)| {
            let until = person.paused_until.max(state.value.paused_until)?;
            (until > now).then(|| Paused {
                subscriber: person.id.clone(),
                until,
            })
        }));
    }
    Ok(paused)
}

/// When each schedule comes next, the soonest first, and which have slots that came and were not served in time.
fn slots(book: &SlotBook, roster: &Roster, now: DateTime<Utc>) -> (Vec<NextSlot>, Vec<Slot>) {
    let schedules = roster.schedules();
    let next = schedules.iter().map(|(schedule, n_subscribers)| NextSlot {
        slot: schedule.slot(schedule.next_after(now)),
        n_subscribers: *n_subscribers,
    });
    let mut next: Vec<NextSlot> = next.collect();
    next.sort_by_key(|next| next.slot.at);
    let unserved = schedules.iter().filter_map(|(schedule, _)| {
        let at = book.unserved(schedule, now)?;
        (now - at > GRACE).then(|| schedule.slot(at))
    });
    (next, unserved.collect())
}

/// Whether an attempt has ended without success: the first one may be under way, also through a second relay.
fn is_failing(entry: &OutboxEntry) -> bool {
    let is_first = matches!(entry.state, EntryState::Leased(_)) && entry.n_attempts <= 1;
    !entry.attempts.is_empty() && !is_first
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
