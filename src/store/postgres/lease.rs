//! Leases: rights to attempt a digest, limited by the server's clock and kept alive while the process lives.
//!
//! A lease is no lock. It only keeps workers from doing the same work: what makes it safe is that every write of an
//! entry names the revision at which it was read, and that a worker writes once more just before it sends. No row
//! stays locked between two calls.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};
use deadpool_postgres::Client;
use tokio_postgres::types::ToSql;

use super::{
    connect::Fault,
    rows::{EntryColumns, UPDATE_ENTRIES, moment, nanoseconds, read_entry, server_now},
};
use crate::{
    model::{LeaseEnd, OutboxEntry, WorkerId},
    store::{DueBy, Versioned},
};

/// Due ones that nobody else is taking at this moment, earliest first. $2: a clock instead of the server's, for tests.
const SELECT_DUE: &str = concat!(
    "select revision, body, coalesce($2::int8, ",
    server_now!(),
    ") as now from outbox where is_active and due <= greatest($1::int8, coalesce($2::int8, ",
    server_now!(),
    ")) and due <= case when worker is null then $1::int8 else coalesce($2::int8, ",
    server_now!(),
    ") end order by due, subscriber, number limit $3 for update skip locked"
);

/// A sign of life for the leases named, of which none goes on after its end.
const RENEW: &str = concat!(
    "update outbox set due = least(outbox.lease_end, ",
    server_now!(),
    " + $4::int8) from unnest($1::bytea[], $2::int8[], $3::text[]) as n (subscriber, number, worker) \
     where outbox.subscriber = n.subscriber and outbox.number = n.number and outbox.worker = n.worker \
     returning outbox.subscriber, outbox.number"
);

/// Whose clock leases go by, and how long they hold without a sign of life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Leasing {
    /// The server's.
    Server {
        /// How long, in nanoseconds.
        alive: i64,
    },
    /// The caller's calendar, to the end of each lease: for the tests that all stores pass.
    #[cfg(test)]
    Calendar,
}

impl Leasing {
    /// How long a lease holds without a sign of life, in nanoseconds.
    pub(super) fn alive(self) -> i64 {
        match self {
            Self::Server { alive } => alive,
            // Added to the present time it must still be a number.
            #[cfg(test)]
            Self::Calendar => i64::MAX / 2,
        }
    }

    /// A clock instead of the server's.
    #[cfg_attr(not(test), expect(unused_variables, reason = "only tests go by another clock"))]
    fn clock(self, calendar: DateTime<Utc>) -> Option<i64> {
        match self {
            Self::Server { .. } => None,
            #[cfg(test)]
            Self::Calendar => Some(nanoseconds(calendar)),
        }
    }
}

/// Takes entries in one short transaction; fewer than `limit` also where some had to be held instead.
/// Returns what was taken, and whether more may be there.
pub(super) async fn take(
    client: &Client,
    leasing: Leasing,
    worker: &WorkerId,
    by: DueBy,
    ttl: TimeDelta,
    limit: i64,
) -> Result<(Vec<Versioned<OutboxEntry>>, bool), Fault> {
    let select = client.prepare_cached(SELECT_DUE).await?;
    let update = client.prepare_cached(UPDATE_ENTRIES).await?;
    let (horizon, clock) = (nanoseconds(by.horizon), leasing.clock(by.now));
    let values: [&(dyn ToSql + Sync); 3] = [&horizon, &clock, &limit];
    let (begun, rows) = tokio::join!(
        biased;
        client.batch_execute("begin"),
        client.query(&select, &values),
    );
    begun?;
    let rows = rows?;
    let mut columns = EntryColumns::default();
    let mut taken = Vec::with_capacity(rows.len());
    for row in &rows {
        let now = moment(row.try_get("now")?);
        let until = now.checked_add_signed(ttl).unwrap_or(DateTime::<Utc>::MAX_UTC);
        let mut entry = read_entry(row)?;
        // The third unconfirmed attempt holds the entry: that is written, but it is not leased.
        let is_held = entry.value.expire_lease(by.now) == Some(LeaseEnd::Held);
        if !is_held {
            entry.value.lease(worker, until);
        }
        columns.push(&entry)?;
        entry.revision += 1;
        if !is_held {
            taken.push(entry);
        }
    }
    if !columns.is_empty() {
        let alive = leasing.alive();
        let n_written = client.query(&update, &columns.updated(&alive)).await?.len();
        if n_written != rows.len() {
            // The rows were locked, so this cannot be; an engine without such locks is served by the revisions.
            client.batch_execute("rollback").await?;
            return Ok((Vec::new(), true));
        }
    }
    client.batch_execute("commit").await?;
    let may_be_more = i64::try_from(rows.len()).is_ok_and(|n| n == limit) && taken.len() < rows.len();
    Ok((taken, may_be_more))
}

/// Entries that this process works on, by subscriber and number, with the worker that took them.
pub(super) type Held = BTreeMap<(Vec<u8>, i64), String>;

/// Keeps leases alive. Returns those that are still this process's own.
pub(super) async fn renew(client: &Client, held: &Held, alive: i64) -> Result<Vec<(Vec<u8>, i64)>, Fault> {
    let (mut subscribers, mut numbers, mut workers) = (Vec::new(), Vec::new(), Vec::new());
    for ((subscriber, number), worker) in held {
        subscribers.push(subscriber);
        numbers.push(number);
        workers.push(worker);
    }
    let renew = client.prepare_cached(RENEW).await?;
    let rows = client
        .query(&renew, &[&subscribers, &numbers, &workers, &alive])
        .await?;
    rows.iter().map(|row| Ok((row.try_get(0)?, row.try_get(1)?))).collect()
}
