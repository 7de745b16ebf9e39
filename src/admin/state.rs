//! `state`: everything that is remembered as JSON lines, for backup and for moves between stores.
//!
//! The first line says what follows, the last one how many lines there were, so that a file that was cut off is
//! refused before anything of it is written.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, BufRead as _, BufReader},
    path::Path,
};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::Reply;
use crate::{
    app::AppError,
    model::{OutboxEntry, Paper, SubscriberState, VersionedId},
    roster::CHUNK,
    store::{Batch, Document, DocumentKind, EntryFilter, Store, StoredPaper, Versioned},
};

/// The form of the lines. A change that an older program cannot read takes the next number.
const FORMAT: u32 = 1;
/// How many values are written together.
const TOGETHER: usize = 500;
/// How many papers are read together.
const PAPERS_TOGETHER: usize = 1_000;

#[derive(Debug, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "lowercase")]
enum Line {
    Paperround {
        format: u32,
        exported: DateTime<Utc>,
    },
    Paper {
        paper: Paper,
        first_fetched: DateTime<Utc>,
        last_fetched: DateTime<Utc>,
    },
    Document {
        kind: String,
        key: String,
        value: serde_json::Value,
    },
    Entry {
        entry: Box<OutboxEntry>,
    },
    Subscriber {
        subscriber: Box<SubscriberState>,
    },
    End {
        lines: u64,
    },
}

pub(super) async fn export(store: &dyn Store, now: DateTime<Utc>) -> Result<Reply, AppError> {
    let mut lines = Lines::default();
    lines.push(&Line::Paperround {
        format: FORMAT,
        exported: now,
    })?;
    let entries = store.entries(&EntryFilter::default()).await?;
    let mut newest = BTreeSet::new();
    let mut below = None;
    loop {
        let page = store.newest_papers(below.as_ref(), PAPERS_TOGETHER).await?;
        let Some(last) = page.last() else { break };
        below = Some(last.paper.id.clone());
        for stored in page {
            newest.insert(stored.paper.versioned_id());
            lines.push_paper(stored)?;
        }
    }
    // Older versions are kept only where a digest shows them.
    let older: BTreeSet<VersionedId> = entries
        .iter()
        .flat_map(|entry| entry.value.digest.papers())
        .map(|paper| VersionedId {
            id: paper.id.clone(),
            version: paper.version,
        })
        .filter(|id| !newest.contains(id))
        .collect();
    let older: Vec<VersionedId> = older.into_iter().collect();
    for ids in older.chunks(PAPERS_TOGETHER) {
        for stored in store.papers(ids).await?.into_iter().flatten() {
            lines.push_paper(stored)?;
        }
    }
    for kind in DocumentKind::ALL {
        for document in store.documents(kind).await? {
            let Document { key, value, .. } = document.value;
            if let Some(value) = value {
                let kind = kind.as_str().to_owned();
                lines.push(&Line::Document { kind, key, value })?;
            }
        }
    }
    for entry in entries {
        lines.push(&Line::Entry {
            entry: Box::new(entry.value),
        })?;
    }
    for chunk in store.subscriber_ids().await?.chunks(CHUNK) {
        for state in store.subscribers(chunk).await? {
            lines.push(&Line::Subscriber {
                subscriber: Box::new(state.value),
            })?;
        }
    }
    let n_lines = lines.n;
    lines.push(&Line::End { lines: n_lines })?;
    Ok(Reply::done(lines.text))
}

#[derive(Default)]
struct Lines {
    text: String,
    n: u64,
}

impl Lines {
    fn push(&mut self, line: &Line) -> Result<(), AppError> {
        self.text
            .push_str(&serde_json::to_string(line).map_err(anyhow::Error::new)?);
        self.text.push('\n');
        self.n += 1;
        Ok(())
    }

    fn push_paper(&mut self, stored: StoredPaper) -> Result<(), AppError> {
        self.push(&Line::Paper {
            paper: stored.paper,
            first_fetched: stored.first_fetched,
            last_fetched: stored.last_fetched,
        })
    }
}

