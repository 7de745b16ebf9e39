//! What subscribers do by themselves through the links in their mails: leave, take that back, pause.
//!
//! Whoever left is not mailed from the answer on. Leaving writes the suppression first and then looks for messages in
//! hand; a delivery notes that it begins a message first and then looks for suppressions. So one of the two always sees
//! the other: either the message is not begun, or leaving waits for what becomes of it before it answers.

use std::{collections::BTreeSet, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};

use crate::{
    app::App,
    metrics,
    model::{EntryState, OutboxEntry, Suppression, SuppressionReason},
    roster::{self, Person, masked, suppression_key},
    store::{Batch, Document, DocumentKind, EntryFilter, Store, StoreError, Versioned, documents},
};

/// How long leaving waits for a message that is being handed over; the answer says so if that is not enough.
const IN_HAND_MAX: Duration = Duration::from_secs(8);
/// How often it looks.
const LOOK: Duration = Duration::from_millis(50);
/// How often a decision that somebody else overtook is made again.
const CONFLICTS_MAX: usize = 20;

/// How things stand for a subscriber.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Why their address is not mailed, if it is not.
    pub suppressed: Option<SuppressionReason>,
    /// Until when they are paused, if they are.
    pub paused_until: Option<DateTime<Utc>>,
    /// Whether the configuration asks for that pause: then they cannot end it.
    pub is_pause_configured: bool,
    /// Whether a message was being handed over when they left and its outcome is not known yet.
    pub is_in_hand: bool,
}

/// How things stand for `person` now.
pub async fn standing(app: &App, person: &Person) -> Result<Standing, StoreError> {
    let now = app.clock.now();
    let key = suppression_key(&person.address);
    let suppression: Versioned<Option<Suppression>> =
        documents::load(&*app.store, DocumentKind::Suppression, &key).await?;
    let states = app.store.subscribers(std::slice::from_ref(&person.id)).await?;
    let own = states.first().and_then(|state| state.value.paused_until);
    let later = own.max(person.paused_until).filter(|until| *until > now);
    Ok(Standing {
        suppressed: suppression.value.map(|suppression| suppression.reason),
        paused_until: later,
        is_pause_configured: later.is_some() && later == person.paused_until,
        is_in_hand: false,
    })
}

/// Stops all mail to `person`. In force when this returns; doing it twice changes nothing.
pub async fn leave(app: &App, person: &Person) -> Result<Standing, StoreError> {
    let mut is_new = false;
    for address in addresses(app, person).await? {
        is_new |= suppress(&*app.store, &address, app.clock.now()).await?;
    }
    if is_new {
        app.metrics.reader_did(metrics::Reader::Leave);
        tracing::warn!(
            subscriber.id = masked(&person.id),
            reason = "unsubscribed",
            "a subscriber has left; `paperround suppression remove` undoes it"
        );
    }
    let is_in_hand = !put_down(app, person).await?;
    Ok(Standing {
        is_in_hand,
        ..standing(app, person).await?
    })
}

/// Takes [`leave`] back. What others decided about the address (the operator, bounces, a complaint) stays.
pub async fn undo(app: &App, person: &Person) -> Result<Standing, StoreError> {
    let mut is_new = false;
    for address in addresses(app, person).await? {
        is_new |= lift(&*app.store, &address).await?;
    }
    if is_new {
        app.metrics.reader_did(metrics::Reader::Undo);
        tracing::info!(subscriber.id = masked(&person.id), "a subscriber has come back");
    }
    standing(app, person).await
}

/// Lets what matches wait for that long.
pub async fn pause(app: &App, person: &Person, length: TimeDelta) -> Result<Standing, StoreError> {
    let until = app.clock.now() + length;
    roster::update(&*app.store, std::slice::from_ref(&person.id), |state| {
        state.value.paused_until.replace(until) != Some(until)
    })
    .await?;
    app.metrics.reader_did(metrics::Reader::Pause);
    tracing::info!(subscriber.id = masked(&person.id), %until, "a subscriber has paused");
    standing(app, person).await
}

