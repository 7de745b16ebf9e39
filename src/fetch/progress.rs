//! What a long fetch is doing, for a terminal or a status page.

use chrono::{DateTime, Utc};

/// How far a fetch has come.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Progress {
    /// Searches done.
    pub n_done: usize,
    /// Searches in all; 0 while nothing is fetched.
    pub n_total: usize,
    /// The keyword that is asked for.
    pub keyword: String,
    /// A wait that arXiv imposed: until when, and why.
    pub waiting: Option<(DateTime<Utc>, String)>,
}
