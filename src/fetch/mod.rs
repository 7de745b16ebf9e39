//! The way to arXiv: every search once per run, through one gate, proven complete or named as incomplete.

mod asking;
mod book;
pub mod client;
mod deep;
pub mod drift;
mod fallback;
pub mod gate;
mod harvest;
mod lists;
mod look;
mod passes;
mod patience;
mod plan;
mod progress;
mod reconcile;
mod sets;
mod standstill;
mod vanished;
mod window;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use reqwest::Url;
use serde::{Deserialize, Serialize};

use self::client::Client;
pub use self::{
    deep::Deep,
    look::{Look, LookError},
    passes::coverage_keys,
    plan::Choice,
    progress::Progress,
    reconcile::Reconciliation,
    standstill::{Standstill, standstill},
};
use crate::{
    arxiv::{
        Rejected,
        calendar::{self, Announcement},
        completeness::{self, Sighting},
    },
    model::{ArxivId, IncompleteKeyword, KeywordCoverage, Paper, Term},
    store::{Document, Versioned},
};

/// How many of each search's latest papers tell where its papers are to be expected.
const LATELY_FOUND: usize = 20;

/// How arXiv is asked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// How the papers are found.
    pub source: Choice,
    /// The query API.
    pub api_url: Url,
    /// The OAI-PMH interface.
    pub oai_url: Url,
    /// The folder of the feeds.
    pub rss_url: Url,
    /// The longest that one answer of OAI-PMH may take.
    pub oai_timeout: Duration,
    /// The longest that one answer of the query API may take.
    pub timeout: Duration,
    /// How far back each window reaches from the last complete fetch.
    pub lookback: TimeDelta,
    /// The same once a week.
    pub lookback_deep: TimeDelta,
    /// Results per page.
    pub page_size: u32,
    /// First wait after an answer that is not complete; it doubles.
    pub retry_delay: Duration,
    /// How long one run goes on retrying.
    pub retry_budget: Duration,
}

/// The ways in which all papers on a keyword can be found.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Source {
    /// A search per keyword.
    Query,
    /// Everything new by OAI-PMH, matched here.
    Harvest,
}

impl std::fmt::Display for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Query => "query",
            Self::Harvest => "harvest",
        })
    }
}

/// Whether anyone wants a paper: those that nobody does are dropped as they are read.
pub type Wanted<'a> = &'a (dyn Fn(&Paper) -> bool + Send + Sync);

/// Whether a later version of a paper matters to anyone, whatever it says.
pub type Awaited<'a> = &'a (dyn Fn(&ArxivId) -> bool + Send + Sync);

/// What a fetch is for.
#[derive(Clone, Copy)]
pub struct Errand<'a> {
    /// The moment, by the calendar.
    pub now: DateTime<Utc>,
    /// Papers submitted since then must be seen, whatever was complete before: new subscriptions begin there.
    pub since: Option<DateTime<Utc>>,
    /// Decides about each harvested paper.
    pub wanted: Wanted<'a>,
    /// Decides which papers are asked for when a search shows them no more.
    pub awaited: Awaited<'a>,
}

impl std::fmt::Debug for Errand<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Errand")
            .field("now", &self.now)
            .field("since", &self.since)
            .finish_non_exhaustive()
    }
}

/// One thing to ask arXiv for, whoever wants it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Search {
    /// What papers must match.
    pub term: Term,
    /// Category patterns that everyone who asks for the term agrees on.
    pub categories: Vec<Vec<String>>,
    /// How the term is headed by those who ask.
    pub keywords: BTreeSet<String>,
}

/// Asks arXiv.
#[derive(Debug)]
pub struct Fetcher {
    client: Client,
    settings: Settings,
    progress: tokio::sync::watch::Sender<Progress>,
}

/// What one run of all searches brought.
#[derive(Debug, Default)]
pub struct Fetched {
    /// All plausible papers, in their newest version.
    pub papers: BTreeMap<ArxivId, Paper>,
    /// Entries that could not be read.
    pub rejected: Vec<Rejected>,
    /// Whether arXiv's index shows the latest announcement that can be expected.
    pub is_current: bool,
    /// The latest announcement that the index surely showed.
    pub announcement: Option<Announcement>,
    /// The one that was the latest before this fetch.
    pub announced_before: Option<Announcement>,
    /// The moment of the earliest of the complete fetches before this one.
    pub previous_complete: Option<DateTime<Utc>>,
    /// How many requests were made.
    pub n_requests: u64,
    /// The memory of each query, to be written once the papers are recorded.
    coverage: Vec<(String, Versioned<KeywordCoverage>)>,
    /// Terms whose answer was not complete.
    incomplete: Vec<IncompleteTerm>,
    /// Papers that complete answers of searches do not hold any more.
    vanished: BTreeSet<ArxivId>,
    /// What one source showed that the other had not, where this run held them against each other.
    pub reconciliation: Option<Reconciliation>,
    /// What the deep windows brought, in the runs that read them.
    pub deep: Option<Deep>,
    beyond: deep::Beyond,
    sighting: Option<Sighting>,
    newest: Option<ArxivId>,
    patience: Option<patience::Patience>,
    /// Everything that a complete harvest saw.
    survey: Option<Survey>,
    /// The memory of the sets.
    book: Option<Versioned<book::Book>>,
    /// Other memories to be written once the papers are recorded.
    notes: Vec<Versioned<Document>>,
}

