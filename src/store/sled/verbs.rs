//! The store's verbs over sled's trees, as plain functions for the owner thread.

use std::{collections::HashMap, ops::Bound, path::Path};

use chrono::{DateTime, TimeDelta, Utc};

use super::table::{Fault, Plan, Record, Table, Tables};
use crate::{
    model::{ArxivId, DigestId, LeaseEnd, OutboxEntry, Paper, SubscriberId, SubscriberState, VersionedId, WorkerId},
    store::{
        Batch, Document, DocumentKind, DueBy, EntryFilter, StoredPaper, Versioned,
        schema::{self, Head, Parts, Unreadable},
    },
};

pub(super) fn commit(tables: &mut Tables, batch: &Batch) -> Result<(), Fault> {
    let mut plan = Plan::new(tables);
    for Versioned { value, revision } in &batch.subscribers {
        let key = schema::subscriber_key(&value.id);
        let what = || format!("subscriber {}", value.id);
        let next = next_revision(&plan, Table::Subscriber, &key, *revision, what)?;
        plan.put(Table::Subscriber, key, next, &schema::encode_subscriber(value)?, what)?;
    }
    for Versioned { value, revision } in &batch.entries {
        let id = &value.digest.id;
        let what = || format!("outbox entry {id}");
        let next = next_revision(&plan, Table::Outbox, &schema::entry_key(id), *revision, what)?;
        put_entry(tables, &mut plan, value, next)?;
    }
    for Versioned { value, revision } in &batch.documents {
        let Document { kind, key: name, value } = value;
        let key = schema::document_key(*kind, name);
        let what = || format!("{kind} {name}");
        let next = next_revision(&plan, Table::Document, &key, *revision, what)?;
        match value {
            Some(value) => plan.put(Table::Document, key, next, &schema::encode_document(name, value)?, what)?,
            None => plan.remove(Table::Document, key)?,
        }
    }
    let mut first_fetched = HashMap::new();
    for (paper, fetched_at) in &batch.papers {
        // What stands earlier in the batch counts as stored.
        let first = first_fetched.entry(&paper.id).or_insert(*fetched_at);
        *first = (*first).min(*fetched_at);
        put_paper(tables, &mut plan, paper, *first, *fetched_at)?;
    }
    for id in &batch.papers_deleted {
        plan.remove(Table::Paper, schema::paper_key(id))?;
    }
    for id in &batch.entries_deleted {
        if let Some(former) = entry(tables, id)? {
            plan.remove_value(Table::Due, schema::due_key(former.value.due_at(), id));
        }
        if let Some(written) = batch.entries.iter().find(|entry| entry.value.digest.id == *id) {
            plan.remove_value(Table::Due, schema::due_key(written.value.due_at(), id));
        }
        plan.remove(Table::Outbox, schema::entry_key(id))?;
    }
    for id in &batch.subscribers_deleted {
        plan.remove(Table::Subscriber, schema::subscriber_key(id))?;
    }
    let writes = plan.into_writes();
    tables.note(batch)?;
    tables.apply(&writes)
}

fn next_revision(
    plan: &Plan<'_>,
    table: Table,
    key: &[u8],
    revision: u64,
    what: impl FnOnce() -> String,
) -> Result<u64, Fault> {
    if plan.revision(table, key)? == revision && !plan.writes_to(table, key) {
        Ok(revision + 1)
    } else {
        Err(Fault::Conflict(what()))
    }
}

/// Writes an entry and moves it in the index of what is due. Its digest is written only if it is not stored already.
fn put_entry(tables: &Tables, plan: &mut Plan<'_>, entry: &OutboxEntry, revision: u64) -> Result<(), Fault> {
    let id = &entry.digest.id;
    let key = schema::entry_key(id);
    let mut stored = None;
    if let Some(value) = tables.get(Table::Outbox, &key)? {
        stored = schema::stem(Head::parse(&value)?.inline)?;
        let former = match &stored {
            Some(stem) => stem.due_at,
            None => schema::decode_entry(&tables.whole(Table::Outbox, &key, &value)?.body)?.due_at(),
        };
        plan.remove_value(Table::Due, schema::due_key(former, id));
    }
    if entry.is_active() {
        plan.put_value(
            Table::Due,
            schema::due_key(entry.due_at(), id),
            schema::encode_number(revision),
        );
    }
    let what = || format!("outbox entry {id}");
    match schema::encode_onto(stored.as_ref(), entry)? {
        Parts { course, .. } if course.len() > schema::VALUE_BYTES_MAX => {
            plan.put(Table::Outbox, key, revision, &schema::encode_entry(entry)?, what)
        }
        Parts {
            course,
            digest: Some(digest),
        } => plan.put_behind(Table::Outbox, key, revision, &course, &digest, what),
        Parts { course, digest: None } => plan.put_before(Table::Outbox, key, revision, &course),
    }
}

