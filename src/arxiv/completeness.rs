//! The proof that the answers to one keyword's window are complete, and the memory that it rests on.
//!
//! arXiv answers trouble with valid feeds that hold too little. So an answer counts only when its pages agree
//! with each other, with the window that was asked for, and with the last complete answer. What a refused
//! answer holds are papers nevertheless: whatever is plausible may be used at once; only the keyword
//! stays incomplete, is named, and is asked again.

use std::{collections::BTreeSet, fmt};

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::{atom::Feed, calendar::Announcement};
use crate::model::{ArxivId, KeywordCoverage, Paper};

/// The most results that arXiv pages through: beyond that its service fails, so the window must be split.
pub const RESULTS_MAX: u64 = 10_000;
/// How far outside the window a submission may lie and still be believed.
pub const WINDOW_SLACK: TimeDelta = TimeDelta::days(1);
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

/// Why a paper was set aside.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Aside {
    /// Submitted more than [`WINDOW_SLACK`] outside the window.
    Dates,
    /// In none of the categories asked for.
    Categories,
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

/// What one look at a busy category showed: the memory of the freshness canary.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Sighting {
    /// The evening of the announcement that had surely been seen then.
    pub evening: NaiveDate,
    /// The highest identifier then.
    pub newest: ArxivId,
}

/// The freshness canary: whether the newest papers of a busy category (`cat:cs.LG`, some fifty of them) show that
/// arXiv has turned over to the `expected` announcement ([`super::calendar::latest_expected`]).
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

