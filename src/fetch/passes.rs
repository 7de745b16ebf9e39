//! The pass over all searches, and what is remembered of it.

use std::{collections::HashSet, time::Duration};

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use ring::digest::{SHA256, digest};

use super::{
    Errand, Fetched, Fetcher, IncompleteTerm, Progress, Search, Source,
    client::FetchError,
    deep,
    harvest::{BOOK_NOTE, harvest_key},
    patience::Patience,
    plan::Plan,
    sets,
    window::{Order, Question},
};
use crate::{
    arxiv::{
        completeness::{self, Asked, Sighting},
        search::{self, SearchError},
    },
    model::{ArxivId, KeywordCoverage, Paper},
    store::{Batch, Document, DocumentKind, Store, StoreError, Versioned, documents},
};

/// How often the deep window is asked for.
const DEEP_INTERVAL: TimeDelta = TimeDelta::days(7);
/// Windows end this long after now, so that a clock that is slow by hours cuts nothing off.
const AHEAD: TimeDelta = TimeDelta::days(1);
/// Pruning trails this many days on which all searches were complete.
const COMPLETE_DAYS_KEPT: usize = 60;
/// A busy category whose newest papers show whether arXiv has turned over.
const CANARY: &str = "cat:cs.LG";
const CANARY_SIZE: u32 = 50;
/// How many papers of the beginning of a new subscription's reach are asked for.
const FLOOR_PROBE_SIZE: u32 = 500;
/// How often that page is read because it cannot be what was asked for.
const PROBE_READINGS_MAX: u32 = 3;

pub(super) const CANARY_NOTE: &str = "canary";
const DAYS_NOTE: &str = "complete-days";

impl Fetcher {
    /// Asks for every search once, in the way that fits it and their number, and makes up for what failed as far as that
    /// can be done today. Failures are part of the result; only a failing store is an error.
    pub async fn fetch(
        &self,
        store: &dyn Store,
        searches: &[Search],
        errand: &Errand<'_>,
    ) -> Result<Fetched, StoreError> {
        let mut fetched = Fetched::default();
        let mut patience = Patience::new(self.settings.retry_budget, self.settings.retry_delay);
        let plan = Plan::of(self.settings.source, searches, &sets::known(store).await?);
        let usual = plan.usual();
        let found = self.reconcile(store, searches, errand, &mut fetched, usual).await?;
        let mut earlier = Vec::new();
        if usual == Source::Query {
            let before = self
                .by_query(store, &plan.asked, errand.now, &mut fetched, &mut patience)
                .await?;
            self.ask_after_vanished(store, errand, &mut fetched).await?;
            deep::count(store, &mut fetched, errand).await?;
            earlier.push(before);
        }
        if !plan.harvested.is_empty() {
            let harvested = self
                .harvest(store, &plan.harvested, errand, &mut fetched, &mut patience)
                .await?;
            earlier.push(harvested.earlier);
            if usual == Source::Harvest {
                // Only where all is harvested do the sets hold every paper that a floor may lie at.
                fetched.survey = harvested.survey;
                self.sight(store, harvested.newest, &mut fetched, errand.now).await?;
            }
        }
        fetched.previous_complete = earliest(earlier);
        if let Some(found) = found {
            self.hold_against(store, found, &mut fetched, errand).await?;
        }
        // Last, since the feeds' short records only stand in for what nothing else brought.
        if !fetched.incomplete.is_empty() {
            self.fall_back(store, searches, errand, &mut fetched, &mut patience)
                .await?;
        }
        let waited = patience.spent();
        if !waited.is_zero() {
            let waited = humantime::format_duration(Duration::from_secs(waited.as_secs()));
            tracing::info!(%waited, "arXiv was waited for in all, failed requests included");
        }
        self.progress.send_replace(Progress::default());
        fetched.patience = Some(patience);
        Ok(fetched)
    }

    /// One search after the other. Returns when the earliest of them was complete before.
    async fn by_query(
        &self,
        store: &dyn Store,
        searches: &[Search],
        now: DateTime<Utc>,
        fetched: &mut Fetched,
        patience: &mut Patience,
    ) -> Result<Option<DateTime<Utc>>, StoreError> {
        self.canary(store, fetched, patience, now).await?;
        let mut earlier = Vec::new();
        for (n_done, search) in searches.iter().enumerate() {
            let keyword = search.keywords.first().cloned().unwrap_or_default();
            self.progress.send_replace(Progress {
                n_done,
                n_total: searches.len(),
                keyword,
                waiting: None,
            });
            earlier.push(self.search(store, search, fetched, patience, now).await?);
        }
        Ok(earliest(earlier))
    }

