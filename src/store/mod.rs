//! What is remembered between runs, behind one trait with few verbs.
//!
//! All writing is one verb, [`Store::commit`]: a [`Batch`] of whole values, each with the revision that it
//! was read at. A batch is written entirely or not at all, and it is on the disk (or acknowledged by the
//! database's commit) when `commit` returns. A value that somebody else changed in the meantime makes the
//! batch fail with [`StoreError::Conflict`]; the caller reads again and decides again. Nothing is held
//! open between calls, so no transaction ever spans a network call.

use std::{collections::HashMap, fmt, path::Path, sync::Arc};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};

use crate::{
    clock::{Clock as _, SystemClock},
    model::{
        ArxivId, DigestId, DigestRecord, EntryState, OutboxEntry, Paper, PaperRecord, SubscriberId, SubscriberState,
        VersionedId, WorkerId,
    },
};

pub mod archive;
#[cfg(test)]
mod contract;
pub mod documents;
pub mod exports;
#[cfg(any(test, fuzzing))]
#[doc(hidden)]
pub mod fuzzing;
mod journal;
pub mod memory;
pub mod postgres;
pub mod recovery;
pub mod relays;
mod schema;
pub mod sled;

/// A value and the revision at which it was read; 0 for a value that is not stored yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versioned<T> {
    /// The value.
    pub value: T,
    /// Grows by one with each write.
    pub revision: u64,
}

impl<T> Versioned<T> {
    /// A value that is not stored yet.
    pub fn new(value: T) -> Self {
        Self { value, revision: 0 }
    }
}

/// The kinds of small documents: all that is neither a subscriber, a paper nor an outbox entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum DocumentKind {
    /// Per search: [`crate::model::KeywordCoverage`].
    Coverage,
    /// The one request gate.
    Gate,
    /// Per schedule and zone: the last completed slot and the claim on the present one.
    Slot,
    /// The reports of the latest runs.
    Run,
    /// Per address: [`crate::model::Suppression`].
    Suppression,
    /// Per name: singletons such as the newest identifier of each complete day.
    Note,
}

impl DocumentKind {
    /// All kinds.
    pub const ALL: [Self; 6] = [
        Self::Coverage,
        Self::Gate,
        Self::Slot,
        Self::Run,
        Self::Suppression,
        Self::Note,
    ];

    /// The name under which the kind is stored.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Coverage => "coverage",
            Self::Gate => "gate",
            Self::Slot => "slot",
            Self::Run => "run",
            Self::Suppression => "suppression",
            Self::Note => "note",
        }
    }
}

impl fmt::Display for DocumentKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// One small document: JSON under a kind and a key.
#[derive(Debug, Clone, PartialEq)]
pub struct Document {
    /// Its kind.
    pub kind: DocumentKind,
    /// Its key within the kind.
    pub key: String,
    /// Its content; `None` deletes it.
    pub value: Option<serde_json::Value>,
}

/// What is written together. Deletions come last: what a batch both writes and deletes is gone after it.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    /// Subscribers' states.
    pub subscribers: Vec<Versioned<SubscriberState>>,
    /// Outbox entries, new or changed.
    pub entries: Vec<Versioned<OutboxEntry>>,
    /// Documents.
    pub documents: Vec<Versioned<Document>>,
    /// Papers as fetched at the given moment; the later writing of the same version wins.
    pub papers: Vec<(Paper, DateTime<Utc>)>,
    /// Papers whose text is no longer needed.
    pub papers_deleted: Vec<VersionedId>,
    /// Outbox entries that are past keeping.
    pub entries_deleted: Vec<DigestId>,
    /// Subscribers whose state is forgotten; their outbox entries are not touched.
    pub subscribers_deleted: Vec<SubscriberId>,
}

impl Batch {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.subscribers.is_empty()
            && self.entries.is_empty()
            && self.documents.is_empty()
            && self.papers.is_empty()
            && self.papers_deleted.is_empty()
            && self.entries_deleted.is_empty()
            && self.subscribers_deleted.is_empty()
    }
}

/// A stored paper.
#[derive(Debug, Clone, PartialEq)]
pub struct StoredPaper {
    /// Its metadata.
    pub paper: Paper,
    /// When any version of it that was stored at that moment was first fetched.
    pub first_fetched: DateTime<Utc>,
    /// When this version was last fetched.
    pub last_fetched: DateTime<Utc>,
}

