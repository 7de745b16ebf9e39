//! The pump: leases digests that are due, sends them, and settles what came of it.
//!
//! Record before acting: the attempt is committed before the relay is dialled, the moment at which the
//! relay may take the mail is committed before DATA, and the outcome right after the reply. A process that
//! dies anywhere leaves a state from which it is known whether the mail may have been accepted.

mod settle;
mod transport;

use std::{
    collections::HashSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, Ordering},
    },
};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use self::settle::is_relay_trouble;
pub use self::{
    settle::{Policy, Settlement, in_words, settle, stage_name},
    transport::{Courier, Transport, Way},
};
use crate::{
    clock::Clock,
    mail::{
        compose::{Composed, Composer},
        pace::Pace,
    },
    metrics::{self, Metrics},
    model::{
        DigestId, DigestKind, DigestRecord, Ending, EntryState, OutboxEntry, Outcome, Settled, Stage, SubscriberState,
        Suppression, Welcome, WorkerId,
    },
    roster::{self, masked},
    store::{self, Batch, Document, DocumentKind, Store, StoreError, Versioned, documents},
};

/// How long a lease holds: longer than all limits of one dialogue together.
const LEASE_TTL: TimeDelta = TimeDelta::minutes(45);
/// After this many failures of the relay running, the pump stops and tries again later.
const BREAKER_FAILURES: u32 = 3;
/// How often a write that somebody else overtook is decided again.
const CONFLICTS_MAX: usize = 20;

/// Everything that the pump works with.
#[derive(Debug, Clone)]
pub struct Context {
    /// The memory.
    pub store: Arc<dyn Store>,
    /// The calendar.
    pub clock: Arc<dyn Clock>,
    /// Makes the mails.
    pub composer: Arc<Composer>,
    /// Takes them.
    pub transport: Arc<Transport>,
    /// This process.
    pub worker: WorkerId,
    /// Where attempts are counted.
    pub metrics: Arc<Metrics>,
    /// How it behaves.
    pub settings: Settings,
}

/// How the pump behaves.
#[derive(Debug, Clone, Copy)]
pub struct Settings {
    /// How attempts are repeated.
    pub policy: Policy,
    /// How many connections to the relay at once.
    pub connections: usize,
    /// The pace; 0 for none.
    pub messages_per_minute: u32,
}

/// What one turn of the pump did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Delivered {
    /// Digests that the relay accepted.
    pub accepted: usize,
    /// Digests that ended without being accepted.
    pub failed: usize,
    /// Attempts whose acceptance is unknown.
    pub unconfirmed: usize,
    /// Attempts that are to be repeated.
    pub retrying: usize,
    /// Whether the pump stopped early because the relay or the configuration is in trouble, and why.
    pub stopped: Option<String>,
}

/// Sends everything that is due at `horizon`, each digest once, until nothing is left, the relay is in
/// trouble, or `stop` is cancelled. A dialogue that has begun is always brought to its end.
pub async fn deliver(ctx: &Context, horizon: DateTime<Utc>, stop: &CancellationToken) -> Result<Delivered, StoreError> {
    let turn = Turn::default();
    let pace = Mutex::new(Pace::new(ctx.settings.messages_per_minute));
    ctx.transport.allow_login().await;
    let couriers = (0..ctx.settings.connections.max(1)).map(|_| courier(ctx, horizon, stop, &turn, &pace));
    let results = join_all(couriers).await;
    results.into_iter().collect::<Result<Vec<()>, _>>()?;
    Ok(turn.delivered.into_inner())
}

/// What the couriers of one turn share.
#[derive(Debug, Default)]
struct Turn {
    delivered: Mutex<Delivered>,
    attempted: Mutex<HashSet<DigestId>>,
    failures_running: AtomicU32,
    is_broken: AtomicBool,
}

