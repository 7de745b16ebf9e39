//! The store of one machine: a sled database that one thread owns.
//!
//! sled 0.34 needs care (each point was measured): its `flush` is no fsync, so a commit is answered only after
//! `fdatasync` on the file, one for all commits that wait by then, on a thread beside (see `disk`); values must be small
//! (see `schema`); half-written snapshots keep it from opening; a damaged log makes it panic; after an error its handle
//! must not be used again, and whoever waited for what could not be written may wait for ever. So every call runs as a
//! closure on the owner thread, where a panic is caught, its answer is waited for within a limit, and the first failure of
//! the database makes the store refuse everything after it.

use std::{
    any::Any,
    io,
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::{
        Arc, OnceLock,
        atomic::{AtomicBool, Ordering},
        mpsc,
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::oneshot;

use super::{
    Batch, Document, DocumentKind, DueBy, EntryFilter, Store, StoreError, StoredPaper, Versioned, schema::Unreadable,
};
use crate::model::{ArxivId, DigestId, OutboxEntry, SubscriberId, SubscriberState, VersionedId, WorkerId};

mod disk;
#[cfg(test)]
mod growth;
mod open;
#[cfg(test)]
mod probes;
mod table;
mod verbs;

use disk::{Disk, Failure, Unsynced, Waiting, failed_before};
use table::{Fault, Table, Tables};

/// How long opening waits for another process to end: a restart may overlap with the former life.
pub const LOCK_WAIT: Duration = Duration::from_secs(5);
/// How long an answer of the database is waited for. Reading all of a large state takes some seconds; a disk that does
/// not answer within this time has failed, and systemd starts the service anew.
const ANSWER_MAX: Duration = Duration::from_secs(60);
/// How long what need not wait for the disk is left to a commit that does.
const DURABLE_SOON: Duration = Duration::from_millis(20);
/// How many calls are answered together at most.
const GROUP_MAX: usize = 64;
/// How often it is looked whether the database is closed.
const CLOSE_POLL: Duration = Duration::from_millis(2);

/// An opened store, and what was found.
#[derive(Debug)]
pub struct Opened {
    /// The store.
    pub store: SledStore,
    /// Whether there was none before.
    pub created: bool,
    /// What had to be mended, in words for the log.
    pub repaired: Option<String>,
    /// What an earlier life left unfinished.
    pub former_life: FormerLife,
}

/// The leases of an earlier life, which ended when the store was opened: only one process can have it open.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct FormerLife {
    /// Entries whose message was certainly not sent: due again.
    pub unsent: Vec<DigestId>,
    /// Entries whose message may have been sent: due again.
    pub unconfirmed: Vec<DigestId>,
    /// Entries whose message may have been sent once too often: held.
    pub held: Vec<DigestId>,
}

/// The store in a folder of its own. Dropping it waits until what was begun is written, unless the disk has stopped
/// answering.
#[derive(Debug)]
pub struct SledStore {
    place: String,
    /// `None` only while dropping.
    jobs: Option<mpsc::Sender<Job>>,
    owner: Option<JoinHandle<()>>,
    answer_max: Duration,
    /// The owner thread did not answer and may never do: nobody waits for it any more.
    is_stuck: AtomicBool,
}

/// What the owner thread is to do. What it gives back answers the caller once all that was written is durable.
type Job = Box<dyn FnOnce(&mut Owner) -> Option<Waiting> + Send>;

/// When a caller whose verb wrote something gets its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Answered {
    OnceDurable,
    AtOnce,
}

impl SledStore {
    /// Opens the store in the folder `dir`, or creates it there.
    ///
    /// The folder must be the store's own and, so that it can be set aside when damaged, inside another one
    /// that can be written. All leases in it end at `now`.
    ///
    /// # Errors
    /// [`StoreError::Io`] if the folder cannot be written, [`StoreError::InUse`] if another process has had
    /// it open for [`LOCK_WAIT`], [`StoreError::Damaged`], [`StoreError::TooNew`].
    pub async fn open(dir: &Path, now: DateTime<Utc>) -> Result<Opened, StoreError> {
        Self::open_within(dir, now, LOCK_WAIT).await
    }

