//! The store's trait in plain maps: the model that the other stores are held against, and what a dry run writes to.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::{Mutex, MutexGuard, PoisonError},
};

use async_trait::async_trait;
use chrono::{DateTime, TimeDelta, Utc};

use super::{Batch, Document, DocumentKind, DueBy, EntryFilter, Store, StoreError, StoredPaper, Versioned};
use crate::model::{
    ArxivId, DigestId, LeaseEnd, OutboxEntry, Paper, PaperRecord, SubscriberId, SubscriberState, VersionedId, WorkerId,
};

/// How many papers or subscribers a copy asks for at a time.
const COPY_PAGE: usize = 1000;

/// A store that forgets everything when it is dropped.
#[derive(Debug, Default)]
pub struct MemoryStore(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    subscribers: BTreeMap<SubscriberId, Versioned<SubscriberState>>,
    entries: BTreeMap<DigestId, Versioned<OutboxEntry>>,
    documents: BTreeMap<(DocumentKind, String), Versioned<serde_json::Value>>,
    papers: BTreeMap<ArxivId, BTreeMap<u16, StoredPaper>>,
}

impl MemoryStore {
    /// An empty store.
    pub fn new() -> Self {
        Self::default()
    }

    /// A copy of another store with the same revisions, for a dry run: it reads the real state and writes nothing to it.
    ///
    /// Of papers it holds the newest versions and those that outbox entries name or that subscribers got.
    pub async fn copy_of(store: &dyn Store) -> Result<Self, StoreError> {
        let mut state = State::default();
        let mut named = BTreeSet::new();
        for ids in store.subscriber_ids().await?.chunks(COPY_PAGE) {
            for subscriber in store.subscribers(ids).await? {
                named.extend(subscriber.value.versions_got());
                state.subscribers.insert(subscriber.value.id.clone(), subscriber);
            }
        }
        for kind in DocumentKind::ALL {
            for Versioned {
                value: Document { key, value, .. },
                revision,
            } in store.documents(kind).await?
            {
                if let Some(value) = value {
                    state.documents.insert((kind, key), Versioned { value, revision });
                }
            }
        }
        for entry in store.entries(&EntryFilter::default()).await? {
            named.extend(entry.value.digest.papers().map(PaperRecord::versioned_id));
            state.entries.insert(entry.value.digest.id.clone(), entry);
        }
        let named: Vec<_> = named.into_iter().collect();
        for ids in named.chunks(COPY_PAGE) {
            for paper in store.papers(ids).await?.into_iter().flatten() {
                state.put_stored(paper);
            }
        }
        let mut below = None;
        loop {
            let page = store.newest_papers(below.as_ref(), COPY_PAGE).await?;
            let Some(last) = page.last() else { break };
            below = Some(last.paper.id.clone());
            for paper in page {
                state.put_stored(paper);
            }
        }
        Ok(Self(Mutex::new(state)))
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Every change is made after all that can fail, so a poisoned state is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Whether every value of the batch has the stored revision, and comes once.
    fn check(&self, batch: &Batch) -> Result<(), StoreError> {
        let mut met = BTreeSet::new();
        let mut check = |what: String, stored: Option<u64>, given: u64| {
            if stored.unwrap_or(0) == given && met.insert(what.clone()) {
                Ok(())
            } else {
                Err(StoreError::Conflict(what))
            }
        };
        for Versioned { value, revision } in &batch.subscribers {
            let stored = self.subscribers.get(&value.id).map(|stored| stored.revision);
            check(format!("subscriber {}", value.id), stored, *revision)?;
        }
        for Versioned { value, revision } in &batch.entries {
            let id = &value.digest.id;
            let stored = self.entries.get(id).map(|stored| stored.revision);
            check(format!("outbox entry {id}"), stored, *revision)?;
        }
        for Versioned { value, revision } in &batch.documents {
            let stored = self.documents.get(&(value.kind, value.key.clone()));
            let stored = stored.map(|stored| stored.revision);
            check(format!("{} {}", value.kind, value.key), stored, *revision)?;
        }
        Ok(())
    }

    fn put_paper(&mut self, paper: Paper, fetched_at: DateTime<Utc>) {
        let versions = self.papers.entry(paper.id.clone()).or_default();
        let first_fetched = versions
            .values()
            .map(|stored| stored.first_fetched)
            .fold(fetched_at, DateTime::min);
        self.put_stored(StoredPaper {
            paper,
            first_fetched,
            last_fetched: fetched_at,
        });
    }

    fn put_stored(&mut self, stored: StoredPaper) {
        let versions = self.papers.entry(stored.paper.id.clone()).or_default();
        versions.insert(stored.paper.version, stored);
    }
}

fn newest(versions: &BTreeMap<u16, StoredPaper>) -> Option<StoredPaper> {
    versions.last_key_value().map(|(_, stored)| stored.clone())
}

#[async_trait]
impl Store for MemoryStore {
    async fn commit(&self, batch: Batch) -> Result<(), StoreError> {
        let mut state = self.lock();
        state.check(&batch)?;
        for Versioned { value, revision } in batch.subscribers {
            let revision = revision + 1;
            state
                .subscribers
                .insert(value.id.clone(), Versioned { value, revision });
        }
        for Versioned { value, revision } in batch.entries {
            let revision = revision + 1;
            state
                .entries
                .insert(value.digest.id.clone(), Versioned { value, revision });
        }
        for Versioned { value, revision } in batch.documents {
            let (key, revision) = ((value.kind, value.key), revision + 1);
            match value.value {
                Some(value) => state.documents.insert(key, Versioned { value, revision }),
                None => state.documents.remove(&key),
            };
        }
        for (paper, fetched_at) in batch.papers {
            state.put_paper(paper, fetched_at);
        }
        for VersionedId { id, version } in batch.papers_deleted {
            if let Some(versions) = state.papers.get_mut(&id) {
                versions.remove(&version);
                if versions.is_empty() {
                    state.papers.remove(&id);
                }
            }
        }
        for id in batch.entries_deleted {
            state.entries.remove(&id);
        }
        for id in batch.subscribers_deleted {
            state.subscribers.remove(&id);
        }
        Ok(())
    }

