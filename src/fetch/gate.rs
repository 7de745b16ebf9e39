//! The one gate through which every request to arXiv passes.
//!
//! arXiv allows one connection and one request every three seconds over all its interfaces and all the
//! operator's machines together (Terms of Use for the APIs). The gate lets one request through at a time,
//! counts the interval from the end of one answer to the start of the next request, and remembers the
//! last request and every pause in the store, so that a restart changes nothing. It goes by the machine's
//! clock, never by the calendar that `run --now` moves.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use tokio::{
    sync::{Mutex, MutexGuard},
    time::Instant,
};

use super::drift;
use crate::store::{Batch, DocumentKind, Store, StoreError, Versioned, documents};

const KEY: &str = "arxiv";

/// How much longer than its limit a request is waited for that another worker makes.
const END_MARGIN: Duration = Duration::from_secs(30);
/// A sign of life for a request is given this many times within the time that it holds.
const RENEWALS: u32 = 4;
/// Which part of that time is left at its end, so that a request which cannot be kept alive has ended before others begin.
const END_SHARE: u32 = 10;
/// How often it is looked whether another worker's request has ended.
const LOOK_INTERVAL: Duration = Duration::from_millis(500);

/// After a 403 one request a day asks whether access is open again.
const PROBE_INTERVAL: TimeDelta = TimeDelta::days(1);

/// What the gate remembers across restarts.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct GateState {
    /// When the last request began or, if it has ended, when its answer ended.
    pub last_request: Option<DateTime<Utc>>,
    /// No request before this moment.
    pub paused_until: Option<DateTime<Utc>>,
    /// Why, in words.
    pub why: Option<String>,
    /// Whether arXiv refused access altogether (403): the pause repeats until a probe or the operator ends it.
    #[serde(default)]
    pub forbidden: bool,
    /// The request that is under way, where several workers share the state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub under_way: Option<UnderWay>,
    /// By how many seconds the machine's clock is ahead of arXiv's (less than 0: behind), where the latest answer that
    /// told showed them too far apart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub clock_ahead_s: Option<i64>,
}

impl GateState {
    /// What is wrong with the machine's clock, in words.
    pub fn clock_trouble(&self) -> Option<String> {
        let ahead = self.clock_ahead_s.and_then(TimeDelta::try_seconds)?;
        Some(drift::in_words(ahead))
    }
}

/// A request that has begun and whose answer has not ended: nobody else asks meanwhile.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UnderWay {
    /// Whose it is: a gate's own name.
    pub gate: String,
    /// When it has surely ended without another sign of life, by the clock that all share: whoever makes it breaks it
    /// off before.
    pub until: DateTime<Utc>,
}

/// No request may be made now.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no requests to arXiv until {}: {why}", .until.to_rfc3339_opts(chrono::SecondsFormat::Secs, true))]
pub struct Closed {
    /// Until when.
    pub until: DateTime<Utc>,
    /// Why.
    pub why: String,
    /// Whether arXiv refused access (403).
    pub forbidden: bool,
}

/// Why a request could not begin.
#[derive(Debug, thiserror::Error)]
pub enum EnterError {
    /// The gate is paused.
    #[error(transparent)]
    Closed(#[from] Closed),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The gate. One for the whole process.
#[derive(Debug)]
pub struct Gate {
    store: Arc<dyn Store>,
    interval: Duration,
    /// Told apart from the gates of other workers by it.
    name: String,
    /// Held for the whole of a request: one connection.
    turn: Arc<Mutex<()>>,
}

/// The right to make one request, until [`Turn::leave`].
#[derive(Debug)]
pub struct Turn<'g> {
    gate: &'g Gate,
    /// Where several workers share the state.
    held: Option<Held>,
    _one_at_a_time: MutexGuard<'g, ()>,
}

/// For how long a request is this worker's.
#[derive(Debug, Clone, Copy)]
struct Held {
    /// How long each sign of life holds.
    ttl: Duration,
    /// No later than the moment that the last one counts from.
    since: Instant,
}

/// Others may ask by now: the request was broken off.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the database took no sign of life in time, so the request was broken off before another worker begins one")]
pub struct Lost;

/// What an answer means for the requests after it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Effect {
    /// Go on.
    Open,
    /// The answer shows that access is allowed again.
    Reopen,
    /// No request for that long.
    Pause {
        /// From now.
        delay: Duration,
        /// Why.
        why: String,
    },
    /// Access was refused: stop all traffic.
    Forbid {
        /// The answer in words.
        why: String,
    },
}

