//! A state that is damaged or gone is set aside, and the latest export with its journal takes its place.
//!
//! What must hold afterwards is what always holds: no paper twice, none lost. The export knows everything up to its
//! hour. For what happened since, the journal knows each digest whose message may have gone out: one that was accepted
//! makes its papers seen; one without a reply is unconfirmed, so it goes out again under its own Message-ID or waits
//! for the operator; one that was refused gives its papers back. Papers that are in none of these were sent to nobody:
//! they wait as the export says, or are fetched again, since every window reaches back further than an export is old.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, io,
    path::{Path, PathBuf},
};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{
    Batch, Document, DocumentKind, Store, StoreError, Versioned,
    archive::{self, ArchiveError},
    documents, exports,
    journal::{Fate, Told},
    papers_of, sled,
};
use crate::model::{
    DigestId, Ending, EntryState, OutboxEntry, PaperRecord, Queued, Settled, SubscriberId, SubscriberState,
};

/// Where a state is put together before it takes the place of the damaged one.
const DRAFT: &str = "restoring";
/// The document that tells of the latest recovery.
const NOTE: &str = "recovery";
/// Where the journal cannot be read to its end, numbers of digests may have been used that nobody knows of; so many are
/// left out, lest a new digest gets the Message-ID of one that went out.
const NUMBERS_LEFT_OUT: u32 = 1_000;
/// How many subscribers are read and written together.
const TOGETHER: usize = 200;

/// A recovery, as it is remembered and told.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Recovery {
    /// When.
    pub at: DateTime<Utc>,
    /// What was wrong.
    pub why: String,
    /// When the export was made that took its place.
    pub exported: DateTime<Utc>,
    /// Where the damaged state lies now.
    pub set_aside: Option<PathBuf>,
    /// Digests sent since the export that the journal knew of.
    pub n_accepted: usize,
    /// Digests that may have gone out without a reply: sent again under their own Message-ID, or held.
    pub n_unconfirmed: usize,
    /// Whether the journal was whole; if not, papers of that time may come a second time.
    pub is_whole: bool,
    /// Whether a run has counted those who were configured since the export.
    #[serde(default)]
    pub is_counted: bool,
}

impl Recovery {
    /// In one line, for the log, `status` and the operator's mail.
    pub fn in_words(&self) -> String {
        let set_aside = self.set_aside.as_ref().map_or_else(String::new, |path| {
            format!(
                " The former state lies in {}; delete it when it is no longer of interest.",
                path.display()
            )
        });
        let honesty = if self.is_whole {
            ""
        } else {
            " The journal since then is damaged: papers sent in that time may come a second time."
        };
        format!(
            "the state was unusable ({}) and was restored from the export of {}; of the digests sent since then {} were \
             accepted and {} are unconfirmed.{honesty}{set_aside}",
            self.why,
            self.exported.format("%F %H:%M UTC"),
            self.n_accepted,
            self.n_unconfirmed
        )
    }
}

/// The latest recovery, if there ever was one.
pub async fn latest(store: &dyn Store) -> Result<Versioned<Option<Recovery>>, StoreError> {
    documents::load(store, DocumentKind::Note, NOTE).await
}

/// The document that keeps a recovery.
pub fn to_write(recovery: &Versioned<Option<Recovery>>) -> Result<Versioned<Document>, StoreError> {
    documents::to_write(DocumentKind::Note, NOTE, recovery)
}

