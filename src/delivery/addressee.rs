//! Whether somebody still wants a digest, and what happens to it where nobody does.

use chrono::{DateTime, Utc};

use super::{CONFLICTS_MAX, Context, conclude::overtaken};
use crate::{
    metrics,
    model::{DigestId, DigestRecord, Ending, EntryState, OutboxEntry, Settled, SubscriberState},
    roster,
    store::{Batch, DocumentKind, EntryFilter, EntryPages, StoreError, Versioned},
};

/// Whether a digest may still go.
pub(super) enum Addressee {
    /// To somebody in this state.
    Wanted(Box<Versioned<SubscriberState>>),
    /// No, and why.
    Cancelled(&'static str),
}

pub(super) async fn look_at(ctx: &Context, digest: &DigestRecord) -> Result<Addressee, StoreError> {
    let key = roster::suppression_key(&digest.address);
    let (suppression, state) = tokio::try_join!(
        ctx.store.document(DocumentKind::Suppression, &key),
        subscriber(ctx, &digest.id),
    )?;
    let is_paused = state.value.paused_until.is_some_and(|until| until > ctx.clock.now());
    Ok(if suppression.value.value.is_some() {
        Addressee::Cancelled("the address is suppressed")
    } else if state.value.absent {
        Addressee::Cancelled("the subscriber is no longer configured")
    } else if is_paused {
        Addressee::Cancelled("the subscriber is paused")
    } else {
        Addressee::Wanted(Box::new(state))
    })
}

/// Ends at once what waits for its next attempt although its subscriber has left, is paused or suppressed: until that
/// attempt it would count as on its way. What is due by `horizon` is looked at when it is tried.
///
/// # Errors
/// Those of the store.
pub async fn cancel_unwanted(ctx: &Context, horizon: DateTime<Utc>) -> Result<usize, StoreError> {
    let later = EntryFilter {
        active_only: true,
        due_after: Some(horizon),
        ..EntryFilter::default()
    };
    let mut n_cancelled = 0;
    let mut pages = EntryPages::new(&*ctx.store, later);
    while let Some(page) = pages.next().await? {
        for entry in page {
            // What is leased is in somebody's hands.
            if entry.value.state != EntryState::Due {
                continue;
            }
            let Addressee::Cancelled(why) = look_at(ctx, &entry.value.digest).await? else {
                continue;
            };
            match cancel(ctx, entry, why).await {
                // Somebody has taken it to send it and looks for himself.
                Err(StoreError::Conflict(_)) => {}
                done => {
                    done?;
                    n_cancelled += 1;
                }
            }
        }
    }
    Ok(n_cancelled)
}

/// Ends a digest that must not go any more. Its papers return to pending, unless somebody may have them.
pub(super) async fn cancel(ctx: &Context, entry: Versioned<OutboxEntry>, why: &str) -> Result<(), StoreError> {
    let now = ctx.clock.now();
    let (id, revision) = (entry.value.digest.id.clone(), entry.revision);
    for _ in 0..CONFLICTS_MAX {
        let mut entry = entry.clone();
        let mut state = subscriber(ctx, &entry.value.digest.id).await?;
        let number = entry.value.digest.id.number;
        if entry.value.n_unconfirmed == 0 {
            state.value.give_back(number);
        } else {
            state.value.end(number, Settled::Undeliverable);
        }
        entry.value.state = EntryState::Ended {
            at: now,
            how: Ending::Cancelled,
        };
        match ctx
            .store
            .commit(Batch {
                entries: vec![entry],
                subscribers: vec![state],
                ..Batch::default()
            })
            .await
        {
            Err(StoreError::Conflict(_)) => {
                let present = ctx.store.entry(&id).await?;
                if present.is_none_or(|present| present.revision != revision) {
                    overtaken(&id);
                    return Ok(());
                }
            }
            Err(error) => return Err(error),
            Ok(()) => {
                ctx.metrics.attempted(metrics::Attempt::Cancelled);
                tracing::info!(digest.id = number, why, "digest cancelled");
                return Ok(());
            }
        }
    }
    Err(StoreError::Conflict(format!("digest {}", entry.value.digest.id.number)))
}

pub(super) async fn subscriber(ctx: &Context, id: &DigestId) -> Result<Versioned<SubscriberState>, StoreError> {
    let mut states = ctx.store.subscribers(std::slice::from_ref(&id.subscriber)).await?;
    Ok(states
        .pop()
        .unwrap_or_else(|| Versioned::new(SubscriberState::new(id.subscriber.clone()))))
}