impl Gate {
    /// A gate that keeps `interval` between requests and its memory in `store`.
    ///
    /// `name` tells it apart from the gates of other processes on the same state.
    pub fn new(store: Arc<dyn Store>, interval: Duration, name: String) -> Self {
        Self {
            store,
            interval,
            name,
            turn: Arc::default(),
        }
    }

    /// The same, taking turns with `other`: two configurations in one process, of which one takes the other's place or is
    /// only tried, make one request at a time as well.
    #[must_use]
    pub fn beside(self, other: &Self) -> Self {
        Self {
            turn: Arc::clone(&other.turn),
            ..self
        }
    }

    /// Waits for the turn and the interval, then notes that a request begins, which ends within `timeout`.
    ///
    /// The note is written at the revision that was read, so that of several workers one begins and the others wait
    /// for the end of its answer; for that of a worker that has vanished, until its last sign of life holds no more.
    pub async fn enter(&self, timeout: Duration) -> Result<Turn<'_>, EnterError> {
        let one_at_a_time = self.turn.lock().await;
        let ttl = self.store.claim_ttl().and_then(|ttl| ttl.to_std().ok());
        let ttl = ttl.map(|ttl| holds_for(ttl, timeout));
        // The revision for which the interval was waited: a clock that was set back is not waited for twice.
        let mut waited_for = None;
        loop {
            let mut state = self.state().await?;
            let since = Instant::now();
            let now = self.store.shared_now().await?;
            if let Some(closed) = closed(&state.value, now) {
                return Err(closed.into());
            }
            if let Some(left) = others_left(&state.value, &self.name, now) {
                tokio::time::sleep(left.min(LOOK_INTERVAL)).await;
                continue;
            }
            let wait = wait(&state.value, &self.name, now, self.interval);
            if !wait.is_zero() && waited_for != Some(state.revision) {
                tokio::time::sleep(wait).await;
                waited_for = Some(state.revision);
                continue;
            }
            // Noted before the request as well as after it: a process that dies in between must not let its
            // successor ask at once.
            state.value.last_request = Some(now);
            state.value.under_way = ttl.map(|ttl| self.under_way(now, ttl));
            let is_first = self.write(&state).await?;
            let held = ttl.map(|ttl| Held { ttl, since });
            // A note that took the database too long may hold no more.
            if is_first && held.is_none_or(|held| since.elapsed() < held.ttl / RENEWALS) {
                return Ok(Turn {
                    gate: self,
                    held,
                    _one_at_a_time: one_at_a_time,
                });
            }
        }
    }

    fn under_way(&self, now: DateTime<Utc>, ttl: Duration) -> UnderWay {
        UnderWay {
            gate: self.name.clone(),
            until: now + TimeDelta::from_std(ttl).unwrap_or(TimeDelta::MAX),
        }
    }

    /// What the gate remembers.
    pub async fn state(&self) -> Result<Versioned<GateState>, StoreError> {
        documents::load(&*self.store, DocumentKind::Gate, KEY).await
    }

    /// Ends a pause at the operator's word.
    pub async fn resume(&self) -> Result<(), StoreError> {
        let _turn = self.turn.lock().await;
        let state = self.state().await?;
        self.note(state, open).await
    }

    async fn note(&self, mut state: Versioned<GateState>, change: impl Fn(&mut GateState)) -> Result<(), StoreError> {
        loop {
            let mut changed = state.clone();
            change(&mut changed.value);
            if self.write(&changed).await? {
                return Ok(());
            }
            state = self.state().await?;
        }
    }

    /// Returns whether nobody else was faster.
    async fn write(&self, state: &Versioned<GateState>) -> Result<bool, StoreError> {
        let document = documents::to_write(DocumentKind::Gate, KEY, state)?;
        let batch = Batch {
            documents: vec![document],
            ..Batch::default()
        };
        match self.store.commit(batch).await {
            Err(StoreError::Conflict(_)) => Ok(false),
            done => done.map(|()| true),
        }
    }
}