/// Ends a pause, except one that the configuration asks for.
pub async fn resume(app: &App, person: &Person) -> Result<Standing, StoreError> {
    let mut is_new = false;
    roster::update(&*app.store, std::slice::from_ref(&person.id), |state| {
        is_new = state.value.paused_until.take().is_some();
        is_new
    })
    .await?;
    if is_new {
        app.metrics.reader_did(metrics::Reader::Resume);
        tracing::info!(subscriber.id = masked(&person.id), "a subscriber has ended the pause");
    }
    standing(app, person).await
}

/// The address that is configured now, and those to which digests are on their way.
async fn addresses(app: &App, person: &Person) -> Result<BTreeSet<String>, StoreError> {
    let active = active(app, person).await?;
    let all = active.iter().map(|entry| entry.digest.address.as_str());
    Ok(all.chain([person.address.as_str()]).map(suppression_key).collect())
}

async fn active(app: &App, person: &Person) -> Result<Vec<OutboxEntry>, StoreError> {
    let filter = EntryFilter {
        subscriber: Some(person.id.clone()),
        active_only: true,
        ..EntryFilter::default()
    };
    let entries = app.store.entries(&filter).await?;
    Ok(entries.into_iter().map(|entry| entry.value).collect())
}

/// Waits until no message to the subscriber is being handed over; `false` if one still is after [`IN_HAND_MAX`].
async fn put_down(app: &App, person: &Person) -> Result<bool, StoreError> {
    let began = tokio::time::Instant::now();
    loop {
        let is_in_hand = |entry: &OutboxEntry| matches!(&entry.state, EntryState::Leased(lease) if lease.data_begun);
        if !active(app, person).await?.iter().any(is_in_hand) {
            return Ok(true);
        }
        if began.elapsed() >= IN_HAND_MAX {
            return Ok(false);
        }
        tokio::time::sleep(LOOK).await;
    }
}

/// Suppresses an address as one that has left. Bounces give way to that, since their end must not mail the reader again; what the operator
/// or a complaint said stays. Returns whether anything changed.
async fn suppress(store: &dyn Store, address: &str, now: DateTime<Utc>) -> Result<bool, StoreError> {
    change(store, address, |stored| match stored.map(|stored| stored.reason) {
        Some(SuppressionReason::Unsubscribed | SuppressionReason::Operator | SuppressionReason::Complaint) => None,
        Some(SuppressionReason::HardBounce | SuppressionReason::SoftBounces) | None => Some(Some(Suppression {
            address: address.to_owned(),
            reason: SuppressionReason::Unsubscribed,
            evidence: "asked through the link in a mail".to_owned(),
            since: now,
        })),
    })
    .await
}

async fn lift(store: &dyn Store, address: &str) -> Result<bool, StoreError> {
    change(store, address, |stored| {
        stored
            .is_some_and(|stored| stored.reason == SuppressionReason::Unsubscribed)
            .then_some(None)
    })
    .await
}

/// Changes what is stored of an address to what `decide` says; `None` leaves it. Returns whether anything changed.
async fn change(
    store: &dyn Store,
    address: &str,
    decide: impl Fn(Option<&Suppression>) -> Option<Option<Suppression>>,
) -> Result<bool, StoreError> {
    for _ in 0..CONFLICTS_MAX {
        let stored: Versioned<Option<Suppression>> = documents::load(store, DocumentKind::Suppression, address).await?;
        let Some(decided) = decide(stored.value.as_ref()) else {
            return Ok(false);
        };
        let document = match decided {
            Some(value) => {
                let revision = stored.revision;
                documents::to_write(DocumentKind::Suppression, address, &Versioned { value, revision })?
            }
            None => Versioned {
                value: Document {
                    kind: DocumentKind::Suppression,
                    key: address.to_owned(),
                    value: None,
                },
                revision: stored.revision,
            },
        };
        let batch = Batch {
            documents: vec![document],
            ..Batch::default()
        };
        match store.commit(batch).await {
            Err(StoreError::Conflict(_)) => {}
            Err(error) => return Err(error),
            Ok(()) => return Ok(true),
        }
    }
    Err(StoreError::Conflict("a suppression".to_owned()))
}
