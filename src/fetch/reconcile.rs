//! Once a week, one source against the other: what the usual one cannot find is found a few days late instead
//! of never, and how much that is gets counted.
//!
//! It goes before the usual fetch with a patience of its own, makes no keyword complete or incomplete, and what
//! it brings is recorded like everything else.

use std::collections::BTreeSet;

use chrono::{DateTime, Datelike, TimeDelta, Utc, Weekday};
use serde::{Deserialize, Serialize};

use super::{
    Errand, Fetched, Fetcher, Search, Source, Wanted, harvest::Ground, lists::Haul, passes::only_store,
    patience::Patience, window::Question,
};
use crate::{
    arxiv::{completeness::Asked, search},
    model::{ArxivId, KeywordCoverage, Paper},
    store::{Batch, DocumentKind, Store, StoreError, Versioned, documents},
};

const NOTE: &str = "reconciliation";
/// How far back the other source is asked: what it holds alone is at most as old as the last reconciliation.
const REACH: TimeDelta = TimeDelta::days(10);
/// From this age on the next one waits for a weekend, when nothing is announced.
const WEEKEND_AGE: TimeDelta = TimeDelta::days(6);
/// From this age on it waits no longer.
const AGE_MAX: TimeDelta = TimeDelta::days(9);
/// One that could not be brought to its end is tried again after this long.
const RETRY: TimeDelta = TimeDelta::hours(20);
/// Which part of the retry budget it may use up.
const BUDGET_SHARE: u32 = 5;
/// How many searches one of them asks for; the next goes on after them.
const SEARCHES_MAX: usize = 100;
/// After so many failures in a row it ends.
const FAILURES_MAX: u32 = 3;

/// What is remembered of it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Memory {
    /// When the last one was brought to its end; the first counts from the first run.
    last: Option<DateTime<Utc>>,
    /// When one was last begun.
    tried: Option<DateTime<Utc>>,
    /// At which search the next one by searches begins.
    next_search: usize,
}

impl Memory {
    fn is_due(&self, now: DateTime<Utc>) -> bool {
        let Some(last) = self.last else { return false };
        let age = now - last;
        let is_weekend = matches!(now.weekday(), Weekday::Sat | Weekday::Sun);
        let is_time = age >= AGE_MAX || (age >= WEEKEND_AGE && is_weekend);
        is_time && self.tried.is_none_or(|tried| now - tried >= RETRY)
    }
}

/// What one reconciliation found.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Reconciliation {
    /// The source that was held against the usual one.
    pub by: Source,
    /// Matching papers that only this source has shown so far.
    pub found_alone: usize,
    /// Matching papers of the same days that only the usual source has shown; `None` where the other one was not
    /// asked for everything.
    #[serde(default)]
    pub missed: Option<usize>,
    /// Whether it was brought to its end; otherwise it is tried again tomorrow.
    pub is_complete: bool,
}

/// What the other source brought, before the usual one is heard.
#[derive(Debug)]
pub(super) struct Found {
    papers: Vec<Paper>,
    by: Source,
    is_complete: bool,
    /// Whether it was asked for all that the usual source is.
    is_whole: bool,
}

impl Fetcher {
    /// Asks the other source, if a week has passed.
    pub(super) async fn reconcile(
        &self,
        store: &dyn Store,
        searches: &[Search],
        errand: &Errand<'_>,
        fetched: &mut Fetched,
        usual: Source,
    ) -> Result<Option<Found>, StoreError> {
        let now = errand.now;
        let mut memory: Versioned<Memory> = documents::load(store, DocumentKind::Note, NOTE).await?;
        if memory.value.last.is_none() {
            memory.value.last = Some(now);
            write(store, &memory).await?;
            return Ok(None);
        }
        if !memory.value.is_due(now) || searches.is_empty() {
            return Ok(None);
        }
        let mut patience = Patience::new(self.settings.retry_budget / BUDGET_SHARE, self.settings.retry_delay);
        let found = match usual {
            Source::Harvest => {
                let first = memory.value.next_search;
                memory.value.next_search = (first + SEARCHES_MAX.min(searches.len())) % searches.len();
                self.by_searches(searches, first, errand, fetched, &mut patience)
                    .await?
            }
            Source::Query => self.by_harvest(store, searches, errand, fetched, &mut patience).await?,
        };
        memory.value.tried = Some(now);
        if found.is_complete {
            memory.value.last = Some(now);
        }
        write(store, &memory).await?;
        Ok(Some(found))
    }