async fn courier(
    ctx: &Context,
    horizon: DateTime<Utc>,
    stop: &CancellationToken,
    turn: &Turn,
    pace: &Mutex<Pace>,
) -> Result<(), StoreError> {
    let mut courier = ctx.transport.courier();
    // Entries that failed in this turn and are due again before its horizon: not twice in one turn.
    let mut aside = Vec::new();
    while !stop.is_cancelled() && !turn.is_broken.load(Ordering::Relaxed) {
        let Some(entry) = ctx.store.lease_due(&ctx.worker, horizon, LEASE_TTL, 1).await?.pop() else {
            break;
        };
        if !turn.attempted.lock().await.insert(entry.value.digest.id.clone()) {
            aside.push(entry);
            continue;
        }
        if !paced(pace, stop).await {
            aside.push(entry);
            break;
        }
        attempt(ctx, &mut courier, entry, turn).await?;
    }
    for entry in aside {
        unlease(ctx, entry).await?;
    }
    courier.close().await;
    Ok(())
}

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

/// One attempt at one digest, from the lease to the settled outcome.
async fn attempt(
    ctx: &Context,
    courier: &mut Courier<'_>,
    mut entry: Versioned<OutboxEntry>,
    turn: &Turn,
) -> Result<(), StoreError> {
    let began = ctx.clock.now();
    if let Some(why) = cancelled(ctx, &entry.value.digest).await? {
        return cancel(ctx, entry, why).await;
    }
    if ctx.settings.policy.hold_unconfirmed && entry.value.n_unconfirmed > 0 && !entry.value.is_released {
        // The process before this one may have sent it.
        tracing::error!(
            digest.id = entry.value.digest.id.number,
            "digest held: the relay may have it"
        );
        entry.value.state = EntryState::Held;
        turn.delivered.lock().await.unconfirmed += 1;
        return ctx
            .store
            .commit(Batch {
                entries: vec![entry],
                ..Batch::default()
            })
            .await;
    }
    let (digest, message_id) = (entry.value.digest.clone(), entry.value.message_id.clone());
    let outcome;
    let papers = store::papers_of(&*ctx.store, &digest).await?;
    match ctx.composer.compose(&digest, &message_id, &papers) {
        Ok(composed) => {
            fingerprint(ctx, &mut entry.value, &composed);
            // The store hands the entry on: what is committed before DATA has a newer revision.
            let slot = Mutex::new(entry);
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
                match cancelled(ctx, &entry.value.digest).await? {
                    Some(why) => Err(Halt::Cancelled(why)),
                    None => Ok(()),
                }
            };
            let sent = courier
                .send(&digest, &message_id, &ctx.composer.keys, &composed.bytes, before_data)
                .await;
            entry = slot.into_inner();
            outcome = match sent {
                Ok(outcome) => outcome,
                Err(Halt::Cancelled(why)) => return cancel(ctx, entry, why).await,
                Err(Halt::Store(error)) => return Err(error),
            };
        }
        Err(error) => {
            let reply = format!("it could not be made: {error}");
            outcome = Outcome::PermanentMessage {
                stage: Stage::Body,
                reply,
            };
        }
    }
    ctx.metrics.attempted(counted(&outcome));
    watch_the_relay(turn, &outcome).await;
    let settlement = conclude(ctx, entry, &outcome, began).await?;
    let mut delivered = turn.delivered.lock().await;
    match settlement {
        Settlement::Accepted => delivered.accepted += 1,
        Settlement::Retrying => delivered.retrying += 1,
        Settlement::Unconfirmed { .. } => delivered.unconfirmed += 1,
        Settlement::Returned | Settlement::Split | Settlement::Undeliverable => delivered.failed += 1,
    }
    Ok(())
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

