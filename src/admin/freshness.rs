//! How fresh each keyword is, as its readers know it: for `status` and `/metrics`.

use std::collections::BTreeMap;

use chrono::{DateTime, TimeDelta, Utc};

use crate::{
    app::App,
    fetch::{self, Standstill},
    model::KeywordCoverage,
    run::{self, Report},
    store::{DocumentKind, StoreError, documents},
};

/// What the last fetches of a keyword came to; of several searches under one heading, the worst of each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Freshness {
    /// When the stalest of them was last complete; `None` where one never was.
    pub last_complete: Option<DateTime<Utc>>,
    /// Since when one of them has not been complete.
    pub incomplete_since: Option<DateTime<Utc>>,
    /// Why not, in words.
    pub why: Option<String>,
    /// Whether the last fetch of one of them was not complete, or there was none.
    pub is_incomplete: bool,
    /// How many papers the last complete answers held.
    pub n_papers: usize,
    /// How many complete answers in a row held no paper at all.
    pub empty_answers: u32,
}

/// What arXiv has not shown for longer than `report.after`, as far as the latest fetch tells.
pub async fn standstill(app: &App) -> Result<Option<Standstill>, StoreError> {
    let runs = documents::load_all::<Report>(&*app.store, DocumentKind::Run).await?;
    let latest = runs.into_iter().map(|(_, run)| run.value).max_by_key(|run| run.began);
    if latest.is_none_or(|latest| latest.current) {
        return Ok(None);
    }
    let now = app.clock.now();
    let after = TimeDelta::from_std(app.config.report.after).unwrap_or(TimeDelta::MAX);
    let standstill = fetch::standstill(&*app.store, now).await?;
    Ok(standstill.filter(|standstill| now - standstill.since >= after))
}

/// Every keyword that somebody has.
pub async fn keywords(app: &App) -> Result<BTreeMap<String, Freshness>, StoreError> {
    let coverage: BTreeMap<String, KeywordCoverage> =
        documents::load_all::<KeywordCoverage>(&*app.store, DocumentKind::Coverage)
            .await?
            .into_iter()
            .map(|(key, stored)| (key, stored.value))
            .collect();
    let mut by_keyword: BTreeMap<String, Freshness> = BTreeMap::new();
    for search in run::searches(&app.roster) {
        let (harvest, queries) = fetch::coverage_keys(&search);
        let freshness = freshness(coverage.get(&harvest), &queries, &coverage);
        for keyword in &search.keywords {
            let joined = match by_keyword.remove(keyword) {
                Some(other) => other.worst(freshness.clone()),
                None => freshness.clone(),
            };
            by_keyword.insert(keyword.clone(), joined);
        }
    }
    Ok(by_keyword)
}

/// A keyword is as fresh as its stalest query, or as its harvest if that is fresher.
fn freshness(
    harvest: Option<&KeywordCoverage>,
    queries: &[String],
    coverage: &BTreeMap<String, KeywordCoverage>,
) -> Freshness {
    let by_query = queries
        .iter()
        .map(|key| of(coverage.get(key)))
        .reduce(Freshness::worst)
        .unwrap_or_else(|| of(None));
    match harvest {
        Some(harvest) if harvest.last_complete > by_query.last_complete || queries.is_empty() => of(Some(harvest)),
        _ => by_query,
    }
}

fn of(coverage: Option<&KeywordCoverage>) -> Freshness {
    coverage.map_or_else(
        || Freshness {
            is_incomplete: true,
            ..Freshness::default()
        },
        |coverage| Freshness {
            last_complete: coverage.last_complete,
            incomplete_since: coverage.incomplete_since,
            why: coverage.why.clone(),
            is_incomplete: coverage.incomplete_since.is_some() || coverage.last_complete.is_none(),
            n_papers: coverage.window.len(),
            empty_answers: coverage.empty_answers,
        },
    )
}

impl Freshness {
    fn worst(self, other: Self) -> Self {
        let since = [self.incomplete_since, other.incomplete_since];
        Self {
            // `None`, which is less than any moment, is worse than all.
            last_complete: self.last_complete.min(other.last_complete),
            incomplete_since: since.into_iter().flatten().min(),
            why: self.why.or(other.why),
            is_incomplete: self.is_incomplete || other.is_incomplete,
            n_papers: self.n_papers + other.n_papers,
            empty_answers: self.empty_answers.min(other.empty_answers),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn complete(at: &str) -> KeywordCoverage {
        KeywordCoverage {
            last_complete: Some(at.parse().unwrap()),
            ..KeywordCoverage::default()
        }
    }

    fn broken(at: &str) -> KeywordCoverage {
        KeywordCoverage {
            incomplete_since: Some(at.parse().unwrap()),
            why: Some("503".to_owned()),
            ..complete("2026-02-09T07:00:00Z")
        }
    }

    #[test]
    fn a_keyword_is_as_fresh_as_its_stalest_query_or_as_a_fresher_harvest() {
        let (early, late) = ("2026-02-10T07:00:00Z", "2026-02-11T07:00:00Z");
        let check = |harvest: Option<KeywordCoverage>, queries: &[Option<KeywordCoverage>], last: Option<&str>, bad| {
            let keys: Vec<String> = (0..queries.len()).map(|n| n.to_string()).collect();
            let stored = keys.iter().cloned().zip(queries);
            let coverage = stored.filter_map(|(key, one)| Some((key, one.clone()?))).collect();
            let found = freshness(harvest.as_ref(), &keys, &coverage);
            let last = last.map(|at| at.parse::<DateTime<Utc>>().unwrap());
            assert_eq!(
                (found.last_complete, found.is_incomplete),
                (last, bad),
                "{harvest:?} {queries:?}"
            );
        };
        check(None, &[Some(complete(late)), Some(complete(early))], Some(early), false);
        check(None, &[Some(complete(late)), None], None, true);
        check(
            None,
            &[Some(complete(late)), Some(broken(late))],
            Some("2026-02-09T07:00:00Z"),
            true,
        );
        check(Some(complete(late)), &[Some(complete(early))], Some(late), false);
        check(Some(complete(early)), &[Some(complete(late))], Some(late), false);
        // What cannot be asked for has its harvests alone.
        check(Some(complete(early)), &[], Some(early), false);
        check(None, &[], None, true);
    }
}
