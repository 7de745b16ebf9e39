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
use tokio::sync::{Mutex, MutexGuard};

use crate::{
    clock::{Clock, SystemClock},
    store::{Batch, DocumentKind, Store, StoreError, Versioned, documents},
};

const KEY: &str = "arxiv";

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
    /// Held for the whole of a request: one connection.
    turn: Mutex<()>,
}

/// The right to make one request, until [`Turn::leave`].
#[derive(Debug)]
pub struct Turn<'g> {
    gate: &'g Gate,
    _one_at_a_time: MutexGuard<'g, ()>,
}

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
    pub fn new(store: Arc<dyn Store>, interval: Duration) -> Self {
        Self {
            store,
            interval,
            turn: Mutex::new(()),
        }
    }

    /// Waits for the turn and the interval, then notes that a request begins.
    pub async fn enter(&self) -> Result<Turn<'_>, EnterError> {
        let one_at_a_time = self.turn.lock().await;
        let state = self.state().await?;
        let now = SystemClock.now();
        if let Some(closed) = closed(&state.value, now) {
            return Err(closed.into());
        }
        tokio::time::sleep(wait(&state.value, now, self.interval)).await;
        // Noted before the request as well as after it: a process that dies in between must not let its
        // successor ask at once.
        self.note(state, |state| state.last_request = Some(SystemClock.now()))
            .await?;
        Ok(Turn {
            gate: self,
            _one_at_a_time: one_at_a_time,
        })
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
            let document = documents::to_write(DocumentKind::Gate, KEY, &changed)?;
            match self
                .store
                .commit(Batch {
                    documents: vec![document],
                    ..Batch::default()
                })
                .await
            {
                Err(StoreError::Conflict(_)) => state = self.state().await?,
                done => return done,
            }
        }
    }
}

impl Turn<'_> {
    /// Notes that the answer has ended and what it means for the next requests.
    pub async fn leave(self, effect: Effect) -> Result<(), StoreError> {
        let state = self.gate.state().await?;
        self.gate
            .note(state, |state| {
                let now = SystemClock.now();
                state.last_request = Some(now);
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

/// How long to wait before the next request. A last request in the future (the machine's clock was set
/// back) counts as one of just now: the interval is kept, and nothing hangs.
fn wait(state: &GateState, now: DateTime<Utc>, interval: Duration) -> Duration {
    let Some(last) = state.last_request else {
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
                wait(&state, at(0), Duration::from_secs(3)),
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
