//! Whether the pages of one answer agree with each other and add up.

use std::collections::BTreeSet;

use super::{Page, Reason};

/// The most results that arXiv pages through: beyond that its service fails, so the window must be split.
pub const RESULTS_MAX: u64 = 10_000;

/// What is wrong with the pages among themselves.
pub(super) fn inconsistency(pages: &[Page<'_>]) -> Option<Reason> {
    let Some(first) = pages.first() else {
        return Some(Reason::NoAnswer);
    };
    let Some(total) = first.feed.total_results else {
        return Some(Reason::NoCount { start: first.start });
    };
    for page in pages {
        let (Some(then), Some(got)) = (page.feed.total_results, page.feed.start_index) else {
            return Some(Reason::NoCount { start: page.start });
        };
        if got != page.start {
            return Some(Reason::WrongPage { start: page.start, got });
        }
        if then != total {
            return Some(Reason::TotalChanged { first: total, then });
        }
    }
    if total > RESULTS_MAX {
        return Some(Reason::TooBroad { total });
    }
    let got = n_distinct(pages);
    (got != total).then_some(Reason::Count { got, total })
}

/// How many different entries came. A rejected entry is told from the others by what is known of its identifier;
/// one that names none counts for itself.
fn n_distinct(pages: &[Page<'_>]) -> u64 {
    let mut known = BTreeSet::new();
    let mut n_nameless = 0_u64;
    for page in pages {
        known.extend(page.feed.papers.iter().map(|paper| paper.id.to_string()));
        for rejected in &page.feed.rejected {
            match &rejected.id {
                Some(id) => {
                    known.insert(id.clone());
                }
                None => n_nameless += 1,
            }
        }
    }
    n_nameless.saturating_add(known.len() as u64)
}
