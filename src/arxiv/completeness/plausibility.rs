//! What cannot be an answer to what was asked: papers outside the dates or the categories.

use chrono::{DateTime, TimeDelta, Utc};

use super::{Asked, Page};
use crate::{
    matching::category,
    model::{ArxivId, Paper},
};

/// How far outside the window a submission may lie and still be believed.
pub const WINDOW_SLACK: TimeDelta = TimeDelta::days(1);

/// Why a paper was set aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aside {
    /// Submitted more than [`WINDOW_SLACK`] outside the window.
    Dates,
    /// In none of the categories asked for.
    Categories,
}

/// The distinct papers of all pages, and those that the search cannot have found.
pub(super) fn sort_out(pages: &[Page<'_>], asked: &Asked) -> (Vec<Paper>, Vec<(ArxivId, Aside)>) {
    let mut all: Vec<&Paper> = pages.iter().flat_map(|page| &page.feed.papers).collect();
    // Of one paper in two versions the later one stays.
    all.sort_by(|a, b| a.id.cmp(&b.id).then(b.version.cmp(&a.version)));
    all.dedup_by(|a, b| a.id == b.id);
    let mut papers = Vec::with_capacity(all.len());
    let mut set_aside = Vec::new();
    for paper in all {
        match aside(paper, asked) {
            Some(why) => set_aside.push((paper.id.clone(), why)),
            None => papers.push(paper.clone()),
        }
    }
    (papers, set_aside)
}

pub(super) fn aside(paper: &Paper, asked: &Asked) -> Option<Aside> {
    // A date that cannot be read never costs the paper.
    if paper.submitted.is_some_and(|at| is_outside(at, asked.from, asked.to)) {
        return Some(Aside::Dates);
    }
    let is_asked = |category: &String| asked.categories.iter().any(|pattern| covers(pattern, category));
    let is_elsewhere =
        !asked.categories.is_empty() && !paper.categories.is_empty() && !paper.categories.iter().any(is_asked);
    is_elsewhere.then_some(Aside::Categories)
}

/// Whether a submission lies too far outside a window to be believed.
pub(super) fn is_outside(at: DateTime<Utc>, from: DateTime<Utc>, to: DateTime<Utc>) -> bool {
    at < saturating(from, -WINDOW_SLACK) || at > saturating(to, WINDOW_SLACK)
}

fn saturating(at: DateTime<Utc>, by: TimeDelta) -> DateTime<Utc> {
    at.checked_add_signed(by).unwrap_or(at)
}

/// Whether a category falls under `cs.LG`, `cs.*` or `hep-th`, by either of its names: arXiv searches under both, but
/// gives only one. A pattern that is none is no reason to set a paper aside.
fn covers(pattern: &str, name: &str) -> bool {
    category::canonical(pattern)
        .is_none_or(|pattern| category::covers(&pattern, name) || category::aliases(&pattern).contains(&name))
}