/// Puts the newest good export in `exports_dir` with its journal in the place of the store in `store_dir`, whose folder
/// is set aside. `None`, and nothing is changed, where there is no good export.
///
/// A process that dies in the middle leaves things so that the next start does all of it again.
///
/// # Errors
/// [`StoreError::Io`] and [`StoreError::InUse`].
pub async fn recover(
    store_dir: &Path,
    exports_dir: &Path,
    why: &str,
    now: DateTime<Utc>,
) -> Result<Option<Recovery>, StoreError> {
    let Some(good) = exports::newest_good(exports_dir) else {
        return Ok(None);
    };
    let io_error = |path: &Path, error: &io::Error| StoreError::Io {
        place: path.display().to_string(),
        doing: "restored",
        why: error.to_string(),
    };
    let draft = store_dir.with_file_name(DRAFT);
    match fs::remove_dir_all(&draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(io_error(&draft, &error)),
        _ => {}
    }
    let store = sled::SledStore::open(&draft, now).await?.store;
    archive::import(&store, &good.path, now)
        .await
        .map_err(|error| match error {
            ArchiveError::Store(error) => error,
            ArchiveError::Unusable(_) | ArchiveError::NotEmpty | ArchiveError::Unwritten(_) => StoreError::Damaged {
                place: good.path.display().to_string(),
                what: error.to_string(),
            },
        })?;
    let mut told = Told::default();
    for path in &good.journals {
        told.read(path).map_err(|error| io_error(path, &error))?;
    }
    let is_whole = good.has_journal && told.n_unreadable == 0;
    let (n_accepted, n_unconfirmed) = replay(&store, told, is_whole, now).await?;
    let mut recovery = Recovery {
        at: now,
        why: why.to_owned(),
        exported: good.exported,
        set_aside: None,
        n_accepted,
        n_unconfirmed,
        is_whole,
        is_counted: false,
    };
    if store_dir.exists() {
        let target = sled::quarantine(store_dir, now).map_err(|error| match error.kind() {
            io::ErrorKind::ResourceBusy => StoreError::InUse(store_dir.display().to_string()),
            _ => io_error(store_dir, &error),
        })?;
        recovery.set_aside = Some(target);
    }
    let mut noted = latest(&store).await?;
    noted.value = Some(recovery.clone());
    store
        .commit(Batch {
            documents: vec![to_write(&noted)?],
            ..Batch::default()
        })
        .await?;
    // Closed before it moves.
    drop(store);
    fs::rename(&draft, store_dir).map_err(|error| io_error(&draft, &error))?;
    let parent = store_dir.parent().unwrap_or(Path::new("."));
    fs::File::open(parent)
        .and_then(|folder| folder.sync_all())
        .map_err(|error| io_error(parent, &error))?;
    Ok(Some(recovery))
}

/// Applies what the journals tell to a store as the export left it. How many digests were accepted, and how many are
/// unconfirmed.
async fn replay(
    store: &dyn Store,
    told: Told,
    is_whole: bool,
    now: DateTime<Utc>,
) -> Result<(usize, usize), StoreError> {
    let forgotten: Vec<SubscriberId> = told.forgotten.into_iter().collect();
    if !forgotten.is_empty() {
        store
            .commit(Batch {
                subscribers_deleted: forgotten,
                ..Batch::default()
            })
            .await?;
    }
    for papers in told.papers.chunks(TOGETHER) {
        store
            .commit(Batch {
                papers: papers.to_vec(),
                ..Batch::default()
            })
            .await?;
    }
    for ((kind, key), value) in told.documents {
        let revision = store.document(kind, &key).await?.revision;
        let is_gone_already = value.is_none() && revision == 0;
        if !is_gone_already {
            let value = Document { kind, key, value };
            store
                .commit(Batch {
                    documents: vec![Versioned { value, revision }],
                    ..Batch::default()
                })
                .await?;
        }
    }
    let mut by_subscriber: BTreeMap<SubscriberId, Vec<(DigestId, Fate)>> = BTreeMap::new();
    for (id, fate) in told.digests {
        by_subscriber.entry(id.subscriber.clone()).or_default().push((id, fate));
    }
    let mut everyone: BTreeSet<SubscriberId> = by_subscriber.keys().chain(told.paused.keys()).cloned().collect();
    if !is_whole {
        everyone.extend(store.subscriber_ids().await?);
    }
    let everyone: Vec<SubscriberId> = everyone.into_iter().collect();
    let (mut n_accepted, mut n_unconfirmed) = (0, 0);
    for chunk in everyone.chunks(TOGETHER) {
        let mut batch = Batch::default();
        for mut state in store.subscribers(chunk).await? {
            if let Some(until) = told.paused.get(&state.value.id) {
                state.value.paused_until = *until;
            }
            for (id, fate) in by_subscriber.remove(&state.value.id).unwrap_or_default() {
                let stored = store.entry(&id).await?;
                let Some(entry) = apply(store, &mut state.value, stored, fate, now).await? else {
                    continue;
                };
                n_accepted += usize::from(matches!(entry.value.state, EntryState::Accepted { .. }));
                n_unconfirmed += usize::from(entry.value.is_active() && entry.value.n_unconfirmed > 0);
                batch.entries.push(entry);
            }
            if !is_whole {
                state.value.latest_digest = state.value.latest_digest.saturating_add(NUMBERS_LEFT_OUT);
            }
            batch.subscribers.push(state);
        }
        store.commit(batch).await?;
    }
    Ok((n_accepted, n_unconfirmed))
}