pub(super) async fn import(store: &dyn Store, path: &Path, now: DateTime<Utc>) -> Result<Reply, AppError> {
    refuse_unless_empty(store).await?;
    // Once without writing: what is wrong with the file is found before anything of it is kept.
    for line in read(path)? {
        line?;
    }
    let mut batch = Batch::default();
    let (mut n_papers, mut n_entries, mut n_subscribers) = (0, 0, 0);
    let mut n_together = 0;
    for line in read(path)? {
        match line? {
            Line::Paperround { .. } | Line::End { .. } => continue,
            Line::Paper {
                paper,
                first_fetched,
                last_fetched,
            } => {
                n_papers += 1;
                // Written once for when it was first fetched and once for when it was last.
                batch.papers.push((paper.clone(), first_fetched));
                batch.papers.push((paper, last_fetched));
            }
            Line::Document { kind, key, value } => {
                let Some(kind) = kind_of(&kind) else { continue };
                // Opening the store may have written some of its own.
                let present = store.document(kind, &key).await?;
                batch.documents.push(Versioned {
                    value: Document {
                        kind,
                        key,
                        value: Some(value),
                    },
                    revision: present.revision,
                });
            }
            Line::Entry { mut entry } => {
                n_entries += 1;
                // Whoever held the lease does not work on this store.
                entry.expire_lease(now);
                batch.entries.push(Versioned::new(*entry));
            }
            Line::Subscriber { subscriber } => {
                n_subscribers += 1;
                batch.subscribers.push(Versioned::new(*subscriber));
            }
        }
        n_together += 1;
        if n_together == TOGETHER {
            n_together = 0;
            write(store, std::mem::take(&mut batch)).await?;
        }
    }
    write(store, batch).await?;
    Ok(Reply::done(format!(
        "{n_subscribers} subscribers, {n_entries} digests and {n_papers} papers are imported; let nothing run on the \
         former state any more, or its digests come twice\n"
    )))
}

async fn write(store: &dyn Store, batch: Batch) -> Result<(), AppError> {
    if batch.is_empty() {
        return Ok(());
    }
    Ok(store.commit(batch).await?)
}

async fn refuse_unless_empty(store: &dyn Store) -> Result<(), AppError> {
    let is_empty = store.subscriber_ids().await?.is_empty()
        && store.entries(&EntryFilter::default()).await?.is_empty()
        && store.newest_papers(None, 1).await?.is_empty();
    if is_empty {
        return Ok(());
    }
    Err(AppError::Usage(
        "the state is not empty; an import needs a new state_dir (also after an import that broke off)".to_owned(),
    ))
}

fn kind_of(name: &str) -> Option<DocumentKind> {
    DocumentKind::ALL.into_iter().find(|kind| kind.as_str() == name)
}

