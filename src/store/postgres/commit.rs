//! A batch as one transaction: a statement for each kind of value, all sent at once, then the commit.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use deadpool_postgres::Client;
use futures_util::future::join_all;
use tokio_postgres::{Row, types::ToSql};

use super::{
    connect::Fault,
    rows::{EntryColumns, UPDATE_ENTRIES, entry_name, nanoseconds, revision},
};
use crate::store::{Batch, Document, Versioned, schema};

const INSERT_SUBSCRIBERS: &str = "insert into subscriber (id, revision, body) \
     select n.id, 1, n.body from unnest($1::bytea[], $2::bytea[]) as n (id, body) \
     on conflict do nothing returning id";
const UPDATE_SUBSCRIBERS: &str = "update subscriber set revision = n.revision + 1, body = n.body \
     from unnest($1::bytea[], $2::int8[], $3::bytea[]) as n (id, revision, body) \
     where subscriber.id = n.id and subscriber.revision = n.revision returning subscriber.id";
const INSERT_ENTRIES: &str = "insert into outbox \
     (subscriber, number, revision, is_active, due, worker, lease_end, body) \
     select n.subscriber, n.number, 1, n.is_active, n.due, n.worker, n.lease_end, n.body \
     from unnest($1::bytea[], $2::int8[], $3::bool[], $4::int8[], $5::text[], $6::int8[], $7::bytea[]) \
     as n (subscriber, number, is_active, due, worker, lease_end, body) \
     on conflict do nothing returning subscriber, number";
const INSERT_DOCUMENTS: &str = "insert into document (kind, key, revision, body) \
     select n.kind, n.key, 1, n.body from unnest($1::text[], $2::bytea[], $3::bytea[]) as n (kind, key, body) \
     on conflict do nothing returning kind, key";
const UPDATE_DOCUMENTS: &str = "update document set revision = n.revision + 1, body = n.body \
     from unnest($1::text[], $2::bytea[], $3::int8[], $4::bytea[]) as n (kind, key, revision, body) \
     where document.kind = n.kind and document.key = n.key and document.revision = n.revision \
     returning document.kind, document.key";
const DELETE_DOCUMENTS: &str = "delete from document \
     using unnest($1::text[], $2::bytea[], $3::int8[]) as n (kind, key, revision) \
     where document.kind = n.kind and document.key = n.key and document.revision = n.revision \
     returning document.kind, document.key";
/// Those that are there although they should not be.
const FIND_DOCUMENTS: &str = "select document.kind, document.key from document \
     join unnest($1::text[], $2::bytea[]) as n (kind, key) on document.kind = n.kind and document.key = n.key";
const PUT_PAPERS: &str = "insert into paper (id, version, first_fetched, last_fetched, body) \
     select n.id, n.version, \
     least(n.first_fetched, (select min(former.first_fetched) from paper as former where former.id = n.id)), \
     n.last_fetched, n.body \
     from unnest($1::bytea[], $2::int4[], $3::int8[], $4::int8[], $5::bytea[]) \
     as n (id, version, first_fetched, last_fetched, body) \
     on conflict (id, version) do update set first_fetched = excluded.first_fetched, \
     last_fetched = excluded.last_fetched, body = excluded.body";
const DELETE_PAPERS: &str = "delete from paper using unnest($1::bytea[], $2::int4[]) as n (id, version) \
     where paper.id = n.id and paper.version = n.version";
const DELETE_ENTRIES: &str = "delete from outbox using unnest($1::bytea[], $2::int8[]) as n (subscriber, number) \
     where outbox.subscriber = n.subscriber and outbox.number = n.number";
const DELETE_SUBSCRIBERS: &str = "delete from subscriber where id = any($1::bytea[])";

/// Keys or bodies, one for each row.
type Column = Vec<Vec<u8>>;
/// Kinds of documents, one for each row.
type Kinds = Vec<&'static str>;

/// What identifies a value that has a revision.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
enum Key {
    Subscriber(Vec<u8>),
    Entry(Vec<u8>, i64),
    Document(String, Vec<u8>),
}

/// A value with a revision: how conflicts are told, and what it must look like if it was written.
#[derive(Debug)]
struct Claimed {
    key: Key,
    name: String,
    /// Whether nothing must be stored under the key (a deletion of what is not there).
    is_absent: bool,
    /// Whether the same key stands earlier in the batch, which is a conflict in any case.
    is_again: bool,
}