    async fn subscribers(&self, ids: &[SubscriberId]) -> Result<Vec<Versioned<SubscriberState>>, StoreError> {
        let state = self.lock();
        let read = |id: &SubscriberId| {
            let stored = state.subscribers.get(id).cloned();
            stored.unwrap_or_else(|| Versioned::new(SubscriberState::new(id.clone())))
        };
        Ok(ids.iter().map(read).collect())
    }

    async fn subscriber_ids(&self) -> Result<Vec<SubscriberId>, StoreError> {
        Ok(self.lock().subscribers.keys().cloned().collect())
    }

    async fn papers(&self, ids: &[VersionedId]) -> Result<Vec<Option<StoredPaper>>, StoreError> {
        let state = self.lock();
        let read = |id: &VersionedId| state.papers.get(&id.id)?.get(&id.version).cloned();
        Ok(ids.iter().map(read).collect())
    }

    async fn latest_papers(&self, ids: &[ArxivId]) -> Result<Vec<Option<StoredPaper>>, StoreError> {
        let state = self.lock();
        Ok(ids.iter().map(|id| newest(state.papers.get(id)?)).collect())
    }

    async fn newest_papers(&self, below: Option<&ArxivId>, limit: usize) -> Result<Vec<StoredPaper>, StoreError> {
        let state = self.lock();
        let papers = state.papers.iter().rev();
        Ok(papers
            .skip_while(|(id, _)| below.is_some_and(|below| *id >= below))
            .filter_map(|(_, versions)| newest(versions))
            .take(limit)
            .collect())
    }

    async fn lease_due(
        &self,
        worker: &WorkerId,
        by: DueBy,
        ttl: TimeDelta,
        limit: usize,
    ) -> Result<Vec<Versioned<OutboxEntry>>, StoreError> {
        let now = by.now;
        let mut state = self.lock();
        let mut due: Vec<_> = state
            .entries
            .values_mut()
            .filter(|entry| by.is_free(&entry.value))
            .filter_map(|entry| Some((entry.value.due_at()?, entry)))
            .collect();
        // Stable: entries that fall due together stay in the order of their names.
        due.sort_by_key(|(due_at, _)| *due_at);
        let until = now.checked_add_signed(ttl).unwrap_or(DateTime::<Utc>::MAX_UTC);
        let mut leased = Vec::new();
        for (_, entry) in due {
            if leased.len() >= limit {
                break;
            }
            entry.revision += 1;
            if entry.value.expire_lease(now) != Some(LeaseEnd::Held) {
                entry.value.lease(worker, until);
                leased.push(entry.clone());
            }
        }
        Ok(leased)
    }

    async fn next_due(&self) -> Result<Option<DateTime<Utc>>, StoreError> {
        Ok(self
            .lock()
            .entries
            .values()
            .filter_map(|entry| entry.value.due_at())
            .min())
    }

    async fn entry(&self, id: &DigestId) -> Result<Option<Versioned<OutboxEntry>>, StoreError> {
        Ok(self.lock().entries.get(id).cloned())
    }

    async fn entries(&self, filter: &EntryFilter) -> Result<Vec<Versioned<OutboxEntry>>, StoreError> {
        let state = self.lock();
        let wanted = |entry: &&Versioned<OutboxEntry>| {
            filter
                .subscriber
                .as_ref()
                .is_none_or(|subscriber| *subscriber == entry.value.digest.id.subscriber)
                && (!filter.active_only || entry.value.is_active())
                && filter
                    .due_after
                    .is_none_or(|moment| entry.value.due_at().is_some_and(|due_at| due_at > moment))
                && filter.after.as_ref().is_none_or(|after| entry.value.digest.id > *after)
        };
        let limit = filter.limit.unwrap_or(usize::MAX);
        Ok(state.entries.values().filter(wanted).take(limit).cloned().collect())
    }

    async fn document(&self, kind: DocumentKind, key: &str) -> Result<Versioned<Document>, StoreError> {
        let stored = self.lock().documents.get(&(kind, key.to_owned())).cloned();
        let (value, revision) = match stored {
            Some(Versioned { value, revision }) => (Some(value), revision),
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

    async fn documents(&self, kind: DocumentKind) -> Result<Vec<Versioned<Document>>, StoreError> {
        let state = self.lock();
        let of_kind = state.documents.iter().filter(|((stored, _), _)| *stored == kind);
        Ok(of_kind
            .map(|((kind, key), stored)| Versioned {
                value: Document {
                    kind: *kind,
                    key: key.clone(),
                    value: Some(stored.value.clone()),
                },
                revision: stored.revision,
            })
            .collect())
    }

    async fn ping(&self) -> Result<(), StoreError> {
        Ok(())
    }
}
