//! The papers at hand while digests are put together: each fetched from the store once, and read once for all terms.

use std::{collections::HashMap, sync::Arc};

use crate::{
    matching::{Found, Lexicon, Reading},
    model::{ArxivId, Paper, VersionedId},
    store::{Store, StoreError, StoredPaper},
};

/// Papers shared by the subscribers of a chunk.
pub(super) struct Shelf<'s> {
    store: &'s dyn Store,
    pub(super) lexicon: &'s Lexicon,
    newest: HashMap<ArxivId, ReadPaper>,
    versions: HashMap<VersionedId, Option<ReadPaper>>,
}

/// A paper and what its text holds.
#[derive(Clone)]
pub(super) struct ReadPaper {
    pub(super) paper: Arc<Paper>,
    found: Arc<Found>,
}

impl ReadPaper {
    /// What the paper matches.
    pub(super) fn reading<'l>(&'l self, lexicon: &'l Lexicon) -> Reading<'l> {
        lexicon.look_up(&self.paper, &self.found)
    }
}

impl<'s> Shelf<'s> {
    pub(super) fn new(store: &'s dyn Store, lexicon: &'s Lexicon) -> Self {
        Self {
            store,
            lexicon,
            newest: HashMap::new(),
            versions: HashMap::new(),
        }
    }

    /// Forgets all papers, so that memory stays flat.
    pub(super) fn clear(&mut self) {
        self.newest.clear();
        self.versions.clear();
    }

    fn read(&self, stored: StoredPaper) -> ReadPaper {
        ReadPaper {
            found: Arc::new(self.lexicon.find(&stored.paper)),
            paper: Arc::new(stored.paper),
        }
    }

    /// The newest versions of these papers. One whose text is not stored any more is left out and named in the log.
    pub(super) async fn newest(&mut self, ids: &[ArxivId]) -> Result<Vec<ReadPaper>, StoreError> {
        let missing: Vec<ArxivId> = ids
            .iter()
            .filter(|id| !self.newest.contains_key(*id))
            .cloned()
            .collect();
        let stored = match missing.is_empty() {
            true => Vec::new(),
            false => self.store.latest_papers(&missing).await?,
        };
        for (id, stored) in missing.into_iter().zip(stored) {
            match stored {
                Some(stored) => {
                    let read = self.read(stored);
                    self.newest.insert(id, read);
                }
                None => {
                    tracing::warn!(paper.id = %id, "a pending paper has no stored text; it waits until it is fetched again");
                }
            }
        }
        Ok(ids.iter().filter_map(|id| self.newest.get(id).cloned()).collect())
    }

    /// One version of a paper; `None` where its text is not stored.
    pub(super) async fn version(&mut self, id: VersionedId) -> Result<Option<ReadPaper>, StoreError> {
        if let Some(known) = self.versions.get(&id) {
            return Ok(known.clone());
        }
        let stored = self.store.papers(std::slice::from_ref(&id)).await?.pop().flatten();
        let read = stored.map(|stored| self.read(stored));
        self.versions.insert(id, read.clone());
        Ok(read)
    }
}