    async fn open_within(dir: &Path, now: DateTime<Utc>, lock_wait: Duration) -> Result<Opened, StoreError> {
        let place = dir.display().to_string();
        let unopened = |why: String| StoreError::Io {
            place: place.clone(),
            doing: "opened",
            why,
        };
        let (jobs, queue) = mpsc::channel();
        let (answer, answered) = oneshot::channel();
        let dir = dir.to_owned();
        let owner = std::thread::Builder::new()
            .name("store".into())
            .spawn(move || own(&dir, now, lock_wait, answer, &queue))
            .map_err(|error| unopened(error.to_string()))?;
        let (created, repaired, former_life) = answered
            .await
            .map_err(|_| unopened("the thread that opens it ended".into()))??;
        Ok(Opened {
            store: Self {
                place,
                jobs: Some(jobs),
                owner: Some(owner),
                answer_max: ANSWER_MAX,
                is_stuck: AtomicBool::new(false),
            },
            created,
            repaired,
            former_life,
        })
    }

    /// Runs a verb on the owner thread; what it writes is durable before it is answered.
    async fn call<R: Send + 'static>(
        &self,
        verb: impl FnOnce(&mut Tables) -> Result<R, Fault> + Send + 'static,
    ) -> Result<R, StoreError> {
        self.call_answered(Answered::OnceDurable, verb).await
    }

    async fn call_answered<R: Send + 'static>(
        &self,
        answered_when: Answered,
        verb: impl FnOnce(&mut Tables) -> Result<R, Fault> + Send + 'static,
    ) -> Result<R, StoreError> {
        let ended = || StoreError::Io {
            place: self.place.clone(),
            doing: "read",
            why: "the thread that owns it has ended".into(),
        };
        let stuck = || StoreError::Io {
            place: self.place.clone(),
            doing: "written",
            why: format!(
                "it has not answered for {} seconds; look for errors of the disk in the system's log",
                self.answer_max.as_secs()
            ),
        };
        if self.is_stuck.load(Ordering::Relaxed) {
            return Err(stuck());
        }
        let (answer, answered) = oneshot::channel();
        let job: Job = Box::new(move |owner| {
            let n_before = owner.tables.n_commits();
            let result = owner.run(verb);
            let has_written = owner.tables.n_commits() > n_before;
            if has_written && answered_when == Answered::OnceDurable {
                let place = owner.place.clone();
                return Some(Box::new(move |durable| {
                    let durable = durable.map_err(|Failure { doing, why }| StoreError::Io { place, doing, why });
                    // Nobody to tell: the caller stopped waiting. What was to be done is done all the same.
                    drop(answer.send(durable.and(result)));
                }));
            }
            drop(answer.send(result));
            None
        });
        let jobs = self.jobs.as_ref().ok_or_else(ended)?;
        jobs.send(job).map_err(|_| ended())?;
        let Ok(answered) = tokio::time::timeout(self.answer_max, answered).await else {
            self.is_stuck.store(true, Ordering::Relaxed);
            return Err(stuck());
        };
        answered.map_err(|_| ended())?
    }
}

impl Drop for SledStore {
    fn drop(&mut self) {
        self.jobs = None;
        let Some(owner) = self.owner.take() else { return };
        let mut left = self.answer_max;
        while !owner.is_finished() && !left.is_zero() && !self.is_stuck.load(Ordering::Relaxed) {
            std::thread::sleep(CLOSE_POLL);
            left = left.saturating_sub(CLOSE_POLL);
        }
        if !owner.is_finished() {
            tracing::error!(
                store.place = self.place,
                "the state was not closed: its disk does not answer"
            );
        } else if owner.join().is_err() {
            tracing::error!(store.place = self.place, "the store's thread panicked while closing");
        }
    }
}

/// Renames the folder of a damaged store to `corrupt-TIME` beside it and returns the new path.
///
/// # Errors
/// [`io::ErrorKind::ResourceBusy`] if a process has it open; whatever the renaming gives.
pub fn quarantine(dir: &Path, now: DateTime<Utc>) -> io::Result<PathBuf> {
    open::quarantine(dir, now)
}

/// What opening came to: created, repaired, and the former life.
type Finding = Result<(bool, Option<String>, FormerLife), StoreError>;