/// A batch in the form in which it is sent; made once, and sent again if the connection breaks.
#[derive(Debug, Default)]
pub(super) struct Plan {
    claimed: Vec<Claimed>,
    new_subscribers: (Column, Column),
    subscribers: (Column, Vec<i64>, Column),
    new_entries: EntryColumns,
    entries: EntryColumns,
    new_documents: (Kinds, Column, Column),
    documents: (Kinds, Column, Vec<i64>, Column),
    gone_documents: (Kinds, Column, Vec<i64>),
    absent_documents: (Kinds, Column),
    papers: (Column, Vec<i32>, Vec<i64>, Vec<i64>, Column),
    gone_papers: (Column, Vec<i32>),
    gone_entries: (Column, Vec<i64>),
    gone_subscribers: Column,
}

impl Plan {
    /// Encodes a batch.
    pub(super) fn new(batch: &Batch) -> Result<Self, Fault> {
        let mut plan = Self::default();
        let mut met = BTreeSet::new();
        plan.add_subscribers(batch, &mut met)?;
        plan.add_entries(batch, &mut met)?;
        plan.add_documents(batch, &mut met)?;
        plan.add_papers(batch)?;
        for id in &batch.papers_deleted {
            plan.gone_papers.0.push(schema::paper_prefix(&id.id));
            plan.gone_papers.1.push(i32::from(id.version));
        }
        for id in &batch.entries_deleted {
            let (subscriber, number) = entry_name(id);
            plan.gone_entries.0.push(subscriber);
            plan.gone_entries.1.push(number);
        }
        plan.gone_subscribers = batch.subscribers_deleted.iter().map(schema::subscriber_key).collect();
        Ok(plan)
    }

    /// Notes a value; returns whether it is to be sent.
    fn claim(&mut self, key: Key, name: String, is_absent: bool, met: &mut BTreeSet<Key>) -> bool {
        let is_first = met.insert(key.clone());
        self.claimed.push(Claimed {
            key,
            name,
            is_absent,
            is_again: !is_first,
        });
        is_first
    }

    fn add_subscribers(&mut self, batch: &Batch, met: &mut BTreeSet<Key>) -> Result<(), Fault> {
        // Rows are written in the order of their keys wherever that can be had, so that two writers rarely meet
        // crosswise.
        let mut sorted = BTreeMap::new();
        for subscriber in &batch.subscribers {
            let key = schema::subscriber_key(&subscriber.value.id);
            let name = format!("subscriber {}", subscriber.value.id);
            if self.claim(Key::Subscriber(key.clone()), name, false, met) {
                sorted.insert(key, subscriber);
            }
        }
        for (key, Versioned { value, revision: at }) in sorted {
            let body = schema::encode_subscriber(value)?;
            if *at == 0 {
                self.new_subscribers.0.push(key);
                self.new_subscribers.1.push(body);
            } else {
                self.subscribers.0.push(key);
                self.subscribers.1.push(revision(*at));
                self.subscribers.2.push(body);
            }
        }
        Ok(())
    }

    fn add_entries(&mut self, batch: &Batch, met: &mut BTreeSet<Key>) -> Result<(), Fault> {
        let mut sorted = BTreeMap::new();
        for entry in &batch.entries {
            let id = &entry.value.digest.id;
            let (subscriber, number) = entry_name(id);
            let name = format!("outbox entry {id}");
            if self.claim(Key::Entry(subscriber.clone(), number), name, false, met) {
                sorted.insert((subscriber, number), entry);
            }
        }
        for entry in sorted.into_values() {
            if entry.revision == 0 {
                self.new_entries.push(entry)?;
            } else {
                self.entries.push(entry)?;
            }
        }
        Ok(())
    }

    fn add_documents(&mut self, batch: &Batch, met: &mut BTreeSet<Key>) -> Result<(), Fault> {
        let mut sorted = BTreeMap::new();
        for document in &batch.documents {
            let Document { kind, key, value } = &document.value;
            let name = format!("{kind} {key}");
            let is_absent = value.is_none() && document.revision == 0;
            let stored = schema::document_key(*kind, key);
            if self.claim(
                Key::Document(kind.as_str().to_owned(), stored.clone()),
                name,
                is_absent,
                met,
            ) {
                sorted.insert((kind.as_str(), stored), document);
            }
        }
        for ((kind, key), document) in sorted {
            let at = revision(document.revision);
            let body = document
                .value
                .value
                .as_ref()
                .map(|value| schema::encode_document(&document.value.key, value))
                .transpose()?;
            match (body, at) {
                (Some(body), 0) => {
                    self.new_documents.0.push(kind);
                    self.new_documents.1.push(key);
                    self.new_documents.2.push(body);
                }
                (Some(body), at) => {
                    self.documents.0.push(kind);
                    self.documents.1.push(key);
                    self.documents.2.push(at);
                    self.documents.3.push(body);
                }
                (None, 0) => {
                    self.absent_documents.0.push(kind);
                    self.absent_documents.1.push(key);
                }
                (None, at) => {
                    self.gone_documents.0.push(kind);
                    self.gone_documents.1.push(key);
                    self.gone_documents.2.push(at);
                }
            }
        }
        Ok(())
    }

