//! Trees, and the one way of writing to them: a [`Plan`] made from reads, then applied as one transaction.
//!
//! Only the owner thread comes here, so what a plan has read cannot change before it is applied, and the
//! closure that sled may run again holds nothing but finished writes.

use std::{collections::BTreeMap, fs::File, io, ops::Bound, path::Path, sync::Arc};

use ::sled::{
    IVec, Tree,
    transaction::{ConflictableTransactionError, TransactionError, Transactional},
};

use super::disk::Unsynced;
use crate::store::{
    Batch,
    journal::{Journal, Pauses},
    schema::{self, Head, Unreadable},
};

/// One tree. The numbers are part of the chunks' keys.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) enum Table {
    Subscriber,
    Paper,
    Outbox,
    /// Active entries by the time at which they fall due.
    Due,
    Document,
    /// The parts of values that are too long for one.
    Chunk,
    /// The schema's version and the number of the last commit.
    Meta,
}

impl Table {
    pub(super) const ALL: [Self; 7] = [
        Self::Subscriber,
        Self::Paper,
        Self::Outbox,
        Self::Due,
        Self::Document,
        Self::Chunk,
        Self::Meta,
    ];

    pub(super) fn as_str(self) -> &'static str {
        match self {
            Self::Subscriber => "subscriber",
            Self::Paper => "paper",
            Self::Outbox => "outbox",
            Self::Due => "due",
            Self::Document => "document",
            Self::Chunk => "chunk",
            Self::Meta => "meta",
        }
    }
}

/// The key of the schema's version in [`Table::Meta`].
pub(super) const SCHEMA_KEY: &[u8] = b"schema";
/// The key of the number of the last commit in [`Table::Meta`].
pub(super) const COMMIT_KEY: &[u8] = b"commit";

/// Why something inside the owner thread did not work.
#[derive(Debug)]
pub(super) enum Fault {
    /// sled failed: its handle must not be used again.
    Sled { doing: &'static str, error: ::sled::Error },
    /// The system failed to write or sync.
    Sync(io::Error),
    /// sled panicked.
    Panicked(String),
    /// A value is not what this program writes.
    Unreadable(Unreadable),
    /// A value is longer than the store takes.
    TooLong(String),
    /// A value has another revision than the batch says.
    Conflict(String),
}

impl Fault {
    pub(super) fn reading(error: ::sled::Error) -> Self {
        Self::Sled { doing: "read", error }
    }

    fn writing(error: ::sled::Error) -> Self {
        Self::Sled {
            doing: "written",
            error,
        }
    }
}

impl From<Unreadable> for Fault {
    fn from(unreadable: Unreadable) -> Self {
        Self::Unreadable(unreadable)
    }
}

/// A stored body with its revision.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Record {
    pub(super) revision: u64,
    pub(super) body: Vec<u8>,
}

/// All trees, and the file that they lie in.
#[derive(Debug)]
pub(super) struct Tables {
    db: ::sled::Db,
    /// In the order of [`Table::ALL`].
    trees: [Tree; 7],
    /// An own handle of sled's `db` file.
    db_file: Arc<File>,
    /// Where the number of the last commit is noted beside sled; `None` until the store is known to be sound.
    witness: Option<Arc<File>>,
    n_commits: u64,
    /// How many of them were handed on to be brought to the disk.
    n_handed_on: u64,
    /// Where that is noted which must outlive the store.
    journal: Option<Journal>,
    /// Journals before it that still owe something to the disk.
    finished: Vec<Arc<File>>,
}

impl Tables {
    pub(super) fn open(db: ::sled::Db, db_file: File) -> Result<Self, ::sled::Error> {
        let [a, b, c, d, e, f, g] = Table::ALL.map(|table| db.open_tree(table.as_str()));
        Ok(Self {
            trees: [a?, b?, c?, d?, e?, f?, g?],
            db,
            db_file: Arc::new(db_file),
            witness: None,
            n_commits: 0,
            n_handed_on: 0,
            journal: None,
            finished: Vec::new(),
        })
    }

    pub(super) fn tree(&self, table: Table) -> &Tree {
        &self.trees[table as usize]
    }

    /// From now on counts commits from `n_commits` and notes each in `witness`.
    pub(super) fn witness(&mut self, witness: File, n_commits: u64) {
        self.witness = Some(Arc::new(witness));
        self.n_commits = n_commits;
        self.n_handed_on = n_commits;
    }

    /// Opens or begins a journal while these are paused; the one before is finished.
    pub(super) fn begin_journal(&mut self, path: &Path, paused: Pauses) -> Result<(), Fault> {
        self.finished
            .extend(self.journal.as_mut().and_then(Journal::take_unsynced));
        self.journal = Some(Journal::open(path, paused).map_err(Fault::Sync)?);
        Ok(())
    }