/// The owner thread.
fn own(
    dir: &Path,
    now: DateTime<Utc>,
    lock_wait: Duration,
    answer: oneshot::Sender<Finding>,
    queue: &mpsc::Receiver<Job>,
) {
    let opening = match open::open(dir, now, lock_wait) {
        Ok(opening) => opening,
        Err(error) => return drop(answer.send(Err(error))),
    };
    let failure = Arc::<OnceLock<Failure>>::default();
    let disk = match Disk::start(Arc::clone(&failure), Unsynced::sync) {
        Ok(disk) => disk,
        Err(error) => {
            return drop(answer.send(Err(StoreError::Io {
                place: dir.display().to_string(),
                doing: "opened",
                why: error.to_string(),
            })));
        }
    };
    let mut owner = Owner {
        place: dir.display().to_string(),
        tables: opening.tables,
        failure,
    };
    // If the opener stopped waiting, the queue is closed too.
    drop(answer.send(Ok((opening.created, opening.repaired, opening.former_life))));
    let mut behind_since = None;
    while let Some(group) = next_jobs(&mut owner, queue, &disk, &mut behind_since) {
        let waiting: Vec<Waiting> = group.into_iter().filter_map(|job| job(&mut owner)).collect();
        // Who waits has written something.
        if !waiting.is_empty()
            && let Some(unsynced) = owner.tables.take_unsynced()
        {
            disk.sync(unsynced, waiting);
        }
    }
    disk.finish();
    // Nobody waits for it any more, and a failure was or will be told by whoever opens the store next.
    drop(owner.run(Tables::make_durable));
    // sled first, then the lock: whoever waits for it finds the files at rest.
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| drop(owner))) {
        tracing::error!("closing the state panicked ({})", panic_text(&*panic));
    }
    drop(opening.lock);
}

/// What is to be done next: all that has been asked for by now. `None` once nobody can ask any more.
fn next_jobs(
    owner: &mut Owner,
    queue: &mpsc::Receiver<Job>,
    disk: &Disk,
    behind_since: &mut Option<Instant>,
) -> Option<Vec<Job>> {
    if !owner.tables.is_behind() || owner.failure.get().is_some() {
        *behind_since = None;
        return queue.recv().ok().map(|job| with_others(job, queue));
    }
    let since = *behind_since.get_or_insert_with(Instant::now);
    match queue.recv_timeout(DURABLE_SOON.saturating_sub(since.elapsed())) {
        Ok(job) => Some(with_others(job, queue)),
        Err(mpsc::RecvTimeoutError::Disconnected) => None,
        Err(mpsc::RecvTimeoutError::Timeout) => {
            // A failure is kept, and told to whoever asks next.
            if let Some(unsynced) = owner.tables.take_unsynced() {
                disk.sync(unsynced, Vec::new());
            }
            *behind_since = None;
            queue.recv().ok().map(|job| with_others(job, queue))
        }
    }
}

fn with_others(job: Job, queue: &mpsc::Receiver<Job>) -> Vec<Job> {
    let mut group = vec![job];
    group.extend(queue.try_iter().take(GROUP_MAX - 1));
    group
}

struct Owner {
    place: String,
    tables: Tables,
    /// Shared with the thread that waits for the disk.
    failure: Arc<OnceLock<Failure>>,
}

impl Owner {
    fn run<R>(&mut self, verb: impl FnOnce(&mut Tables) -> Result<R, Fault>) -> Result<R, StoreError> {
        if let Some(Failure { doing, why }) = self.failure.get() {
            return Err(StoreError::Io {
                place: self.place.clone(),
                doing,
                why: failed_before(why),
            });
        }
        let result = catch_unwind(AssertUnwindSafe(|| verb(&mut self.tables)))
            .unwrap_or_else(|panic| Err(Fault::Panicked(panic_text(&*panic))));
        result.map_err(|fault| {
            if matches!(fault, Fault::Sled { .. } | Fault::Panicked(_) | Fault::Unreadable(_)) {
                open::note_suspicion(Path::new(&self.place));
            }
            let is_final = match &fault {
                Fault::Sled { .. } | Fault::Sync(_) | Fault::Panicked(_) => true,
                Fault::Unreadable(_) | Fault::TooLong(_) | Fault::Conflict(_) => false,
            };
            let error = report(&self.place, fault);
            if is_final && let StoreError::Io { doing, why, .. } = &error {
                let why = why.clone();
                self.failure.get_or_init(|| Failure { doing, why });
            }
            error
        })
    }
}

