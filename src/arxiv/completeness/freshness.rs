//! The freshness canary: whether arXiv's index has turned over to the latest announcement.

use chrono::NaiveDate;
use serde::{Deserialize, Serialize};

use super::super::calendar::Announcement;
use crate::model::{ArxivId, Paper};

/// What one look at a busy category showed: the memory of the freshness canary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sighting {
    /// The evening of the announcement that had surely been seen then.
    pub evening: NaiveDate,
    /// The highest identifier then.
    pub newest: ArxivId,
}

/// The freshness canary: whether the newest papers of a busy category (`cat:cs.LG`, some fifty of them) show that
/// arXiv has turned over to the `expected` announcement ([`crate::arxiv::calendar::latest_expected`]).
///
/// They must hold an identifier above every one of the last sighting, since identifiers rise with the announcement,
/// and a submission made after the cut-off of the announcement before: a day-old answer has none. Papers without dates are judged by
/// identifier alone. Once an announcement was sighted, it stays so.
///
/// `false` never fails anything: it marks the run as stale, and a later pass looks again.
pub fn fresh(papers: &[Paper], last: Option<&Sighting>, expected: &Announcement) -> bool {
    if last.is_some_and(|last| last.evening >= expected.evening) {
        return true;
    }
    let Some(newest) = papers.iter().map(|paper| &paper.id).max() else {
        return false;
    };
    let (begin, _) = expected.submission_window();
    let latest = papers.iter().filter_map(|paper| paper.submitted).max();
    last.is_none_or(|last| *newest > last.newest) && latest.is_none_or(|latest| latest >= begin)
}

/// The sighting to keep after [`fresh`] said yes; `None` when there is nothing newer to keep.
pub fn sighting(papers: &[Paper], last: Option<&Sighting>, expected: &Announcement) -> Option<Sighting> {
    if last.is_some_and(|last| last.evening >= expected.evening) || !fresh(papers, last, expected) {
        return None;
    }
    papers.iter().map(|paper| &paper.id).max().map(|newest| Sighting {
        evening: expected.evening,
        newest: newest.clone(),
    })
}
