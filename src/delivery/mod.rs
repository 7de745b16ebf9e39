//! The pump: leases digests that are due, sends them, and settles what came of it.
//!
//! Record before acting: the attempt is committed before the relay is dialled, the moment at which the
//! relay may take the mail is committed before DATA, and the outcome right after the reply. A process that
//! dies anywhere leaves a state from which it is known whether the mail may have been accepted.

mod addressee;
mod conclude;
mod failover;
mod halves;
mod hand_over;
mod prepare;
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
pub use self::{
    addressee::cancel_unwanted,
    settle::{Policy, Settlement, attempt_in_words, in_words, settle, stage_name},
    transport::{Courier, Transport, Way},
};
use self::{
    conclude::unless_overtaken,
    failover::Failover,
    hand_over::attempt,
    prepare::{Prepared, prepare},
};
use crate::{
    clock::Clock,
    mail::{
        compose::{Composer, Papers},
        pace::Pace,
    },
    metrics::Metrics,
    model::{DigestId, EntryState, OutboxEntry, WorkerId},
    store::{DueBy, Store, StoreError, Versioned},
};

/// How long a lease holds: longer than all limits of one dialogue together.
const LEASE_TTL: TimeDelta = TimeDelta::minutes(45);
/// How many digests are leased together: one write for all of them.
const LEASED_TOGETHER: usize = 8;
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

/// Sends one mail after the other. While the relay takes one, the next is made.
async fn courier(
    ctx: &Context,
    horizon: DateTime<Utc>,
    stop: &CancellationToken,
    turn: &Turn,
    pace: &Mutex<Pace>,
) -> Result<(), StoreError> {
    let mut courier = ctx.transport.courier();
    // Entries that failed in this turn and are due again before its horizon: not twice in one turn.
    let aside = Mutex::new(Vec::new());
    let following = || prepared(ctx, horizon, stop, turn, pace, &aside);
    let mut at_hand = None;
    loop {
        // What has become due while the last one went is looked for once more before the courier goes home.
        let Some(present) = (match at_hand.take() {
            Some(present) => Some(present),
            None => following().await?,
        }) else {
            break;
        };
        if stop.is_cancelled() || turn.is_broken.load(Ordering::Relaxed) {
            aside.lock().await.push(present.entry);
            break;
        }
        let (sent, next) = tokio::join!(attempt(ctx, &mut courier, present, turn), following());
        sent?;
        at_hand = next?;
    }
    for entry in aside.into_inner() {
        unlease(ctx, entry).await?;
    }
    courier.close().await;
    Ok(())
}

/// The next mail for a courier, made. What cannot be sent is dealt with on the way.
async fn prepared(
    ctx: &Context,
    horizon: DateTime<Utc>,
    stop: &CancellationToken,
    turn: &Turn,
    pace: &Mutex<Pace>,
    aside: &Mutex<Vec<Versioned<OutboxEntry>>>,
) -> Result<Option<Prepared>, StoreError> {
    while !stop.is_cancelled() && !turn.is_broken.load(Ordering::Relaxed) {
        let Some(entry) = next(ctx, horizon, turn).await? else {
            break;
        };
        if !turn.attempted.lock().await.insert(entry.value.digest.id.clone()) {
            aside.lock().await.push(entry);
            continue;
        }
        if !paced(pace, stop).await {
            aside.lock().await.push(entry);
            break;
        }
        if let Some(prepared) = prepare(ctx, entry, turn).await? {
            return Ok(Some(prepared));
        }
    }
    Ok(None)
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

/// Gives a lease back unused.
async fn unlease(ctx: &Context, mut entry: Versioned<OutboxEntry>) -> Result<(), StoreError> {
    entry.value.state = EntryState::Due;
    entry.value.n_attempts = entry.value.n_attempts.saturating_sub(1);
    unless_overtaken(ctx, entry).await
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
