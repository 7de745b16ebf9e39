//! The store of many machines: a PostgreSQL database that any number of workers share.
//!
//! Every verb is bounded: the wait for a connection, the making of one, each statement (by the server and here), and
//! the time for which a verb is tried again while the database is away. A transaction never spans two calls. Writes
//! name the revisions at which values were read, so that a worker that was overtaken learns it. Moments that several
//! workers compare come from the server's clock.

use std::{
    path::PathBuf,
    pin::Pin,
    sync::{Arc, Mutex, MutexGuard, PoisonError, Weak},
    time::Duration,
};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use deadpool_postgres::{Client, Object, Pool};
use tokio::{task::AbortHandle, time::Instant};

use super::{Batch, Document, DocumentKind, DueBy, EntryFilter, Store, StoreError, StoredPaper, Versioned};
use crate::model::{ArxivId, DigestId, EntryState, OutboxEntry, SubscriberId, SubscriberState, VersionedId, WorkerId};

mod address;
mod commit;
mod connect;
mod lease;
mod migrations;
mod read;
mod rows;
#[cfg(test)]
pub(super) mod tests;

pub use address::{Address, Tls};
use commit::Plan;
use connect::Fault;
use lease::{Held, Leasing};
use migrations::Found;

/// How long a verb may take once it has a connection.
const VERB_MAX: Duration = Duration::from_secs(60);
/// How long a verb is tried again while the database is away. A worker that holds a relay's 250 in its hands can note
/// it for that long.
const OUTAGE_MAX: Duration = Duration::from_secs(300);
/// The first wait between two tries; it doubles.
const RETRY_DELAY: Duration = Duration::from_millis(50);
/// The longest wait between two tries.
const RETRY_DELAY_MAX: Duration = Duration::from_secs(2);
/// How long opening tries.
const OPEN_MAX: Duration = Duration::from_secs(10);
/// A sign of life is given this many times within the time that it holds.
const RENEWALS: u32 = 4;

/// How a database is reached and used.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Where it is.
    pub address: Address,
    /// The authorities to trust, in PEM form, instead of the operating system's.
    pub ca_file: Option<PathBuf>,
    /// How many connections are open at most.
    pub connections: usize,
    /// How long what a worker has taken stays its own after its last sign of life.
    pub lease: Duration,
}

/// An opened store, and whether there was none before.
#[derive(Debug)]
pub struct Opened {
    /// The store.
    pub store: PostgresStore,
    /// Whether the tables were made just now.
    pub created: bool,
}

/// The store in a database.
#[derive(Debug)]
pub struct PostgresStore {
    database: Arc<Database>,
    renewal: AbortHandle,
}

#[derive(Debug)]
struct Database {
    pool: Pool,
    address: Address,
    leasing: Leasing,
    /// What this process has taken and not given back.
    held: Mutex<Held>,
}

impl PostgresStore {
    /// Connects, and makes the tables or brings them up to date.
    ///
    /// # Errors
    /// [`StoreError::Unreachable`], [`StoreError::Io`] for a refused login, certificate or right,
    /// [`StoreError::TooNew`].
    pub async fn open(settings: &Settings) -> Result<Opened, StoreError> {
        let alive = i64::try_from(settings.lease.as_nanos()).unwrap_or(i64::MAX);
        Self::open_with(settings, Leasing::Server { alive }).await
    }

    async fn open_with(settings: &Settings, leasing: Leasing) -> Result<Opened, StoreError> {
        let database = Arc::new(Database {
            pool: connect::pool(settings)?,
            address: settings.address.clone(),
            leasing,
            held: Mutex::default(),
        });
        let found = database.migrate().await?;
        let renewal = tokio::spawn(keep_alive(Arc::downgrade(&database), settings.lease / RENEWALS)).abort_handle();
        match found {
            Found::Version(found) => {
                if found > 0 && found < migrations::NEWEST {
                    tracing::info!(
                        from = found,
                        to = migrations::NEWEST,
                        "the database was brought up to date"
                    );
                }
                Ok(Opened {
                    store: Self { database, renewal },
                    created: found == 0,
                })
            }
            Found::TooNew(found) => Err(StoreError::TooNew {
                place: settings.address.to_string(),
                found,
                known: migrations::NEWEST,
            }),
        }
    }

    /// Runs a verb that only reads.
    async fn read<R: Send + 'static>(&self, verb: impl Verb<R>) -> Result<R, StoreError> {
        self.database.call("read", OUTAGE_MAX, &verb).await
    }

    /// Runs a verb that writes, to its end also if the caller stops waiting.
    async fn write<R: Send + 'static>(&self, verb: impl Verb<R> + 'static) -> Result<R, StoreError> {
        let database = Arc::clone(&self.database);
        let writing = tokio::spawn(async move { database.call("written", OUTAGE_MAX, &verb).await });
        writing.await.unwrap_or_else(|error| {
            Err(StoreError::Io {
                place: self.database.address.to_string(),
                doing: "written",
                why: format!("the writing ended abnormally ({error})"),
            })
        })
    }
}

impl Drop for PostgresStore {
    fn drop(&mut self) {
        self.renewal.abort();
    }
}