    async fn by_harvest(
        &self,
        store: &dyn Store,
        searches: &[Search],
        errand: &Errand<'_>,
        fetched: &mut Fetched,
        patience: &mut Patience,
    ) -> Result<Found, StoreError> {
        let begin = (errand.now - REACH).date_naive();
        let mut haul = Haul::default();
        let (mut is_complete, mut n_running) = (true, 0);
        let sets = self.sets(store, &mut fetched.n_requests, errand.now).await?;
        for set in Ground::of(searches, sets).sets {
            match self.list(&set, begin, errand.wanted, &mut haul, patience).await? {
                Ok(_) => n_running = 0,
                Err(unread) => {
                    tracing::info!(
                        set = set.spec,
                        why = unread.why,
                        "the reconciliation could not read a set"
                    );
                    is_complete = false;
                    n_running += 1;
                    if unread.is_stopped || n_running >= FAILURES_MAX {
                        break;
                    }
                }
            }
        }
        fetched.n_requests += haul.n_requests;
        Ok(Found {
            papers: haul.papers.into_values().collect(),
            by: Source::Harvest,
            is_complete,
            is_whole: is_complete,
        })
    }

    async fn by_searches(
        &self,
        searches: &[Search],
        first: usize,
        errand: &Errand<'_>,
        fetched: &mut Fetched,
        patience: &mut Patience,
    ) -> Result<Found, StoreError> {
        let mut found = Found {
            papers: Vec::new(),
            by: Source::Query,
            is_complete: true,
            is_whole: false,
        };
        let mut n_running = 0;
        let chosen = searches.iter().cycle().skip(first % searches.len());
        for one in chosen.take(SEARCHES_MAX.min(searches.len())) {
            // What arXiv's search cannot be asked for is no failure here: the harvest finds it.
            for query in search::search_queries(&one.term, &one.categories).unwrap_or_default() {
                let asked = Asked {
                    from: errand.now - REACH,
                    to: errand.now + TimeDelta::days(1),
                    categories: one.categories.concat(),
                };
                let question = Question {
                    query: &query,
                    asked: &asked,
                    past: &KeywordCoverage::default(),
                    now: errand.now,
                };
                let window = self.window(question, patience).await.map_err(only_store)?;
                fetched.n_requests += window.n_requests;
                found
                    .papers
                    .extend(window.papers.into_iter().filter(|paper| (errand.wanted)(paper)));
                if let Some(why) = window.why {
                    tracing::info!(keyword = one.term.text, why, "the reconciliation could not search");
                    found.is_complete = false;
                    n_running += 1;
                    if n_running >= FAILURES_MAX {
                        return Ok(found);
                    }
                } else {
                    n_running = 0;
                }
            }
        }
        found.is_whole = found.is_complete && searches.len() <= SEARCHES_MAX;
        Ok(found)
    }

    /// Holds what the other source brought against what the usual one did and the store knows.
    pub(super) async fn hold_against(
        &self,
        store: &dyn Store,
        found: Found,
        fetched: &mut Fetched,
        errand: &Errand<'_>,
    ) -> Result<(), StoreError> {
        let Errand { now, wanted, .. } = *errand;
        let since = now - self.settings.lookback;
        let missed = found.is_whole.then(|| missed(&found, fetched, wanted, now));
        let alone = add_unknown(store, found.papers, fetched).await?;
        // What was submitted before the usual windows is no gap of theirs.
        let found_alone = alone
            .iter()
            .filter(|id| {
                fetched
                    .papers
                    .get(*id)
                    .is_some_and(|paper| paper.submitted.is_none_or(|at| at >= since))
            })
            .count();
        tracing::info!(by = %found.by, found_alone, missed, is_complete = found.is_complete, "one source was held against the other");
        fetched.reconciliation = Some(Reconciliation {
            by: found.by,
            found_alone,
            missed,
            is_complete: found.is_complete,
        });
        Ok(())
    }
}

/// How many papers the usual source brought that the other one lacks, although it was asked for their days.
fn missed(found: &Found, fetched: &Fetched, wanted: Wanted<'_>, now: DateTime<Utc>) -> usize {
    let theirs: BTreeSet<&ArxivId> = found.papers.iter().map(|paper| &paper.id).collect();
    let begin = now - REACH;
    fetched
        .papers
        .values()
        .filter(|paper| paper.submitted.is_some_and(|at| at >= begin))
        .filter(|paper| !theirs.contains(&paper.id) && wanted(paper))
        .count()
}