    /// Looks whether the index shows the announcement that can be expected: one request per run. It fails nothing.
    pub(super) async fn canary(
        &self,
        store: &dyn Store,
        fetched: &mut Fetched,
        patience: &mut Patience,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let last: Versioned<Option<Sighting>> = documents::load(store, DocumentKind::Note, CANARY_NOTE).await?;
        let page = self
            .first_page(
                CANARY,
                CANARY_SIZE,
                Order::NewestFirst,
                patience,
                &mut fetched.n_requests,
            )
            .await
            .map_err(only_store)?;
        let papers = page.map_or_else(Vec::new, |feed| feed.papers);
        fetched.judge_freshness(&papers, last.value.as_ref(), now);
        Ok(())
    }

    /// Asks for one search; returns when it was last complete before.
    async fn search(
        &self,
        store: &dyn Store,
        search: &Search,
        fetched: &mut Fetched,
        patience: &mut Patience,
        now: DateTime<Utc>,
    ) -> Result<Option<DateTime<Utc>>, StoreError> {
        let queries = match search::search_queries(&search.term, &search.categories) {
            Ok(queries) => queries,
            Err(error) => return self.unanswerable(store, search, &error, fetched, now).await,
        };
        let mut earliest = Some(now);
        for query in queries {
            let key = coverage_key(&query);
            let mut coverage: Versioned<KeywordCoverage> = documents::load(store, DocumentKind::Coverage, &key).await?;
            if coverage.revision == 0 {
                // Harvests may have covered the term until now: the window reaches behind what they still owe.
                let harvested: Versioned<KeywordCoverage> =
                    documents::load(store, DocumentKind::Coverage, &harvest_key(search)).await?;
                coverage.value.last_complete = harvested.value.last_complete;
                coverage.value.incomplete_since = harvested.value.incomplete_since;
                coverage.value.why = harvested.value.why;
            }
            earliest = earliest.min(coverage.value.last_complete);
            self.query(&query, search, &mut coverage.value, fetched, patience, now)
                .await?;
            if let (Some(since), Some(why)) = (coverage.value.incomplete_since, coverage.value.why.clone()) {
                tracing::warn!(keyword = search.term.text, since = %since, why, "keyword not fetched completely");
                let incomplete = IncompleteTerm {
                    term: search.term.clone(),
                    keywords: search.keywords.clone(),
                    since,
                    why,
                    is_passing: true,
                };
                fetched.incomplete.push(incomplete);
            }
            fetched.coverage.push((key, coverage));
        }
        Ok(earliest)
    }

    /// Notes a search that no answer can serve, and since when that is so.
    async fn unanswerable(
        &self,
        store: &dyn Store,
        search: &Search,
        error: &SearchError,
        fetched: &mut Fetched,
        now: DateTime<Utc>,
    ) -> Result<Option<DateTime<Utc>>, StoreError> {
        tracing::warn!(keyword = search.term.text, why = %error, "this keyword cannot be asked for");
        let key = harvest_key(search);
        let mut coverage: Versioned<KeywordCoverage> = documents::load(store, DocumentKind::Coverage, &key).await?;
        completeness::incomplete(&mut coverage.value, error, now);
        fetched.incomplete.push(IncompleteTerm {
            term: search.term.clone(),
            keywords: search.keywords.clone(),
            since: coverage.value.incomplete_since.unwrap_or(now),
            why: error.to_string(),
            is_passing: false,
        });
        fetched.coverage.push((key, coverage));
        Ok(None)
    }

    async fn query(
        &self,
        query: &str,
        search: &Search,
        coverage: &mut KeywordCoverage,
        fetched: &mut Fetched,
        patience: &mut Patience,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        // The first answer counts as a deep one: nothing before the floor of a new keyword matters.
        let is_deep = coverage.last_deep.is_none_or(|last| now - last >= DEEP_INTERVAL);
        let is_first = coverage.last_complete.is_none();
        let reach = if is_deep && !is_first {
            self.settings.lookback_deep
        } else {
            self.settings.lookback
        };
        let since = coverage
            .last_complete
            .or(coverage.incomplete_since)
            .unwrap_or(now)
            .min(now);
        let asked = Asked {
            from: since - reach,
            to: now + AHEAD,
            categories: search.categories.concat(),
        };
        let window = self
            .window(
                Question {
                    query,
                    asked: &asked,
                    past: coverage,
                    now,
                },
                patience,
            )
            .await
            .map_err(only_store)?;
        fetched.n_requests += window.n_requests;
        if window.why.is_none() {
            let vanished = completeness::vanished(&window.papers, &asked, coverage);
            fetched.vanished.extend(vanished);
        }
        if is_deep && !is_first {
            let usual = since - self.settings.lookback;
            let beyond = window
                .papers
                .iter()
                .filter(|paper| paper.submitted.is_some_and(|at| at < usual));
            fetched.beyond.n_searches += 1;
            fetched.beyond.papers.extend(beyond.map(|paper| paper.id.clone()));
        }
        for rejected in &window.rejected {
            tracing::warn!(keyword = search.term.text, entry = ?rejected.id, why = rejected.why, "an entry cannot be read");
        }
        match (&window.why, &window.proof) {
            (_, Some(proof)) => completeness::remember(coverage, proof, now, is_deep),
            (None, None) => completeness::complete(coverage, &window.papers, now, is_deep),
            (Some(why), None) => completeness::incomplete(coverage, why, now),
        }
        fetched.rejected.extend(window.rejected);
        fetched.add(window.papers);
        Ok(())
    }

