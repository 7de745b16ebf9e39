//! One attempt at one digest, from its mail to the settled outcome.

use std::sync::atomic::Ordering;

use tokio::sync::Mutex;

use super::{
    Context, Courier, LEASE_TTL, Settlement, Turn,
    addressee::{Addressee, cancel, look_at},
    conclude::{conclude, overtaken},
    prepare::Prepared,
    settle::{in_words, is_relay_trouble},
};
use crate::{
    metrics,
    model::{Attempt, OutboxEntry, Outcome, Stage, SubscriberState},
    store::{Batch, StoreError, Versioned},
};

/// Why a message is not sent, at the last moment before it would be.
enum Halt {
    Cancelled(&'static str),
    Store(StoreError),
}

impl From<StoreError> for Halt {
    fn from(error: StoreError) -> Self {
        Self::Store(error)
    }
}

/// One attempt at one digest, from its mail to the settled outcome.
pub(super) async fn attempt(
    ctx: &Context,
    courier: &mut Courier<'_>,
    prepared: Prepared,
    turn: &Turn,
) -> Result<(), StoreError> {
    let Prepared { entry, state, mail } = prepared;
    let id = entry.value.digest.id.clone();
    let handed_over = match mail {
        Ok(bytes) => hand_over(ctx, courier, turn, entry, state, &bytes).await?,
        Err(error) => {
            let reply = format!("it could not be made: {error}");
            let outcome = Outcome::PermanentMessage {
                stage: Stage::Body,
                reply,
            };
            ctx.metrics.attempted(counted(&outcome));
            let attempt = Attempt {
                at: ctx.clock.now(),
                outcome,
                relay: None,
            };
            HandedOver::Tried(Box::new((entry, state, attempt)))
        }
    };
    let (entry, state, attempt) = match handed_over {
        HandedOver::Tried(tried) => *tried,
        HandedOver::Cancelled(entry, why) => return cancel(ctx, *entry, why).await,
        HandedOver::Overtaken => {
            overtaken(&id);
            return Ok(());
        }
    };
    let Some(settlement) = conclude(ctx, entry, state, &attempt).await? else {
        return Ok(());
    };
    let mut delivered = turn.delivered.lock().await;
    match settlement {
        Settlement::Accepted => delivered.accepted += 1,
        Settlement::Retrying => delivered.retrying += 1,
        Settlement::Unconfirmed { .. } => delivered.unconfirmed += 1,
        Settlement::Returned | Settlement::Split | Settlement::Undeliverable => delivered.failed += 1,
    }
    Ok(())
}

/// How far a message came.
enum HandedOver {
    /// What the last attempt came to; with the entry and the subscriber's state as they are by then.
    Tried(Box<(Versioned<OutboxEntry>, Versioned<SubscriberState>, Attempt)>),
    /// It must not go any more.
    Cancelled(Box<Versioned<OutboxEntry>>, &'static str),
    /// Another worker has it.
    Overtaken,
}

/// Hands a message to the first relay that is not at rest, and to the next if that one fails for all mails: one after
/// the other, under one lease. What the one before came to is on the disk before the next is dialled.
async fn hand_over(
    ctx: &Context,
    courier: &mut Courier<'_>,
    turn: &Turn,
    entry: Versioned<OutboxEntry>,
    state: Versioned<SubscriberState>,
    bytes: &[u8],
) -> Result<HandedOver, StoreError> {
    let (digest, message_id) = (entry.value.digest.clone(), entry.value.message_id.clone());
    // The store hands the entry on: what is committed before DATA has a newer revision.
    let slot = Mutex::new(entry);
    let fresh = Mutex::new(state);
    let mut relay = turn.failover.choose(0, ctx.clock.now()).await.unwrap_or(0);
    loop {
        let at = ctx.clock.now();
        let before_data = async {
            let mut entry = slot.lock().await;
            entry.value.begin_data();
            ctx.store
                .commit(Batch {
                    entries: vec![entry.clone()],
                    ..Batch::default()
                })
                .await?;
            entry.revision += 1;
            // Asked again after that is written. Whoever suppresses an address writes first and then looks for
            // messages in hand: so either it is seen here, or the message is seen there.
            match look_at(ctx, &entry.value.digest).await? {
                Addressee::Cancelled(why) => Err(Halt::Cancelled(why)),
                Addressee::Wanted(state) => {
                    *fresh.lock().await = *state;
                    Ok(())
                }
            }
        };
        let sent = courier
            .send(relay, &digest, &message_id, &ctx.composer.keys, bytes, before_data)
            .await;
        let outcome = match sent {
            Ok(outcome) => outcome,
            Err(Halt::Cancelled(why)) => return Ok(HandedOver::Cancelled(Box::new(slot.into_inner()), why)),
            Err(Halt::Store(StoreError::Conflict(_))) => return Ok(HandedOver::Overtaken),
            Err(Halt::Store(error)) => return Err(error),
        };
        ctx.metrics.attempted(counted(&outcome));
        if turn.failover.note(ctx, relay, &outcome).await? {
            turn.is_broken.store(true, Ordering::Relaxed);
            let mut delivered = turn.delivered.lock().await;
            delivered.stopped.get_or_insert_with(|| in_words(&outcome));
        }
        let is_trouble = is_relay_trouble(&outcome);
        let attempt = Attempt {
            at,
            outcome,
            relay: turn.failover.name(relay),
        };
        let next = match is_trouble {
            true => turn.failover.choose(relay + 1, ctx.clock.now()).await,
            false => None,
        };
        let Some(next) = next else {
            let tried = (slot.into_inner(), fresh.into_inner(), attempt);
            return Ok(HandedOver::Tried(Box::new(tried)));
        };
        let mut entry = slot.lock().await;
        entry.value.go_on(attempt, LEASE_TTL);
        let batch = Batch {
            entries: vec![entry.clone()],
            ..Batch::default()
        };
        match ctx.store.commit(batch).await {
            Err(StoreError::Conflict(_)) => return Ok(HandedOver::Overtaken),
            done => done?,
        }
        entry.revision += 1;
        relay = next;
    }
}

/// The outcome as it is counted.
fn counted(outcome: &Outcome) -> metrics::Attempt {
    match outcome {
        Outcome::Accepted { .. } => metrics::Attempt::Accepted,
        Outcome::TransientRecipient { .. } => metrics::Attempt::TransientRecipient,
        Outcome::TransientRelay { .. } => metrics::Attempt::TransientRelay,
        Outcome::PermanentRecipient { .. } => metrics::Attempt::PermanentRecipient,
        Outcome::PermanentMessage { .. } => metrics::Attempt::PermanentMessage,
        Outcome::Configuration { .. } => metrics::Attempt::Configuration,
        Outcome::Unconfirmed { .. } => metrics::Attempt::Unconfirmed,
    }
}
