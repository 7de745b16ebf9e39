//! One OAI-PMH set, read page by page to the end of its list.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, Utc};
use reqwest::Url;

use super::{Fetcher, Wanted, asking::Failed, book::List, patience::Patience};
use crate::{
    arxiv::{
        Rejected,
        leafsets::LeafSet,
        oai::{ErrorCode, OaiError, Page},
    },
    model::{ArxivId, Paper},
    store::StoreError,
};

/// The most pages of one list; the largest set needs some thirty for a year.
const PAGES_MAX: usize = 500;
/// How often a list is begun anew because its token ran out.
const RESTARTS_MAX: usize = 3;
/// How many broken records are asked for one by one in a run.
const REPAIRS_MAX: usize = 20;
/// How many of the highest identifiers are kept whole, for the freshness canary.
const NEWEST_KEPT: usize = 50;
/// Matching is heavy enough to let other tasks run after so many papers.
const PAPERS_PER_BREATH: usize = 50;

/// What a harvest has brought so far.
#[derive(Debug, Default)]
pub(super) struct Haul {
    /// The papers that somebody wants.
    pub(super) papers: BTreeMap<ArxivId, Paper>,
    /// When every paper was submitted, wanted or not: floors come from here.
    pub(super) submitted: BTreeMap<ArxivId, Option<DateTime<Utc>>>,
    /// The papers with the highest identifiers, wanted or not.
    pub(super) newest: BTreeMap<ArxivId, Paper>,
    /// Records that cannot be read, not even when asked for alone.
    pub(super) rejected: Vec<Rejected>,
    /// How many requests were made.
    pub(super) n_requests: u64,
    n_repairs: usize,
}

/// Why a list was not read to its end.
#[derive(Debug)]
pub(super) struct Unread {
    /// In words.
    pub(super) why: String,
    /// Whether no request at all can be made for now.
    pub(super) is_stopped: bool,
}

impl From<Failed<OaiError>> for Unread {
    fn from(failed: Failed<OaiError>) -> Self {
        Self {
            why: failed.to_string(),
            is_stopped: matches!(failed, Failed::Stopped(_)),
        }
    }
}

impl Haul {
    /// Takes one paper in; of two versions the later stays.
    fn take(&mut self, paper: Paper, wanted: Wanted<'_>) {
        self.submitted.insert(paper.id.clone(), paper.submitted);
        let is_among_newest =
            self.newest.len() < NEWEST_KEPT || self.newest.keys().next().is_some_and(|lowest| paper.id > *lowest);
        if is_among_newest {
            self.newest.insert(paper.id.clone(), paper.clone());
            if self.newest.len() > NEWEST_KEPT {
                self.newest.pop_first();
            }
        }
        let is_known = self
            .papers
            .get(&paper.id)
            .is_some_and(|known| known.version >= paper.version);
        if !is_known && wanted(&paper) {
            self.papers.insert(paper.id.clone(), paper);
        }
    }
}

