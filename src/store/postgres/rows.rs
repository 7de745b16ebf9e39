//! Values as rows: moments as numbers, outbox entries with the columns that the index of due ones needs.

use chrono::{DateTime, Utc};
use tokio_postgres::{Row, types::ToSql};

use crate::{
    model::{DigestId, EntryState, OutboxEntry},
    store::{Versioned, schema},
};

use super::connect::Fault;

/// The server's clock in nanoseconds since 1970.
///
/// Its microseconds fit into a double without loss, which some engines compute with here.
macro_rules! server_now {
    () => {
        "((extract(epoch from now()) * 1000000)::int8 * 1000)"
    };
}
pub(super) use server_now;

/// What stands for the time of an entry that nobody may take: after every other.
pub(super) const NEVER: i64 = i64::MAX;

/// Nanoseconds since 1970: exact from 1677 to 2262, and the nearest of these beyond.
pub(super) fn nanoseconds(at: DateTime<Utc>) -> i64 {
    at.timestamp_nanos_opt()
        .unwrap_or(if at.timestamp() < 0 { i64::MIN } else { NEVER - 1 })
}

/// The inverse of [`nanoseconds`].
pub(super) fn moment(nanoseconds: i64) -> DateTime<Utc> {
    DateTime::from_timestamp_nanos(nanoseconds)
}

/// A revision as a column: it counts from 1 by ones.
pub(super) fn revision(revision: u64) -> i64 {
    i64::try_from(revision).unwrap_or(i64::MAX)
}

/// The inverse of [`revision`].
pub(super) fn read_revision(column: i64) -> u64 {
    u64::try_from(column).unwrap_or(0)
}

/// The columns of outbox entries, one list for each, as `unnest` takes them.
#[derive(Debug, Default)]
pub(super) struct EntryColumns {
    pub(super) subscribers: Vec<Vec<u8>>,
    pub(super) numbers: Vec<i64>,
    /// The revisions at which they were read.
    pub(super) revisions: Vec<i64>,
    pub(super) are_active: Vec<bool>,
    pub(super) dues: Vec<i64>,
    pub(super) workers: Vec<Option<String>>,
    /// When the lease ends in any case.
    pub(super) lease_ends: Vec<Option<i64>>,
    pub(super) bodies: Vec<Vec<u8>>,
}

impl EntryColumns {
    pub(super) fn push(&mut self, entry: &Versioned<OutboxEntry>) -> Result<(), Fault> {
        let Versioned {
            value,
            revision: read_at,
        } = entry;
        let due = value.due_at().map_or(NEVER, nanoseconds);
        let lease = match &value.state {
            EntryState::Leased(lease) => Some(lease),
            EntryState::Due | EntryState::Held | EntryState::Accepted { .. } | EntryState::Ended { .. } => None,
        };
        self.subscribers
            .push(schema::subscriber_key(&value.digest.id.subscriber));
        self.numbers.push(i64::from(value.digest.id.number));
        self.revisions.push(revision(*read_at));
        self.are_active.push(value.is_active());
        self.dues.push(due);
        self.workers.push(lease.map(|lease| lease.worker.to_string()));
        self.lease_ends.push(lease.map(|_| due));
        self.bodies.push(schema::encode_entry(value)?);
        Ok(())
    }

    pub(super) fn is_empty(&self) -> bool {
        self.numbers.is_empty()
    }

    /// The parameters of an insertion.
    pub(super) fn inserted(&self) -> Vec<&(dyn ToSql + Sync)> {
        vec![
            &self.subscribers,
            &self.numbers,
            &self.are_active,
            &self.dues,
            &self.workers,
            &self.lease_ends,
            &self.bodies,
        ]
    }

    /// The parameters of [`UPDATE_ENTRIES`].
    pub(super) fn updated<'c>(&'c self, lease: &'c i64) -> Vec<&'c (dyn ToSql + Sync)> {
        vec![
            &self.subscribers,
            &self.numbers,
            &self.revisions,
            &self.are_active,
            &self.dues,
            &self.workers,
            &self.lease_ends,
            &self.bodies,
            lease,
        ]
    }
}

/// An entry's name as two columns.
pub(super) fn entry_name(id: &DigestId) -> (Vec<u8>, i64) {
    (schema::subscriber_key(&id.subscriber), i64::from(id.number))
}

/// An entry from the columns `revision` and `body`.
pub(super) fn read_entry(row: &Row) -> Result<Versioned<OutboxEntry>, Fault> {
    Ok(Versioned {
        value: schema::decode_entry(row.try_get("body")?)?,
        revision: read_revision(row.try_get("revision")?),
    })
}

/// Writes entries at the revisions at which they were read, and returns the names of those that it wrote.
///
/// $9: how long a lease holds without a sign of life, in nanoseconds.
pub(super) const UPDATE_ENTRIES: &str = concat!(
    "update outbox set revision = n.revision + 1, is_active = n.is_active, \
     due = case when n.worker is null then n.due else least(n.due, ",
    server_now!(),
    " + $9::int8) end, worker = n.worker, lease_end = n.lease_end, body = n.body \
     from unnest($1::bytea[], $2::int8[], $3::int8[], $4::bool[], $5::int8[], $6::text[], $7::int8[], $8::bytea[]) \
     as n (subscriber, number, revision, is_active, due, worker, lease_end, body) \
     where outbox.subscriber = n.subscriber and outbox.number = n.number and outbox.revision = n.revision \
     returning outbox.subscriber, outbox.number"
);
