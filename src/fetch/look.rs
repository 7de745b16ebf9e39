//! A look at what a term would find, outside of any run: it is remembered nowhere and decides nothing.

use chrono::{DateTime, Utc};

use super::{Fetcher, client::FetchError, patience::Patience, window::Order};
use crate::{
    arxiv::search,
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
    /// Asks once for everything that was submitted between two moments and that a term may match.
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
        let queries = search::search_queries(term, categories).map_err(|error| LookError::Term(error.to_string()))?;
        let mut patience = Patience::new(self.settings.retry_budget, self.settings.retry_delay);
        let mut look = Look::default();
        for query in queries {
            let mut size = RESULTS_MAX;
            let expression = search::within(&query, from, to);
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