fn put_paper(
    tables: &Tables,
    plan: &mut Plan<'_>,
    paper: &Paper,
    mut first_fetched: DateTime<Utc>,
    fetched_at: DateTime<Utc>,
) -> Result<(), Fault> {
    for record in tables.records(Table::Paper, &schema::paper_prefix(&paper.id)) {
        first_fetched = first_fetched.min(schema::decode_paper(&record?.1.body)?.first_fetched);
    }
    let id = paper.versioned_id();
    let key = schema::paper_key(&id);
    let revision = plan.revision(Table::Paper, &key)? + 1;
    let body = schema::encode_paper(paper, first_fetched, fetched_at)?;
    plan.put(Table::Paper, key, revision, &body, || format!("paper {id}"))
}

pub(super) fn subscribers(tables: &Tables, ids: &[SubscriberId]) -> Result<Vec<Versioned<SubscriberState>>, Fault> {
    ids.iter()
        .map(
            |id| match tables.record(Table::Subscriber, &schema::subscriber_key(id))? {
                Some(Record { revision, body }) => Ok(Versioned {
                    value: schema::decode_subscriber(&body)?,
                    revision,
                }),
                None => Ok(Versioned::new(SubscriberState::new(id.clone()))),
            },
        )
        .collect()
}

pub(super) fn subscriber_ids(tables: &Tables) -> Result<Vec<SubscriberId>, Fault> {
    let mut ids = Vec::new();
    for pair in tables.tree(Table::Subscriber) {
        let (key, value) = pair.map_err(Fault::reading)?;
        ids.push(match schema::key_text(&key) {
            Some(text) => SubscriberId(text.into()),
            None => schema::decode_subscriber(&tables.whole(Table::Subscriber, &key, &value)?.body)?.id,
        });
    }
    ids.sort();
    Ok(ids)
}

/// Opens or begins a journal, which from now on tells who is paused otherwise than at this moment.
pub(super) fn begin_journal(tables: &mut Tables, path: &Path) -> Result<(), Fault> {
    let ids = subscriber_ids(tables)?;
    let paused = subscribers(tables, &ids)?
        .into_iter()
        .filter_map(|state| Some((state.value.id, state.value.paused_until?)))
        .collect();
    tables.begin_journal(path, paused)
}

pub(super) fn papers(tables: &Tables, ids: &[VersionedId]) -> Result<Vec<Option<StoredPaper>>, Fault> {
    ids.iter()
        .map(|id| {
            let record = tables.record(Table::Paper, &schema::paper_key(id))?;
            Ok(record.map(|record| schema::decode_paper(&record.body)).transpose()?)
        })
        .collect()
}

pub(super) fn latest_papers(tables: &Tables, ids: &[ArxivId]) -> Result<Vec<Option<StoredPaper>>, Fault> {
    ids.iter()
        .map(
            |id| match tables.records(Table::Paper, &schema::paper_prefix(id)).next_back() {
                Some(record) => Ok(Some(schema::decode_paper(&record?.1.body)?)),
                None => Ok(None),
            },
        )
        .collect()
}

pub(super) fn newest_papers(tables: &Tables, below: Option<&ArxivId>, limit: usize) -> Result<Vec<StoredPaper>, Fault> {
    let end = below.map_or(Bound::Unbounded, |below| Bound::Excluded(schema::paper_prefix(below)));
    let mut papers: Vec<StoredPaper> = Vec::new();
    let mut last: Option<::sled::IVec> = None;
    for pair in tables
        .tree(Table::Paper)
        .range::<Vec<u8>, _>((Bound::Unbounded, end))
        .rev()
    {
        let (key, value) = pair.map_err(Fault::reading)?;
        let prefix = schema::prefix_of_paper_key(&key);
        // Of several versions the highest comes first.
        if last
            .as_deref()
            .is_some_and(|last| schema::prefix_of_paper_key(last) == prefix)
        {
            continue;
        }
        if papers.len() == limit {
            break;
        }
        papers.push(schema::decode_paper(&tables.whole(Table::Paper, &key, &value)?.body)?);
        last = Some(key);
    }
    Ok(papers)
}

pub(super) fn lease_due(
    tables: &mut Tables,
    worker: &WorkerId,
    due: DueBy,
    ttl: TimeDelta,
    limit: usize,
) -> Result<Vec<Versioned<OutboxEntry>>, Fault> {
    let now = due.now;
    let until = now.checked_add_signed(ttl).unwrap_or(DateTime::<Utc>::MAX_UTC);
    let mut leased = Vec::new();
    let mut plan = Plan::new(tables);
    for pair in tables.tree(Table::Due).range(..schema::due_end(now.max(due.horizon))) {
        if leased.len() >= limit {
            break;
        }
        let (key, _) = pair.map_err(Fault::reading)?;
        let mut entry = indexed_entry(tables, &key)?;
        if !due.is_free(&entry.value) {
            continue;
        }
        entry.revision += 1;
        // The third unconfirmed attempt holds the entry: that is written, but it is not leased.
        if entry.value.expire_lease(now) != Some(LeaseEnd::Held) {
            entry.value.lease(worker, until);
        }
        put_entry(tables, &mut plan, &entry.value, entry.revision)?;
        if entry.value.due_at().is_some() {
            leased.push(entry);
        }
    }
    let writes = plan.into_writes();
    tables.apply(&writes)?;
    Ok(leased)
}

