//! `subscriber`: who subscribes, and pausing, resuming and forgetting them.

use std::{collections::BTreeSet, fmt::Write as _};

use chrono::{DateTime, NaiveDate, Utc};
use serde::Serialize;

use super::{Reply, json, moment, suppression};
use crate::{
    app::AppError,
    model::{SubscriberId, SuppressionReason},
    roster::{self, CHUNK, Roster, suppression_key},
    store::{Batch, EntryFilter, Store},
};

#[derive(Debug, Serialize)]
struct Listed {
    subscriber: SubscriberId,
    address: Option<String>,
    n_keywords: usize,
    schedule: Option<String>,
    n_pending: usize,
    n_queued: usize,
    n_seen: usize,
    latest_digest: u32,
    paused_until: Option<DateTime<Utc>>,
    suppressed: Option<SuppressionReason>,
    is_configured: bool,
}

pub(super) async fn list(
    store: &dyn Store,
    roster: &Roster,
    now: DateTime<Utc>,
    as_json: bool,
) -> Result<Reply, AppError> {
    let suppressed = roster::suppressions(store).await?;
    let mut ids: BTreeSet<SubscriberId> = store.subscriber_ids().await?.into_iter().collect();
    ids.extend(roster.people().iter().map(|person| person.id.clone()));
    let ids: Vec<SubscriberId> = ids.into_iter().collect();
    let mut listed = Vec::new();
    for chunk in ids.chunks(CHUNK) {
        for state in store.subscribers(chunk).await? {
            let state = state.value;
            let person = roster.get(&state.id);
            let configured_pause = person.and_then(|person| person.paused_until);
            listed.push(Listed {
                address: person.map(|person| person.address.clone()),
                n_keywords: person.map_or(0, |person| person.keywords.len()),
                schedule: person.map(|person| format!("{} {}", person.schedule.text(), person.schedule.zone())),
                n_pending: state.pending.len(),
                n_queued: state.queued.len(),
                n_seen: state.seen.len(),
                latest_digest: state.latest_digest,
                paused_until: state.paused_until.max(configured_pause).filter(|until| *until > now),
                suppressed: person
                    .and_then(|person| suppressed.get(&suppression_key(&person.address)))
                    .map(|suppression| suppression.reason),
                is_configured: person.is_some(),
                subscriber: state.id,
            });
        }
    }
    if as_json {
        return Ok(Reply::done(json(&listed)?));
    }
    let mut text = String::new();
    for one in &listed {
        // Writing to a string cannot fail.
        let _infallible = write_words(&mut text, one);
    }
    Ok(Reply::done(text))
}

fn write_words(text: &mut String, one: &Listed) -> std::fmt::Result {
    write!(text, "{}", one.subscriber)?;
    if let Some(address) = one.address.as_ref().filter(|address| ***address != *one.subscriber.0) {
        write!(text, " <{address}>")?;
    }
    if let Some(schedule) = &one.schedule {
        write!(text, "  {} keywords, {schedule}", one.n_keywords)?;
    } else {
        text.push_str("  not configured any more");
    }
    write!(
        text,
        "; {} pending, {} queued, {} seen, {} digests",
        one.n_pending, one.n_queued, one.n_seen, one.latest_digest
    )?;
    if let Some(until) = one.paused_until {
        write!(text, "; paused {}", pause_in_words(until))?;
    }
    if let Some(reason) = one.suppressed {
        write!(text, "; suppressed: {}", suppression::in_words(reason))?;
    }
    writeln!(text)
}

/// The end of a pause that has none.
fn never() -> DateTime<Utc> {
    NaiveDate::from_ymd_opt(9999, 1, 1).map_or(DateTime::<Utc>::MAX_UTC, |day| {
        day.and_time(chrono::NaiveTime::MIN).and_utc()
    })
}

pub(super) fn pause_in_words(until: DateTime<Utc>) -> String {
    if until >= never() {
        "until `subscriber resume`".to_owned()
    } else {
        format!("until {}", moment(until))
    }
}

pub(super) async fn pause(
    store: &dyn Store,
    roster: &Roster,
    name: &str,
    until: Option<DateTime<Utc>>,
    now: DateTime<Utc>,
) -> Result<Reply, AppError> {
    let id = configured(roster, name)?;
    let until = until.unwrap_or_else(never);
    if until <= now {
        return Err(AppError::Usage(format!("--until {} is over", moment(until))));
    }
    roster::update(store, std::slice::from_ref(&id), |state| {
        state.value.paused_until.replace(until) != Some(until)
    })
    .await?;
    Ok(Reply::done(format!(
        "{id} is paused {}; what matches waits\n",
        pause_in_words(until)
    )))
}