    /// The identifiers of the first papers submitted between two moments, for a floor; `None` when no answer came.
    pub async fn submitted_since(
        &self,
        fetched: &mut Fetched,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
    ) -> Result<Option<Vec<ArxivId>>, StoreError> {
        if let Some(ids) = fetched.survey.as_ref().and_then(|survey| survey.submitted_since(from)) {
            return Ok(Some(ids));
        }
        let mut patience = fetched
            .patience
            .take()
            .unwrap_or_else(|| Patience::new(self.settings.retry_budget, self.settings.retry_delay));
        let beginning = self.first_submitted(fetched, from, to, &mut patience).await;
        fetched.patience = Some(patience);
        beginning
    }

    async fn first_submitted(
        &self,
        fetched: &mut Fetched,
        from: DateTime<Utc>,
        to: DateTime<Utc>,
        patience: &mut Patience,
    ) -> Result<Option<Vec<ArxivId>>, StoreError> {
        let expression = search::submitted_between(from, to);
        for n_readings in 1..=PROBE_READINGS_MAX {
            let (order, n_requests) = (Order::OldestFirst, &mut fetched.n_requests);
            let page = self
                .first_page(&expression, FLOOR_PROBE_SIZE, order, patience, n_requests)
                .await
                .map_err(only_store)?;
            let Some(feed) = page else { break };
            if let Some(ids) = completeness::beginning(&feed, FLOOR_PROBE_SIZE, from, to) {
                return Ok(Some(ids));
            }
            let why = "arXiv's answer does not hold the first papers of the dates asked for";
            tracing::warn!(why, "a floor cannot be told from it");
            if n_readings == PROBE_READINGS_MAX {
                break;
            }
            let Some(delay) = patience.delay(n_readings, None) else {
                break;
            };
            self.wait(delay, why).await;
        }
        Ok(None)
    }

    /// Fetches one paper by its identifier; `None` if arXiv does not know it.
    pub async fn paper(&self, id: &ArxivId) -> Result<Option<Paper>, FetchError> {
        let feed = self.by_identifier(id).await?;
        Ok(feed.papers.into_iter().find(|paper| paper.id == *id))
    }

    /// Asks arXiv one small question, to see whether it answers.
    pub async fn probe(&self) -> Result<String, String> {
        let mut patience = Patience::new(std::time::Duration::ZERO, self.settings.retry_delay);
        let mut size = 1;
        match self
            .page(CANARY, 0, &mut size, Order::NewestFirst, &mut patience, &mut 0)
            .await
        {
            Ok(Ok(feed)) => Ok(format!(
                "answers; {} papers in its busiest category",
                feed.total_results.unwrap_or(0)
            )),
            Ok(Err(why)) => Err(why),
            Err(error) => Err(error.to_string()),
        }
    }