impl Fetcher {
    /// Reads one set's list from `begin` on. What comes before a failure is kept: it is real.
    pub(super) async fn list(
        &self,
        set: &LeafSet,
        begin: NaiveDate,
        wanted: Wanted<'_>,
        haul: &mut Haul,
        patience: &mut Patience,
    ) -> Result<Result<List, Unread>, StoreError> {
        let first = self.list_url(set, begin);
        let mut url = first.clone();
        let mut list = List::default();
        let mut broken: Vec<Rejected> = Vec::new();
        let mut token: Option<String> = None;
        let (mut n_restarts, mut n_pages) = (0, 0);
        loop {
            let page: Page = match self
                .persist(&url, self.settings.oai_timeout, patience, &mut haul.n_requests)
                .await?
            {
                Ok(page) => page,
                // The token has run out, as all do at midnight UTC: what was read is kept, the list begins anew.
                Err(Failed::Unusable(OaiError::Protocol {
                    code: ErrorCode::BadResumptionToken,
                    ..
                })) if token.is_some() && n_restarts < RESTARTS_MAX => {
                    n_restarts += 1;
                    (list, token, n_pages) = (List::default(), None, 0);
                    broken.clear();
                    url = first.clone();
                    continue;
                }
                Err(failed) => return Ok(Err(failed.into())),
            };
            n_pages += 1;
            list.answered = list.answered.or(page.response_date);
            list.latest_change = list.latest_change.max(page.latest_change);
            list.n_records += page.n_records;
            for mended in &page.mended {
                tracing::debug!(paper.id = mended.id, how = ?mended.how, "a record was mended");
            }
            broken.extend(page.rejected);
            for (n, paper) in page.papers.into_iter().enumerate() {
                if n % PAPERS_PER_BREATH == PAPERS_PER_BREATH - 1 {
                    tokio::task::yield_now().await;
                }
                list.n_papers += 1;
                list.n_own += usize::from(set.holds(&paper.categories));
                haul.take(paper, wanted);
            }
            let Some(next) = page.resumption_token else { break };
            if token.as_ref() == Some(&next) || n_pages >= PAGES_MAX {
                return Ok(Err(Unread {
                    why: format!("the list does not end ({n_pages} pages)"),
                    is_stopped: false,
                }));
            }
            url = self.next_url(&next);
            token = Some(next);
        }
        Ok(match self.repair(broken, wanted, haul, patience).await? {
            Ok(()) => Ok(list),
            Err(unread) => Err(unread),
        })
    }

    /// Asks for records alone that came broken in their list. One that is broken there too is named and spoils
    /// nothing else; only where no answer comes, or too many are broken, the list does not count.
    async fn repair(
        &self,
        broken: Vec<Rejected>,
        wanted: Wanted<'_>,
        haul: &mut Haul,
        patience: &mut Patience,
    ) -> Result<Result<(), Unread>, StoreError> {
        for rejected in broken {
            let id = rejected.id.as_deref().and_then(|id| id.parse::<ArxivId>().ok());
            if id.as_ref().is_some_and(|id| haul.submitted.contains_key(id)) {
                continue;
            }
            haul.n_repairs += 1;
            if haul.n_repairs > REPAIRS_MAX {
                return Ok(Err(Unread {
                    why: format!(
                        "more than {REPAIRS_MAX} records cannot be read, the last because {}",
                        rejected.why
                    ),
                    is_stopped: false,
                }));
            }
            let Some(id) = id else {
                // Without a name it cannot be asked for.
                haul.rejected.push(rejected);
                continue;
            };
            let url = self.record_url(&id);
            match self
                .persist::<Page>(&url, self.settings.oai_timeout, patience, &mut haul.n_requests)
                .await?
            {
                Ok(page) => match page.papers.into_iter().find(|paper| paper.id == id) {
                    Some(paper) => haul.take(paper, wanted),
                    None => haul.rejected.push(rejected),
                },
                Err(Failed::Unusable(OaiError::Protocol {
                    code: ErrorCode::IdDoesNotExist | ErrorCode::CannotDisseminateFormat,
                    ..
                })) => haul.rejected.push(rejected),
                Err(failed) => return Ok(Err(failed.into())),
            }
        }
        Ok(Ok(()))
    }

    fn list_url(&self, set: &LeafSet, begin: NaiveDate) -> Url {
        let mut url = self.settings.oai_url.clone();
        // No `until`: a list that reaches into the present is not kept for days by the content network.
        url.query_pairs_mut()
            .append_pair("verb", "ListRecords")
            .append_pair("metadataPrefix", "arXivRaw")
            .append_pair("set", &set.spec)
            .append_pair("from", &begin.to_string());
        url
    }

    /// The next page: the token alone (OAI-PMH 2.0, section 3.5).
    fn next_url(&self, token: &str) -> Url {
        let mut url = self.settings.oai_url.clone();
        url.query_pairs_mut()
            .append_pair("verb", "ListRecords")
            .append_pair("resumptionToken", token);
        url
    }

    fn record_url(&self, id: &ArxivId) -> Url {
        let mut url = self.settings.oai_url.clone();
        url.query_pairs_mut()
            .append_pair("verb", "GetRecord")
            .append_pair("metadataPrefix", "arXivRaw")
            .append_pair("identifier", &format!("oai:arXiv.org:{id}"));
        url
    }
}