/// Which outbox entries to list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EntryFilter {
    /// Only those of this subscriber.
    pub subscriber: Option<SubscriberId>,
    /// Only those still on their way: due, leased or held.
    pub active_only: bool,
    /// Only those that fall due, or whose lease ends, after this moment: with `active_only`.
    pub due_after: Option<DateTime<Utc>>,
    /// Only those that come after this one.
    pub after: Option<DigestId>,
    /// At most so many.
    pub limit: Option<usize>,
}

/// How many entries are read together, some kilobytes each.
const ENTRIES_TOGETHER: usize = 1_000;

/// Outbox entries a page at a time, so that memory stays flat however many there are.
#[derive(Debug)]
pub struct EntryPages<'s> {
    store: &'s dyn Store,
    /// Of what comes next; `None` after the last page.
    filter: Option<EntryFilter>,
}

impl<'s> EntryPages<'s> {
    /// All entries that `filter` lets through.
    pub fn new(store: &'s dyn Store, filter: EntryFilter) -> Self {
        let filter = Some(filter);
        Self { store, filter }
    }

    /// The next page; `None` after the last.
    ///
    /// # Errors
    /// Those of the store.
    pub async fn next(&mut self) -> Result<Option<Vec<Versioned<OutboxEntry>>>, StoreError> {
        let Some(mut filter) = self.filter.take() else {
            return Ok(None);
        };
        filter.limit = Some(ENTRIES_TOGETHER);
        let page = self.store.entries(&filter).await?;
        if let (ENTRIES_TOGETHER, Some(last)) = (page.len(), page.last()) {
            filter.after = Some(last.value.digest.id.clone());
            self.filter = Some(filter);
        }
        Ok(Some(page))
    }
}

/// Which moments count when due entries are taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DueBy {
    /// Entries whose next attempt is not later than this are due.
    pub horizon: DateTime<Utc>,
    /// The present moment by the calendar: leases that have run out by then are ended and dated with it. A store
    /// that several machines share goes by its own clock for the first and takes only the date from here.
    pub now: DateTime<Utc>,
}

impl DueBy {
    /// Everything that is due now.
    pub fn now(now: DateTime<Utc>) -> Self {
        Self { horizon: now, now }
    }

    /// Whether a worker may take the entry.
    pub fn is_free(&self, entry: &OutboxEntry) -> bool {
        let limit = match &entry.state {
            EntryState::Leased(_) => self.now,
            EntryState::Due | EntryState::Held | EntryState::Accepted { .. } | EntryState::Ended { .. } => self.horizon,
        };
        entry.due_at().is_some_and(|due_at| due_at <= limit)
    }
}

/// Why the store could not do as asked.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Somebody else changed a value of the batch: read again and decide again.
    #[error("{0} was changed by another writer in the meantime")]
    Conflict(String),
    /// Another process has the store open.
    #[error("another instance is using {0}; stop it, or let the command reach it through its control socket")]
    InUse(String),
    /// What is stored cannot be read.
    #[error("the state in {place} is damaged: {what}")]
    Damaged {
        /// Where.
        place: String,
        /// What was found, and what can be done.
        what: String,
    },
    /// Reading or writing failed. The handle must not be used again: what was in flight is unknown.
    #[error("the state in {place} cannot be {doing}: {why}")]
    Io {
        /// Where.
        place: String,
        /// `read`, `written` or `opened`.
        doing: &'static str,
        /// The system's words.
        why: String,
    },
    /// The database cannot be reached, also not after having tried for a while.
    #[error("{place} cannot be reached: {why}")]
    Unreachable {
        /// Where.
        place: String,
        /// The last failure in words.
        why: String,
    },
    /// The state was written by a newer program.
    #[error(
        "the state in {place} has schema version {found}, this program knows up to {known}; install the newer program again"
    )]
    TooNew {
        /// Where.
        place: String,
        /// The stored version.
        found: u32,
        /// The newest version that this program reads.
        known: u32,
    },
}

/// The memory of the service.
#[async_trait]
pub trait Store: Send + Sync + fmt::Debug {
    /// Writes a batch, all or nothing, durably.
    ///
    /// Each value must have the revision that is stored (0: none) and gets the next one. A value twice in one
    /// batch is a conflict. A caller that stops waiting does not stop the writing.
    async fn commit(&self, batch: Batch) -> Result<(), StoreError>;

    /// Writes a batch as [`Store::commit`] does, so that everybody sees it and a killed process keeps it, but need not
    /// wait for the disk: it is durable with the next commit, or a moment later. A power cut until then takes it
    /// as if it had never been written, and with it all that was written after it.
    ///
    /// For what may be done again after a power cut: an outcome, as long as the next message of the same courier waits
    /// for a commit.
    async fn commit_soon(&self, batch: Batch) -> Result<(), StoreError> {
        self.commit(batch).await
    }

