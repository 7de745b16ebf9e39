//! Which OAI-PMH sets there are: those known here, and those that arXiv has opened since.
//!
//! arXiv opens a category every few years. Whoever only reads the sets of the others would lose its papers, so arXiv
//! is asked for its list once a week. That fails nothing: without an answer the sets known so far stand.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{Fetcher, patience::Patience};
use crate::{
    arxiv::{
        leafsets::{self, LeafSet},
        setlist::SetList,
    },
    store::{Batch, DocumentKind, Store, StoreError, Versioned, documents},
};

const NOTE: &str = "sets";
/// How often the list is asked for.
const INTERVAL: TimeDelta = TimeDelta::days(7);
/// The most sets beyond those known here that are believed.
const OPENED_MAX: usize = 100;

/// What is remembered of arXiv's list.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Memory {
    /// When it was last asked for.
    asked: Option<DateTime<Utc>>,
    /// The names of the sets beyond those known here.
    opened: Vec<String>,
}

impl Memory {
    fn sets(&self) -> Vec<LeafSet> {
        let mut sets = leafsets::all();
        sets.extend(leafsets::opened_since(&self.opened).into_iter().take(OPENED_MAX));
        sets
    }
}

/// The sets as far as they are known, without asking.
pub(super) async fn known(store: &dyn Store) -> Result<Vec<LeafSet>, StoreError> {
    let memory: Versioned<Memory> = documents::load(store, DocumentKind::Note, NOTE).await?;
    Ok(memory.value.sets())
}

impl Fetcher {
    /// The sets, after a look at arXiv's own list where the last one is a week old.
    pub(super) async fn sets(
        &self,
        store: &dyn Store,
        n_requests: &mut u64,
        now: DateTime<Utc>,
    ) -> Result<Vec<LeafSet>, StoreError> {
        let mut memory: Versioned<Memory> = documents::load(store, DocumentKind::Note, NOTE).await?;
        if memory
            .value
            .asked
            .is_some_and(|asked| asked <= now && now - asked < INTERVAL)
        {
            return Ok(memory.value.sets());
        }
        let mut url = self.settings.oai_url.clone();
        url.query_pairs_mut().append_pair("verb", "ListSets");
        let mut once = Patience::none();
        match self
            .persist::<SetList>(&url, self.settings.oai_timeout, &mut once, n_requests)
            .await?
        {
            Ok(list) => {
                let opened = leafsets::opened_since(&list.specs);
                for set in &opened {
                    tracing::info!(
                        set = set.spec,
                        "arXiv has a category that this version does not know; it is harvested too"
                    );
                }
                memory.value.opened = opened.into_iter().map(|set| set.spec).collect();
            }
            Err(failed) => tracing::info!(why = %failed, "arXiv's list of sets was not read; those known stand"),
        }
        memory.value.asked = Some(now);
        let document = documents::to_write(DocumentKind::Note, NOTE, &memory)?;
        store
            .commit(Batch {
                documents: vec![document],
                ..Batch::default()
            })
            .await?;
        Ok(memory.value.sets())
    }
}