/// When each paper was submitted that arXiv has touched since some day, whatever it is about.
#[derive(Debug)]
struct Survey {
    /// From this day on nothing is missing.
    from: NaiveDate,
    submitted: BTreeMap<ArxivId, DateTime<Utc>>,
}

impl Survey {
    /// The papers submitted since `from`; `None` where the survey does not reach back so far, or holds none.
    fn submitted_since(&self, from: DateTime<Utc>) -> Option<Vec<ArxivId>> {
        let reaches = self.from.and_time(chrono::NaiveTime::MIN).and_utc() <= from;
        let since = self.submitted.iter().filter(|(_, at)| **at >= from);
        let ids: Vec<ArxivId> = since.map(|(id, _)| id.clone()).collect();
        (reaches && !ids.is_empty()).then_some(ids)
    }
}

#[derive(Debug)]
struct IncompleteTerm {
    term: Term,
    keywords: BTreeSet<String>,
    since: DateTime<Utc>,
    why: String,
    /// Whether it may be well again without anyone doing anything.
    is_passing: bool,
}

impl Fetcher {
    /// A fetcher that asks through `client`.
    pub fn new(client: Client, settings: Settings) -> Self {
        Self {
            client,
            settings,
            progress: tokio::sync::watch::Sender::new(Progress::default()),
        }
    }

    /// The client with its gate.
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// What it is doing, for people who wait.
    pub fn progress(&self) -> tokio::sync::watch::Receiver<Progress> {
        self.progress.subscribe()
    }
}

impl Fetched {
    /// The incomplete keywords as people know them.
    pub fn incomplete(&self) -> Vec<IncompleteKeyword> {
        self.incomplete
            .iter()
            .flat_map(|term| {
                term.keywords.iter().map(|keyword| IncompleteKeyword {
                    keyword: keyword.clone(),
                    since: term.since,
                    why: term.why.clone(),
                })
            })
            .collect()
    }

    /// The incomplete terms: since when, and why.
    pub fn incomplete_terms(&self) -> HashMap<Term, (DateTime<Utc>, String)> {
        self.incomplete
            .iter()
            .map(|term| (term.term.clone(), (term.since, term.why.clone())))
            .collect()
    }

    /// The newest identifier that any answer showed.
    pub fn newest(&self) -> Option<&ArxivId> {
        self.newest.iter().chain(self.papers.keys()).max()
    }

    /// Adds papers; of two versions of one paper the later stays, and of two records of one version the first.
    fn add(&mut self, papers: impl IntoIterator<Item = Paper>) {
        for paper in papers {
            match self.papers.get(&paper.id) {
                Some(known) if known.version >= paper.version => {}
                _ => {
                    self.papers.insert(paper.id.clone(), paper);
                }
            }
        }
    }

    /// Whether the newest papers of a busy category show the announcement that can be expected. It fails nothing.
    fn judge_freshness(&mut self, papers: &[Paper], last: Option<&Sighting>, now: DateTime<Utc>) {
        let expected = calendar::latest_expected(now);
        self.announced_before = last.map(|sighting| Announcement::of(sighting.evening));
        self.announcement = self.announced_before;
        self.newest = papers.iter().map(|paper| paper.id.clone()).max();
        self.is_current = completeness::fresh(papers, last, &expected);
        self.sighting = completeness::sighting(papers, last, &expected);
        if self.is_current {
            self.announcement = Some(expected);
        } else {
            tracing::warn!(expected = %expected.evening, "arXiv does not show the latest announcement yet");
        }
    }

    /// The latest papers of the searches that are incomplete, from their last complete answers.
    fn lately_found(&self) -> impl Iterator<Item = ArxivId> {
        self.coverage
            .iter()
            .filter(|(_, coverage)| coverage.value.incomplete_since.is_some())
            .flat_map(|(_, coverage)| {
                let mut window: Vec<&(ArxivId, DateTime<Utc>)> = coverage.value.window.iter().collect();
                window.sort_by_key(|(_, at)| std::cmp::Reverse(*at));
                window.into_iter().take(LATELY_FOUND).map(|(id, _)| id.clone())
            })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matching::fixture;

    fn id(number: u32) -> ArxivId {
        ArxivId::from_parts(2026, 3, number).unwrap()
    }

    #[test]
    fn of_two_records_of_a_paper_the_later_version_stays_and_else_the_first() {
        let record = |version: u16, title: &str| Paper {
            id: id(1),
            version,
            ..fixture::paper(title, "")
        };
        let mut fetched = Fetched::default();
        for (record, expected) in [
            (record(2, "first"), "first"),
            (record(1, "older"), "first"),
            (record(2, "again"), "first"),
            (record(3, "later"), "later"),
        ] {
            fetched.add([record]);
            assert_eq!(fetched.papers[&id(1)].title, expected);
        }
    }

    #[test]
    fn a_survey_tells_a_floor_only_where_it_reaches_back_far_enough_and_holds_something() {
        let at = |day: u32| format!("2026-03-{day:02}T12:00:00Z").parse::<DateTime<Utc>>().unwrap();
        let survey = Survey {
            from: at(5).date_naive(),
            submitted: [(id(1), at(4)), (id(2), at(8)), (id(3), at(7))].into(),
        };
        let check = |from: u32, expected: Option<&[u32]>| {
            let expected = expected.map(|numbers| numbers.iter().copied().map(id).collect::<Vec<_>>());
            assert_eq!(survey.submitted_since(at(from)), expected, "since {from}");
        };
        check(4, None);
        check(5, Some(&[2, 3]));
        check(8, Some(&[2]));
        check(9, None);
    }
}