    fn add_papers(&mut self, batch: &Batch) -> Result<(), Fault> {
        let mut first_fetched = HashMap::new();
        let mut sorted = BTreeMap::new();
        for (paper, fetched_at) in &batch.papers {
            // What stands earlier in the batch counts as stored.
            let first = first_fetched.entry(&paper.id).or_insert(*fetched_at);
            *first = (*first).min(*fetched_at);
            let key = (schema::paper_prefix(&paper.id), i32::from(paper.version));
            sorted.insert(key, (paper, *first, *fetched_at));
        }
        for ((id, version), (paper, first, last)) in sorted {
            self.papers.0.push(id);
            self.papers.1.push(version);
            self.papers.2.push(nanoseconds(first));
            self.papers.3.push(nanoseconds(last));
            self.papers.4.push(schema::encode_paper(paper, first, last)?);
        }
        Ok(())
    }

    /// The statements that write it, deletions last, each with what its answer names.
    fn statements<'p>(&'p self, lease: &'p i64) -> Vec<Statement<'p>> {
        let mut statements = Vec::new();
        let mut add = |is_needed: bool, sql, values: Vec<Value<'p>>, answer| {
            if is_needed {
                statements.push(Statement { sql, values, answer });
            }
        };
        let (keys, bodies) = &self.new_subscribers;
        add(
            !keys.is_empty(),
            INSERT_SUBSCRIBERS,
            vec![keys, bodies],
            Answer::Subscribers,
        );
        let (keys, revisions, bodies) = &self.subscribers;
        add(
            !keys.is_empty(),
            UPDATE_SUBSCRIBERS,
            vec![keys, revisions, bodies],
            Answer::Subscribers,
        );
        let new = &self.new_entries;
        add(!new.is_empty(), INSERT_ENTRIES, new.inserted(), Answer::Entries);
        let changed = &self.entries;
        add(
            !changed.is_empty(),
            UPDATE_ENTRIES,
            changed.updated(lease),
            Answer::Entries,
        );
        let (kinds, keys, bodies) = &self.new_documents;
        add(
            !keys.is_empty(),
            INSERT_DOCUMENTS,
            vec![kinds, keys, bodies],
            Answer::Documents,
        );
        let (kinds, keys, revisions, bodies) = &self.documents;
        add(
            !keys.is_empty(),
            UPDATE_DOCUMENTS,
            vec![kinds, keys, revisions, bodies],
            Answer::Documents,
        );
        let (kinds, keys, revisions) = &self.gone_documents;
        add(
            !keys.is_empty(),
            DELETE_DOCUMENTS,
            vec![kinds, keys, revisions],
            Answer::Documents,
        );
        let (kinds, keys) = &self.absent_documents;
        add(!keys.is_empty(), FIND_DOCUMENTS, vec![kinds, keys], Answer::Documents);
        let (ids, versions, first, last, bodies) = &self.papers;
        add(
            !ids.is_empty(),
            PUT_PAPERS,
            vec![ids, versions, first, last, bodies],
            Answer::Nothing,
        );
        let (ids, versions) = &self.gone_papers;
        add(!ids.is_empty(), DELETE_PAPERS, vec![ids, versions], Answer::Nothing);
        let (keys, numbers) = &self.gone_entries;
        add(!keys.is_empty(), DELETE_ENTRIES, vec![keys, numbers], Answer::Nothing);
        let keys = &self.gone_subscribers;
        add(!keys.is_empty(), DELETE_SUBSCRIBERS, vec![keys], Answer::Nothing);
        statements
    }

    /// The first value that somebody else has changed, given the keys that the statements named.
    fn lost(&self, named: &BTreeSet<Key>) -> Option<&Claimed> {
        // What must not be there is named when it is there; all else is named when it was written.
        self.claimed
            .iter()
            .find(|claimed| claimed.is_again || named.contains(&claimed.key) == claimed.is_absent)
    }
}

type Value<'p> = &'p (dyn ToSql + Sync);

struct Statement<'p> {
    sql: &'static str,
    values: Vec<Value<'p>>,
    answer: Answer,
}

/// What the rows of an answer name.
#[derive(Debug, Clone, Copy)]
enum Answer {
    Subscribers,
    Entries,
    Documents,
    Nothing,
}

impl Answer {
    fn read(self, row: &Row) -> Result<Option<Key>, Fault> {
        Ok(match self {
            Self::Subscribers => Some(Key::Subscriber(row.try_get(0)?)),
            Self::Entries => Some(Key::Entry(row.try_get(0)?, row.try_get(1)?)),
            Self::Documents => Some(Key::Document(row.try_get(0)?, row.try_get(1)?)),
            Self::Nothing => None,
        })
    }
}