    /// Writes what is remembered of a fetch, after its papers have been recorded.
    pub async fn remember(&self, store: &dyn Store, fetched: &Fetched, now: DateTime<Utc>) -> Result<(), StoreError> {
        let mut batch = Batch::default();
        for (key, coverage) in &fetched.coverage {
            batch
                .documents
                .push(documents::to_write(DocumentKind::Coverage, key, coverage)?);
        }
        // What nobody asks for any more is forgotten: a return, or a change of source, begins anew from what was
        // carried over.
        if !fetched.coverage.is_empty() {
            let asked_for: HashSet<&String> = fetched.coverage.iter().map(|(key, _)| key).collect();
            for document in store.documents(DocumentKind::Coverage).await? {
                if !asked_for.contains(&document.value.key) {
                    batch.documents.push(deleted(document));
                }
            }
        }
        batch.documents.extend(fetched.notes.iter().cloned());
        match &fetched.book {
            Some(book) => batch
                .documents
                .push(documents::to_write(DocumentKind::Note, BOOK_NOTE, book)?),
            None => {
                // A harvest that begins again after months must not read all of them.
                let book = store.document(DocumentKind::Note, BOOK_NOTE).await?;
                if book.value.value.is_some() {
                    batch.documents.push(deleted(book));
                }
            }
        }
        if let Some(sighting) = &fetched.sighting {
            let mut note: Versioned<Option<Sighting>> = documents::load(store, DocumentKind::Note, CANARY_NOTE).await?;
            note.value = Some(sighting.clone());
            batch
                .documents
                .push(documents::to_write(DocumentKind::Note, CANARY_NOTE, &note)?);
        }
        if fetched.incomplete.is_empty()
            && let Some(newest) = fetched.newest()
        {
            let mut days: Versioned<CompleteDays> = documents::load(store, DocumentKind::Note, DAYS_NOTE).await?;
            if note_day(&mut days.value, now.date_naive(), newest) {
                batch
                    .documents
                    .push(documents::to_write(DocumentKind::Note, DAYS_NOTE, &days)?);
            }
        }
        store.commit(batch).await
    }

    /// The identifier up to which subscribers may forget: the newest one of `COMPLETE_DAYS_KEPT` complete days ago.
    pub async fn prunable(&self, store: &dyn Store) -> Result<Option<ArxivId>, StoreError> {
        let days: Versioned<CompleteDays> = documents::load(store, DocumentKind::Note, DAYS_NOTE).await?;
        Ok((days.value.len() > COMPLETE_DAYS_KEPT).then(|| days.value[0].1.clone()))
    }
}

/// The newest identifier on each of the latest days on which all searches were complete, oldest first.
type CompleteDays = Vec<(NaiveDate, ArxivId)>;

/// Notes a complete day; returns whether that is news.
fn note_day(days: &mut CompleteDays, today: NaiveDate, newest: &ArxivId) -> bool {
    if days.last().is_some_and(|(day, _)| *day >= today) {
        return false;
    }
    days.push((today, newest.clone()));
    if days.len() > COMPLETE_DAYS_KEPT + 1 {
        days.remove(0);
    }
    true
}

/// Under which key a query is remembered: its beginning for people, its hash for uniqueness.
pub(super) fn coverage_key(query: &str) -> String {
    let hash = digest(&SHA256, query.as_bytes());
    let hash: String = hash.as_ref()[..8].iter().map(|byte| format!("{byte:02x}")).collect();
    let head: String = query.chars().take(80).collect();
    format!("{head} {hash}")
}

/// Under which keys a search's queries are remembered; none where it cannot be asked for.
pub(super) fn query_keys(search: &Search) -> Vec<String> {
    let queries = search::search_queries(&search.term, &search.categories).unwrap_or_default();
    queries.iter().map(|query| coverage_key(query)).collect()
}

/// The earliest of the moments at which each was complete before; `None` where one never was.
pub(super) fn earliest(earlier: Vec<Option<DateTime<Utc>>>) -> Option<DateTime<Utc>> {
    let all: Option<Vec<_>> = earlier.into_iter().collect();
    all.and_then(|all| all.into_iter().min())
}

/// Under which keys the coverage of a search may stand: that of its harvests, and those of its queries.
pub fn coverage_keys(search: &Search) -> (String, Vec<String>) {
    (harvest_key(search), query_keys(search))
}

fn deleted(mut document: Versioned<Document>) -> Versioned<Document> {
    document.value.value = None;
    document
}

/// Inside a pass only the store's failures end the pass.
pub(super) fn only_store(error: FetchError) -> StoreError {
    match error {
        FetchError::Store(error) => error,
        other => StoreError::Io {
            place: "the request gate".to_owned(),
            doing: "read",
            why: other.to_string(),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pruning_trails_sixty_complete_days() {
        let mut days = CompleteDays::new();
        let first = NaiveDate::from_ymd_opt(2026, 1, 1).unwrap();
        for n in 0..70_u32 {
            let day = first + chrono::Days::new(u64::from(n));
            let newest = ArxivId::from_parts(2026, 1, 1_000 + n).unwrap();
            assert!(note_day(&mut days, day, &newest));
            assert!(!note_day(&mut days, day, &newest));
        }
        assert_eq!(days.len(), COMPLETE_DAYS_KEPT + 1);
        assert_eq!(days[0].1.number(), 1_009);
    }

    #[test]
    fn queries_with_the_same_beginning_are_remembered_apart() {
        let long = "x".repeat(100);
        assert_ne!(coverage_key(&format!("{long}a")), coverage_key(&format!("{long}b")));
    }
}