/// Counts failures of the relay and breaks the turn when they run on; a configuration error breaks it at once.
async fn watch_the_relay(turn: &Turn, outcome: &Outcome) {
    if !is_relay_trouble(outcome) {
        turn.failures_running.store(0, Ordering::Relaxed);
        return;
    }
    let n_running = turn.failures_running.fetch_add(1, Ordering::Relaxed) + 1;
    let is_configuration = matches!(outcome, Outcome::Configuration { .. });
    if is_configuration || n_running >= BREAKER_FAILURES {
        turn.is_broken.store(true, Ordering::Relaxed);
        turn.delivered
            .lock()
            .await
            .stopped
            .get_or_insert_with(|| in_words(outcome));
    }
}

/// Writes the outcome: entry, subscriber and, on evidence, a suppression in one batch.
async fn conclude(
    ctx: &Context,
    entry: Versioned<OutboxEntry>,
    outcome: &Outcome,
    began: DateTime<Utc>,
) -> Result<Settlement, StoreError> {
    let now = ctx.clock.now();
    for _ in 0..CONFLICTS_MAX {
        let mut entry = entry.clone();
        let mut state = subscriber(ctx, &entry.value.digest.id).await?;
        let (settlement, suppression) = settle(
            &mut entry.value,
            &mut state.value,
            outcome,
            ctx.settings.policy,
            began,
            now,
        );
        let mut batch = Batch::default();
        if settlement == Settlement::Split {
            batch.entries.extend(halves(ctx, &entry.value, &mut state.value, now));
        }
        if let Some(suppression) = &suppression {
            batch.documents.push(suppress(ctx, suppression).await?);
        }
        log(&entry.value, outcome, &settlement, suppression.as_ref());
        batch.entries.push(entry);
        batch.subscribers.push(state);
        match ctx.store.commit(batch).await {
            // Only the subscriber's state can have been changed by others: the entry is leased to us.
            Err(StoreError::Conflict(_)) => {}
            Err(error) => return Err(error),
            Ok(()) => return Ok(settlement),
        }
    }
    Err(StoreError::Conflict(format!("digest {}", entry.value.digest.id.number)))
}

fn log(entry: &OutboxEntry, outcome: &Outcome, settlement: &Settlement, suppression: Option<&Suppression>) {
    let (subscriber, digest) = (masked(&entry.digest.id.subscriber), entry.digest.id.number);
    let (attempt, words) = (entry.n_attempts, in_words(outcome));
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

/// The two halves of a digest that was refused as a message.
fn halves(
    ctx: &Context,
    whole: &OutboxEntry,
    state: &mut SubscriberState,
    now: DateTime<Utc>,
) -> Vec<Versioned<OutboxEntry>> {
    let n_first = whole.digest.papers().count().div_ceil(2);
    [true, false]
        .into_iter()
        .map(|is_first| {
            let digest = half(&whole.digest, n_first, is_first);
            let ids: Vec<_> = digest.papers().map(|paper| paper.id.clone()).collect();
            let number = state.enqueue(&ids, now);
            if digest.kind == DigestKind::Welcome {
                state.welcome = Welcome::By(number);
            }
            let id = DigestId {
                number,
                ..digest.id.clone()
            };
            let message_id = ctx.composer.keys.message_id(&id, domain(&whole.message_id));
            let record = DigestRecord {
                id,
                frozen_at: now,
                ..digest
            };
            Versioned::new(OutboxEntry {
                is_half: true,
                ..OutboxEntry::new(record, message_id)
            })
        })
        .collect()
}

/// The first `n_first` papers of a digest, or the rest.
fn half(whole: &DigestRecord, n_first: usize, is_first: bool) -> DigestRecord {
    let mut position = 0;
    let mut half = whole.clone();
    for section in &mut half.sections {
        section.papers.retain(|_| {
            position += 1;
            (position <= n_first) == is_first
        });
    }
    half.sections.retain(|section| !section.papers.is_empty());
    if !is_first {
        // Nobody is welcomed twice.
        half.kind = DigestKind::Digest;
    }
    half
}

fn domain(message_id: &str) -> &str {
    message_id
        .trim_end_matches('>')
        .rsplit_once('@')
        .map_or("localhost.invalid", |(_, domain)| domain)
}

/// Why a digest must not go any more, if so.
async fn cancelled(ctx: &Context, digest: &DigestRecord) -> Result<Option<&'static str>, StoreError> {
    let key = roster::suppression_key(&digest.address);
    if ctx
        .store
        .document(DocumentKind::Suppression, &key)
        .await?
        .value
        .value
        .is_some()
    {
        return Ok(Some("the address is suppressed"));
    }
    let state = subscriber(ctx, &digest.id).await?;
    let is_paused = state.value.paused_until.is_some_and(|until| until > ctx.clock.now());
    Ok(match (state.value.absent, is_paused) {
        (true, _) => Some("the subscriber is no longer configured"),
        (_, true) => Some("the subscriber is paused"),
        _ => None,
    })
}

