//! Papers that a search showed the last time and shows no more, although they were submitted in its window.
//!
//! Mostly a later version no longer holds the keyword: reworded, or withdrawn, and then the abstract is gone too. Who
//! got such a paper, or waits for it, is told; a harvest would see the new version by itself.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{Errand, Fetched, Fetcher, client::FetchError};
use crate::{
    model::ArxivId,
    store::{DocumentKind, Store, StoreError, Versioned, documents},
};

/// Under this name those are remembered that were asked for in vain.
const NOTE: &str = "vanished";
/// How many papers are asked for together: more identifiers would make the address too long for arXiv.
const ASKED_MAX: usize = 200;
/// How many are remembered at most, the latest identifiers first.
const OWED_MAX: usize = 500;
/// How long one is asked for in vain: by then the weekly reconciliation has looked.
const OWED_FOR: TimeDelta = TimeDelta::days(9);

/// A paper that is still to be asked for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Owed {
    id: ArxivId,
    /// When it was first seen to be gone.
    since: DateTime<Utc>,
}

impl Fetcher {
    /// Asks once for those that matter to somebody. What does not come is asked for again by the next run.
    pub(super) async fn ask_after_vanished(
        &self,
        store: &dyn Store,
        errand: &Errand<'_>,
        fetched: &mut Fetched,
    ) -> Result<(), StoreError> {
        let now = errand.now;
        let mut memory: Versioned<Vec<Owed>> = documents::load(store, DocumentKind::Note, NOTE).await?;
        let before = memory.value.clone();
        let vanished = std::mem::take(&mut fetched.vanished).into_iter();
        let owed = &mut memory.value;
        owed.extend(vanished.map(|id| Owed { id, since: now }));
        // A stable sort: of two notes of one paper the earlier stays first.
        owed.sort_by(|a, b| b.id.cmp(&a.id));
        owed.dedup_by(|a, b| a.id == b.id);
        owed.retain(|one| {
            let is_here = fetched.papers.contains_key(&one.id);
            !is_here && now - one.since < OWED_FOR && (errand.awaited)(&one.id)
        });
        owed.truncate(OWED_MAX);
        let ids: Vec<ArxivId> = owed.iter().take(ASKED_MAX).map(|one| one.id.clone()).collect();
        if !ids.is_empty() {
            fetched.n_requests += 1;
            match self.by_identifiers(&ids).await {
                Ok(feed) => {
                    owed.retain(|one| !feed.papers.iter().any(|paper| paper.id == one.id));
                    let papers = feed.papers.into_iter();
                    fetched.add(papers.filter(|paper| ids.contains(&paper.id) && (errand.wanted)(paper)));
                }
                Err(FetchError::Store(error)) => return Err(error),
                Err(error) => tracing::info!(%error, "papers that a search shows no more could not be asked for"),
            }
        }
        if !owed.is_empty() {
            tracing::info!(n_papers = owed.len(), "they are asked for again by the next run");
        }
        if memory.value != before {
            fetched
                .notes
                .push(documents::to_write(DocumentKind::Note, NOTE, &memory)?);
        }
        Ok(())
    }
}