/// The distinct papers of all pages, and those that the search cannot have found.
fn sort_out(pages: &[Page<'_>], asked: &Asked) -> (Vec<Paper>, Vec<(ArxivId, Aside)>) {
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

fn aside(paper: &Paper, asked: &Asked) -> Option<Aside> {
    // A date that cannot be read never costs the paper.
    let is_outside =
        |at: DateTime<Utc>| at < saturating(asked.from, -WINDOW_SLACK) || at > saturating(asked.to, WINDOW_SLACK);
    if paper.submitted.is_some_and(is_outside) {
        return Some(Aside::Dates);
    }
    let is_asked = |category: &String| asked.categories.iter().any(|pattern| covers(pattern, category));
    let is_elsewhere =
        !asked.categories.is_empty() && !paper.categories.is_empty() && !paper.categories.iter().any(is_asked);
    is_elsewhere.then_some(Aside::Categories)
}

fn saturating(at: DateTime<Utc>, by: TimeDelta) -> DateTime<Utc> {
    at.checked_add_signed(by).unwrap_or(at)
}

/// Whether a category falls under `cs.LG`, `cs.*` or `hep-th`. An archive's bare name covers its classes too:
/// the mistake would only set papers aside.
fn covers(pattern: &str, category: &str) -> bool {
    let archive = pattern
        .strip_suffix('*')
        .map_or(pattern, |head| head.trim_end_matches('.'));
    let in_archive = category
        .strip_prefix(archive)
        .is_some_and(|rest| rest.is_empty() || rest.starts_with('.'));
    in_archive
        || pattern.strip_suffix('*').is_some_and(|head| category.starts_with(head))
        || is_alias(pattern, category)
}

/// arXiv lists some categories under two names and searches under both, but gives only one of them.
fn is_alias(pattern: &str, category: &str) -> bool {
    const ALIASES: [(&str, &str); 6] = [
        ("cs.IT", "math.IT"),
        ("cs.SY", "eess.SY"),
        ("math.NA", "cs.NA"),
        ("math.ST", "stat.TH"),
        ("math-ph", "math.MP"),
        ("q-fin.EC", "econ.GN"),
    ];
    let matches = |name: &str| match pattern.strip_suffix('*') {
        Some(head) => name.starts_with(head),
        None => name == pattern,
    };
    ALIASES
        .iter()
        .any(|(one, other)| (category == *one && matches(other)) || (category == *other && matches(one)))
}

/// What is wrong with the pages among themselves.
fn inconsistency(pages: &[Page<'_>]) -> Option<Reason> {
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

/// Whether papers of the last complete answer that must be here are not.
fn loss(papers: &[Paper], asked: &Asked, past: &KeywordCoverage) -> Option<Reason> {
    let here: BTreeSet<&ArxivId> = papers.iter().map(|paper| &paper.id).collect();
    let known = past
        .window
        .iter()
        .filter(|(_, at)| (asked.from..=asked.to).contains(at));
    let (mut n_known, mut n_missing) = (0, 0);
    for (id, _) in known {
        n_known += 1;
        n_missing += usize::from(!here.contains(id));
    }
    if papers.is_empty() && n_known > 0 {
        Some(Reason::Zero { n_known })
    } else if n_missing > tolerance(n_known) {
        Some(Reason::Vanished { n_missing, n_known })
    } else {
        None
    }
}

fn tolerance(n_papers: usize) -> usize {
    VANISHED_MAX.max(n_papers.saturating_mul(VANISHED_PERCENT_MAX) / 100)
}

/// When answers that were refused only as implausible agreed with this one and each other, this one included.
fn agreeing_with(papers: &[Paper], past: &KeywordCoverage, now: DateTime<Utc>) -> Vec<DateTime<Utc>> {
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

fn is_confirmed(agreeing: &[DateTime<Utc>]) -> bool {
    let span = agreeing
        .first()
        .zip(agreeing.last())
        .map(|(first, last)| *last - *first);
    agreeing.len() >= AGREEING_MIN && span.is_some_and(|span| span >= AGREEING_SPAN)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arxiv::calendar;

    const DAY: TimeDelta = TimeDelta::days(1);

    fn now() -> DateTime<Utc> {
        "2026-03-11T07:00:00Z".parse().unwrap()
    }

    fn asked() -> Asked {
        Asked {
            from: now() - DAY * 45,
            to: now() + DAY,
            categories: Vec::new(),
        }
    }

    fn paper(number: u32, days_ago: i32) -> Paper {
        let id = ArxivId::from_parts(2026, 3, number).unwrap();
        Paper {
            title: id.to_string(),
            id,
            version: 1,
            authors: Vec::new(),
            abstract_text: String::new(),
            submitted: Some(now() - DAY * days_ago),
            updated: None,
            categories: vec!["cs.LG".to_owned()],
            comment: None,
            journal_ref: None,
            doi: None,
            withdrawn: false,
        }
    }

    fn feed(start: u64, total: u64, papers: impl IntoIterator<Item = Paper>) -> Feed {
        let papers: Vec<Paper> = papers.into_iter().collect();
        Feed {
            total_results: Some(total),
            start_index: Some(start),
            n_entries: papers.len(),
            papers,
            ..Feed::default()
        }
    }

    fn prove_all(feeds: &[(u64, Feed)], past: &KeywordCoverage) -> Proof {
        let pages: Vec<Page<'_>> = feeds.iter().map(|(start, feed)| Page { start: *start, feed }).collect();
        prove(&pages, &asked(), past, now())
    }

    fn why(proof: &Proof) -> Option<&Reason> {
        match &proof.verdict {
            Verdict::Complete => None,
            Verdict::Incomplete { why, .. } => Some(why),
        }
    }

    fn past(numbers: std::ops::Range<u32>) -> KeywordCoverage {
        let mut coverage = KeywordCoverage::default();
        let papers: Vec<Paper> = numbers.map(|number| paper(number, 3)).collect();
        complete(&mut coverage, &papers, now() - DAY, false);
        coverage
    }

    #[test]
    fn pages_that_add_up_are_complete_whatever_their_order_and_overlap() {
        // CASES 24, 25, 26, 29, 54: unsorted, lower identifiers later, all pages, an exact multiple, an overlap.
        let first = feed(0, 4, [paper(54, 1), paper(9, 30)]);
        let second = feed(2, 4, [paper(21, 2), paper(1, 2)]);
        let proof = prove_all(&[(0, first.clone()), (2, second)], &KeywordCoverage::default());
        assert_eq!(proof.verdict, Verdict::Complete);
        assert_eq!(
            proof.papers.iter().map(|paper| paper.id.number()).collect::<Vec<_>>(),
            [1, 9, 21, 54]
        );
        let overlapping = feed(1, 3, [paper(9, 30), paper(21, 2)]);
        let first = Feed {
            total_results: Some(3),
            ..first
        };
        assert_eq!(
            prove_all(&[(0, first), (1, overlapping)], &KeywordCoverage::default())
                .papers
                .len(),
            3
        );
    }

    #[test]
    fn holes_and_disagreeing_pages_are_never_complete() {
        let none = KeywordCoverage::default();
        let check = |feeds: &[(u64, Feed)], expected: Reason| {
            let proof = prove_all(feeds, &none);
            assert_eq!(
                proof.verdict,
                Verdict::Incomplete {
                    why: expected,
                    retry: true
                }
            );
        };
        check(&[], Reason::NoAnswer);
        // CASES 22 (c), 23: results are promised and none come, on the first page or a later one.
        check(&[(0, feed(0, 37, []))], Reason::Count { got: 0, total: 37 });
        check(
            &[(0, feed(0, 3, [paper(1, 1), paper(2, 1)])), (2, feed(2, 3, []))],
            Reason::Count { got: 2, total: 3 },
        );
        // A duplicate does not stand in for the one that is missing.
        check(
            &[
                (0, feed(0, 3, [paper(1, 1), paper(2, 1)])),
                (2, feed(2, 3, [paper(2, 1)])),
            ],
            Reason::Count { got: 2, total: 3 },
        );
        check(
            &[(0, feed(0, 1, [paper(1, 1), paper(2, 1)]))],
            Reason::Count { got: 2, total: 1 },
        );
        check(
            &[(0, feed(0, 2, [paper(1, 1)])), (1, feed(1, 3, [paper(2, 1)]))],
            Reason::TotalChanged { first: 2, then: 3 },
        );
        // CASE 27: the server answered another page.
        check(
            &[(0, feed(0, 2, [paper(1, 1)])), (1, feed(0, 2, [paper(2, 1)]))],
            Reason::WrongPage { start: 1, got: 0 },
        );
        check(&[(0, Feed::default())], Reason::NoCount { start: 0 });
        let broad = prove_all(&[(0, feed(0, 10_001, [paper(1, 1)]))], &none);
        assert_eq!(
            broad.verdict,
            Verdict::Incomplete {
                why: Reason::TooBroad { total: 10_001 },
                retry: false
            }
        );
    }

    #[test]
    fn a_rejected_entry_does_not_keep_a_keyword_incomplete() {
        let mut feed = feed(0, 3, [paper(1, 1)]);
        for id in [Some("2603.00002".to_owned()), None] {
            feed.rejected.push(crate::arxiv::Rejected {
                id,
                why: "broken".to_owned(),
            });
        }
        assert_eq!(
            prove_all(&[(0, feed)], &KeywordCoverage::default()).verdict,
            Verdict::Complete
        );
    }

    #[test]
    fn papers_that_were_not_asked_for_are_set_aside_and_asked_again() {
        // The range of dates was ignored (CASE 24: papers of 2020).
        let mut undated = paper(4, 0);
        undated.submitted = None;
        let proof = prove_all(
            &[(0, feed(0, 4, [paper(1, 1), paper(2, 2000), paper(3, -3), undated]))],
            &KeywordCoverage::default(),
        );
        assert_eq!(
            proof.verdict,
            Verdict::Incomplete {
                why: Reason::Implausible { n_papers: 2 },
                retry: true
            }
        );
        assert_eq!(
            proof.papers.iter().map(|paper| paper.id.number()).collect::<Vec<_>>(),
            [1, 4]
        );
        assert!(proof.set_aside.iter().all(|(_, why)| *why == Aside::Dates));
        // A day outside is believed.
        assert_eq!(
            prove_all(&[(0, feed(0, 1, [paper(1, 46)]))], &KeywordCoverage::default()).verdict,
            Verdict::Complete
        );
        let check = |pattern: &str, category: &str, expected: bool| {
            let asked = Asked {
                categories: vec![pattern.to_owned()],
                ..asked()
            };
            let paper = Paper {
                categories: vec![category.to_owned()],
                ..paper(1, 1)
            };
            assert_eq!(aside(&paper, &asked).is_none(), expected, "{pattern} {category}");
        };
        check("cs.*", "cs.LG", true);
        check("cs.*", "css.LG", false);
        check("cs.LG", "cs.AI", false);
        check("hep-th", "hep-th", true);
        check("math.*", "stat.TH", true);
        check("math.IT", "cs.IT", true);
        check("cs.L*", "cs.LG", true);
    }

    #[test]
    fn a_zero_is_a_quiet_window_only_where_nothing_was_known() {
        // CASE 22 (b).
        assert_eq!(
            prove_all(&[(0, feed(0, 0, []))], &KeywordCoverage::default()).verdict,
            Verdict::Complete
        );
        let proof = prove_all(&[(0, feed(0, 0, []))], &past(1..4));
        assert_eq!(
            proof.verdict,
            Verdict::Incomplete {
                why: Reason::Zero { n_known: 3 },
                retry: true
            }
        );
        // What was known has left the window.
        let mut old = KeywordCoverage::default();
        complete(&mut old, &[paper(1, 60)], now() - DAY, true);
        assert_eq!(prove_all(&[(0, feed(0, 0, []))], &old).verdict, Verdict::Complete);
    }

    #[test]
    fn a_few_papers_may_vanish_but_not_many() {
        let check = |n_known: u32, n_missing: u32, expected: bool| {
            let papers = (n_missing..n_known).map(|number| paper(number, 3));
            let proof = prove_all(
                &[(0, feed(0, u64::from(n_known - n_missing), papers))],
                &past(0..n_known),
            );
            assert_eq!(why(&proof).is_none(), expected, "{n_missing} of {n_known}");
        };
        check(10, 2, true);
        check(10, 3, false);
        check(100, 5, true);
        check(100, 6, false);
    }

    #[test]
    fn an_unlikely_answer_is_believed_when_three_over_twelve_hours_agree() {
        let start = now();
        let run = |answers: &[(i64, Vec<Paper>)]| {
            let mut coverage = past(1..21);
            let mut verdicts = Vec::new();
            for (hours, papers) in answers {
                let feed = feed(0, papers.len() as u64, papers.clone());
                let at = start + TimeDelta::hours(*hours);
                let proof = prove(&[Page { start: 0, feed: &feed }], &asked(), &coverage, at);
                remember(&mut coverage, &proof, at, false);
                verdicts.push(proof.verdict == Verdict::Complete);
            }
            (verdicts, coverage)
        };
        let half = || (1..10).map(|number| paper(number, 3)).collect::<Vec<_>>();
        let (verdicts, coverage) = run(&[(0, half()), (6, half()), (11, half()), (12, half())]);
        assert_eq!(verdicts, [false, false, false, true]);
        assert_eq!(
            (
                coverage.window.len(),
                coverage.incomplete_since,
                coverage.agreeing.len()
            ),
            (9, None, 0)
        );
        // Two are not enough, and a different one begins the count again.
        assert_eq!(run(&[(0, half()), (24, half())]).0, [false, false]);
        assert_eq!(
            run(&[(0, half()), (6, vec![]), (12, half()), (18, half()), (24, half())]).0,
            [false, false, false, false, true]
        );
        assert_eq!(run(&[(0, vec![]), (6, vec![]), (12, vec![])]).0, [false, false, true]);
        // A paper announced in between does not spoil the agreement.
        let more = || half().into_iter().chain([paper(99, 0)]).collect();
        assert_eq!(run(&[(0, half()), (6, half()), (12, more())]).0, [false, false, true]);
    }

    #[test]
    fn the_memory_keeps_when_and_why() {
        let mut coverage = past(1..4);
        incomplete(&mut coverage, &"HTTP 503", now());
        incomplete(&mut coverage, &Reason::Count { got: 1, total: 2 }, now() + DAY);
        assert_eq!(
            (coverage.incomplete_since, coverage.why.as_deref()),
            (Some(now()), Some("1 of 2 results came"))
        );
        assert_eq!(coverage.window.len(), 3);
        complete(&mut coverage, &[], now() + DAY, true);
        assert_eq!(
            (
                coverage.empty_answers,
                coverage.incomplete_since,
                coverage.why.as_deref()
            ),
            (1, None, None)
        );
        assert_eq!(
            (coverage.last_complete, coverage.last_deep),
            (Some(now() + DAY), Some(now() + DAY))
        );
    }

    #[test]
    fn a_day_old_answer_is_not_fresh() {
        // CASES 36, 55. Wednesday 11 March 2026, 07:00 UTC: Tuesday's announcement is due; its window begins Monday 18:00 UTC.
        let expected = calendar::latest_expected(now());
        assert_eq!(expected.evening.to_string(), "2026-03-10");
        let last = Sighting {
            evening: expected.previous().evening,
            newest: paper(100, 0).id,
        };
        let at = |number: u32, at: &str| Paper {
            submitted: at.parse().ok(),
            ..paper(number, 0)
        };
        let check = |papers: &[Paper], last: Option<&Sighting>, expected_fresh: bool| {
            assert_eq!(fresh(papers, last, &expected), expected_fresh);
            assert_eq!(
                sighting(papers, last, &expected).is_some(),
                expected_fresh && last.is_none_or(|last| last.evening < expected.evening)
            );
        };
        check(
            &[at(120, "2026-03-09T20:00:00Z"), at(90, "2026-03-09T10:00:00Z")],
            Some(&last),
            true,
        );
        check(&[at(100, "2026-03-09T17:00:00Z")], Some(&last), false);
        // Newer than the last sighting, but of an announcement before the expected one.
        check(&[at(110, "2026-03-09T17:00:00Z")], Some(&last), false);
        check(&[at(110, "2026-03-09T19:00:00Z")], None, true);
        check(&[], None, false);
        check(
            &[],
            Some(&Sighting {
                evening: expected.evening,
                ..last.clone()
            }),
            true,
        );
    }
}