/// The lines of a file, each checked for its place.
fn read(path: &Path) -> Result<impl Iterator<Item = Result<Line, AppError>>, AppError> {
    let unusable = |number: u64, what: String| AppError::Usage(format!("{}, line {number}: {what}", path.display()));
    let file = File::open(path).map_err(|error| AppError::Usage(format!("{}: {error}", path.display())))?;
    let mut lines = BufReader::new(file).lines();
    let mut n_lines = 0;
    let mut is_over = false;
    Ok(std::iter::from_fn(move || {
        let number = n_lines + 1;
        let text = match lines.next() {
            Some(text) => text,
            None if is_over => return None,
            None => {
                is_over = true;
                return Some(Err(unusable(
                    number,
                    "the end is missing: the file was cut off".to_owned(),
                )));
            }
        };
        let line = text
            .and_then(|text| serde_json::from_str(&text).map_err(io::Error::other))
            .map_err(|error| error.to_string());
        n_lines = number;
        Some(match (line, is_over) {
            (Err(why), _) => Err(unusable(number, why)),
            (Ok(_), true) => Err(unusable(number, "something follows the end".to_owned())),
            (Ok(Line::Paperround { format, .. }), _) if number == 1 && format > FORMAT => Err(unusable(
                number,
                format!("it has format {format}, this program reads {FORMAT}; use the program that wrote it"),
            )),
            (Ok(line @ Line::Paperround { .. }), _) if number == 1 => Ok(line),
            (Ok(_), _) if number == 1 => Err(unusable(number, "this is no exported state".to_owned())),
            (Ok(Line::Document { kind, .. }), _) if kind_of(&kind).is_none() => {
                Err(unusable(number, format!("a document of the unknown kind {kind:?}")))
            }
            (Ok(Line::End { lines }), _) if lines != number - 1 => {
                Err(unusable(number, format!("{} lines of {lines} are there", number - 1)))
            }
            (Ok(line), _) => {
                is_over = matches!(line, Line::End { .. });
                Ok(line)
            }
        })
    }))
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{
        admin::fixture::{at, entry},
        matching::fixture::paper,
        model::{EntryState, WorkerId},
        store::memory::MemoryStore,
    };

    async fn filled() -> MemoryStore {
        let store = MemoryStore::new();
        let (mut entry, state) = entry("ana", &[7, 8]);
        entry.lease(&WorkerId("w".into()), at(2));
        let numbered = |number: u32, version: u16| Paper {
            id: crate::model::ArxivId::from_parts(2026, 2, number).unwrap(),
            version,
            ..paper("A graph", "x")
        };
        let document = Document {
            kind: DocumentKind::Note,
            key: "canary".into(),
            value: Some(serde_json::json!({"evening": "2026-02-09"})),
        };
        store
            .commit(Batch {
                subscribers: vec![Versioned::new(state)],
                entries: vec![Versioned::new(entry)],
                documents: vec![Versioned::new(document)],
                papers: vec![
                    (numbered(7, 1), at(1)),
                    (numbered(8, 1), at(1)),
                    (numbered(7, 2), at(3)),
                ],
                ..Batch::default()
            })
            .await
            .unwrap();
        store
    }

    #[tokio::test]
    async fn an_imported_state_is_exported_as_it_was_but_for_leases() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.jsonl");
        let first = export(&filled().await, at(4)).await.unwrap().output;
        assert_eq!(first.lines().count(), 8, "{first}");
        fs::write(&path, &first).unwrap();
        let store = MemoryStore::new();
        let words = import(&store, &path, at(5)).await.unwrap().output;
        assert!(
            words.starts_with("1 subscribers, 1 digests and 3 papers are imported"),
            "{words}"
        );
        let moved = store.entry(&"ana#1".parse().unwrap()).await.unwrap().unwrap().value;
        assert_eq!(moved.state, EntryState::Due);
        let second = export(&store, at(4)).await.unwrap().output;
        let without_entries = |text: &str| -> Vec<String> {
            let is_other = |line: &&str| !line.contains(r#""type":"entry""#);
            text.lines().filter(is_other).map(str::to_owned).collect()
        };
        assert_eq!(without_entries(&first), without_entries(&second));
        // Not into a state that holds anything.
        let refused = import(&store, &path, at(6)).await.unwrap_err();
        assert_eq!(refused.exit().code(), 2, "{refused}");
    }

    #[tokio::test]
    async fn a_file_that_is_not_whole_is_refused_before_anything_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.jsonl");
        let whole = export(&filled().await, at(4)).await.unwrap().output;
        let lines: Vec<&str> = whole.lines().collect();
        let check = async |text: String, expected: &str| {
            fs::write(&path, text).unwrap();
            let store = MemoryStore::new();
            let error = import(&store, &path, at(5)).await.unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
            assert!(store.newest_papers(None, 1).await.unwrap().is_empty());
        };
        check(lines[..7].join("\n"), "cut off").await;
        check(whole[..whole.len() / 2].to_owned(), "line").await;
        check(lines[1..].join("\n"), "no exported state").await;
        check([&lines[..3], &lines[4..]].concat().join("\n"), "6 lines of 7").await;
        check(format!("{whole}{}\n", lines[1]), "follows the end").await;
        check(whole.replace("\"format\":1", "\"format\":2"), "format 2").await;
        check(whole.replace("\"note\"", "\"nonsense\""), "unknown kind").await;
        check(String::new(), "cut off").await;
    }
}
