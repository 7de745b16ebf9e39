//! The tables, and how an older database is brought up to date.
//!
//! Every statement can be repeated, since some engines do not take back changes of tables together with the rest of a
//! transaction. Who migrates holds the one row of `paperround_schema`; the others wait for it.

use deadpool_postgres::Client;
use tokio_postgres::error::SqlState;

use super::connect::Fault;

/// What brings a database from one version to the next, the first from nothing to 1.
const STEPS: [&str; 1] = ["
    create table if not exists subscriber (
        id bytea primary key,
        revision int8 not null,
        body bytea not null
    );
    create table if not exists outbox (
        subscriber bytea not null,
        number int8 not null,
        revision int8 not null,
        is_active bool not null,
        due int8 not null,
        worker text,
        lease_end int8,
        body bytea not null,
        primary key (subscriber, number)
    );
    create index if not exists outbox_due on outbox (due, subscriber, number) where is_active;
    create table if not exists document (
        kind text not null,
        key bytea not null,
        revision int8 not null,
        body bytea not null,
        primary key (kind, key)
    );
    create table if not exists paper (
        id bytea not null,
        version int4 not null,
        first_fetched int8 not null,
        last_fetched int8 not null,
        body bytea not null,
        primary key (id, version)
    );
"];

/// The newest version that this program knows.
pub(super) const NEWEST: u32 = STEPS.len() as u32;

/// The table that says which version a database has, and its only row.
const VERSIONS: &str = "
    create table if not exists paperround_schema (
        one bool primary key,
        version int8 not null
    );
    insert into paperround_schema (one, version) values (true, 0) on conflict do nothing;
";

/// What was found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Found {
    /// A database of this version, now or before, brought up to date.
    Version(u32),
    /// A newer one than this program knows; nothing was changed.
    TooNew(u32),
}

/// Brings the tables up to date. `Found::Version(0)`: there were none.
pub(super) async fn migrate(client: &mut Client) -> Result<Found, Fault> {
    // A user without the right to create tables works on those that are there.
    if !exists(client).await? {
        client.batch_execute(VERSIONS).await?;
    }
    let transaction = client.transaction().await?;
    let row = transaction
        .query_one("select version from paperround_schema where one for update", &[])
        .await?;
    let found = u32::try_from(row.get::<_, i64>(0)).unwrap_or(u32::MAX);
    if found > NEWEST {
        return Ok(Found::TooNew(found));
    }
    for step in STEPS.iter().skip(found as usize) {
        transaction.batch_execute(step).await?;
    }
    if found < NEWEST {
        transaction
            .execute("update paperround_schema set version = $1", &[&i64::from(NEWEST)])
            .await?;
    }
    transaction.commit().await?;
    Ok(Found::Version(found))
}

async fn exists(client: &Client) -> Result<bool, Fault> {
    let row = client
        .query_one("select to_regclass('paperround_schema') is not null", &[])
        .await?;
    if !row.get::<_, bool>(0) {
        return Ok(false);
    }
    // Another process may be between the table and its row.
    let row = client.query_one("select count(*) from paperround_schema", &[]).await?;
    Ok(row.get::<_, i64>(0) > 0)
}

/// Whether two processes made the same table at the same time, so that the next try finds it.
pub(super) fn is_race(fault: &Fault) -> bool {
    let Fault::Database(error) = fault else { return false };
    error.code().is_some_and(|code| {
        [
            SqlState::UNIQUE_VIOLATION,
            SqlState::DUPLICATE_TABLE,
            SqlState::DUPLICATE_OBJECT,
            // "tuple concurrently updated"
            SqlState::INTERNAL_ERROR,
        ]
        .contains(code)
    })
}