    /// The states of the given subscribers in the given order; a new state at revision 0 for one not stored yet.
    async fn subscribers(&self, ids: &[SubscriberId]) -> Result<Vec<Versioned<SubscriberState>>, StoreError>;

    /// Everyone the store knows, in order.
    async fn subscriber_ids(&self) -> Result<Vec<SubscriberId>, StoreError>;

    /// The stored text of the given versions, in the given order.
    async fn papers(&self, ids: &[VersionedId]) -> Result<Vec<Option<StoredPaper>>, StoreError>;

    /// The newest stored version of each paper, in the given order.
    async fn latest_papers(&self, ids: &[ArxivId]) -> Result<Vec<Option<StoredPaper>>, StoreError>;

    /// Stored papers (newest version of each) below `below` if given, in falling order of identifiers.
    async fn newest_papers(&self, below: Option<&ArxivId>, limit: usize) -> Result<Vec<StoredPaper>, StoreError>;

    /// Takes up to `limit` entries that are due for `worker`, for `ttl` from now at most, earliest first.
    ///
    /// An entry whose lease has run out is due again; if its message may have been sent, it is counted as
    /// unconfirmed. The leases are written as by [`Store::commit_soon`]: after a power cut in that moment the entries
    /// are due as before, and nothing of them has gone out without a commit. A shared store ends a lease earlier than
    /// after `ttl` when the process that holds it gives no sign of life any more; whoever lost an entry that way learns it
    /// from a [`StoreError::Conflict`] at its next write.
    async fn lease_due(
        &self,
        worker: &WorkerId,
        due: DueBy,
        ttl: TimeDelta,
        limit: usize,
    ) -> Result<Vec<Versioned<OutboxEntry>>, StoreError>;

    /// When the next entry falls due: its next attempt, or the end of the lease on it. `None` where nothing
    /// is on its way but what waits for the operator.
    async fn next_due(&self) -> Result<Option<DateTime<Utc>>, StoreError>;

    /// One outbox entry.
    async fn entry(&self, id: &DigestId) -> Result<Option<Versioned<OutboxEntry>>, StoreError>;

    /// Outbox entries, ordered by subscriber and number; subscribers with names of more than 255 bytes come last.
    async fn entries(&self, filter: &EntryFilter) -> Result<Vec<Versioned<OutboxEntry>>, StoreError>;

    /// One document; `value` is `None` and the revision 0 where there is none.
    async fn document(&self, kind: DocumentKind, key: &str) -> Result<Versioned<Document>, StoreError>;

    /// All documents of a kind, ordered by key.
    async fn documents(&self, kind: DocumentKind) -> Result<Vec<Versioned<Document>>, StoreError>;

    /// From now on notes in a file of its own what an export of this moment cannot know: see [`recovery`]. A store that
    /// others back up does nothing here.
    async fn begin_journal(&self, _path: &Path) -> Result<(), StoreError> {
        Ok(())
    }

    /// Proves that the store answers: for the watchdog and readiness. Never waits for long.
    async fn ping(&self) -> Result<(), StoreError>;

    /// How the store was reached, in words for the operator.
    async fn describe(&self) -> Result<String, StoreError> {
        self.ping().await.map(|()| "opened and readable".to_owned())
    }

    /// How long what a worker claims stays its own after its last sign of life, where several processes may work on
    /// the same state at the same time; `None` where only one can.
    fn claim_ttl(&self) -> Option<TimeDelta> {
        None
    }

    /// The moment by the clock that all processes on this state share.
    async fn shared_now(&self) -> Result<DateTime<Utc>, StoreError> {
        Ok(SystemClock.now())
    }
}

/// The stored text of the papers that a digest names; what is not stored any more is left out.
pub async fn papers_of(
    store: &dyn Store,
    record: &DigestRecord,
) -> Result<HashMap<VersionedId, Arc<Paper>>, StoreError> {
    let ids: Vec<VersionedId> = record.papers().map(PaperRecord::versioned_id).collect();
    papers_by_id(store, &ids).await
}

/// The stored text of papers; what is not stored any more is left out.
pub async fn papers_by_id(
    store: &dyn Store,
    ids: &[VersionedId],
) -> Result<HashMap<VersionedId, Arc<Paper>>, StoreError> {
    let stored = store.papers(ids).await?;
    Ok(ids
        .iter()
        .zip(stored)
        .filter_map(|(id, stored)| Some((id.clone(), Arc::new(stored?.paper))))
        .collect())
}
