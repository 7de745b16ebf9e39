//! The pump: leases digests that are due, sends them, and settles what came of it.
//!
//! Record before acting: the attempt is committed before the relay is dialled, the moment at which the
//! relay may take the mail is committed before DATA, and the outcome right after the reply. A process that
//! dies anywhere leaves a state from which it is known whether the mail may have been accepted.

mod failover;
mod settle;
mod transport;

use std::{
    collections::{HashSet, VecDeque},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
};

use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

#[cfg(test)]
pub(crate) use self::transport::Scripted;
use self::{failover::Failover, settle::is_relay_trouble};
pub use self::{
    settle::{Policy, Settlement, attempt_in_words, in_words, settle, stage_name},
    transport::{Courier, Transport, Way},
};
use crate::{
    clock::Clock,
    mail::{
        compose::{ComposeError, Composed, Composer, Papers},
        pace::Pace,
    },
    metrics::{self, Metrics},
    model::{
        Attempt, DigestId, DigestKind, DigestRecord, Ending, EntryState, OutboxEntry, Outcome, PaperRecord, Settled,
        Stage, SubscriberState, Suppression, VersionedId, Welcome, WorkerId,
    },
    roster::{self, masked},
    store::{self, Batch, Document, DocumentKind, DueBy, EntryFilter, Store, StoreError, Versioned, documents},
};

/// How long a lease holds: longer than all limits of one dialogue together.
const LEASE_TTL: TimeDelta = TimeDelta::minutes(45);
/// How many digests are leased together: one write for all of them.
const LEASED_TOGETHER: usize = 8;
/// A digest that waits for its papers' text is looked at again after this.
const TEXTS_RETRY: TimeDelta = TimeDelta::minutes(30);
/// After this it is held for the operator.
const TEXTS_AWAITED: TimeDelta = TimeDelta::days(5);
/// How many papers' texts a turn keeps, some kilobytes each.
const PAPERS_MAX: usize = 4_000;
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
    let turn = Turn::new(Failover::load(ctx).await?);
    let pace = Mutex::new(Pace::new(ctx.settings.messages_per_minute));
    ctx.transport.allow_login().await;
    cancel_unwanted(ctx, horizon).await?;
    let couriers = (0..ctx.settings.connections.max(1)).map(|_| courier(ctx, horizon, stop, &turn, &pace));
    let results = join_all(couriers).await;
    results.into_iter().collect::<Result<Vec<()>, _>>()?;
    for entry in turn.ready.into_inner() {
        unlease(ctx, entry).await?;
    }
    Ok(turn.delivered.into_inner())
}

/// What the couriers of one turn share.
#[derive(Debug)]
struct Turn {
    failover: Failover,
    /// Leased, and not yet in anybody's hands.
    ready: Mutex<VecDeque<Versioned<OutboxEntry>>>,
    delivered: Mutex<Delivered>,
    attempted: Mutex<HashSet<DigestId>>,
    /// Texts read before: a morning's readers get the same papers.
    papers: Mutex<Papers>,
    is_broken: AtomicBool,
}

