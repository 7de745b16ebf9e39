//! The way to arXiv: every search once per run, through one gate, proven complete or named as incomplete.

pub mod client;
pub mod gate;
mod look;
mod passes;
mod patience;
mod progress;
mod window;

use std::{
    collections::{BTreeMap, BTreeSet, HashMap},
    time::Duration,
};

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use reqwest::Url;

use self::client::Client;
pub use self::{
    look::{Look, LookError},
    progress::Progress,
};
use crate::{
    arxiv::{Rejected, completeness::Sighting},
    model::{ArxivId, IncompleteKeyword, KeywordCoverage, Paper, Term},
    store::Versioned,
};

/// How arXiv is asked.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The query API.
    pub api_url: Url,
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
    pub announcement: Option<NaiveDate>,
    /// The moment of the earliest of the complete fetches before this one.
    pub previous_complete: Option<DateTime<Utc>>,
    /// How many requests were made.
    pub n_requests: u64,
    /// The memory of each query, to be written once the papers are recorded.
    coverage: Vec<(String, Versioned<KeywordCoverage>)>,
    /// Terms whose answer was not complete.
    incomplete: Vec<IncompleteTerm>,
    sighting: Option<Sighting>,
    newest: Option<ArxivId>,
    patience: Option<patience::Patience>,
}

#[derive(Debug)]
struct IncompleteTerm {
    term: Term,
    keywords: BTreeSet<String>,
    since: DateTime<Utc>,
    why: String,
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

    /// Adds papers; of two versions of one paper the later stays.
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
}