/// How long one sign of life for a request keeps others waiting: no longer than the request may take.
fn holds_for(ttl: Duration, timeout: Duration) -> Duration {
    ttl.min(timeout.saturating_add(END_MARGIN))
}

impl Turn<'_> {
    /// Makes the request, and keeps others from beginning one meanwhile. It is dropped, and its connection ends, where
    /// that cannot be done.
    ///
    /// # Errors
    /// [`Lost`].
    pub async fn hold<T>(&mut self, request: impl Future<Output = T>) -> Result<T, Lost> {
        tokio::select! {
            answer = request => Ok(answer),
            () = self.until_lost() => Err(Lost),
        }
    }

    /// Gives signs of life until one comes too late.
    async fn until_lost(&mut self) {
        let Some(held) = &mut self.held else {
            return std::future::pending().await;
        };
        loop {
            tokio::time::sleep_until(held.since + held.ttl / RENEWALS).await;
            let end = held.since + (held.ttl - held.ttl / END_SHARE);
            match tokio::time::timeout_at(end, renew(self.gate, held.ttl)).await {
                Ok(Ok(Some(since))) => held.since = since,
                Ok(Ok(None)) => {
                    return tracing::warn!("another worker asks arXiv now; this one's request is broken off");
                }
                Ok(Err(error)) => {
                    return tracing::warn!(%error, "a request to arXiv cannot be kept alone; it is broken off");
                }
                Err(_elapsed) => {
                    return tracing::warn!("a request to arXiv cannot be kept alone in time; it is broken off");
                }
            }
        }
    }

    /// Notes that the answer has ended, what it means for the next requests, and how far the machine's clock is `ahead`
    /// of arXiv's, if it told.
    pub async fn leave(self, effect: Effect, ahead: Option<TimeDelta>) -> Result<(), StoreError> {
        let state = self.gate.state().await?;
        let now = self.gate.store.shared_now().await?;
        let clock_ahead_s = ahead.map(|ahead| (ahead.abs() > drift::APART_MAX).then(|| ahead.num_seconds()));
        if let (Some(Some(_)), None, Some(ahead)) = (clock_ahead_s, state.value.clock_ahead_s, ahead) {
            tracing::warn!("{}", drift::in_words(ahead));
        }
        self.gate
            .note(state, |state| {
                state.last_request = Some(now);
                state.under_way.take_if(|request| request.gate == self.gate.name);
                if let Some(clock_ahead_s) = clock_ahead_s {
                    state.clock_ahead_s = clock_ahead_s;
                }
                match &effect {
                    Effect::Open => {}
                    Effect::Reopen => open(state),
                    Effect::Pause { delay, why } => {
                        state.paused_until = Some(now + TimeDelta::from_std(*delay).unwrap_or(TimeDelta::MAX));
                        state.why = Some(why.clone());
                    }
                    Effect::Forbid { why } => {
                        state.paused_until = Some(now + PROBE_INTERVAL);
                        state.why = Some(why.clone());
                        state.forbidden = true;
                    }
                }
            })
            .await
    }
}

