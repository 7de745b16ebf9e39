//! `outbox` and `resend`: digests on their way, and what the operator decides about them.

use std::fmt::Write as _;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{Reply, json, moment};
use crate::{
    app::AppError,
    delivery::attempt_in_words,
    model::{DigestId, Ending, EntryState, OutboxEntry, Queued, Settled, SubscriberState},
    store::{Batch, EntryFilter, EntryPages, Store, StoreError},
};

/// How often a decision that somebody else overtook is made again.
const CONFLICTS_MAX: usize = 20;

#[derive(Debug, Serialize)]
struct Listed {
    digest: DigestId,
    state: &'static str,
    n_papers: usize,
    n_attempts: u32,
    n_unconfirmed: u32,
    next_attempt: Option<DateTime<Utc>>,
    last_outcome: Option<String>,
}

pub(super) async fn list(store: &dyn Store, all: bool, as_json: bool) -> Result<Reply, AppError> {
    let filter = EntryFilter {
        active_only: !all,
        ..EntryFilter::default()
    };
    let mut all_listed = Vec::new();
    let mut pages = EntryPages::new(store, filter);
    while let Some(page) = pages.next().await? {
        all_listed.extend(page.iter().map(|entry| listed(&entry.value)));
    }
    if as_json {
        return Ok(Reply::done(json(&all_listed)?));
    }
    let mut text = String::new();
    for entry in &all_listed {
        let next = entry
            .next_attempt
            .map_or_else(String::new, |at| format!(", next {}", moment(at)));
        // Writing to a string cannot fail.
        let _infallible = writeln!(
            text,
            "{}  {}, {} papers, {} attempts{next}  {}",
            entry.digest,
            entry.state,
            entry.n_papers,
            entry.n_attempts,
            entry.last_outcome.as_deref().unwrap_or_default()
        );
    }
    if all_listed.is_empty() {
        text.push_str(if all {
            "the outbox is empty\n"
        } else {
            "nothing is on its way\n"
        });
    }
    Ok(Reply::done(text))
}

pub(super) async fn show(store: &dyn Store, digest: &str, as_json: bool) -> Result<Reply, AppError> {
    let id = parse(digest)?;
    let entry = store.entry(&id).await?.ok_or_else(|| unknown(&id))?.value;
    if as_json {
        return Ok(Reply::done(json(&entry)?));
    }
    let mut text = format!(
        "{id}  {}\nto {}, frozen {}\n{}\n",
        state_name(&entry.state),
        entry.digest.address,
        moment(entry.digest.frozen_at),
        entry.message_id
    );
    match &entry.state {
        EntryState::Accepted { at, reply } => {
            let _infallible = writeln!(text, "accepted {} with: {reply}", moment(*at));
        }
        EntryState::Ended { at, .. } => {
            let _infallible = writeln!(text, "ended {}", moment(*at));
        }
        EntryState::Held => {
            text.push_str("the relay may have it; `outbox retry` sends it again, `outbox drop` does not\n");
        }
        EntryState::Due | EntryState::Leased(_) => {
            let _infallible = writeln!(text, "next attempt {}", moment(entry.next_attempt));
        }
    }
    for attempt in &entry.attempts {
        let _infallible = writeln!(text, "  {}  {}", moment(attempt.at), attempt_in_words(attempt));
    }
    for section in &entry.digest.sections {
        let keyword = entry.digest.keywords.get(usize::from(section.keyword));
        let _infallible = writeln!(text, "{}", keyword.map_or("", |(heading, _)| heading));
        for paper in &section.papers {
            let _infallible = writeln!(text, "  {}v{}", paper.id, paper.version);
        }
    }
    Ok(Reply::done(text))
}

pub(super) async fn retry(store: &dyn Store, digest: &str, now: DateTime<Utc>) -> Result<Reply, AppError> {
    change(store, digest, |entry, _| release(entry, now)).await
}

pub(super) async fn drop(store: &dyn Store, digest: &str, now: DateTime<Utc>) -> Result<Reply, AppError> {
    change(store, digest, |entry, state| give_up(entry, state, now)).await
}

pub(super) async fn resend(store: &dyn Store, digest: &str, now: DateTime<Utc>) -> Result<Reply, AppError> {
    change(store, digest, |entry, state| again(entry, state, now)).await
}