/// Writes a plan, all or nothing.
///
/// `lease`: how long a lease holds without a sign of life, in nanoseconds. `again`: whether it may have been written
/// before, by an attempt whose end is unknown.
pub(super) async fn commit(client: &Client, plan: &Plan, lease: i64, again: bool) -> Result<(), Fault> {
    let statements = plan.statements(&lease);
    // One value by itself needs no transaction around it: its statement writes it or does not.
    let is_single = statements.len() <= 1 && plan.claimed.len() <= 1;
    let named = send(client, &statements, !is_single).await?;
    let Some(lost) = plan.lost(&named) else {
        if !is_single {
            client.batch_execute("commit").await?;
        }
        return Ok(());
    };
    if !is_single {
        client.batch_execute("rollback").await?;
    }
    if again && is_written(client, plan).await? {
        return Ok(());
    }
    Err(Fault::Conflict(lost.name.clone()))
}

/// Sends all statements at once, behind a `begin` if asked for, and waits for all answers: one way there and back.
async fn send(client: &Client, statements: &[Statement<'_>], in_transaction: bool) -> Result<BTreeSet<Key>, Fault> {
    let mut prepared = Vec::with_capacity(statements.len());
    for statement in statements {
        // Known to the connection after the first time.
        prepared.push(client.prepare_cached(statement.sql).await?);
    }
    let begin = async {
        if in_transaction {
            client.batch_execute("begin").await?;
        }
        Ok::<_, tokio_postgres::Error>(())
    };
    // A request goes out when its future is first looked at, and `biased` looks in this order.
    let queries = statements
        .iter()
        .zip(&prepared)
        .map(|(statement, prepared)| client.query(prepared, &statement.values));
    let (begun, answers) = tokio::join!(biased; begin, join_all(queries));
    begun?;
    let mut named = BTreeSet::new();
    for (statement, rows) in statements.iter().zip(answers) {
        for row in rows? {
            named.extend(statement.answer.read(&row)?);
        }
    }
    Ok(named)
}

/// Whether the values of a plan are stored as it would have written them: then an attempt whose end was not heard did
/// it, or somebody else did the same.
async fn is_written(client: &Client, plan: &Plan) -> Result<bool, Fault> {
    let mut expected = BTreeMap::new();
    let mut expect = |key, revision, body: &[u8]| drop(expected.insert(key, (revision, body.to_vec())));
    let (keys, bodies) = &plan.new_subscribers;
    for (key, body) in keys.iter().zip(bodies) {
        expect(Key::Subscriber(key.clone()), 1, body);
    }
    let (keys, revisions, bodies) = &plan.subscribers;
    for ((key, revision), body) in keys.iter().zip(revisions).zip(bodies) {
        expect(Key::Subscriber(key.clone()), revision + 1, body);
    }
    for entries in [&plan.new_entries, &plan.entries] {
        for (n, number) in entries.numbers.iter().enumerate() {
            let key = Key::Entry(entries.subscribers[n].clone(), *number);
            expect(key, entries.revisions[n] + 1, &entries.bodies[n]);
        }
    }
    let (kinds, keys, bodies) = &plan.new_documents;
    for ((kind, key), body) in kinds.iter().zip(keys).zip(bodies) {
        expect(Key::Document((*kind).to_owned(), key.clone()), 1, body);
    }
    let (kinds, keys, revisions, bodies) = &plan.documents;
    for (((kind, key), revision), body) in kinds.iter().zip(keys).zip(revisions).zip(bodies) {
        expect(Key::Document((*kind).to_owned(), key.clone()), revision + 1, body);
    }
    for claimed in &plan.claimed {
        let row = match &claimed.key {
            Key::Subscriber(id) => {
                let sql = "select revision, body from subscriber where id = $1";
                client.query_opt(&client.prepare_cached(sql).await?, &[id]).await?
            }
            Key::Entry(subscriber, number) => {
                let sql = "select revision, body from outbox where subscriber = $1 and number = $2";
                let sql = client.prepare_cached(sql).await?;
                client.query_opt(&sql, &[subscriber, number]).await?
            }
            Key::Document(kind, key) => {
                let sql = "select revision, body from document where kind = $1 and key = $2";
                client
                    .query_opt(&client.prepare_cached(sql).await?, &[kind, key])
                    .await?
            }
        };
        let stored = match row {
            Some(row) => Some((row.try_get::<_, i64>(0)?, row.try_get::<_, Vec<u8>>(1)?)),
            None => None,
        };
        if claimed.is_again || stored.as_ref() != expected.get(&claimed.key) {
            return Ok(false);
        }
    }
    Ok(true)
}