/// Adds papers that the usual source did not bring in this run. Where the store has the same version, its text
/// stays: another interface's spelling of it, or a shorter record, must not replace it. Returns which papers the
/// store did not have.
pub(super) async fn add_unknown(
    store: &dyn Store,
    papers: Vec<Paper>,
    fetched: &mut Fetched,
) -> Result<Vec<ArxivId>, StoreError> {
    let papers: Vec<Paper> = papers
        .into_iter()
        .filter(|paper| !fetched.papers.contains_key(&paper.id))
        .collect();
    let ids: Vec<ArxivId> = papers.iter().map(|paper| paper.id.clone()).collect();
    let stored = store.latest_papers(&ids).await?;
    let mut unknown = Vec::new();
    for (paper, stored) in papers.into_iter().zip(stored) {
        match stored {
            Some(stored) if stored.paper.version >= paper.version => fetched.add([stored.paper]),
            Some(_) => fetched.add([paper]),
            None => {
                unknown.push(paper.id.clone());
                fetched.add([paper]);
            }
        }
    }
    unknown.sort();
    unknown.dedup();
    Ok(unknown)
}

async fn write(store: &dyn Store, memory: &Versioned<Memory>) -> Result<(), StoreError> {
    let document = documents::to_write(DocumentKind::Note, NOTE, memory)?;
    store
        .commit(Batch {
            documents: vec![document],
            ..Batch::default()
        })
        .await
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{matching::fixture, store::memory::MemoryStore};

    fn now() -> DateTime<Utc> {
        "2026-03-11T07:00:00Z".parse().unwrap()
    }

    fn paper(number: u32, title: &str, days_ago: i64) -> Paper {
        Paper {
            id: ArxivId::from_parts(2026, 3, number).unwrap(),
            submitted: Some(now() - TimeDelta::days(days_ago)),
            version: 1,
            ..fixture::paper(title, "")
        }
    }

    #[test]
    fn only_what_the_other_source_was_asked_for_and_somebody_wants_counts_as_missed() {
        let check = |theirs: Vec<Paper>, usual: Paper, expected: usize| {
            let found = Found {
                papers: theirs,
                by: Source::Harvest,
                is_complete: true,
                is_whole: true,
            };
            let mut fetched = Fetched::default();
            fetched.add([usual.clone()]);
            let wanted = |paper: &Paper| paper.title == "wanted";
            assert_eq!(missed(&found, &fetched, &wanted, now()), expected, "{usual:?}");
        };
        check(Vec::new(), paper(1, "wanted", 9), 1);
        check(vec![paper(1, "wanted", 9)], paper(1, "wanted", 9), 0);
        check(Vec::new(), paper(1, "wanted", 11), 0);
        check(Vec::new(), paper(1, "unwanted", 9), 0);
    }

    #[tokio::test]
    async fn the_stored_text_stays_unless_the_other_source_has_a_later_version() {
        let store = MemoryStore::new();
        let stored = Batch {
            papers: vec![(paper(1, "as stored", 5), now()), (paper(2, "as stored", 5), now())],
            ..Batch::default()
        };
        store.commit(stored).await.unwrap();
        let mut fetched = Fetched::default();
        let later = Paper {
            version: 2,
            ..paper(2, "a later version", 5)
        };
        let theirs = vec![paper(1, "another spelling", 5), later, paper(3, "unknown", 5)];
        let unknown = add_unknown(&store, theirs, &mut fetched).await.unwrap();
        assert_eq!(unknown, [paper(3, "", 5).id]);
        let titles: Vec<&str> = fetched.papers.values().map(|paper| paper.title.as_str()).collect();
        assert_eq!(titles, ["as stored", "a later version", "unknown"]);
    }

    #[test]
    fn a_reconciliation_waits_for_the_weekend_but_not_for_ever() {
        // 1 March 2026 is a Sunday.
        let at = |day: u32| {
            chrono::NaiveDate::from_ymd_opt(2026, 3, day)
                .unwrap()
                .and_hms_opt(7, 0, 0)
                .unwrap()
                .and_utc()
        };
        let check = |last: Option<u32>, tried: Option<u32>, now: u32, expected: bool| {
            let memory = Memory {
                last: last.map(at),
                tried: tried.map(at),
                next_search: 0,
            };
            assert_eq!(memory.is_due(at(now)), expected, "{last:?} {tried:?} {now}");
        };
        check(None, None, 7, false);
        check(Some(1), None, 6, false);
        check(Some(1), None, 7, true);
        check(Some(2), None, 7, false);
        check(Some(2), None, 8, true);
        check(Some(1), Some(7), 8, true);
        check(Some(1), Some(7), 7, false);
        check(Some(3), None, 11, false);
        check(Some(3), None, 12, true);
    }
}