/// A fault in the words of the store's callers.
fn report(place: &str, fault: Fault) -> StoreError {
    let place = place.to_owned();
    let io = |place, doing, why| StoreError::Io { place, doing, why };
    match fault {
        Fault::Sled {
            doing,
            error: ::sled::Error::Io(error),
        } => io(place, doing, error.to_string()),
        Fault::Sled { doing, error } => io(place, doing, error.to_string()),
        Fault::Sync(error) => io(place, "written", error.to_string()),
        Fault::Panicked(what) => io(place, "written", format!("sled panicked: {what}")),
        Fault::Unreadable(Unreadable(what)) => open::damaged(Path::new(&place), &what),
        Fault::TooLong(what) => io(
            place,
            "written",
            format!("{what} is longer than {} bytes", super::schema::BODY_BYTES_MAX),
        ),
        Fault::Conflict(what) => StoreError::Conflict(what),
    }
}

/// What a panic said.
fn panic_text(panic: &(dyn Any + Send)) -> String {
    panic
        .downcast_ref::<String>()
        .map(String::as_str)
        .or_else(|| panic.downcast_ref::<&str>().copied())
        .unwrap_or("no message")
        .to_owned()
}

#[async_trait]
impl Store for SledStore {
    async fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        self.call(move |tables| verbs::commit(tables, &batch)).await
    }

    async fn commit_soon(&self, batch: Batch) -> Result<(), StoreError> {
        self.call_answered(Answered::AtOnce, move |tables| verbs::commit(tables, &batch))
            .await
    }

    async fn subscribers(&self, ids: &[SubscriberId]) -> Result<Vec<Versioned<SubscriberState>>, StoreError> {
        let ids = ids.to_vec();
        self.call(move |tables| verbs::subscribers(tables, &ids)).await
    }

    async fn subscriber_ids(&self) -> Result<Vec<SubscriberId>, StoreError> {
        self.call(|tables| verbs::subscriber_ids(tables)).await
    }

    async fn papers(&self, ids: &[VersionedId]) -> Result<Vec<Option<StoredPaper>>, StoreError> {
        let ids = ids.to_vec();
        self.call(move |tables| verbs::papers(tables, &ids)).await
    }

    async fn latest_papers(&self, ids: &[ArxivId]) -> Result<Vec<Option<StoredPaper>>, StoreError> {
        let ids = ids.to_vec();
        self.call(move |tables| verbs::latest_papers(tables, &ids)).await
    }

    async fn newest_papers(&self, below: Option<&ArxivId>, limit: usize) -> Result<Vec<StoredPaper>, StoreError> {
        let below = below.cloned();
        self.call(move |tables| verbs::newest_papers(tables, below.as_ref(), limit))
            .await
    }

    async fn lease_due(
        &self,
        worker: &WorkerId,
        due: DueBy,
        ttl: TimeDelta,
        limit: usize,
    ) -> Result<Vec<Versioned<OutboxEntry>>, StoreError> {
        let worker = worker.clone();
        self.call_answered(Answered::AtOnce, move |tables| {
            verbs::lease_due(tables, &worker, due, ttl, limit)
        })
        .await
    }

    async fn next_due(&self) -> Result<Option<DateTime<Utc>>, StoreError> {
        self.call(|tables| verbs::next_due(tables)).await
    }

    async fn entry(&self, id: &DigestId) -> Result<Option<Versioned<OutboxEntry>>, StoreError> {
        let id = id.clone();
        self.call(move |tables| verbs::entry(tables, &id)).await
    }

    async fn entries(&self, filter: &EntryFilter) -> Result<Vec<Versioned<OutboxEntry>>, StoreError> {
        let filter = filter.clone();
        self.call(move |tables| verbs::entries(tables, &filter)).await
    }

    async fn document(&self, kind: DocumentKind, key: &str) -> Result<Versioned<Document>, StoreError> {
        let key = key.to_owned();
        self.call(move |tables| verbs::document(tables, kind, &key)).await
    }

    async fn documents(&self, kind: DocumentKind) -> Result<Vec<Versioned<Document>>, StoreError> {
        self.call(move |tables| verbs::documents(tables, kind)).await
    }

    async fn begin_journal(&self, path: &Path) -> Result<(), StoreError> {
        let path = path.to_owned();
        self.call(move |tables| verbs::begin_journal(tables, &path)).await
    }

    async fn ping(&self) -> Result<(), StoreError> {
        self.call(|tables| tables.get(Table::Meta, table::SCHEMA_KEY).map(drop))
            .await
    }
}
