//! Why an answer does not count, in words.

use std::fmt;

use super::consistency::RESULTS_MAX;

/// Why an answer does not count.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// No page came.
    NoAnswer,
    /// A page does not say which part of how many results it is.
    NoCount {
        /// The `start` that was asked for.
        start: u64,
    },
    /// A page begins elsewhere than asked.
    WrongPage {
        /// The `start` that was asked for.
        start: u64,
        /// Where the page says it begins.
        got: u64,
    },
    /// The pages name different totals: the index changed between them.
    TotalChanged {
        /// The total of the first page.
        first: u64,
        /// A later page's.
        then: u64,
    },
    /// There are more results than arXiv pages through.
    TooBroad {
        /// How many.
        total: u64,
    },
    /// The papers are not as many as arXiv says there are.
    Count {
        /// How many distinct entries came.
        got: u64,
        /// How many there are to be.
        total: u64,
    },
    /// Papers came that the search cannot have found, so it was not the search that was answered.
    Implausible {
        /// How many.
        n_papers: usize,
    },
    /// Nothing came, although the last complete answer held papers that still lie in the window.
    Zero {
        /// How many.
        n_known: usize,
    },
    /// Too many papers of the last complete answer are missing although they still lie in the window.
    Vanished {
        /// How many are missing.
        n_missing: usize,
        /// Of how many.
        n_known: usize,
    },
}

impl Reason {
    /// Whether the answer is consistent in itself and only hard to believe, so that repetition may confirm it.
    pub fn is_only_implausible(&self) -> bool {
        match self {
            Self::Implausible { .. } | Self::Zero { .. } | Self::Vanished { .. } => true,
            Self::NoAnswer
            | Self::NoCount { .. }
            | Self::WrongPage { .. }
            | Self::TotalChanged { .. }
            | Self::TooBroad { .. }
            | Self::Count { .. } => false,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NoAnswer => write!(f, "arXiv gave no answer"),
            Self::NoCount { start } => write!(f, "the page from {start} does not say which results it holds"),
            Self::WrongPage { start, got } => write!(f, "arXiv sent the page from {got} instead of from {start}"),
            Self::TotalChanged { first, then } => {
                write!(f, "the number of results changed from {first} to {then} between pages")
            }
            Self::TooBroad { total } => {
                write!(
                    f,
                    "{total} results are more than arXiv hands out ({RESULTS_MAX}); split its window or restrict it by category"
                )
            }
            Self::Count { got, total } => write!(f, "{got} of {total} results came"),
            Self::Implausible { n_papers } => {
                write!(
                    f,
                    "{n_papers} papers came that lie outside the dates or categories asked for"
                )
            }
            Self::Zero { n_known } => write!(f, "no result came, but {n_known} papers were known for the same dates"),
            Self::Vanished { n_missing, n_known } => write!(
                f,
                "{n_missing} of the {n_known} papers known for the same dates are missing"
            ),
        }
    }
}
