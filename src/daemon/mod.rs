//! The daemon: a bell, a brain, and one thing at a time.
//!
//! Every minute the bell rings (and at start, and when a fetch or the outbox asks for it). The brain looks at
//! the calendar, the slots and the outbox, and decides what is due; it keeps nothing that the store does not
//! know as well, so that a restart at any moment changes nothing but the minute.

mod bell;
mod lifecycle;
mod notify;
mod reload;
pub mod socket;
pub mod turn;
mod watch;
mod web;

use std::{path::PathBuf, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use tokio::sync::watch::Sender;
use tokio_util::sync::CancellationToken;

pub use self::lifecycle::serve;
use crate::{
    app::{App, AppError},
    store::{Batch, DocumentKind, Store, StoreError, Versioned, documents},
};

const NOTE: &str = "served";

/// What a daemon notes of itself in the store.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Served {
    /// When a daemon first used the state.
    since: Option<DateTime<Utc>>,
    /// The latest moment that a daemon has seen: a clock far behind it is wrong.
    high_water: Option<DateTime<Utc>>,
}

/// How far the clock may be behind what was seen before nothing is sent any more.
const CLOCK_BEHIND_MAX: TimeDelta = TimeDelta::hours(1);

/// Refuses a moved calendar on a state that a daemon has used: its slots and floors would be wrong afterwards.
pub async fn refuse_if_served(store: &dyn Store) -> Result<(), AppError> {
    let served: Versioned<Served> = documents::load(store, DocumentKind::Note, NOTE).await?;
    match served.value.since {
        Some(since) => Err(AppError::Usage(format!(
            "--now is for tests and replays: `serve` has used this state since {}; give them a state_dir of their own",
            since.format("%F %H:%M UTC")
        ))),
        None => Ok(()),
    }
}

/// Notes that a daemon uses the state, and the highest moment seen. Returns whether the clock can be believed.
async fn note_clock(store: &dyn Store, now: DateTime<Utc>) -> Result<bool, StoreError> {
    // Several machines note the same moment: one whose clock is wrong must not stop the others.
    if store.claim_ttl().is_some() && (store.shared_now().await? - now).abs() > CLOCK_BEHIND_MAX {
        return Ok(false);
    }
    let mut served: Versioned<Served> = documents::load(store, DocumentKind::Note, NOTE).await?;
    if served
        .value
        .high_water
        .is_some_and(|seen| seen - now > CLOCK_BEHIND_MAX)
    {
        return Ok(false);
    }
    let is_news = served
        .value
        .high_water
        .is_none_or(|seen| now - seen > TimeDelta::minutes(5));
    if is_news {
        served.value.since.get_or_insert(now);
        served.value.high_water = Some(now);
        let document = documents::to_write(DocumentKind::Note, NOTE, &served)?;
        let batch = Batch {
            documents: vec![document],
            ..Batch::default()
        };
        match store.commit(batch).await {
            // Another worker has noted the same just now.
            Ok(()) | Err(StoreError::Conflict(_)) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(true)
}

/// What the daemon's tasks share.
#[derive(Debug)]
struct Shared {
    /// The configuration file, read again at a reload.
    config_path: PathBuf,
    /// Replaced whole at a reload; whoever works with the former one ends with it.
    app: Sender<Arc<App>>,
    /// No new work; what has begun is brought to its end.
    stop: CancellationToken,
    bell: bell::Bell,
}

impl Shared {
    fn app(&self) -> Arc<App> {
        Arc::clone(&self.app.borrow())
    }
}
