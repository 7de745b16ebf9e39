//! The daily exports beside the store: a bounded number of them, and with each the journal of what was sent since.
//!
//! `state-000012.jsonl` is a whole export, `since-000012.jsonl` the journal that began just before it was written. They
//! are numbered, not dated, so that a clock that jumps cannot mix up their order.

use std::{
    fs::{self, DirBuilder, File, OpenOptions},
    io::{self, BufWriter, Write as _},
    os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _},
    path::{Path, PathBuf},
};

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{
    Batch, DocumentKind, Store, StoreError, Versioned,
    archive::{self, ArchiveError},
    documents,
};

/// How many exports are kept; the oldest go first.
pub const EXPORTS_KEPT: usize = 3;
/// How often one is made.
const INTERVAL: TimeDelta = TimeDelta::hours(23);
/// The document that remembers the latest.
const NOTE: &str = "export";

/// The latest export.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Latest {
    /// When it was made; `None` before the first.
    pub at: Option<DateTime<Utc>>,
    /// Since when none could be made, and why.
    pub failing: Option<(DateTime<Utc>, String)>,
}

/// When the latest export was made, and whether the next is failing.
pub async fn latest(store: &dyn Store) -> Result<Latest, StoreError> {
    Ok(documents::load(store, DocumentKind::Note, NOTE).await?.value)
}

/// Makes an export in `dir` if the latest is a day old or gone. One that cannot be written is no reason to stop: it is
/// logged, kept for `status`, and tried again at the next run.
///
/// # Errors
/// Those of the store.
pub async fn keep(store: &dyn Store, dir: &Path, now: DateTime<Utc>) -> Result<(), StoreError> {
    let mut latest: Versioned<Latest> = documents::load(store, DocumentKind::Note, NOTE).await?;
    let is_fresh = latest
        .value
        .at
        .is_some_and(|at| at <= now && now - at < INTERVAL && list(dir, "state-").is_ok_and(|found| !found.is_empty()));
    if is_fresh {
        return Ok(());
    }
    match make(store, dir, now).await {
        Ok(path) => {
            tracing::info!(path = %path.display(), "the state was exported");
            latest.value = Latest {
                at: Some(now),
                failing: None,
            };
        }
        Err(ArchiveError::Store(error)) => return Err(error),
        Err(error @ (ArchiveError::Unwritten(_) | ArchiveError::Unusable(_) | ArchiveError::NotEmpty)) => {
            tracing::error!(dir = %dir.display(), %error, "the daily export of the state failed; it is tried again");
            let since = latest.value.failing.map_or(now, |(since, _)| since);
            latest.value.failing = Some((since, error.to_string()));
        }
    }
    let document = documents::to_write(DocumentKind::Note, NOTE, &latest)?;
    store
        .commit(Batch {
            documents: vec![document],
            ..Batch::default()
        })
        .await
}

/// Goes on with the latest journal after a start, if there is one.
///
/// # Errors
/// Those of the store; the file cannot be opened.
pub async fn resume(store: &dyn Store, dir: &Path) -> Result<(), StoreError> {
    match list(dir, "since-").unwrap_or_default().last() {
        Some((_, path)) => store.begin_journal(path).await,
        None => Ok(()),
    }
}

async fn make(store: &dyn Store, dir: &Path, now: DateTime<Utc>) -> Result<PathBuf, ArchiveError> {
    DirBuilder::new().recursive(true).mode(0o700).create(dir)?;
    let numbers = list(dir, "state-")?.into_iter().chain(list(dir, "since-")?);
    let number = numbers.map(|(number, _)| number).max().unwrap_or(0) + 1;
    // The journal first: what is sent while the export is written stands in one of them, or in both.
    store
        .begin_journal(&dir.join(format!("since-{number:06}.jsonl")))
        .await?;
    let path = dir.join(format!("state-{number:06}.jsonl"));
    let draft = path.with_extension("new");
    let written = write(store, now, &draft).await;
    if let Err(error) = written {
        // What is left of it only takes room, which may be just what is missing.
        let _gone = fs::remove_file(&draft);
        return Err(error);
    }
    fs::rename(&draft, &path)?;
    File::open(dir)?.sync_all()?;
    prune(dir)?;
    Ok(path)
}

async fn write(store: &dyn Store, now: DateTime<Utc>, draft: &Path) -> Result<(), ArchiveError> {
    let file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(draft)?;
    let mut out = BufWriter::new(file);
    archive::export(store, now, &mut out).await?;
    out.flush()?;
    out.get_ref().sync_all()?;
    Ok(())
}

/// Removes all but the newest [`EXPORTS_KEPT`], and the journals that only those needed.
fn prune(dir: &Path) -> io::Result<()> {
    let states = list(dir, "state-")?;
    // Fewer than that: nothing goes.
    let Some((oldest_kept, _)) = states.iter().rev().nth(EXPORTS_KEPT - 1) else {
        return Ok(());
    };
    for (number, path) in states.iter().chain(&list(dir, "since-")?) {
        if number < oldest_kept {
            fs::remove_file(path)?;
        }
    }
    Ok(())
}

/// The files whose names begin so, with their numbers, in order.
fn list(dir: &Path, prefix: &str) -> io::Result<Vec<(u64, PathBuf)>> {
    let entries = match fs::read_dir(dir) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut found = Vec::new();
    for entry in entries {
        let name = entry?.file_name();
        let number = name
            .to_str()
            .and_then(|name| name.strip_prefix(prefix)?.strip_suffix(".jsonl")?.parse().ok());
        if let Some(number) = number {
            found.push((number, dir.join(name)));
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// An export that is whole, with the journals since.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Good {
    /// The export.
    pub(super) path: PathBuf,
    /// When it was made.
    pub(super) exported: DateTime<Utc>,
    /// The journals from then on, in order.
    pub(super) journals: Vec<PathBuf>,
    /// Whether the one that began with the export is there.
    pub(super) has_journal: bool,
}

/// The newest export in `dir` that is whole, if there is one.
pub(super) fn newest_good(dir: &Path) -> Option<Good> {
    let journals = list(dir, "since-").unwrap_or_default();
    for (number, path) in list(dir, "state-").unwrap_or_default().into_iter().rev() {
        match archive::check(&path) {
            Ok(exported) => {
                return Some(Good {
                    path,
                    exported,
                    has_journal: journals.iter().any(|(other, _)| *other == number),
                    journals: journals
                        .into_iter()
                        .filter(|(other, _)| *other >= number)
                        .map(|(_, path)| path)
                        .collect(),
                });
            }
            Err(error) => tracing::error!(%error, "an export of the state is damaged; the one before is looked at"),
        }
    }
    None
}

/// Whether there is any export in `dir`, whole or not.
pub fn exist(dir: &Path) -> bool {
    list(dir, "state-").is_ok_and(|found| !found.is_empty())
}