    /// Notes what a batch says before it is applied.
    pub(super) fn note(&mut self, batch: &Batch) -> Result<(), Fault> {
        match &mut self.journal {
            Some(journal) => journal.note(batch).map_err(Fault::Sync),
            None => Ok(()),
        }
    }

    pub(super) fn get(&self, table: Table, key: &[u8]) -> Result<Option<IVec>, Fault> {
        self.tree(table).get(key).map_err(Fault::reading)
    }

    /// The body under a key, put together from its chunks.
    pub(super) fn record(&self, table: Table, key: &[u8]) -> Result<Option<Record>, Fault> {
        match self.get(table, key)? {
            Some(value) => self.whole(table, key, &value).map(Some),
            None => Ok(None),
        }
    }

    /// The bodies under all keys with a prefix, in order.
    pub(super) fn records<'t>(
        &'t self,
        table: Table,
        prefix: &[u8],
    ) -> impl DoubleEndedIterator<Item = Result<(IVec, Record), Fault>> + 't {
        self.tree(table)
            .scan_prefix(prefix)
            .map(move |pair| self.record_of(table, pair))
    }

    /// The bodies under all keys from a bound on, in order.
    pub(super) fn records_from<'t>(
        &'t self,
        table: Table,
        begin: Bound<&[u8]>,
    ) -> impl Iterator<Item = Result<(IVec, Record), Fault>> + 't {
        self.tree(table)
            .range::<&[u8], _>((begin, Bound::Unbounded))
            .map(move |pair| self.record_of(table, pair))
    }

    fn record_of(&self, table: Table, pair: ::sled::Result<(IVec, IVec)>) -> Result<(IVec, Record), Fault> {
        let (key, value) = pair.map_err(Fault::reading)?;
        let record = self.whole(table, &key, &value)?;
        Ok((key, record))
    }

    /// The body whose first value was read already.
    pub(super) fn whole(&self, table: Table, key: &[u8], value: &[u8]) -> Result<Record, Fault> {
        let head = Head::parse(value)?;
        let mut body = head.inline.to_vec();
        for index in 0..head.n_chunks {
            let chunk = self
                .get(Table::Chunk, &schema::chunk_key(table as u8, key, index))?
                .ok_or_else(|| Unreadable(format!("part {index} of {} of a value is missing", head.n_chunks)))?;
            body.extend_from_slice(schema::chunk_content(&chunk)?);
        }
        Ok(Record {
            revision: head.revision,
            body,
        })
    }

    /// How many commits there have been.
    pub(super) fn n_commits(&self) -> u64 {
        self.n_commits
    }

    /// Whether something was written that nobody is bringing to the disk.
    pub(super) fn is_behind(&self) -> bool {
        self.n_handed_on < self.n_commits
    }

    /// Hands on what is to be brought to the disk, if there is anything: one sync for any number of commits.
    pub(super) fn take_unsynced(&mut self) -> Option<Unsynced> {
        self.is_behind().then(|| {
            self.n_handed_on = self.n_commits;
            let mut journals = std::mem::take(&mut self.finished);
            journals.extend(self.journal.as_mut().and_then(Journal::take_unsynced));
            Unsynced {
                db_file: Arc::clone(&self.db_file),
                journals,
                n_commits: self.n_commits,
                witness: self.witness.clone(),
            }
        })
    }

    /// Makes everything durable that was written and not handed on.
    pub(super) fn make_durable(&mut self) -> Result<(), Fault> {
        match self.take_unsynced() {
            Some(unsynced) => unsynced.sync().map_err(Fault::Sync),
            None => Ok(()),
        }
    }

    /// Writes a plan as one transaction, which [`Tables::take_unsynced`] must follow. Until then it outlives the process,
    /// since the system has it, but no power cut.
    pub(super) fn apply(&mut self, writes: &Writes) -> Result<(), Fault> {
        if writes.0.is_empty() {
            return Ok(());
        }
        let n_commits = self.n_commits + 1;
        let number = schema::encode_number(n_commits);
        self.trees[..]
            .transaction(|trees| {
                for ((table, key), value) in &writes.0 {
                    let tree = &trees[*table as usize];
                    match value {
                        Some(value) => tree.insert(key.as_slice(), value.as_slice())?,
                        None => tree.remove(key.as_slice())?,
                    };
                }
                trees[Table::Meta as usize].insert(COMMIT_KEY, number.as_slice())?;
                Ok::<(), ConflictableTransactionError<std::convert::Infallible>>(())
            })
            .map_err(|error| match error {
                TransactionError::Storage(error) => Fault::writing(error),
                TransactionError::Abort(never) => match never {},
            })?;
        self.db.flush().map_err(Fault::writing)?;
        self.n_commits = n_commits;
        Ok(())
    }
}

