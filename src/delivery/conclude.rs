//! Writes what came of an attempt, as long as the digest is still this worker's.

use super::{
    CONFLICTS_MAX, Context, Settlement,
    addressee::subscriber,
    halves::halves,
    settle::{attempt_in_words, settle},
};
use crate::{
    model::{Attempt, DigestId, EntryState, OutboxEntry, Outcome, SubscriberState, Suppression},
    roster::{self, masked},
    store::{Batch, Document, DocumentKind, StoreError, Versioned, documents},
};

/// Writes the outcome: entry, subscriber and, on evidence, a suppression in one batch. `None` if the digest is another
/// worker's by now, and the outcome with it.
pub(super) async fn conclude(
    ctx: &Context,
    own: Versioned<OutboxEntry>,
    state: Versioned<SubscriberState>,
    attempt: &Attempt,
) -> Result<Option<Settlement>, StoreError> {
    let outcome = &attempt.outcome;
    let now = ctx.clock.now();
    let (mut entry, mut state) = (own, Some(state));
    for _ in 0..CONFLICTS_MAX {
        let former = entry.clone();
        let mut state = match state.take() {
            Some(state) => state,
            None => subscriber(ctx, &entry.value.digest.id).await?,
        };
        let (settlement, suppression) = settle(&mut entry.value, &mut state.value, attempt, ctx.settings.policy, now);
        let mut batch = Batch::default();
        if settlement == Settlement::Split {
            batch.entries.extend(halves(ctx, &entry.value, &mut state.value, now));
        }
        if let Some(suppression) = &suppression {
            batch.documents.push(suppress(ctx, suppression).await?);
        }
        let written = entry.value.clone();
        batch.entries.push(entry);
        batch.subscribers.push(state);
        // The disk is waited for before the next message's text goes out, and by then this is on it: a power cut leaves
        // at most one message of each courier in doubt, as it would if this waited too.
        match ctx.store.commit_soon(batch).await {
            Err(StoreError::Conflict(_)) => match still_ours(ctx, former, outcome).await? {
                Some(present) => entry = present,
                None => return Ok(None),
            },
            Err(error) => return Err(error),
            Ok(()) => {
                log(&written, attempt, &settlement, suppression.as_ref());
                return Ok(Some(settlement));
            }
        }
    }
    Err(StoreError::Conflict(format!("digest {}", entry.value.digest.id.number)))
}

/// The entry on which an outcome is to be settled after a conflict: as it was, if only the subscriber's state has
/// changed. If the lease has run out meanwhile, the relay's word that it took the mail still counts, as long as nobody
/// else has begun to send it: written now, it keeps them from it.
async fn still_ours(
    ctx: &Context,
    own: Versioned<OutboxEntry>,
    outcome: &Outcome,
) -> Result<Option<Versioned<OutboxEntry>>, StoreError> {
    let id = &own.value.digest.id;
    let Some(present) = ctx.store.entry(id).await? else {
        overtaken(id);
        return Ok(None);
    };
    if present.revision == own.revision {
        return Ok(Some(own));
    }
    let is_untouched = match &present.value.state {
        EntryState::Due | EntryState::Held => true,
        EntryState::Leased(lease) => !lease.data_begun,
        EntryState::Accepted { .. } | EntryState::Ended { .. } => false,
    };
    if is_untouched && matches!(outcome, Outcome::Accepted { .. }) {
        return Ok(Some(present));
    }
    overtaken(id);
    Ok(None)
}

/// Says that a digest is not this worker's any more.
pub(super) fn overtaken(id: &DigestId) {
    tracing::warn!(
        subscriber.id = masked(&id.subscriber),
        digest.id = id.number,
        "the lease on a digest ran out, and another worker or command has it now; this one leaves it to them"
    );
}

/// Writes an entry that this worker has leased, unless it is another's by now.
pub(super) async fn unless_overtaken(ctx: &Context, entry: Versioned<OutboxEntry>) -> Result<(), StoreError> {
    let id = entry.value.digest.id.clone();
    let batch = Batch {
        entries: vec![entry],
        ..Batch::default()
    };
    match ctx.store.commit(batch).await {
        Err(StoreError::Conflict(_)) => {
            overtaken(&id);
            Ok(())
        }
        done => done,
    }
}

/// The document that suppresses an address; one that is suppressed already keeps its first reason.
async fn suppress(ctx: &Context, suppression: &Suppression) -> Result<Versioned<Document>, StoreError> {
    let key = roster::suppression_key(&suppression.address);
    let stored: Versioned<Option<Suppression>> = documents::load(&*ctx.store, DocumentKind::Suppression, &key).await?;
    let value = stored.value.unwrap_or_else(|| suppression.clone());
    documents::to_write(
        DocumentKind::Suppression,
        &key,
        &Versioned {
            value,
            revision: stored.revision,
        },
    )
}

fn log(entry: &OutboxEntry, attempt: &Attempt, settlement: &Settlement, suppression: Option<&Suppression>) {
    let (subscriber, digest) = (masked(&entry.digest.id.subscriber), entry.digest.id.number);
    let (attempt, words) = (entry.n_attempts, attempt_in_words(attempt));
    match settlement {
        Settlement::Accepted => tracing::info!(
            subscriber.id = subscriber,
            digest.id = digest,
            delivery.attempt = attempt,
            delivery.outcome = words,
            n_papers = entry.digest.papers().count(),
            "digest accepted by the relay"
        ),
        Settlement::Retrying | Settlement::Unconfirmed { held: false } => tracing::warn!(
            subscriber.id = subscriber, digest.id = digest, delivery.attempt = attempt, delivery.outcome = words,
            next_attempt = %entry.next_attempt, "digest not accepted; it is tried again"
        ),
        Settlement::Unconfirmed { held: true } => tracing::error!(
            subscriber.id = subscriber,
            digest.id = digest,
            delivery.attempt = attempt,
            delivery.outcome = words,
            "digest held: the relay may have it; decide with `paperround outbox retry` or `outbox drop`"
        ),
        Settlement::Returned | Settlement::Split => tracing::warn!(
            subscriber.id = subscriber,
            digest.id = digest,
            delivery.attempt = attempt,
            delivery.outcome = words,
            "digest refused; its papers come in the next"
        ),
        Settlement::Undeliverable => tracing::error!(
            subscriber.id = subscriber,
            digest.id = digest,
            delivery.attempt = attempt,
            delivery.outcome = words,
            "digest undeliverable; `paperround why` names its papers"
        ),
    }
    if let Some(suppression) = suppression {
        tracing::error!(
            subscriber.id = subscriber,
            evidence = suppression.evidence,
            "address suppressed; `paperround suppression remove` undoes it"
        );
    }
}