/// Ends a digest that must not go any more. Its papers return to pending, unless somebody may have them.
async fn cancel(ctx: &Context, entry: Versioned<OutboxEntry>, why: &str) -> Result<(), StoreError> {
    let now = ctx.clock.now();
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
            Err(StoreError::Conflict(_)) => {}
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

/// Gives a lease back unused.
async fn unlease(ctx: &Context, mut entry: Versioned<OutboxEntry>) -> Result<(), StoreError> {
    entry.value.state = EntryState::Due;
    entry.value.n_attempts = entry.value.n_attempts.saturating_sub(1);
    ctx.store
        .commit(Batch {
            entries: vec![entry],
            ..Batch::default()
        })
        .await
}

async fn subscriber(ctx: &Context, id: &DigestId) -> Result<Versioned<SubscriberState>, StoreError> {
    let mut states = ctx.store.subscribers(std::slice::from_ref(&id.subscriber)).await?;
    Ok(states
        .pop()
        .unwrap_or_else(|| Versioned::new(SubscriberState::new(id.subscriber.clone()))))
}

/// Notes what the bytes are, and says so when they are not those of the attempt before.
fn fingerprint(ctx: &Context, entry: &mut OutboxEntry, composed: &Composed) {
    let fingerprint = ctx.composer.fingerprint();
    if let Some(before) = &entry.sha256
        && *before != composed.sha256
    {
        let is_same_program = entry.fingerprint.as_ref() == Some(&fingerprint);
        tracing::warn!(
            digest.id = entry.digest.id.number,
            is_same_program,
            "the mail is not byte for byte that of the attempt before; its Message-ID, papers and order are"
        );
    }
    entry.sha256 = Some(composed.sha256.clone());
    entry.fingerprint = Some(fingerprint);
}

/// Waits for the next free moment of the pace; `false` when the pump is told to stop meanwhile.
async fn paced(pace: &Mutex<Pace>, stop: &CancellationToken) -> bool {
    let at = pace.lock().await.reserve(std::time::Instant::now());
    tokio::select! {
        () = tokio::time::sleep_until(at.into()) => true,
        () = stop.cancelled() => false,
    }
}

/// Runs some futures side by side on one task; they borrow from the caller, which rules out spawning.
async fn join_all<F: Future>(futures: impl Iterator<Item = F>) -> Vec<F::Output> {
    let mut running: Vec<_> = futures.map(Box::pin).collect();
    let mut results: Vec<Option<F::Output>> = running.iter().map(|_| None).collect();
    std::future::poll_fn(|cx| {
        let mut is_pending = false;
        for (future, result) in running
            .iter_mut()
            .zip(&mut results)
            .filter(|(_, result)| result.is_none())
        {
            match future.as_mut().poll(cx) {
                std::task::Poll::Ready(output) => *result = Some(output),
                std::task::Poll::Pending => is_pending = true,
            }
        }
        if is_pending {
            std::task::Poll::Pending
        } else {
            std::task::Poll::Ready(())
        }
    })
    .await;
    results.into_iter().flatten().collect()
}