/// Finished writes: values, or `None` to remove.
#[derive(Debug, Default)]
pub(super) struct Writes(BTreeMap<(Table, Vec<u8>), Option<Vec<u8>>>);

/// Writes in the making, which reads see as if they were stored.
#[derive(Debug)]
pub(super) struct Plan<'t> {
    tables: &'t Tables,
    writes: Writes,
}

impl<'t> Plan<'t> {
    pub(super) fn new(tables: &'t Tables) -> Self {
        Self {
            tables,
            writes: Writes::default(),
        }
    }

    pub(super) fn into_writes(self) -> Writes {
        self.writes
    }

    /// Revision and number of chunks of what lies under a key; zeros where nothing does.
    fn extent(&self, table: Table, key: &[u8]) -> Result<(u64, u32), Fault> {
        let extent = |value: &[u8]| {
            let head = Head::parse(value)?;
            Ok((head.revision, head.n_chunks))
        };
        match self.writes.0.get(&(table, key.to_vec())) {
            Some(Some(value)) => extent(value),
            Some(None) => Ok((0, 0)),
            None => match self.tables.get(table, key)? {
                Some(value) => extent(&value),
                None => Ok((0, 0)),
            },
        }
    }

    /// The revision of what lies under a key; 0 where nothing does.
    pub(super) fn revision(&self, table: Table, key: &[u8]) -> Result<u64, Fault> {
        self.extent(table, key).map(|(revision, _)| revision)
    }

    /// Whether the plan already writes or removes what lies under a key.
    pub(super) fn writes_to(&self, table: Table, key: &[u8]) -> bool {
        self.writes.0.contains_key(&(table, key.to_vec()))
    }

    /// Writes a body; `what` names it for a message.
    pub(super) fn put(
        &mut self,
        table: Table,
        key: Vec<u8>,
        revision: u64,
        body: &[u8],
        what: impl FnOnce() -> String,
    ) -> Result<(), Fault> {
        let (value, chunks) = schema::cut(revision, body).ok_or_else(|| Fault::TooLong(what()))?;
        self.put_cut(table, key, value, chunks)
    }

    /// Writes a body of two parts, the second of which can stay when [`Plan::put_before`] writes the first anew.
    pub(super) fn put_behind(
        &mut self,
        table: Table,
        key: Vec<u8>,
        revision: u64,
        first: &[u8],
        second: &[u8],
        what: impl FnOnce() -> String,
    ) -> Result<(), Fault> {
        let (value, chunks) = schema::cut_behind(revision, first, second).ok_or_else(|| Fault::TooLong(what()))?;
        self.put_cut(table, key, value, chunks)
    }

    /// Writes the first part of what [`Plan::put_behind`] has written.
    pub(super) fn put_before(&mut self, table: Table, key: Vec<u8>, revision: u64, first: &[u8]) -> Result<(), Fault> {
        let (_, n_chunks) = self.extent(table, &key)?;
        self.put_value(table, key, schema::head(revision, n_chunks, first));
        Ok(())
    }

    fn put_cut(&mut self, table: Table, key: Vec<u8>, value: Vec<u8>, chunks: Vec<Vec<u8>>) -> Result<(), Fault> {
        let (_, n_former) = self.extent(table, &key)?;
        let mut index = 0;
        for chunk in chunks {
            self.put_value(Table::Chunk, schema::chunk_key(table as u8, &key, index), chunk);
            index += 1;
        }
        self.remove_chunks(table, &key, index..n_former);
        self.put_value(table, key, value);
        Ok(())
    }

    /// Removes a body, if there is one.
    pub(super) fn remove(&mut self, table: Table, key: Vec<u8>) -> Result<(), Fault> {
        let (revision, n_chunks) = self.extent(table, &key)?;
        if revision > 0 {
            self.remove_chunks(table, &key, 0..n_chunks);
            self.remove_value(table, key);
        }
        Ok(())
    }

    fn remove_chunks(&mut self, table: Table, key: &[u8], indexes: std::ops::Range<u32>) {
        for index in indexes {
            self.remove_value(Table::Chunk, schema::chunk_key(table as u8, key, index));
        }
    }

    /// Writes a value that is not cut.
    pub(super) fn put_value(&mut self, table: Table, key: Vec<u8>, value: Vec<u8>) {
        self.writes.0.insert((table, key), Some(value));
    }

    /// Removes a value that is not cut.
    pub(super) fn remove_value(&mut self, table: Table, key: Vec<u8>) {
        self.writes.0.insert((table, key), None);
    }
}