/// Ends all leases: to be called when no process that could hold one is alive. Returns what ended how.
pub(super) fn end_leases(tables: &mut Tables, now: DateTime<Utc>) -> Result<Vec<(DigestId, LeaseEnd)>, Fault> {
    let mut ended = Vec::new();
    let mut plan = Plan::new(tables);
    for pair in tables.tree(Table::Due) {
        let (key, _) = pair.map_err(Fault::reading)?;
        let Versioned { mut value, revision } = indexed_entry(tables, &key)?;
        if let Some(end) = value.expire_lease(now) {
            put_entry(tables, &mut plan, &value, revision + 1)?;
            ended.push((value.digest.id, end));
        }
    }
    let writes = plan.into_writes();
    tables.apply(&writes)?;
    Ok(ended)
}

pub(super) fn next_due(tables: &Tables) -> Result<Option<DateTime<Utc>>, Fault> {
    match tables.tree(Table::Due).first().map_err(Fault::reading)? {
        Some((key, _)) => Ok(schema::parse_due_key(&key)?.0),
        None => Ok(None),
    }
}

pub(super) fn entry(tables: &Tables, id: &DigestId) -> Result<Option<Versioned<OutboxEntry>>, Fault> {
    let record = tables.record(Table::Outbox, &schema::entry_key(id))?;
    record.map(decode_entry).transpose()
}

pub(super) fn entries(tables: &Tables, filter: &EntryFilter) -> Result<Vec<Versioned<OutboxEntry>>, Fault> {
    let prefix = filter.subscriber.as_ref().map(schema::entry_prefix).unwrap_or_default();
    let after = filter.after.as_ref().map(schema::entry_key);
    let limit = filter.limit.unwrap_or(usize::MAX);
    if !filter.active_only {
        let begin = match &after {
            Some(after) => Bound::Excluded(&after[..]),
            None => Bound::Included(&prefix[..]),
        };
        return tables
            .records_from(Table::Outbox, begin)
            .take_while(|record| record.as_ref().map_or(true, |(key, _)| key.starts_with(&prefix)))
            .take(limit)
            .map(|record| decode_entry(record?.1))
            .collect();
    }
    // Few are on their way, many are kept: the index is the shorter walk. It goes by time.
    let mut found = Vec::new();
    for pair in tables.tree(Table::Due) {
        let (due_key, _) = pair.map_err(Fault::reading)?;
        let (due_at, key) = schema::parse_due_key(&due_key)?;
        let is_late_enough = filter
            .due_after
            .is_none_or(|moment| due_at.is_some_and(|due_at| due_at > moment));
        if is_late_enough && key.starts_with(&prefix) && after.as_deref().is_none_or(|after| key > after) {
            found.push((key.to_vec(), due_key));
        }
    }
    found.sort_unstable();
    let found = found.into_iter().take(limit);
    found.map(|(_, due_key)| indexed_entry(tables, &due_key)).collect()
}

pub(super) fn document(tables: &Tables, kind: DocumentKind, key: &str) -> Result<Versioned<Document>, Fault> {
    let (value, revision) = match tables.record(Table::Document, &schema::document_key(kind, key))? {
        Some(Record { revision, body }) => (Some(schema::decode_document(&body)?.1), revision),
        None => (None, 0),
    };
    Ok(Versioned {
        value: Document {
            kind,
            key: key.to_owned(),
            value,
        },
        revision,
    })
}

pub(super) fn documents(tables: &Tables, kind: DocumentKind) -> Result<Vec<Versioned<Document>>, Fault> {
    let mut documents = Vec::new();
    for record in tables.records(Table::Document, &schema::document_prefix(kind)) {
        let Record { revision, body } = record?.1;
        let (key, value) = schema::decode_document(&body)?;
        documents.push(Versioned {
            value: Document {
                kind,
                key,
                value: Some(value),
            },
            revision,
        });
    }
    documents.sort_by(|a, b| a.value.key.cmp(&b.value.key));
    Ok(documents)
}

/// The entry that a key of the index of due entries speaks of.
pub(super) fn indexed_entry(tables: &Tables, due_key: &[u8]) -> Result<Versioned<OutboxEntry>, Fault> {
    let (due_at, key) = schema::parse_due_key(due_key)?;
    let record = tables
        .record(Table::Outbox, key)?
        .ok_or_else(|| Unreadable("an entry stands in the index of due entries, but is not stored".into()))?;
    let entry = decode_entry(record)?;
    if entry.value.is_active() && entry.value.due_at() == due_at {
        Ok(entry)
    } else {
        let what = format!(
            "outbox entry {} stands at the wrong place in the index of due entries",
            entry.value.digest.id
        );
        Err(Unreadable(what).into())
    }
}

fn decode_entry(Record { revision, body }: Record) -> Result<Versioned<OutboxEntry>, Fault> {
    Ok(Versioned {
        value: schema::decode_entry(&body)?,
        revision,
    })
}