type Doing<'c, R> = Pin<Box<dyn Future<Output = Result<R, Fault>> + Send + 'c>>;

/// Something to do with a connection; told whether it was tried before. It may be done several times.
trait Verb<R>: for<'c> Fn(&'c Client, bool) -> Doing<'c, R> + Send + Sync {}

impl<R, F: for<'c> Fn(&'c Client, bool) -> Doing<'c, R> + Send + Sync> Verb<R> for F {}

/// Says of a closure that it is a verb: its lifetimes are not found otherwise.
fn verb<R, F: for<'c> Fn(&'c Client, bool) -> Doing<'c, R> + Send + Sync>(verb: F) -> F {
    verb
}

impl Database {
    /// Carries a verb out, and again while the database is away for no longer than `outage_max`.
    async fn call<R>(&self, doing: &'static str, outage_max: Duration, verb: &impl Verb<R>) -> Result<R, StoreError> {
        let began = Instant::now();
        let mut delay = RETRY_DELAY;
        let mut n_failed = 0_u32;
        loop {
            let fault = match self.once(verb, n_failed > 0).await {
                Ok(result) => return Ok(result),
                Err(fault) => fault,
            };
            n_failed += 1;
            if !fault.is_passing() || began.elapsed() + delay > outage_max {
                return Err(fault.into_error(&self.address, doing));
            }
            // Others at work on the same rows are no news; a second failure is.
            if n_failed == 2 {
                tracing::warn!(why = fault.words(), "the database does not answer; it is asked again");
            }
            tokio::time::sleep(delay).await;
            delay = (delay * 2).min(RETRY_DELAY_MAX);
        }
    }

    async fn once<R>(&self, verb: &impl Verb<R>, again: bool) -> Result<R, Fault> {
        let client = self.pool.get().await?;
        let result = match tokio::time::timeout(VERB_MAX, verb(&client, again)).await {
            Ok(result) => result,
            Err(_) => Err(Fault::Slow),
        };
        if matches!(result, Err(Fault::Database(_) | Fault::Slow | Fault::Unreadable(_))) {
            // It may be in the middle of a transaction, which ends with it.
            drop(Object::take(client));
        }
        result
    }

    async fn migrate(&self) -> Result<Found, StoreError> {
        let began = Instant::now();
        loop {
            let fault = match self.pool.get().await {
                Ok(mut client) => {
                    let result = tokio::time::timeout(VERB_MAX, migrations::migrate(&mut client)).await;
                    match result.unwrap_or(Err(Fault::Slow)) {
                        Ok(found) => return Ok(found),
                        Err(fault) => {
                            drop(Object::take(client));
                            fault
                        }
                    }
                }
                Err(error) => error.into(),
            };
            let may_pass = fault.is_passing() || migrations::is_race(&fault);
            if !may_pass || began.elapsed() > OPEN_MAX {
                return Err(fault.into_error(&self.address, "opened"));
            }
            tokio::time::sleep(RETRY_DELAY_MAX.min(RETRY_DELAY * 4)).await;
        }
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        // Every change is one insertion or removal, so a poisoned map is whole.
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes what a batch says of entries that this process had taken.
    fn note_written(&self, batch: &Batch) {
        let mut held = self.held();
        for entry in &batch.entries {
            if !matches!(entry.value.state, EntryState::Leased(_)) {
                held.remove(&rows::entry_name(&entry.value.digest.id));
            }
        }
        for id in &batch.entries_deleted {
            held.remove(&rows::entry_name(id));
        }
    }

    async fn renew(&self) {
        let held = self.held().clone();
        if held.is_empty() {
            return;
        }
        let (asked, alive) = (Arc::new(held), self.leasing.alive());
        let renewed = self
            .call(
                "written",
                Duration::ZERO,
                &verb({
                    let asked = Arc::clone(&asked);
                    move |client, _| {
                        let asked = Arc::clone(&asked);
                        Box::pin(async move { lease::renew(client, &asked, alive).await })
                    }
                }),
            )
            .await;
        match renewed {
            Ok(own) => {
                // What is another's by now needs no sign of life from here; its next write will be refused.
                let mut held = self.held();
                for name in asked.keys().filter(|name| !own.contains(name)) {
                    held.remove(name);
                }
            }
            Err(error) => {
                tracing::warn!(%error, "no sign of life could be given; others may take over what is on its way");
            }
        }
    }
}

/// Gives a sign of life for what this process has taken, until the store is dropped.
async fn keep_alive(database: Weak<Database>, interval: Duration) {
    let mut ticks = tokio::time::interval(interval);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        let Some(database) = database.upgrade() else { return };
        database.renew().await;
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        let database = &self.database;
        let plan = Plan::new(&batch).map_err(|fault| fault.into_error(&database.address, "written"))?;
        let (plan, alive) = (Arc::new(plan), database.leasing.alive());
        let written = self
            .write(verb(move |client, again| {
                let plan = Arc::clone(&plan);
                Box::pin(async move { commit::commit(client, &plan, alive, again).await })
            }))
            .await;
        // After a conflict too: whoever overtook has it now.
        database.note_written(&batch);
        written
    }

