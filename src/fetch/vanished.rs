//! Papers that a search showed the last time and shows no more, although they were submitted in its window.
//!
//! Mostly a later version no longer holds the keyword: reworded, or withdrawn, and then the abstract is gone too. Who
//! got such a paper, or waits for it, is told; a harvest would see the new version by itself.

use super::{Errand, Fetched, Fetcher, client::FetchError};
use crate::{model::ArxivId, store::StoreError};

/// How many papers are asked for together: more identifiers would make the address too long for arXiv.
const ASKED_MAX: usize = 200;

impl Fetcher {
    /// Asks once for those that matter to somebody. What does not come is found by the weekly reconciliation.
    pub(super) async fn ask_after_vanished(
        &self,
        errand: &Errand<'_>,
        fetched: &mut Fetched,
    ) -> Result<(), StoreError> {
        let ids: Vec<ArxivId> = std::mem::take(&mut fetched.vanished)
            .into_iter()
            .filter(|id| !fetched.papers.contains_key(id) && (errand.awaited)(id))
            .take(ASKED_MAX)
            .collect();
        if ids.is_empty() {
            return Ok(());
        }
        fetched.n_requests += 1;
        match self.by_identifiers(&ids).await {
            Ok(feed) => {
                let papers = feed.papers.into_iter();
                fetched.add(papers.filter(|paper| ids.contains(&paper.id) && (errand.wanted)(paper)));
            }
            Err(FetchError::Store(error)) => return Err(error),
            Err(error) => {
                tracing::info!(n_papers = ids.len(), %error, "papers that a search shows no more could not be asked for");
            }
        }
        Ok(())
    }
}
