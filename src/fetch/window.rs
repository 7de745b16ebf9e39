//! One query over one stretch of submission time: all its pages, read until they prove each other.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::{StatusCode, Url};

use super::{
    Fetcher,
    client::FetchError,
    patience::{Patience, TRIES_MAX},
};
use crate::{
    arxiv::{
        FeedError, Rejected,
        atom::{self, Feed},
        completeness::{self, Asked, Page, Proof, Verdict},
        search,
    },
    clock::{Clock, SystemClock},
    model::{ArxivId, KeywordCoverage, Paper},
};

/// A window with more results than this is split by time: the API pages no further than 10,000, and long
/// pagings disagree with themselves.
const RESULTS_SPLIT: u64 = 5_000;
/// How often a window is halved at most.
const SPLITS_MAX: u32 = 10;
/// How often a window is read again because its pages do not prove each other.
const READINGS_MAX: u32 = 4;
/// A page that keeps failing is asked for in halves down to this size.
const PAGE_SIZE_MIN: u32 = 25;
/// After this many server errors on one page it is asked for in halves.
const SERVER_ERRORS_MAX: u32 = 3;

/// What one query over one window came to.
#[derive(Debug)]
pub(super) struct Window {
    pub papers: Vec<Paper>,
    pub rejected: Vec<Rejected>,
    /// Why the answer does not count; `None` when it is proven complete.
    pub why: Option<String>,
    /// The proof, for the query's memory; `None` where no answer came at all or the window was split.
    pub proof: Option<Proof>,
    pub n_requests: u64,
}

/// What is asked of one window.
#[derive(Debug, Clone, Copy)]
pub(super) struct Question<'a> {
    pub query: &'a str,
    pub asked: &'a Asked,
    /// What is remembered of the query.
    pub past: &'a KeywordCoverage,
    pub now: DateTime<Utc>,
}

/// Why reading the pages ended without an answer to judge.
enum Ended {
    TooBroad,
    Failed(String),
}

impl Fetcher {
    /// Reads a window until it is proven complete or patience ends. Plausible papers come back either way.
    pub(super) async fn window(&self, question: Question<'_>, patience: &mut Patience) -> Result<Window, FetchError> {
        Box::pin(self.window_split(question, patience, 0)).await
    }

    async fn window_split(
        &self,
        question: Question<'_>,
        patience: &mut Patience,
        n_splits: u32,
    ) -> Result<Window, FetchError> {
        let mut window = Window {
            papers: Vec::new(),
            rejected: Vec::new(),
            why: None,
            proof: None,
            n_requests: 0,
        };
        for n_readings in 1..=READINGS_MAX {
            let mut pages = Vec::new();
            match self
                .pages(question, patience, &mut pages, &mut window.n_requests)
                .await?
            {
                Err(Ended::TooBroad) if n_splits < SPLITS_MAX => {
                    return self.halves(question, patience, n_splits, window.n_requests).await;
                }
                Err(Ended::TooBroad) => {
                    window.why = Some("the window holds more papers than arXiv's API can page through".to_owned());
                    return Ok(window);
                }
                Err(Ended::Failed(why)) => {
                    // What came before the failure is real all the same.
                    let proof = prove(&pages, question);
                    window.keep(proof, &pages);
                    window.proof = None;
                    window.why = Some(why);
                    return Ok(window);
                }
                Ok(()) => {
                    let proof = prove(&pages, question);
                    let verdict = proof.verdict.clone();
                    window.keep(proof, &pages);
                    let Verdict::Incomplete { why, retry } = verdict else {
                        window.why = None;
                        return Ok(window);
                    };
                    window.why = Some(why.to_string());
                    if !retry || n_readings == READINGS_MAX {
                        return Ok(window);
                    }
                    let Some(delay) = patience.delay(n_readings, None) else {
                        return Ok(window);
                    };
                    self.wait(delay, &why.to_string()).await;
                }
            }
        }
        Ok(window)
    }