/// Applies the fate of one digest to its subscriber's state; the entry as it is to be written, if it is.
async fn apply(
    store: &dyn Store,
    state: &mut SubscriberState,
    stored: Option<Versioned<OutboxEntry>>,
    fate: Fate,
    now: DateTime<Utc>,
) -> Result<Option<Versioned<OutboxEntry>>, StoreError> {
    let revision = stored.as_ref().map_or(0, |entry| entry.revision);
    let is_stored = stored.is_some();
    let Some(mut entry) = fate.begun.or(stored.map(|entry| entry.value)) else {
        return Ok(None);
    };
    if let Some((became, n_unconfirmed)) = fate.became {
        entry.state = became;
        entry.n_unconfirmed = n_unconfirmed;
    }
    entry.expire_lease(now);
    let number = entry.digest.id.number;
    state.latest_digest = state.latest_digest.max(number);
    state.latest_enqueued = state.latest_enqueued.max(Some(entry.digest.frozen_at));
    let may_have_gone = entry.n_unconfirmed > 0;
    match &entry.state {
        EntryState::Accepted { at, .. } => {
            let at = *at;
            for paper in entry.digest.papers() {
                take(state, paper);
                // Only where replacements are listed is it remembered which version was sent.
                if paper.replaces.is_some() || !state.versions.is_empty() {
                    state.note_version(&paper.id, paper.version, at);
                }
                state.seen.entry(paper.id.clone()).or_insert(number);
            }
        }
        EntryState::Ended {
            how: Ending::Undeliverable,
            ..
        } => settle(state, &entry, Settled::Undeliverable),
        // Dropped by the operator after it may have gone out: its papers never come in another mail.
        EntryState::Ended {
            how: Ending::Cancelled, ..
        } if may_have_gone => settle(state, &entry, Settled::Undeliverable),
        EntryState::Ended { .. } => {
            state.give_back(number);
            if !is_stored {
                return Ok(None);
            }
        }
        EntryState::Due | EntryState::Held | EntryState::Leased(_) if may_have_gone => {
            for paper in entry.digest.papers().cloned().collect::<Vec<_>>() {
                let since = take(state, &paper).unwrap_or(entry.digest.frozen_at);
                match paper.replaces {
                    Some(_) => {
                        let version = paper.version;
                        state.replacements.insert(
                            paper.id,
                            crate::model::Replacement {
                                version,
                                since,
                                digest: Some(number),
                            },
                        );
                    }
                    None => _ = state.queued.insert(paper.id, Queued { digest: number, since }),
                }
            }
            // Without its papers' text it cannot be the same mail again: then the operator decides.
            let texts = papers_of(store, &entry.digest).await?;
            if texts.len() < entry.digest.papers().count() {
                entry.state = EntryState::Held;
            }
        }
        // Surely not taken: it goes on if the export has it; else its papers come in a new one.
        EntryState::Due | EntryState::Held | EntryState::Leased(_) => {
            if !is_stored {
                return Ok(None);
            }
        }
    }
    Ok(Some(Versioned { value: entry, revision }))
}

fn settle(state: &mut SubscriberState, entry: &OutboxEntry, how: Settled) {
    for paper in entry.digest.papers() {
        take(state, paper);
        if paper.replaces.is_none() {
            state.settled.insert(paper.id.clone(), how);
        }
    }
}

/// Takes a paper out of whatever state it waits in; since when it waited.
fn take(state: &mut SubscriberState, paper: &PaperRecord) -> Option<DateTime<Utc>> {
    let replacement = state
        .replacements
        .remove(&paper.id)
        .map(|replacement| replacement.since);
    let pending = state.pending.remove(&paper.id).map(|pending| pending.since);
    let queued = state.queued.remove(&paper.id).map(|queued| queued.since);
    pending.or(queued).or(replacement)
}
