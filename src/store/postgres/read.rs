//! What is read: each verb is one question, however many things it asks for.

use std::collections::HashMap;

use chrono::{DateTime, Utc};
use deadpool_postgres::Client;
use tokio_postgres::{Row, types::ToSql};

use super::{
    connect::Fault,
    rows::{NEVER, entry_name, moment, nanoseconds, read_entry, read_revision, server_now},
};
use crate::{
    model::{ArxivId, DigestId, OutboxEntry, SubscriberId, SubscriberState, VersionedId},
    store::{Document, DocumentKind, EntryFilter, StoredPaper, Versioned, schema},
};

const ENTRY: &str = "select revision, body from outbox where subscriber = $1 and number = $2";
const NEXT_DUE: &str = "select due from outbox where is_active order by due limit 1";
const SUBSCRIBERS: &str = "select id, revision, body from subscriber where id = any($1::bytea[])";
const SUBSCRIBER_IDS: &str = "select id from subscriber order by id";
const PAPERS: &str = "select paper.id, paper.version, paper.first_fetched, paper.last_fetched, paper.body from paper \
     join unnest($1::bytea[], $2::int4[]) as n (id, version) on paper.id = n.id and paper.version = n.version";
const LATEST_PAPERS: &str = "select distinct on (id) id, version, first_fetched, last_fetched, body from paper \
     where id = any($1::bytea[]) order by id desc, version desc";
const NEWEST_PAPERS: &str = "select distinct on (id) id, version, first_fetched, last_fetched, body from paper \
     order by id desc, version desc limit $1";
const NEWEST_PAPERS_BELOW: &str = "select distinct on (id) id, version, first_fetched, last_fetched, body from paper \
     where id < $2::bytea order by id desc, version desc limit $1";
const DOCUMENT: &str = "select revision, body from document where kind = $1 and key = $2";
const DOCUMENTS: &str = "select revision, body from document where kind = $1";
const NOW: &str = concat!("select ", server_now!());

pub(super) async fn subscribers(
    client: &Client,
    ids: &[SubscriberId],
) -> Result<Vec<Versioned<SubscriberState>>, Fault> {
    let keys: Vec<Vec<u8>> = ids.iter().map(schema::subscriber_key).collect();
    let rows = client
        .query(&client.prepare_cached(SUBSCRIBERS).await?, &[&keys])
        .await?;
    let mut stored = HashMap::with_capacity(rows.len());
    for row in &rows {
        let revision = read_revision(row.try_get("revision")?);
        let value = schema::decode_subscriber(row.try_get("body")?)?;
        stored.insert(row.try_get::<_, &[u8]>("id")?, Versioned { value, revision });
    }
    let read = |(id, key): (&SubscriberId, &Vec<u8>)| {
        let stored = stored.get(key.as_slice()).cloned();
        stored.unwrap_or_else(|| Versioned::new(SubscriberState::new(id.clone())))
    };
    Ok(ids.iter().zip(&keys).map(read).collect())
}

pub(super) async fn subscriber_ids(client: &Client) -> Result<Vec<SubscriberId>, Fault> {
    let rows = client.query(&client.prepare_cached(SUBSCRIBER_IDS).await?, &[]).await?;
    let (mut ids, mut hashed) = (Vec::with_capacity(rows.len()), Vec::new());
    for row in &rows {
        let key: &[u8] = row.try_get(0)?;
        match schema::key_text(key) {
            Some(text) => ids.push(SubscriberId(text.into())),
            None => hashed.push(key),
        }
    }
    if !hashed.is_empty() {
        let rows = client
            .query(&client.prepare_cached(SUBSCRIBERS).await?, &[&hashed])
            .await?;
        for row in &rows {
            ids.push(schema::decode_subscriber(row.try_get("body")?)?.id);
        }
        ids.sort();
    }
    Ok(ids)
}

pub(super) async fn papers(client: &Client, ids: &[VersionedId]) -> Result<Vec<Option<StoredPaper>>, Fault> {
    let keys: Vec<Vec<u8>> = ids.iter().map(|id| schema::paper_prefix(&id.id)).collect();
    let versions: Vec<i32> = ids.iter().map(|id| i32::from(id.version)).collect();
    let rows = client
        .query(&client.prepare_cached(PAPERS).await?, &[&keys, &versions])
        .await?;
    let mut stored = HashMap::with_capacity(rows.len());
    for row in &rows {
        let name: (&[u8], i32) = (row.try_get("id")?, row.try_get("version")?);
        stored.insert(name, read_paper(row)?);
    }
    let names = keys.iter().map(Vec::as_slice).zip(versions.iter().copied());
    Ok(names.map(|name| stored.get(&name).cloned()).collect())
}

pub(super) async fn latest_papers(client: &Client, ids: &[ArxivId]) -> Result<Vec<Option<StoredPaper>>, Fault> {
    let keys: Vec<Vec<u8>> = ids.iter().map(schema::paper_prefix).collect();
    let rows = client
        .query(&client.prepare_cached(LATEST_PAPERS).await?, &[&keys])
        .await?;
    let mut stored = HashMap::with_capacity(rows.len());
    for row in &rows {
        stored.insert(row.try_get::<_, &[u8]>("id")?, read_paper(row)?);
    }
    Ok(keys.iter().map(|key| stored.get(key.as_slice()).cloned()).collect())
}

