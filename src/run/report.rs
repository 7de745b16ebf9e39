//! What one run did, so that every paper and every mail is accounted for.

use chrono::{DateTime, NaiveDate, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    fetch::{Deep, Reconciliation},
    model::{IncompleteKeyword, Silence, Slot},
};

/// The account of one run: printed by `run --json`, logged as one line, kept for `status`.
///
/// `fetched = new + known + rejected` counts papers; `matched` and `excluded` count (subscriber, paper) pairs;
/// `queued = accepted + failed + unconfirmed + retrying` counts digests; `waiting` counts pairs that no digest holds yet.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Report {
    /// The slot, where the run was made for one.
    pub slot: Option<Slot>,
    /// When the fetch was made whose papers the run put together, where that was another run's: then the counts of papers
    /// and of pairs are that fetch's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fetched_at: Option<DateTime<Utc>>,
    /// When the run began, by the calendar.
    pub began: Option<DateTime<Utc>>,
    /// The announcements that this fetch covers and the complete one before it did not, as their evenings.
    pub announcements: Vec<NaiveDate>,
    /// Whether the index showed the latest announcement that could be expected.
    pub current: bool,
    /// Distinct papers in all answers, and entries that could not be read.
    pub fetched: usize,
    /// Papers that the store did not have.
    pub new: usize,
    /// Papers that it had.
    pub known: usize,
    /// Entries that could not be read.
    pub rejected: usize,
    /// Pairs newly recorded.
    pub matched: usize,
    /// Pairs that an exclusion or a category kept out.
    pub excluded: usize,
    /// Pairs that were on their way or sent already; what still waits for a digest is not among them.
    pub already_seen: usize,
    /// Digests on their way in this run: new ones and those that earlier runs left.
    pub queued: usize,
    /// Digests that the relay accepted.
    pub accepted: usize,
    /// Digests that ended without being accepted.
    pub failed: usize,
    /// Digests whose acceptance is unknown: they go again under the same Message-ID, or are held.
    pub unconfirmed: usize,
    /// Digests that are tried again.
    pub retrying: usize,
    /// Pairs that wait for a later digest.
    pub waiting: usize,
    /// How many distinct keywords were asked for.
    #[serde(default)]
    pub keywords: usize,
    /// Why nothing was newly recorded for anyone; `None` where something was.
    #[serde(default)]
    pub silence: Option<Silence>,
    /// Keywords that could not be fetched completely.
    pub incomplete: Vec<IncompleteKeyword>,
    /// What one source showed that the other had not, in the runs that hold them against each other.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reconciliation: Option<Reconciliation>,
    /// What the deep windows showed that nothing had shown before, in the runs that read them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deep: Option<Deep>,
    /// How many requests were made to arXiv.
    pub requests: u64,
    /// How long the run took, in milliseconds by the machine's clock.
    pub duration_ms: u64,
    /// How much of that each stage took.
    #[serde(default)]
    pub stages_ms: Stages,
}

/// How long the stages of a run took, in milliseconds by the machine's clock; 0 for one that was another run's.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stages {
    /// Asking arXiv, waiting for it, and recording what matches.
    pub fetch: u64,
    /// Putting digests together.
    pub assemble: u64,
    /// Making mails and handing them to the relay.
    pub deliver: u64,
}

impl Report {
    /// Whether everything that the run set out to do is done; otherwise the command exits with 75.
    pub fn is_complete(&self) -> bool {
        self.incomplete.is_empty() && self.failed + self.unconfirmed + self.retrying == 0
    }

    /// What the weekly looks found that the daily ones had not, in words.
    pub fn found_alone(&self) -> Vec<String> {
        let by_source = self.reconciliation.as_ref().map(|reconciliation| {
            let missed = reconciliation
                .missed
                .map_or_else(String::new, |missed| format!(", missed by it: {missed}"));
            format!(
                "found only by {}: {}{missed}",
                reconciliation.by, reconciliation.found_alone
            )
        });
        let by_depth = self
            .deep
            .as_ref()
            .map(|deep| format!("found only by deep windows: {}", deep.found_alone));
        by_source.into_iter().chain(by_depth).collect()
    }
}