pub(super) async fn resume(
    store: &dyn Store,
    roster: &Roster,
    name: &str,
    now: DateTime<Utc>,
) -> Result<Reply, AppError> {
    let id = configured(roster, name)?;
    roster::update(store, std::slice::from_ref(&id), |state| {
        state.value.paused_until.take().is_some()
    })
    .await?;
    let configured_pause = roster.get(&id).and_then(|person| person.paused_until);
    Ok(Reply::done(match configured_pause.filter(|until| *until > now) {
        Some(until) => format!(
            "{id} stays paused until {}: paused_until in the configuration says so\n",
            moment(until)
        ),
        None => format!("{id} gets what waited with the next digest\n"),
    }))
}

pub(super) async fn forget(store: &dyn Store, roster: &Roster, name: &str) -> Result<Reply, AppError> {
    if let Some(person) = roster.find(name) {
        return Err(AppError::Usage(format!(
            "{} is configured; take it out of the configuration first",
            person.id
        )));
    }
    let id = SubscriberId(name.into());
    if !store.subscriber_ids().await?.contains(&id) {
        return Err(AppError::Usage(format!(
            "{name:?} is not known; `subscriber list` shows who is"
        )));
    }
    let entries = store
        .entries(&EntryFilter {
            subscriber: Some(id.clone()),
            ..EntryFilter::default()
        })
        .await?;
    let n_entries = entries.len();
    store
        .commit(Batch {
            entries_deleted: entries.into_iter().map(|entry| entry.value.digest.id).collect(),
            subscribers_deleted: vec![id.clone()],
            ..Batch::default()
        })
        .await?;
    Ok(Reply::done(format!(
        "{id} and {n_entries} digests are forgotten; a suppression of the address stays until `suppression remove`\n"
    )))
}

fn configured(roster: &Roster, name: &str) -> Result<SubscriberId, AppError> {
    roster
        .find(name)
        .map(|person| person.id.clone())
        .ok_or_else(|| AppError::Usage(format!("{name:?} is no subscriber; `subscriber list` shows them")))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        admin::fixture::{at, entry, person, put},
        store::memory::MemoryStore,
    };

    #[tokio::test]
    async fn a_pause_is_kept_shown_and_ended() {
        let store = MemoryStore::new();
        let (entry, state) = entry("ana", &[7, 8]);
        put(&store, entry, state).await;
        let roster = Roster::new(vec![person("ana"), person("bo")]);
        pause(&store, &roster, "ana@example.net", None, at(2)).await.unwrap();
        pause(&store, &roster, "bo", Some(at(9)), at(2)).await.unwrap();
        assert!(pause(&store, &roster, "bo", Some(at(1)), at(2)).await.is_err());
        let text = list(&store, &roster, at(3), false).await.unwrap().output;
        assert_eq!(
            text,
            "ana <ana@example.net>  1 keywords, 0 7 * * * UTC; 0 pending, 2 queued, 0 seen, 1 digests; paused until \
             `subscriber resume`\nbo <bo@example.net>  1 keywords, 0 7 * * * UTC; 0 pending, 0 queued, 0 seen, 0 \
             digests; paused until 2026-02-09 07:00 UTC\n"
        );
        for name in ["ana", "bo"] {
            resume(&store, &roster, name, at(3)).await.unwrap();
        }
        let text = list(&store, &roster, at(3), false).await.unwrap().output;
        assert!(!text.contains("paused"), "{text}");
        assert!(resume(&store, &roster, "cy", at(3)).await.is_err());
    }

    #[tokio::test]
    async fn only_who_is_not_configured_is_forgotten() {
        let store = MemoryStore::new();
        let (entry, state) = entry("ana", &[7]);
        put(&store, entry, state).await;
        assert!(forget(&store, &Roster::new(vec![person("ana")]), "ana").await.is_err());
        let nobody = Roster::new(Vec::new());
        forget(&store, &nobody, "ana").await.unwrap();
        assert!(store.subscriber_ids().await.unwrap().is_empty());
        assert!(store.entries(&EntryFilter::default()).await.unwrap().is_empty());
        assert!(forget(&store, &nobody, "ana").await.is_err());
    }
}
