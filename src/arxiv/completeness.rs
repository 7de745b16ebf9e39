//! The proof that the answers to one keyword's window are complete, and the memory that it rests on.
//!
//! arXiv answers trouble with valid feeds that hold too little. So an answer counts only when its pages agree
//! with each other, with the window that was asked for, and with the last complete answer. What a refused
//! answer holds are papers nevertheless: whatever is plausible may be used at once; only the keyword
//! stays incomplete, is named, and is asked again.

mod beginning;
mod consistency;
mod freshness;
mod memory;
mod plausibility;
mod reason;
#[cfg(test)]
mod tests;

use chrono::{DateTime, Utc};

pub use self::{
    beginning::beginning,
    consistency::RESULTS_MAX,
    freshness::{Sighting, fresh, sighting},
    memory::{
        AGREEING_MIN, AGREEING_SPAN, VANISHED_MAX, VANISHED_PERCENT_MAX, complete, incomplete, remember, vanished,
    },
    plausibility::{Aside, WINDOW_SLACK},
    reason::Reason,
};
use self::{
    consistency::inconsistency,
    memory::{agreeing_with, is_confirmed, loss},
    plausibility::sort_out,
};
use super::atom::Feed;
use crate::model::{ArxivId, KeywordCoverage, Paper};

/// What was asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// The first submission instant of the window, inclusive.
    pub from: DateTime<Utc>,
    /// The last one, inclusive.
    pub to: DateTime<Utc>,
    /// The categories the search was restricted to, `cs.*` standing for all of an archive; empty for no restriction.
    pub categories: Vec<String>,
}

/// One page of the answer.
#[derive(Debug, Clone, Copy)]
pub struct Page<'f> {
    /// The `start` that was asked for.
    pub start: u64,
    /// What came.
    pub feed: &'f Feed,
}

/// Whether the answer counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// The window is known to be read completely.
    Complete,
    /// It is not, or not certainly.
    Incomplete {
        /// Why not.
        why: Reason,
        /// Whether asking again within this run can help; otherwise a later run asks.
        retry: bool,
    },
}

/// What came out of one answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Proof {
    /// Whether it counts.
    pub verdict: Verdict,
    /// The plausible papers, each once and by identifier. They may be used whatever the verdict: they are real.
    pub papers: Vec<Paper>,
    /// Papers that the search cannot have found; never used.
    pub set_aside: Vec<(ArxivId, Aside)>,
}

/// Judges the pages of one answer against what was asked and what is known.
///
/// The order of entries plays no part: arXiv has sorted wrongly before. A rejected entry counts as come, so that
/// one broken record does not keep a keyword incomplete for ever; it is named elsewhere.
pub fn prove(pages: &[Page<'_>], asked: &Asked, past: &KeywordCoverage, now: DateTime<Utc>) -> Proof {
    let (papers, set_aside) = sort_out(pages, asked);
    let refusal = inconsistency(pages)
        .or_else(|| {
            (!set_aside.is_empty()).then_some(Reason::Implausible {
                n_papers: set_aside.len(),
            })
        })
        .or_else(|| loss(&papers, asked, past));
    let verdict = match refusal {
        None => Verdict::Complete,
        Some(why) if why.is_only_implausible() => {
            let agreeing = agreeing_with(&papers, past, now);
            if is_confirmed(&agreeing) {
                Verdict::Complete
            } else {
                // An answer that has repeated itself already will do so again: only time can tell.
                let retry = agreeing.len() < AGREEING_MIN;
                Verdict::Incomplete { why, retry }
            }
        }
        Some(why) => {
            // Too many because the restrictions were ignored is worth another try.
            let retry = !matches!(why, Reason::TooBroad { .. }) || !set_aside.is_empty();
            Verdict::Incomplete { why, retry }
        }
    };
    Proof {
        verdict,
        papers,
        set_aside,
    }
}
