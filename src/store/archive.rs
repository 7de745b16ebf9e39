//! Everything that is remembered as JSON lines: for backup, for moves between stores, and for recovery.
//!
//! The first line says what follows; the last one says how many lines there were and what they hash to, so that a
//! file that was cut off or changed is refused before anything of it is written.

use std::{
    collections::BTreeSet,
    fs::File,
    io::{self, BufRead as _, BufReader, Write},
    path::Path,
};

use chrono::{DateTime, Utc};
use ring::digest::{Context as Hash, SHA256};
use serde::{Deserialize, Serialize};

use super::{Batch, Document, DocumentKind, EntryFilter, EntryPages, Store, StoreError, StoredPaper, Versioned};
use crate::model::{OutboxEntry, Paper, PaperRecord, SubscriberState, VersionedId};

/// The form of the lines. A change that an older program cannot read takes the next number.
const FORMAT: u32 = 1;
/// How many values are written together.
const TOGETHER: usize = 500;
/// How many papers are read together.
const PAPERS_TOGETHER: usize = 1_000;
/// How many subscribers are read together.
const SUBSCRIBERS_TOGETHER: usize = 500;

/// Why an archive cannot be written or read.
#[derive(Debug, thiserror::Error)]
pub enum ArchiveError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The file is not a whole archive; the text says where.
    #[error("{0}")]
    Unusable(String),
    /// The store to import into holds something.
    #[error(
        "the state is not empty; an import needs an empty one, also after an import that broke off: move the folders \
         `store` and `exports` out of state_dir, or name a new database"
    )]
    NotEmpty,
    /// The file cannot be written.
    #[error("the export cannot be written ({0})")]
    Unwritten(#[from] io::Error),
}

/// How much an archive held.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Imported {
    /// Subscribers.
    pub n_subscribers: usize,
    /// Digests, on their way or not.
    pub n_entries: usize,
    /// Papers.
    pub n_papers: usize,
}

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
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sha256: Option<String>,
    },
}

/// Writes everything that is remembered.
///
/// # Errors
/// Those of the store and of the writer.
pub async fn export(store: &dyn Store, now: DateTime<Utc>, out: &mut (dyn Write + Send)) -> Result<(), ArchiveError> {
    let mut lines = Lines {
        out,
        n: 0,
        hash: Hash::new(&SHA256),
    };
    lines.push(&Line::Paperround {
        format: FORMAT,
        exported: now,
    })?;
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
    // Older versions are kept only where a digest shows them, or where it is to be told what a later one changed.
    let mut older: BTreeSet<VersionedId> = BTreeSet::new();
    let mut pages = EntryPages::new(store, EntryFilter::default());
    while let Some(page) = pages.next().await? {
        let papers = page.iter().flat_map(|entry| entry.value.digest.papers());
        older.extend(papers.map(PaperRecord::versioned_id));
    }
    let subscribers = store.subscriber_ids().await?;
    for chunk in subscribers.chunks(SUBSCRIBERS_TOGETHER) {
        for state in store.subscribers(chunk).await? {
            older.extend(state.value.versions_got());
        }
    }
    let older: Vec<VersionedId> = older.into_iter().filter(|id| !newest.contains(id)).collect();
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
    let mut pages = EntryPages::new(store, EntryFilter::default());
    while let Some(page) = pages.next().await? {
        for entry in page {
            let entry = Box::new(entry.value);
            lines.push(&Line::Entry { entry })?;
        }
    }
    for chunk in subscribers.chunks(SUBSCRIBERS_TOGETHER) {
        for state in store.subscribers(chunk).await? {
            lines.push(&Line::Subscriber {
                subscriber: Box::new(state.value),
            })?;
        }
    }
    let sha256 = Some(in_hexadecimal(lines.hash.clone()));
    let n_lines = lines.n;
    lines.push(&Line::End { lines: n_lines, sha256 })
}

struct Lines<'o> {
    out: &'o mut (dyn Write + Send),
    n: u64,
    hash: Hash,
}