/// A sign of life for the request that `gate` has under way. Returns a moment no later than that it counts from; `None`
/// where the request is not the gate's any more.
async fn renew(gate: &Gate, ttl: Duration) -> Result<Option<Instant>, StoreError> {
    loop {
        let mut state = gate.state().await?;
        if state
            .value
            .under_way
            .as_ref()
            .is_none_or(|request| request.gate != gate.name)
        {
            return Ok(None);
        }
        let since = Instant::now();
        let now = gate.store.shared_now().await?;
        state.value.under_way = Some(gate.under_way(now, ttl));
        if gate.write(&state).await? {
            return Ok(Some(since));
        }
    }
}

fn open(state: &mut GateState) {
    state.paused_until = None;
    state.why = None;
    state.forbidden = false;
}

fn closed(state: &GateState, now: DateTime<Utc>) -> Option<Closed> {
    let until = state.paused_until.filter(|until| *until > now)?;
    Some(Closed {
        until,
        why: state.why.clone().unwrap_or_else(|| "paused".to_owned()),
        forbidden: state.forbidden,
    })
}

/// How long another worker's request may still take, if one is under way.
fn others_left(state: &GateState, own: &str, now: DateTime<Utc>) -> Option<Duration> {
    let other = state.under_way.as_ref().filter(|request| request.gate != own)?;
    (other.until - now).to_std().ok().filter(|left| !left.is_zero())
}

/// How long to wait before the next request. A last request in the future (the machine's clock was set
/// back) counts as one of just now: the interval is kept, and nothing hangs. One of another worker that has vanished
/// counts as ended when it surely had.
fn wait(state: &GateState, own: &str, now: DateTime<Utc>, interval: Duration) -> Duration {
    let vanished = state.under_way.as_ref().filter(|request| request.gate != own);
    let Some(last) = state.last_request.max(vanished.map(|request| request.until)) else {
        return Duration::ZERO;
    };
    let since = (now - last).to_std().unwrap_or_default();
    interval.saturating_sub(since)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_770_000_000 + second, 0).unwrap()
    }

    #[test]
    fn the_interval_is_kept_over_restarts_and_clock_changes() {
        let check = |last: Option<i64>, expected_s: u64| {
            let state = GateState {
                last_request: last.map(at),
                ..GateState::default()
            };
            assert_eq!(
                wait(&state, "a", at(0), Duration::from_secs(3)),
                Duration::from_secs(expected_s),
                "{last:?}"
            );
        };
        check(None, 0);
        check(Some(-100), 0);
        check(Some(-3), 0);
        check(Some(-1), 2);
        check(Some(0), 3);
        check(Some(86_400), 3);
    }

    #[test]
    fn another_workers_request_is_waited_for_and_ones_own_is_not() {
        let state = GateState {
            under_way: Some(UnderWay {
                gate: "a".into(),
                until: at(10),
            }),
            ..GateState::default()
        };
        assert_eq!(others_left(&state, "b", at(4)), Some(Duration::from_secs(6)));
        assert_eq!(others_left(&state, "b", at(10)), None);
        assert_eq!(others_left(&state, "a", at(4)), None);
        assert_eq!(others_left(&GateState::default(), "a", at(4)), None);
        // The interval counts from the moment at which it has surely ended.
        let interval = Duration::from_secs(3);
        assert_eq!(wait(&state, "b", at(11), interval), Duration::from_secs(2));
        assert_eq!(wait(&state, "a", at(11), interval), Duration::ZERO);
    }

    #[test]
    fn a_killed_workers_request_is_waited_for_no_longer_than_it_may_take() {
        let check = |ttl: u64, timeout: u64, expected: u64| {
            let s = Duration::from_secs;
            assert_eq!(holds_for(s(ttl), s(timeout)), s(expected), "{ttl} {timeout}");
        };
        check(180, 60, 90);
        check(180, 200, 180);
    }

    #[test]
    fn a_pause_holds_until_its_end() {
        let state = GateState {
            paused_until: Some(at(10)),
            why: Some("429".into()),
            ..GateState::default()
        };
        assert_eq!(
            closed(&state, at(9)),
            Some(Closed {
                until: at(10),
                why: "429".into(),
                forbidden: false
            })
        );
        assert_eq!(closed(&state, at(10)), None);
    }
}
