//! The weekly deep window: what it finds beyond the usual one, where papers that arXiv held back for long come up.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::{Errand, Fetched};
use crate::{
    model::ArxivId,
    store::{Store, StoreError},
};

/// What the deep windows of one run brought.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Deep {
    /// How many searches reached so far back.
    pub n_searches: usize,
    /// Matching papers beyond the usual windows that nothing had shown before.
    pub found_alone: usize,
}

/// What is known of them while searches are made.
#[derive(Debug, Default)]
pub(super) struct Beyond {
    pub(super) n_searches: usize,
    /// Papers submitted before the usual windows.
    pub(super) papers: BTreeSet<ArxivId>,
}

/// Counts what only the deep windows have shown, before it is stored.
pub(super) async fn count(store: &dyn Store, fetched: &mut Fetched, errand: &Errand<'_>) -> Result<(), StoreError> {
    let Beyond { n_searches, papers } = std::mem::take(&mut fetched.beyond);
    if n_searches == 0 {
        return Ok(());
    }
    let is_wanted = |id: &ArxivId| fetched.papers.get(id).is_some_and(|paper| (errand.wanted)(paper));
    let ids: Vec<ArxivId> = papers.into_iter().filter(is_wanted).collect();
    let stored = store.latest_papers(&ids).await?;
    let found_alone = stored.iter().filter(|stored| stored.is_none()).count();
    tracing::info!(n_searches, found_alone, "the deep windows were read");
    fetched.deep = Some(Deep {
        n_searches,
        found_alone,
    });
    Ok(())
}