impl Lines<'_> {
    fn push(&mut self, line: &Line) -> Result<(), ArchiveError> {
        let mut text = serde_json::to_string(line).map_err(io::Error::from)?;
        text.push('\n');
        self.hash.update(text.as_bytes());
        self.out.write_all(text.as_bytes())?;
        self.n += 1;
        Ok(())
    }

    fn push_paper(&mut self, stored: StoredPaper) -> Result<(), ArchiveError> {
        self.push(&Line::Paper {
            paper: stored.paper,
            first_fetched: stored.first_fetched,
            last_fetched: stored.last_fetched,
        })
    }
}

/// Reads an archive without writing anything: when it was exported.
///
/// # Errors
/// [`ArchiveError::Unusable`] where it is not whole.
pub fn check(path: &Path) -> Result<DateTime<Utc>, ArchiveError> {
    let mut at = None;
    for line in read(path)? {
        if let Line::Paperround { exported, .. } = line? {
            at = Some(exported);
        }
    }
    at.ok_or_else(|| ArchiveError::Unusable(format!("{}: this is no exported state", path.display())))
}

/// Reads an archive into an empty store. Leases in it are over.
///
/// # Errors
/// [`ArchiveError::NotEmpty`]; [`ArchiveError::Unusable`] before anything is written; those of the store.
pub async fn import(store: &dyn Store, path: &Path, now: DateTime<Utc>) -> Result<Imported, ArchiveError> {
    refuse_unless_empty(store).await?;
    // Once without writing: what is wrong with the file is found before anything of it is kept.
    check(path)?;
    let mut batch = Batch::default();
    let mut imported = Imported::default();
    let mut n_together = 0;
    for line in read(path)? {
        match line? {
            Line::Paperround { .. } | Line::End { .. } => continue,
            Line::Paper {
                paper,
                first_fetched,
                last_fetched,
            } => {
                imported.n_papers += 1;
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
                imported.n_entries += 1;
                // Whoever held the lease does not work on this store.
                entry.expire_lease(now);
                batch.entries.push(Versioned::new(*entry));
            }
            Line::Subscriber { subscriber } => {
                imported.n_subscribers += 1;
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
    Ok(imported)
}

async fn write(store: &dyn Store, batch: Batch) -> Result<(), ArchiveError> {
    if batch.is_empty() {
        return Ok(());
    }
    Ok(store.commit(batch).await?)
}

async fn refuse_unless_empty(store: &dyn Store) -> Result<(), ArchiveError> {
    let any = EntryFilter {
        limit: Some(1),
        ..EntryFilter::default()
    };
    let is_empty = store.subscriber_ids().await?.is_empty()
        && store.entries(&any).await?.is_empty()
        && store.newest_papers(None, 1).await?.is_empty();
    if is_empty {
        return Ok(());
    }
    Err(ArchiveError::NotEmpty)
}

fn kind_of(name: &str) -> Option<DocumentKind> {
    DocumentKind::ALL.into_iter().find(|kind| kind.as_str() == name)
}

fn in_hexadecimal(hash: Hash) -> String {
    hash.finish()
        .as_ref()
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect()
}

/// The lines of a file, each checked for its place.
fn read(path: &Path) -> Result<impl Iterator<Item = Result<Line, ArchiveError>>, ArchiveError> {
    let unusable =
        |number: u64, what: String| ArchiveError::Unusable(format!("{}, line {number}: {what}", path.display()));
    let file = File::open(path).map_err(|error| ArchiveError::Unusable(format!("{}: {error}", path.display())))?;
    let mut lines = BufReader::new(file).lines();
    let mut n_lines = 0;
    let mut is_over = false;
    let mut hash = Hash::new(&SHA256);
    Ok(std::iter::from_fn(move || {
        let number = n_lines + 1;
        let text = match lines.next() {
            Some(text) => text,
            None if is_over => return None,
            None => {
                is_over = true;
                let what = "the end is missing: the file was cut off".to_owned();
                return Some(Err(unusable(number, what)));
            }
        };
        let line = text.and_then(|text| {
            let line: Line = serde_json::from_str(&text).map_err(io::Error::other)?;
            let sum = matches!(line, Line::End { .. }).then(|| in_hexadecimal(hash.clone()));
            hash.update(text.as_bytes());
            hash.update(b"\n");
            Ok((line, sum))
        });
        n_lines = number;
        let (line, sum) = match line {
            Ok(read) => read,
            Err(error) => return Some(Err(unusable(number, error.to_string()))),
        };
        let wrong = match &line {
            _ if is_over => Some("something follows the end".to_owned()),
            Line::Paperround { format, .. } if number == 1 && *format > FORMAT => Some(format!(
                "it has format {format}, this program reads {FORMAT}; use the program that wrote it"
            )),
            Line::Paperround { .. } if number == 1 => None,
            _ if number == 1 => Some("this is no exported state".to_owned()),
            Line::Document { kind, .. } if kind_of(kind).is_none() => {
                Some(format!("a document of the unknown kind {kind:?}"))
            }
            Line::End { lines, .. } if *lines != number - 1 => {
                Some(format!("{} lines of {lines} are there", number - 1))
            }
            // Exports of earlier programs have no sum.
            Line::End {
                sha256: Some(sha256), ..
            } if sum.as_ref() != Some(sha256) => {
                Some("its lines are not those that were exported: the file was changed".to_owned())
            }
            Line::Paperround { .. }
            | Line::Paper { .. }
            | Line::Document { .. }
            | Line::Entry { .. }
            | Line::Subscriber { .. }
            | Line::End { .. } => None,
        };
        is_over |= matches!(line, Line::End { .. });
        Some(match wrong {
            Some(what) => Err(unusable(number, what)),
            None => Ok(line),
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

    async fn exported(store: &MemoryStore) -> String {
        let mut text = Vec::new();
        export(store, at(4), &mut text).await.unwrap();
        String::from_utf8(text).unwrap()
    }

    #[tokio::test]
    async fn an_imported_state_is_exported_as_it_was_but_for_leases() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.jsonl");
        let first = exported(&filled().await).await;
        assert_eq!(first.lines().count(), 8, "{first}");
        fs::write(&path, &first).unwrap();
        let store = MemoryStore::new();
        let imported = import(&store, &path, at(5)).await.unwrap();
        let expected = Imported {
            n_subscribers: 1,
            n_entries: 1,
            n_papers: 3,
        };
        assert_eq!(imported, expected);
        let moved = store.entry(&"ana#1".parse().unwrap()).await.unwrap().unwrap().value;
        assert_eq!(moved.state, EntryState::Due);
        let second = exported(&store).await;
        let without_entries = |text: &str| -> Vec<String> {
            let is_other = |line: &&str| !line.contains(r#""type":"entry""#) && !line.contains(r#""type":"end""#);
            text.lines().filter(is_other).map(str::to_owned).collect()
        };
        assert_eq!(without_entries(&first), without_entries(&second));
        // Not into a state that holds anything.
        let refused = import(&store, &path, at(6)).await.unwrap_err();
        assert!(matches!(refused, ArchiveError::NotEmpty), "{refused}");
    }

    #[tokio::test]
    async fn the_version_that_somebody_got_is_kept_so_that_a_later_one_can_be_told_from_it() {
        let store = MemoryStore::new();
        let numbered = |version: u16| Paper {
            id: crate::model::ArxivId::from_parts(2026, 2, 9).unwrap(),
            version,
            ..paper("A graph", "x")
        };
        let mut state = SubscriberState::new(crate::model::SubscriberId("ana".into()));
        state.note_version(&numbered(1).id, 1, at(1));
        store
            .commit(Batch {
                subscribers: vec![Versioned::new(state)],
                papers: (1..=3).map(|version| (numbered(version), at(1))).collect(),
                ..Batch::default()
            })
            .await
            .unwrap();
        let copy = MemoryStore::copy_of(&store).await.unwrap();
        for text in [exported(&store).await, exported(&copy).await] {
            let versions: Vec<bool> = (1..=3)
                .map(|version| text.contains(&format!("\"version\":{version},")))
                .collect();
            assert_eq!(versions, [true, false, true], "{text}");
        }
    }

    #[tokio::test]
    async fn a_file_that_is_not_whole_is_refused_before_anything_is_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("state.jsonl");
        let whole = exported(&filled().await).await;
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
        check(whole.replace("2026-02-09", "2026-02-08"), "was changed").await;
        check(String::new(), "cut off").await;
    }
}