pub(super) async fn newest_papers(
    client: &Client,
    below: Option<&ArxivId>,
    limit: usize,
) -> Result<Vec<StoredPaper>, Fault> {
    let limit = i64::try_from(limit).unwrap_or(i64::MAX);
    let rows = match below.map(schema::paper_prefix) {
        None => {
            client
                .query(&client.prepare_cached(NEWEST_PAPERS).await?, &[&limit])
                .await?
        }
        Some(below) => {
            let sql = client.prepare_cached(NEWEST_PAPERS_BELOW).await?;
            client.query(&sql, &[&limit, &below]).await?
        }
    };
    rows.iter().map(read_paper).collect()
}

fn read_paper(row: &Row) -> Result<StoredPaper, Fault> {
    Ok(StoredPaper {
        paper: schema::decode_paper(row.try_get("body")?)?.paper,
        first_fetched: moment(row.try_get("first_fetched")?),
        last_fetched: moment(row.try_get("last_fetched")?),
    })
}

pub(super) async fn next_due(client: &Client) -> Result<Option<DateTime<Utc>>, Fault> {
    let row = client.query_opt(&client.prepare_cached(NEXT_DUE).await?, &[]).await?;
    let due: Option<i64> = row.map(|row| row.try_get(0)).transpose()?;
    Ok(due.filter(|due| *due != NEVER).map(moment))
}

pub(super) async fn entry(client: &Client, id: &DigestId) -> Result<Option<Versioned<OutboxEntry>>, Fault> {
    let (subscriber, number) = entry_name(id);
    let row = client
        .query_opt(&client.prepare_cached(ENTRY).await?, &[&subscriber, &number])
        .await?;
    row.as_ref().map(read_entry).transpose()
}

pub(super) async fn entries(client: &Client, filter: &EntryFilter) -> Result<Vec<Versioned<OutboxEntry>>, Fault> {
    let subscriber = filter.subscriber.as_ref().map(schema::subscriber_key);
    let after = filter.after.as_ref().map(entry_name);
    let due_after = filter.due_after.map(nanoseconds);
    let limit = filter.limit.map(|limit| i64::try_from(limit).unwrap_or(i64::MAX));
    let mut values: Vec<&(dyn ToSql + Sync)> = Vec::new();
    let mut place = |value| {
        values.push(value);
        values.len()
    };
    let mut conditions = Vec::new();
    if let Some(subscriber) = &subscriber {
        conditions.push(format!("subscriber = ${}", place(subscriber)));
    }
    if filter.active_only {
        conditions.push("is_active".to_owned());
    }
    if let Some((subscriber, number)) = &after {
        let (subscriber, number) = (place(subscriber), place(number));
        conditions.push(format!("(subscriber, number) > (${subscriber}, ${number})"));
    }
    if let Some(due_after) = &due_after {
        conditions.push(format!("due > ${} and due < {}", place(due_after), NEVER));
    }
    let condition = match conditions.is_empty() {
        true => String::new(),
        false => format!(" where {}", conditions.join(" and ")),
    };
    let limit = limit
        .as_ref()
        .map_or_else(String::new, |limit| format!(" limit ${}", place(limit)));
    let text = format!("select revision, body from outbox{condition} order by subscriber, number{limit}");
    let rows = client.query(&client.prepare_cached(&text).await?, &values).await?;
    rows.iter().map(read_entry).collect()
}

pub(super) async fn document(client: &Client, kind: DocumentKind, key: &str) -> Result<Versioned<Document>, Fault> {
    let stored = schema::document_key(kind, key);
    let row = client
        .query_opt(&client.prepare_cached(DOCUMENT).await?, &[&kind.as_str(), &stored])
        .await?;
    let (value, revision) = match row {
        Some(row) => (
            Some(schema::decode_document(row.try_get("body")?)?.1),
            read_revision(row.try_get("revision")?),
        ),
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

pub(super) async fn documents(client: &Client, kind: DocumentKind) -> Result<Vec<Versioned<Document>>, Fault> {
    let rows = client
        .query(&client.prepare_cached(DOCUMENTS).await?, &[&kind.as_str()])
        .await?;
    let mut documents = Vec::with_capacity(rows.len());
    for row in &rows {
        let (key, value) = schema::decode_document(row.try_get("body")?)?;
        documents.push(Versioned {
            value: Document {
                kind,
                key,
                value: Some(value),
            },
            revision: read_revision(row.try_get("revision")?),
        });
    }
    documents.sort_by(|a, b| a.value.key.cmp(&b.value.key));
    Ok(documents)
}

pub(super) async fn now(client: &Client) -> Result<DateTime<Utc>, Fault> {
    let row = client.query_one(&client.prepare_cached(NOW).await?, &[]).await?;
    Ok(moment(row.try_get(0)?))
}

/// The server's version, and how the way to it is encrypted, where the server tells.
pub(super) async fn server(client: &Client) -> Result<String, Fault> {
    let version: String = client.query_one("select version()", &[]).await?.try_get(0)?;
    // `PostgreSQL 15.8 (Debian …) on x86_64…`: the product and its number.
    let mut words: Vec<&str> = version.split_whitespace().take(2).collect();
    let ssl = client
        .query_opt(
            "select version from pg_stat_ssl where pid = pg_backend_pid() and ssl",
            &[],
        )
        .await;
    let ssl: Option<String> = match ssl {
        Ok(row) => row.and_then(|row| row.try_get(0).ok()),
        Err(_) => None,
    };
    words.extend(ssl.as_deref());
    Ok(words.join(" "))
}
