//! Whether one page holds the first papers that were submitted from some moment on: floors rest on it.

use chrono::{DateTime, Utc};

use super::{super::atom::Feed, plausibility::is_outside};
use crate::model::ArxivId;

/// The papers of a page of at most `size` entries that was asked for from the oldest submission on, between two
/// moments; `None` where it cannot be said to begin at the beginning.
///
/// A floor that lies too high loses papers, so the page must be full or hold everything, hold nothing from outside
/// the dates, and be in order unless it holds everything: arXiv has ignored both dates and order before.
pub fn beginning(feed: &Feed, size: u32, from: DateTime<Utc>, to: DateTime<Utc>) -> Option<Vec<ArxivId>> {
    let total = feed.total_results?;
    let is_full = feed.n_entries as u64 >= total.min(u64::from(size));
    let dates: Vec<DateTime<Utc>> = feed.papers.iter().filter_map(|paper| paper.submitted).collect();
    let is_asked_for = !dates.iter().any(|at| is_outside(*at, from, to));
    let is_whole = feed.n_entries as u64 >= total;
    (is_full && is_asked_for && (is_whole || dates.is_sorted()))
        .then(|| feed.papers.iter().map(|paper| paper.id.clone()).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Paper;

    #[test]
    fn a_page_tells_a_floor_only_where_it_surely_begins_at_the_beginning() {
        let day = |day: u32| format!("2026-03-{day:02}T12:00:00Z").parse::<DateTime<Utc>>().unwrap();
        let check = |days: &[u32], total: u64, expected: bool| {
            let papers: Vec<Paper> = days
                .iter()
                .zip(1..)
                .map(|(submitted, number)| Paper {
                    submitted: Some(day(*submitted)),
                    id: ArxivId::from_parts(2026, 3, number).unwrap(),
                    ..crate::matching::fixture::paper("On graphs", "")
                })
                .collect();
            let feed = Feed {
                total_results: Some(total),
                n_entries: papers.len(),
                papers,
                ..Feed::default()
            };
            let found = beginning(&feed, 3, day(10), day(12));
            assert_eq!(
                found.map(|ids| ids.len()),
                expected.then_some(days.len()),
                "{days:?} of {total}"
            );
        };
        check(&[], 0, true);
        check(&[10, 11, 12], 3, true);
        check(&[10, 11, 12], 9, true);
        // Everything is there, so the order says nothing.
        check(&[12, 10, 11], 3, true);
        check(&[12, 10, 11], 9, false);
        // Papers of other days: the dates were ignored.
        check(&[1, 2, 3], 9, false);
        check(&[10, 11, 20], 9, false);
        // A hole, and a promise without papers.
        check(&[10, 11], 3, false);
        check(&[], 9, false);
        let without_total = Feed::default();
        assert_eq!(beginning(&without_total, 3, day(10), day(12)), None);
    }
}