impl Turn {
    fn new(failover: Failover) -> Self {
        Self {
            failover,
            ready: Mutex::default(),
            delivered: Mutex::default(),
            attempted: Mutex::default(),
            papers: Mutex::default(),
            is_broken: AtomicBool::new(false),
        }
    }
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
        let Some(entry) = next(ctx, horizon, turn).await? else {
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

/// The next digest that is due, leased to this worker.
async fn next(
    ctx: &Context,
    horizon: DateTime<Utc>,
    turn: &Turn,
) -> Result<Option<Versioned<OutboxEntry>>, StoreError> {
    // Held while the store is asked: the other couriers wait for the same answer.
    let mut ready = turn.ready.lock().await;
    if ready.is_empty() {
        let by = DueBy {
            horizon,
            now: ctx.clock.now(),
        };
        let leased = ctx.store.lease_due(&ctx.worker, by, LEASE_TTL, LEASED_TOGETHER).await?;
        ready.extend(leased);
    }
    Ok(ready.pop_front())
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
    let (looked_at, papers) = tokio::try_join!(
        look_at(ctx, &entry.value.digest),
        papers_of(ctx, &entry.value.digest, turn),
    )?;
    let state = match looked_at {
        Addressee::Wanted(state) => *state,
        Addressee::Cancelled(why) => return cancel(ctx, entry, why).await,
    };
    if ctx.settings.policy.hold_unconfirmed && entry.value.n_unconfirmed > 0 && !entry.value.is_released {
        // The process before this one may have sent it.
        tracing::error!(
            digest.id = entry.value.digest.id.number,
            "digest held: the relay may have it"
        );
        entry.value.state = EntryState::Held;
        turn.delivered.lock().await.unconfirmed += 1;
        return unless_overtaken(ctx, entry).await;
    }
    let id = entry.value.digest.id.clone();
    let papers_named = entry.value.digest.papers();
    let n_missing = papers_named
        .filter(|paper| !papers.contains_key(&paper.versioned_id()))
        .count();
    if n_missing > 0 {
        return wait_for_texts(ctx, entry, n_missing, turn).await;
    }
    let handed_over = match compose(ctx, &entry.value, papers).await {
        Ok(composed) => {
            fingerprint(ctx, &mut entry.value, &composed);
            hand_over(ctx, courier, turn, entry, state, &composed.bytes).await?
        }
        Err(error) => {
            let reply = format!("it could not be made: {error}");
            let outcome = Outcome::PermanentMessage {
                stage: Stage::Body,
                reply,
            };
            ctx.metrics.attempted(counted(&outcome));
            let attempt = Attempt {
                at: began,
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

/// Makes the mail on a thread of its own, since the couriers share one and signing takes its time.
async fn compose(ctx: &Context, entry: &OutboxEntry, papers: Papers) -> Result<Composed, ComposeError> {
    let (composer, digest, message_id) = (
        Arc::clone(&ctx.composer),
        entry.digest.clone(),
        entry.message_id.clone(),
    );
    let composing = tokio::task::spawn_blocking(move || composer.compose(&digest, &message_id, &papers));
    match composing.await {
        Ok(composed) => composed,
        Err(failed) => match failed.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The process is ending, and this task with it: the digest is none the worse.
            Err(_) => std::future::pending().await,
        },
    }
}

/// The text of a digest's papers, as this turn first read them; what is not stored is left out.
async fn papers_of(ctx: &Context, digest: &DigestRecord, turn: &Turn) -> Result<Papers, StoreError> {
    let mut known = turn.papers.lock().await;
    let ids: Vec<VersionedId> = digest.papers().map(PaperRecord::versioned_id).collect();
    if ids.iter().any(|id| !known.contains_key(id)) {
        if known.len() + ids.len() > PAPERS_MAX {
            known.clear();
        }
        let read = store::papers_by_id(&*ctx.store, &ids).await?;
        known.extend(read);
    }
    Ok(ids
        .into_iter()
        .filter_map(|id| known.get(&id).cloned().map(|paper| (id, paper)))
        .collect())
}

/// Puts a digest off of whose papers the text is not stored, as after a recovery: sent without it, the mail would
/// call papers sent that nobody saw. A fetch brings the text back; where none does, the operator decides.
async fn wait_for_texts(
    ctx: &Context,
    mut entry: Versioned<OutboxEntry>,
    n_missing: usize,
    turn: &Turn,
) -> Result<(), StoreError> {
    let now = ctx.clock.now();
    let is_over = now - entry.value.digest.frozen_at > TEXTS_AWAITED;
    tracing::warn!(
        digest.id = entry.value.digest.id.number,
        n_missing,
        held = is_over,
        "the text of papers in this digest is not stored; it waits until they are fetched again"
    );
    entry.value.n_attempts = entry.value.n_attempts.saturating_sub(1);
    entry.value.next_attempt = now + TEXTS_RETRY;
    entry.value.state = if is_over { EntryState::Held } else { EntryState::Due };
    turn.delivered.lock().await.retrying += 1;
    ctx.store
        .commit(Batch {
            entries: vec![entry],
            ..Batch::default()
        })
        .await
}

/// Ends at once what waits for its next attempt although its subscriber has left, is paused or suppressed: until that
/// attempt it would count as on its way. What is due by `horizon` is looked at when it is tried.
///
/// # Errors
/// Those of the store.
pub async fn cancel_unwanted(ctx: &Context, horizon: DateTime<Utc>) -> Result<usize, StoreError> {
    let filter = EntryFilter {
        subscriber: None,
        active_only: true,
    };
    let mut n_cancelled = 0;
    for entry in ctx.store.entries(&filter).await? {
        if entry.value.state != EntryState::Due || entry.value.next_attempt <= horizon {
            continue;
        }
        if let Addressee::Cancelled(why) = look_at(ctx, &entry.value.digest).await? {
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

/// Writes the outcome: entry, subscriber and, on evidence, a suppression in one batch. `None` if the digest is another
/// worker's by now, and the outcome with it.
async fn conclude(
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
fn overtaken(id: &DigestId) {
    tracing::warn!(
        subscriber.id = masked(&id.subscriber),
        digest.id = id.number,
        "the lease on a digest ran out, and another worker or command has it now; this one leaves it to them"
    );
}

/// Writes an entry that this worker has leased, unless it is another's by now.
async fn unless_overtaken(ctx: &Context, entry: Versioned<OutboxEntry>) -> Result<(), StoreError> {
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

/// Whether a digest may still go.
enum Addressee {
    /// To somebody in this state.
    Wanted(Box<Versioned<SubscriberState>>),
    /// No, and why.
    Cancelled(&'static str),
}

async fn look_at(ctx: &Context, digest: &DigestRecord) -> Result<Addressee, StoreError> {
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

/// Ends a digest that must not go any more. Its papers return to pending, unless somebody may have them.
async fn cancel(ctx: &Context, entry: Versioned<OutboxEntry>, why: &str) -> Result<(), StoreError> {
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
    unless_overtaken(ctx, entry).await
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