/// Due now, whatever its next attempt was to be. The answer, or why not, in words.
fn release(entry: &mut OutboxEntry, now: DateTime<Utc>) -> Result<String, String> {
    match entry.state {
        EntryState::Due | EntryState::Held => {
            let was_held = entry.state == EntryState::Held;
            entry.is_released |= entry.n_unconfirmed > 0;
            entry.state = EntryState::Due;
            entry.next_attempt = now;
            Ok(if was_held {
                "is due now, under the same Message-ID; if the relay had it, its reader may see it twice".to_owned()
            } else {
                "is due now".to_owned()
            })
        }
        EntryState::Leased(_) => Err("is being sent just now".to_owned()),
        EntryState::Accepted { .. } => Err("was accepted; `resend` sends it once more".to_owned()),
        EntryState::Ended { .. } => Err("is over; `outbox show` says how".to_owned()),
    }
}

/// Over, and never sent again. Its papers come in the next digest, unless somebody may have them.
fn give_up(entry: &mut OutboxEntry, state: &mut SubscriberState, now: DateTime<Utc>) -> Result<String, String> {
    match entry.state {
        EntryState::Due | EntryState::Held => {}
        EntryState::Leased(_) => return Err("is being sent just now".to_owned()),
        EntryState::Accepted { .. } | EntryState::Ended { .. } => return Err("is over already".to_owned()),
    }
    let number = entry.digest.id.number;
    entry.state = EntryState::Ended {
        at: now,
        how: Ending::Cancelled,
    };
    Ok(if entry.n_unconfirmed == 0 {
        let n_papers = state.give_back(number);
        format!("is dropped; its {n_papers} papers come in the next digest")
    } else {
        let n_papers = state.end(number, Settled::Undeliverable);
        format!("is dropped; the relay may have it, so its {n_papers} papers do not come again")
    })
}

/// Sends a digest that is over once more, under the same Message-ID.
fn again(entry: &mut OutboxEntry, state: &mut SubscriberState, now: DateTime<Utc>) -> Result<String, String> {
    if entry.is_active() {
        return Err("is still on its way; `outbox retry` sends it now".to_owned());
    }
    if let EntryState::Ended { .. } = entry.state {
        let number = entry.digest.id.number;
        let ids: Vec<_> = entry.digest.papers().map(|paper| paper.id.clone()).collect();
        let is_elsewhere = ids.iter().any(|id| {
            state.pending.contains_key(id)
                || state.queued.contains_key(id)
                || state.seen.get(id).is_some_and(|other| *other != number)
        });
        if is_elsewhere {
            return Err("is over and its papers come or came in another digest".to_owned());
        }
        for id in ids {
            if state.settled.get(&id) == Some(&Settled::Undeliverable) {
                state.settled.remove(&id);
                let queued = Queued {
                    digest: number,
                    since: entry.digest.frozen_at,
                };
                state.queued.insert(id, queued);
            }
        }
    }
    entry.state = EntryState::Due;
    entry.next_attempt = now;
    entry.is_released = true;
    Ok("is due again, under the same Message-ID".to_owned())
}

/// Decides about one digest; its entry and its subscriber's state are written together.
async fn change(
    store: &dyn Store,
    digest: &str,
    mut decide: impl FnMut(&mut OutboxEntry, &mut SubscriberState) -> Result<String, String>,
) -> Result<Reply, AppError> {
    let id = parse(digest)?;
    for _ in 0..CONFLICTS_MAX {
        let mut entry = store.entry(&id).await?.ok_or_else(|| unknown(&id))?;
        let mut states = store.subscribers(std::slice::from_ref(&id.subscriber)).await?;
        let Some(state) = states.first_mut() else {
            return Err(unknown(&id));
        };
        let words =
            decide(&mut entry.value, &mut state.value).map_err(|why| AppError::Usage(format!("digest {id} {why}")))?;
        let batch = Batch {
            entries: vec![entry],
            subscribers: states,
            ..Batch::default()
        };
        match store.commit(batch).await {
            Err(StoreError::Conflict(_)) => {}
            Err(error) => return Err(error.into()),
            Ok(()) => return Ok(Reply::done(format!("digest {id} {words}\n"))),
        }
    }
    Err(StoreError::Conflict(format!("digest {id}")).into())
}

fn parse(digest: &str) -> Result<DigestId, AppError> {
    digest.parse().map_err(AppError::Usage)
}

fn unknown(id: &DigestId) -> AppError {
    AppError::Usage(format!(
        "there is no digest {id}; `outbox list --all` shows those that are kept"
    ))
}

fn listed(entry: &OutboxEntry) -> Listed {
    Listed {
        digest: entry.digest.id.clone(),
        state: state_name(&entry.state),
        n_papers: entry.digest.papers().count(),
        n_attempts: entry.n_attempts,
        n_unconfirmed: entry.n_unconfirmed,
        next_attempt: entry.due_at(),
        last_outcome: entry.attempts.last().map(attempt_in_words),
    }
}

