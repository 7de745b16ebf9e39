//! A look at what a term would find, outside of any run: it is remembered nowhere and decides nothing.

use chrono::{DateTime, Utc};

use super::{Fetcher, client::FetchError, patience::Patience, window::Order};
use crate::{
    arxiv::search::{self, SearchError},
    model::{Paper, Term},
};

/// The most papers of one answer: what arXiv gives for one request.
const RESULTS_MAX: u32 = 2_000;

/// What arXiv answered.
#[derive(Debug, Default)]
pub struct Look {
    /// The papers, newest submission first, not yet judged by the matcher.
    pub papers: Vec<Paper>,
    /// How many papers arXiv has altogether; more than `papers` when one request does not hold them.
    pub n_total: u64,
    /// How many requests were made: one, but for terms too long for one address.
    pub n_requests: u64,
    /// Why arXiv was asked for all papers of the time and the categories instead of those that the term may match.
    pub unsearchable: Option<String>,
}

/// Why there is nothing to look at.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    /// The term cannot be asked for.
    #[error("{0}")]
    Term(String),
    /// No usable answer came.
    #[error("{0}")]
    Answer(String),
    /// The request could not be made.
    #[error(transparent)]
    Fetch(#[from] FetchError),
}

impl Fetcher {
    /// Asks once for everything that was submitted between two moments and that a term may match. Where arXiv's search
    /// cannot express the term it is asked for whatever was submitted then, as many papers as one answer holds.
    ///
    /// # Errors
    /// If the term cannot be asked for or arXiv gives no usable answer.
    pub async fn look(
        &self,
        term: &Term,
        categories: &[Vec<String>],
        from: DateTime<Utc>,
        to: DateTime<Utc>,
    ) -> Result<Look, LookError> {
        let mut look = Look::default();
        let expressions: Vec<String> = match search::search_queries(term, categories) {
            Ok(queries) => queries.iter().map(|query| search::within(query, from, to)).collect(),
            Err(error @ SearchError::Term(_)) => return Err(LookError::Term(error.to_string())),
            Err(error @ (SearchError::NotSearchable { .. } | SearchError::TooLarge { .. })) => {
                look.unsearchable = Some(error.to_string());
                vec![search::submitted_in(categories, from, to)]
            }
        };
        let mut patience = Patience::new(self.settings.retry_budget, self.settings.retry_delay);
        for expression in expressions {
            let mut size = RESULTS_MAX;
            let feed = self
                .page(
                    &expression,
                    0,
                    &mut size,
                    Order::NewestFirst,
                    &mut patience,
                    &mut look.n_requests,
                )
                .await?
                .map_err(LookError::Answer)?;
            look.n_total += feed.total_results.unwrap_or(feed.n_entries as u64);
            look.papers.extend(feed.papers);
        }
        Ok(look)
    }
}