    async fn halves(
        &self,
        question: Question<'_>,
        patience: &mut Patience,
        n_splits: u32,
        n_requests: u64,
    ) -> Result<Window, FetchError> {
        let asked = question.asked;
        let middle = asked.from + (asked.to - asked.from) / 2;
        let mut whole = Window {
            papers: Vec::new(),
            rejected: Vec::new(),
            why: None,
            proof: None,
            n_requests,
        };
        // Ranges are inclusive and go by the minute: both hold the minute in the middle.
        for (from, to) in [(asked.from, middle), (middle, asked.to)] {
            let part = Asked {
                from,
                to,
                categories: asked.categories.clone(),
            };
            let part = Box::pin(self.window_split(
                Question {
                    asked: &part,
                    ..question
                },
                patience,
                n_splits + 1,
            ))
            .await?;
            whole.papers.extend(part.papers);
            whole.rejected.extend(part.rejected);
            whole.n_requests += part.n_requests;
            whole.why = whole.why.or(part.why);
        }
        whole.papers.sort_by(|a, b| a.id.cmp(&b.id));
        whole.papers.dedup_by(|a, b| a.id == b.id);
        Ok(whole)
    }

    /// Reads the pages of a window one after the other.
    async fn pages(
        &self,
        question: Question<'_>,
        patience: &mut Patience,
        pages: &mut Vec<(u64, Feed)>,
        n_requests: &mut u64,
    ) -> Result<Result<(), Ended>, FetchError> {
        let asked = question.asked;
        let expression = search::within(question.query, asked.from, asked.to);
        let mut size = self.settings.page_size;
        let mut start = 0_u64;
        loop {
            let feed = match self
                .page(&expression, start, &mut size, Order::NewestFirst, patience, n_requests)
                .await?
            {
                Ok(feed) => feed,
                Err(why) => return Ok(Err(Ended::Failed(why))),
            };
            let total = feed.total_results.unwrap_or_default();
            if total > RESULTS_SPLIT && asked.to - asked.from > TimeDelta::minutes(10) {
                return Ok(Err(Ended::TooBroad));
            }
            let n_entries = feed.n_entries as u64;
            pages.push((start, feed));
            start += n_entries;
            if n_entries == 0 || start >= total {
                return Ok(Ok(()));
            }
        }
    }

    /// Reads one page, again and again while that can help. The inner error is the reason in words.
    pub(super) async fn page(
        &self,
        expression: &str,
        start: u64,
        size: &mut u32,
        order: Order,
        patience: &mut Patience,
        n_requests: &mut u64,
    ) -> Result<Result<Feed, String>, FetchError> {
        let mut n_failed = 0;
        let mut n_server_errors = 0;
        loop {
            let began = tokio::time::Instant::now();
            *n_requests += 1;
            let (why, retry_after) = match self.ask(expression, start, *size, order).await {
                Ok(feed) => return Ok(Ok(feed)),
                Err(PageError::Fetch(FetchError::Store(error))) => return Err(error.into()),
                // The gate is closed: waiting is worth it only if it opens within this run's patience.
                Err(PageError::Fetch(FetchError::Closed(closed))) => {
                    *n_requests -= 1;
                    let left = (closed.until - SystemClock.now()).to_std().unwrap_or_default();
                    if closed.forbidden {
                        return Ok(Err(closed.to_string()));
                    }
                    (closed.to_string(), Some(left))
                }
                Err(PageError::Fetch(error)) if error.is_transient() => {
                    let (server_error, retry_after) = match &error {
                        FetchError::Busy {
                            status, retry_after, ..
                        } => (
                            status.is_server_error() && *status != StatusCode::SERVICE_UNAVAILABLE,
                            *retry_after,
                        ),
                        _ => (false, None),
                    };
                    n_server_errors += u32::from(server_error);
                    (error.to_string(), retry_after)
                }
                Err(PageError::Fetch(error)) => return Ok(Err(refusal(&error))),
                Err(PageError::Feed(FeedError::ApiError { summary })) => {
                    return Ok(Err(format!("arXiv refused the query: {summary}")));
                }
                Err(PageError::Feed(error)) => (error.to_string(), None),
            };
            n_failed += 1;
            patience.spend(began.elapsed());
            if n_server_errors >= SERVER_ERRORS_MAX && *size > PAGE_SIZE_MIN {
                // Certain pages fail as a whole and come in parts (a known fault of the API).
                *size = (*size / 2).max(PAGE_SIZE_MIN);
                n_server_errors = 0;
            } else if n_server_errors >= SERVER_ERRORS_MAX {
                return Ok(Err(why));
            }
            let Some(delay) = patience.delay(n_failed, retry_after) else {
                return Ok(Err(format!("{why} (asked {n_failed} times of at most {TRIES_MAX})")));
            };
            tracing::info!(start, why, delay = %humantime::format_duration(delay), "arXiv is asked again");
            self.wait(delay, &why).await;
        }
    }