fn state_name(state: &EntryState) -> &'static str {
    match state {
        EntryState::Due => "due",
        EntryState::Leased(_) => "being sent",
        EntryState::Held => "held",
        EntryState::Accepted { .. } => "accepted",
        EntryState::Ended { how, .. } => match how {
            Ending::Returned => "returned",
            Ending::Split => "split",
            Ending::Undeliverable => "undeliverable",
            Ending::Cancelled => "cancelled",
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        admin::fixture::{at, entry, put},
        model::{Attempt, Outcome},
        store::memory::MemoryStore,
    };

    async fn stored(store: &dyn Store) -> (OutboxEntry, SubscriberState) {
        let entry = store.entry(&"ana#1".parse().unwrap()).await.unwrap().unwrap().value;
        let id = entry.digest.id.subscriber.clone();
        (entry, store.subscribers(&[id]).await.unwrap().remove(0).value)
    }

    #[tokio::test]
    async fn a_dropped_digest_gives_its_papers_back_unless_somebody_may_have_them() {
        for (n_unconfirmed, n_pending, n_settled) in [(0, 2, 0), (1, 0, 2)] {
            let store = MemoryStore::new();
            let (mut entry, state) = entry("ana", &[7, 8]);
            for _ in 0..n_unconfirmed {
                entry.push_attempt(Attempt {
                    at: at(1),
                    outcome: Outcome::Unconfirmed { reply: "gone".into() },
                    relay: None,
                });
                entry.state = EntryState::Held;
            }
            put(&store, entry, state).await;
            drop(&store, "ana#1", at(2)).await.unwrap();
            let (entry, state) = stored(&store).await;
            assert_eq!((state.pending.len(), state.settled.len()), (n_pending, n_settled));
            assert!(!entry.is_active() && state.queued.is_empty());
            let refused = drop(&store, "ana#1", at(2)).await.unwrap_err().to_string();
            assert!(refused.contains("over already"), "{refused}");
        }
    }

    #[tokio::test]
    async fn a_held_digest_is_released_under_the_same_message_id() {
        let store = MemoryStore::new();
        let (mut entry, state) = entry("ana", &[7]);
        entry.state = EntryState::Held;
        entry.n_unconfirmed = 3;
        let message_id = entry.message_id.clone();
        put(&store, entry, state).await;
        let list = list(&store, false, false).await.unwrap().output;
        assert!(list.starts_with("ana#1  held, 1 papers"), "{list}");
        retry(&store, "ana#1", at(3)).await.unwrap();
        let (entry, state) = stored(&store).await;
        assert_eq!((&entry.state, entry.next_attempt), (&EntryState::Due, at(3)));
        assert!(entry.is_released && entry.message_id == message_id && state.queued.len() == 1);
        let shown = show(&store, "ana#1", false).await.unwrap().output;
        assert!(shown.contains("2602.00007v1") && shown.contains(&message_id), "{shown}");
    }

    #[tokio::test]
    async fn what_was_accepted_or_undeliverable_can_be_sent_again_and_what_returned_cannot() {
        let check = async |state_of_entry: EntryState, settle: fn(&mut SubscriberState), can: bool, n_queued: usize| {
            let store = MemoryStore::new();
            let (mut entry, mut state) = entry("ana", &[7, 8]);
            entry.state = state_of_entry;
            settle(&mut state);
            put(&store, entry, state).await;
            let result = resend(&store, "ana#1", at(4)).await;
            assert_eq!(result.is_ok(), can, "{result:?}");
            let (entry, state) = stored(&store).await;
            assert_eq!((entry.is_active(), state.queued.len()), (can, n_queued));
        };
        let ended = |how| EntryState::Ended { at: at(3), how };
        let accepted = EntryState::Accepted {
            at: at(3),
            reply: "250".into(),
        };
        check(accepted, |state| drop_count(state.accept(1)), true, 0).await;
        let undeliverable: fn(&mut SubscriberState) = |state| drop_count(state.end(1, Settled::Undeliverable));
        check(ended(Ending::Undeliverable), undeliverable, true, 2).await;
        check(
            ended(Ending::Returned),
            |state| drop_count(state.give_back(1)),
            false,
            0,
        )
        .await;
    }

    fn drop_count(n: usize) {
        assert_eq!(n, 2);
    }

    #[tokio::test]
    async fn a_digest_that_is_not_there_is_named() {
        let store = MemoryStore::new();
        for digest in ["ana#9", "ana"] {
            let error = retry(&store, digest, at(1)).await.unwrap_err();
            assert_eq!(error.exit().code(), 2);
            assert!(error.to_string().contains("ana"), "{error}");
        }
        assert_eq!(list(&store, false, true).await.unwrap().output, "[]\n");
    }
}