    async fn subscribers(&self, ids: &[SubscriberId]) -> Result<Vec<Versioned<SubscriberState>>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Arc<[SubscriberId]> = ids.into();
        self.read(verb(move |client, _| {
            let ids = Arc::clone(&ids);
            Box::pin(async move { read::subscribers(client, &ids).await })
        }))
        .await
    }

    async fn subscriber_ids(&self) -> Result<Vec<SubscriberId>, StoreError> {
        self.read(verb(|client, _| Box::pin(read::subscriber_ids(client))))
            .await
    }

    async fn papers(&self, ids: &[VersionedId]) -> Result<Vec<Option<StoredPaper>>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Arc<[VersionedId]> = ids.into();
        self.read(verb(move |client, _| {
            let ids = Arc::clone(&ids);
            Box::pin(async move { read::papers(client, &ids).await })
        }))
        .await
    }

    async fn latest_papers(&self, ids: &[ArxivId]) -> Result<Vec<Option<StoredPaper>>, StoreError> {
        if ids.is_empty() {
            return Ok(Vec::new());
        }
        let ids: Arc<[ArxivId]> = ids.into();
        self.read(verb(move |client, _| {
            let ids = Arc::clone(&ids);
            Box::pin(async move { read::latest_papers(client, &ids).await })
        }))
        .await
    }

    async fn newest_papers(&self, below: Option<&ArxivId>, limit: usize) -> Result<Vec<StoredPaper>, StoreError> {
        let below = below.cloned().map(Arc::new);
        self.read(verb(move |client, _| {
            let below = below.clone();
            Box::pin(async move { read::newest_papers(client, below.as_deref(), limit).await })
        }))
        .await
    }

    async fn lease_due(
        &self,
        worker: &WorkerId,
        due: DueBy,
        ttl: TimeDelta,
        limit: usize,
    ) -> Result<Vec<Versioned<OutboxEntry>>, StoreError> {
        let mut taken = Vec::new();
        while taken.len() < limit {
            let database = Arc::clone(&self.database);
            let worker = worker.clone();
            let left = i64::try_from(limit - taken.len()).unwrap_or(i64::MAX);
            let (more, may_be_more) = self
                .write(verb(move |client, _| {
                    let (worker, database) = (worker.clone(), Arc::clone(&database));
                    Box::pin(async move {
                        let taken = lease::take(client, database.leasing, &worker, due, ttl, left).await?;
                        let mut held = database.held();
                        for entry in &taken.0 {
                            held.insert(rows::entry_name(&entry.value.digest.id), worker.to_string());
                        }
                        Ok(taken)
                    })
                }))
                .await?;
            taken.extend(more);
            if !may_be_more {
                break;
            }
        }
        Ok(taken)
    }

    async fn next_due(&self) -> Result<Option<DateTime<Utc>>, StoreError> {
        self.read(verb(|client, _| Box::pin(read::next_due(client)))).await
    }

    async fn entry(&self, id: &DigestId) -> Result<Option<Versioned<OutboxEntry>>, StoreError> {
        let id = Arc::new(id.clone());
        self.read(verb(move |client, _| {
            let id = Arc::clone(&id);
            Box::pin(async move { read::entry(client, &id).await })
        }))
        .await
    }

    async fn entries(&self, filter: &EntryFilter) -> Result<Vec<Versioned<OutboxEntry>>, StoreError> {
        let filter = Arc::new(filter.clone());
        self.read(verb(move |client, _| {
            let filter = Arc::clone(&filter);
            Box::pin(async move { read::entries(client, &filter).await })
        }))
        .await
    }

    async fn document(&self, kind: DocumentKind, key: &str) -> Result<Versioned<Document>, StoreError> {
        let key: Arc<str> = key.into();
        self.read(verb(move |client, _| {
            let key = Arc::clone(&key);
            Box::pin(async move { read::document(client, kind, &key).await })
        }))
        .await
    }

    async fn documents(&self, kind: DocumentKind) -> Result<Vec<Versioned<Document>>, StoreError> {
        self.read(verb(move |client, _| Box::pin(read::documents(client, kind))))
            .await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.database
            .call("read", Duration::ZERO, &verb(|client, _| Box::pin(read::now(client))))
            .await
            .map(drop)
    }

    async fn describe(&self) -> Result<String, StoreError> {
        let server = self
            .database
            .call("read", OPEN_MAX, &verb(|client, _| Box::pin(read::server(client))))
            .await?;
        let way = match self.database.address.tls() {
            Tls::Verified => "certificate verified",
            Tls::None => "not encrypted",
        };
        Ok(format!(
            "{}: {server}, {way}; tables of version {}",
            self.database.address,
            migrations::NEWEST
        ))
    }

    fn claim_ttl(&self) -> Option<TimeDelta> {
        Some(TimeDelta::nanoseconds(self.database.leasing.alive()))
    }

    async fn shared_now(&self) -> Result<DateTime<Utc>, StoreError> {
        self.read(verb(|client, _| Box::pin(read::now(client)))).await
    }
}