    async fn ask(&self, expression: &str, start: u64, size: u32, order: Order) -> Result<Feed, PageError> {
        let url = self.url(expression, start, size, order);
        let answer = self
            .client
            .get(url, self.settings.timeout)
            .await
            .map_err(PageError::Fetch)?;
        // Parsing a page of megabytes takes long enough to keep other tasks waiting.
        let parsed = tokio::task::spawn_blocking(move || atom::parse(&answer.body)).await;
        match parsed {
            Ok(feed) => feed.map_err(PageError::Feed),
            Err(error) => Err(PageError::Fetch(FetchError::Broken(format!(
                "reading the answer failed: {error}"
            )))),
        }
    }

    /// Asks for one paper, once.
    pub(super) async fn by_identifier(&self, id: &ArxivId) -> Result<Feed, FetchError> {
        self.by_identifiers(std::slice::from_ref(id)).await
    }

    /// Asks for some papers by their identifiers, once. Those that arXiv does not know are left out.
    pub(super) async fn by_identifiers(&self, ids: &[ArxivId]) -> Result<Feed, FetchError> {
        let mut url = self.settings.api_url.clone();
        let list: Vec<String> = ids.iter().map(ToString::to_string).collect();
        url.query_pairs_mut()
            .append_pair("id_list", &list.join(","))
            .append_pair("max_results", &ids.len().to_string());
        let answer = self.client.get(url, self.settings.timeout).await?;
        atom::parse(&answer.body).map_err(|error| FetchError::Broken(error.to_string()))
    }

    /// The address of one page. The query goes through the one encoder of the URL library, once.
    fn url(&self, expression: &str, start: u64, size: u32, order: Order) -> Url {
        let mut url = self.settings.api_url.clone();
        url.query_pairs_mut()
            .append_pair("search_query", expression)
            .append_pair("start", &start.to_string())
            .append_pair("max_results", &size.to_string())
            .append_pair("sortBy", "submittedDate")
            .append_pair("sortOrder", order.as_str());
        url
    }

    /// The first page of a query in the given order, asked with the same patience: for the freshness canary and
    /// for floors. `None` when no answer came.
    pub(super) async fn first_page(
        &self,
        expression: &str,
        size: u32,
        order: Order,
        patience: &mut Patience,
        n_requests: &mut u64,
    ) -> Result<Option<Feed>, FetchError> {
        let mut size = size;
        match self.page(expression, 0, &mut size, order, patience, n_requests).await? {
            Ok(feed) => Ok(Some(feed)),
            Err(why) => {
                tracing::warn!(why, "arXiv gave no answer to a probe");
                Ok(None)
            }
        }
    }

    /// Waits, and shows for what.
    pub(super) async fn wait(&self, delay: Duration, why: &str) {
        let until = SystemClock.now() + TimeDelta::from_std(delay).unwrap_or(TimeDelta::zero());
        self.progress
            .send_modify(|progress| progress.waiting = Some((until, why.to_owned())));
        tokio::time::sleep(delay).await;
        self.progress.send_modify(|progress| progress.waiting = None);
    }
}

/// In which order of submission an answer is asked for. Nothing relies on it but how much one page can show.
#[derive(Debug, Clone, Copy)]
pub(super) enum Order {
    NewestFirst,
    OldestFirst,
}

impl Order {
    fn as_str(self) -> &'static str {
        match self {
            Self::NewestFirst => "descending",
            Self::OldestFirst => "ascending",
        }
    }
}

enum PageError {
    Fetch(FetchError),
    Feed(FeedError),
}

/// A refusal in words: an error feed's summary says more than its status.
fn refusal(error: &FetchError) -> String {
    match error {
        FetchError::Refused { body, .. } => match atom::parse(body) {
            Err(FeedError::ApiError { summary }) => format!("arXiv refused the query: {summary}"),
            _ => error.to_string(),
        },
        _ => error.to_string(),
    }
}

fn prove(pages: &[(u64, Feed)], question: Question<'_>) -> Proof {
    let pages: Vec<Page<'_>> = pages.iter().map(|(start, feed)| Page { start: *start, feed }).collect();
    completeness::prove(&pages, question.asked, question.past, question.now)
}

impl Window {
    fn keep(&mut self, proof: Proof, pages: &[(u64, Feed)]) {
        self.papers.extend(proof.papers.iter().cloned());
        self.rejected
            .extend(pages.iter().flat_map(|(_, feed)| feed.rejected.iter().cloned()));
        self.proof = Some(proof);
    }
}
