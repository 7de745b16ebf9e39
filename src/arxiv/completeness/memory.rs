//! What is remembered of a keyword's answers, and whether a new one fits it.

use std::{collections::BTreeSet, fmt};

use chrono::{DateTime, TimeDelta, Utc};

use super::{Asked, Proof, Reason, Verdict};
use crate::model::{ArxivId, KeywordCoverage, Paper};

/// How many papers may vanish between two complete answers, whatever their number: reclassified, or a new version
/// that no longer holds the keyword.
pub const VANISHED_MAX: usize = 2;
/// The same as a share of the papers, in percent; the larger of the two counts.
pub const VANISHED_PERCENT_MAX: usize = 5;
/// How many answers that are refused only as implausible must agree before they are believed.
pub const AGREEING_MIN: usize = 3;
/// How far apart the first and the last of them must lie.
pub const AGREEING_SPAN: TimeDelta = TimeDelta::hours(12);
/// The most instants of agreement that are kept.
const AGREEING_MAX: usize = 100;

/// Writes the outcome into the keyword's memory; `deep` when the window was the weekly long one.
pub fn remember(coverage: &mut KeywordCoverage, proof: &Proof, now: DateTime<Utc>, deep: bool) {
    match &proof.verdict {
        Verdict::Complete => complete(coverage, &proof.papers, now, deep),
        Verdict::Incomplete { why, .. } => {
            if why.is_only_implausible() {
                coverage.agreeing = agreeing_with(&proof.papers, coverage, now);
                coverage.refused = proof.papers.iter().map(|paper| paper.id.clone()).collect();
            }
            incomplete(coverage, why, now);
        }
    }
}

/// Remembers a complete answer.
pub fn complete(coverage: &mut KeywordCoverage, papers: &[Paper], now: DateTime<Utc>, deep: bool) {
    coverage.last_complete = Some(now);
    if deep {
        coverage.last_deep = Some(now);
    }
    coverage.incomplete_since = None;
    coverage.why = None;
    coverage.agreeing.clear();
    coverage.refused.clear();
    // A paper without a readable date cannot be said to lie in any later window.
    coverage.window = papers
        .iter()
        .filter_map(|paper| Some((paper.id.clone(), paper.submitted?)))
        .collect();
    coverage.empty_answers = if papers.is_empty() {
        coverage.empty_answers.saturating_add(1)
    } else {
        0
    };
}

/// Remembers that a fetch was not complete, for whatever reason.
pub fn incomplete(coverage: &mut KeywordCoverage, why: &dyn fmt::Display, now: DateTime<Utc>) {
    coverage.incomplete_since.get_or_insert(now);
    coverage.why = Some(why.to_string());
}

/// Whether papers of the last complete answer that must be here are not.
pub(super) fn loss(papers: &[Paper], asked: &Asked, past: &KeywordCoverage) -> Option<Reason> {
    let n_known = known(asked, past).count();
    let n_missing = vanished(papers, asked, past).len();
    if papers.is_empty() && n_known > 0 {
        Some(Reason::Zero { n_known })
    } else if n_missing > tolerance(n_known) {
        Some(Reason::Vanished { n_missing, n_known })
    } else {
        None
    }
}

/// The papers of the last complete answer that were submitted in the window asked for and are not here.
pub fn vanished(papers: &[Paper], asked: &Asked, past: &KeywordCoverage) -> Vec<ArxivId> {
    let here: BTreeSet<&ArxivId> = papers.iter().map(|paper| &paper.id).collect();
    known(asked, past).filter(|id| !here.contains(id)).cloned().collect()
}

/// The papers of the last complete answer that were submitted in the window asked for.
fn known<'p>(asked: &Asked, past: &'p KeywordCoverage) -> impl Iterator<Item = &'p ArxivId> {
    let within = asked.from..=asked.to;
    let known = past.window.iter().filter(move |(_, at)| within.contains(at));
    known.map(|(id, _)| id)
}

fn tolerance(n_papers: usize) -> usize {
    VANISHED_MAX.max(n_papers.saturating_mul(VANISHED_PERCENT_MAX) / 100)
}

/// When answers that were refused only as implausible agreed with this one and each other, this one included.
pub(super) fn agreeing_with(papers: &[Paper], past: &KeywordCoverage, now: DateTime<Utc>) -> Vec<DateTime<Utc>> {
    let mut agreeing = if agrees(papers, past) {
        past.agreeing.clone()
    } else {
        Vec::new()
    };
    if agreeing.len() >= AGREEING_MAX {
        // The first one carries the span.
        agreeing.truncate(AGREEING_MAX - 1);
    }
    agreeing.push(now);
    agreeing
}

/// Whether an answer holds the same as the refused one before it. Identifiers above all known ones were announced
/// in between and say nothing.
fn agrees(papers: &[Paper], past: &KeywordCoverage) -> bool {
    let before: BTreeSet<&ArxivId> = past.refused.iter().collect();
    let newest = before
        .last()
        .copied()
        .into_iter()
        .chain(past.window.iter().map(|(id, _)| id))
        .max();
    let now: BTreeSet<&ArxivId> = papers
        .iter()
        .map(|paper| &paper.id)
        .filter(|id| newest.is_none_or(|newest| *id <= newest))
        .collect();
    let n_different = before.symmetric_difference(&now).count();
    n_different <= tolerance(before.len().max(now.len())) && before.is_empty() == now.is_empty()
}

pub(super) fn is_confirmed(agreeing: &[DateTime<Utc>]) -> bool {
    let span = agreeing
        .first()
        .zip(agreeing.last())
        .map(|(first, last)| *last - *first);
    agreeing.len() >= AGREEING_MIN && span.is_some_and(|span| span >= AGREEING_SPAN)
}
