//! What is known about each keyword's fetches, and what a digest says about it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{ArxivId, Silence};

/// The lasting memory of one search: when it was last proven complete, and what that answer held.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeywordCoverage {
    /// When the last complete answer was fetched.
    pub last_complete: Option<DateTime<Utc>>,
    /// When the last complete answer over the deep window was fetched.
    pub last_deep: Option<DateTime<Utc>>,
    /// Since when no answer has been complete; `None` while the last one was.
    pub incomplete_since: Option<DateTime<Utc>>,
    /// Why the last answer did not count, in words for the operator.
    pub why: Option<String>,
    /// The papers of the last complete answer with their submission times: the overlap canary.
    #[serde(default)]
    pub window: Vec<(ArxivId, DateTime<Utc>)>,
    /// When answers that were refused only as implausible agreed with each other (the first and each later one).
    #[serde(default)]
    pub agreeing: Vec<DateTime<Utc>>,
    /// The papers of the last answer that was refused only as implausible: what the next one must agree with.
    #[serde(default)]
    pub refused: Vec<ArxivId>,
    /// How many complete answers in a row held no paper at all.
    #[serde(default)]
    pub empty_answers: u32,
}

/// A keyword that could not be fetched completely, for the report and the footer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct IncompleteKeyword {
    /// The keyword as its readers know it.
    pub keyword: String,
    /// Since when no answer has been complete.
    pub since: DateTime<Utc>,
    /// Why, in words.
    pub why: String,
}

/// What a digest covers: frozen when the digest is enqueued.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CoverageNote {
    /// The latest announcement that the fetch has surely seen, as its evening in US Eastern time.
    pub announcement: Option<chrono::NaiveDate>,
    /// The first announcement since the digest before, where there were several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub announced_from: Option<chrono::NaiveDate>,
    /// Whether that announcement is the latest one that can be expected by now.
    pub current: bool,
    /// How many of the subscriber's keywords were fetched completely.
    pub n_complete: usize,
    /// How many keywords the subscriber has.
    pub n_keywords: usize,
    /// The keywords that were not.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub incomplete: Vec<IncompleteKeyword>,
    /// Papers that the subscriber's keywords brought in this fetch.
    pub n_fetched: usize,
    /// Of those, papers that no digest has held before.
    pub n_new: usize,
    /// Of those, papers that the subscriber already has, or that are on their way.
    pub n_already_sent: usize,
    /// Of those, papers that `exclude` kept out.
    pub n_excluded: usize,
    /// Why nothing is new; `None` where something is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub silence: Option<Silence>,
}
