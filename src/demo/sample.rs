//! The invented papers that the demonstration's arXiv announces.

use chrono::{DateTime, NaiveDate, NaiveTime, TimeZone, Utc};
use chrono_tz::America::New_York;
use serde::Deserialize;

/// From this time of an announcement's evening on the query API shows it, US Eastern time: 3.5 hours after 20:00.
const VISIBLE: NaiveTime = NaiveTime::from_hms_opt(23, 30, 0).expect("23:30 is a time of day");

/// One paper, and when it can be seen.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Sample {
    /// The evening of its announcement, in US Eastern time.
    pub announced: NaiveDate,
    /// Its second version, where it has one.
    pub replacement: Option<Replacement>,
    /// Its first version.
    #[serde(flatten)]
    pub entry: Entry,
}

/// What a second version changes.
#[derive(Debug, Clone, Deserialize)]
pub(super) struct Replacement {
    /// The evening of its announcement, in US Eastern time.
    pub announced: NaiveDate,
    /// When it was submitted.
    pub updated: DateTime<Utc>,
    /// The authors' comment on it.
    pub comment: String,
}

/// A paper's metadata as one answer shows it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Entry {
    /// Identifier without version.
    pub id: String,
    /// From 1.
    #[serde(default = "first")]
    pub version: u16,
    pub title: String,
    pub authors: Vec<String>,
    /// The primary one first.
    pub categories: Vec<String>,
    #[serde(rename = "abstract")]
    pub abstract_text: String,
    /// When the first version was submitted.
    pub submitted: DateTime<Utc>,
    /// When this version was submitted, unless it is the first.
    pub updated: Option<DateTime<Utc>>,
    pub comment: Option<String>,
    pub journal_ref: Option<String>,
    pub doi: Option<String>,
}

fn first() -> u16 {
    1
}

/// The bundled papers, in the order of their identifiers.
pub(super) fn papers() -> Vec<Sample> {
    #[derive(Deserialize)]
    struct File {
        papers: Vec<Sample>,
    }
    let file: File = serde_json::from_str(include_str!("papers.json")).expect("the bundled file is read by tests too");
    file.papers
}

impl Sample {
    /// The paper as the query API shows it at `now`; `None` before its announcement.
    pub(super) fn at(&self, now: DateTime<Utc>) -> Option<Entry> {
        if !is_visible(self.announced, now) {
            return None;
        }
        let mut entry = self.entry.clone();
        if let Some(replacement) = &self.replacement
            && is_visible(replacement.announced, now)
        {
            entry.version += 1;
            entry.updated = Some(replacement.updated);
            entry.comment = Some(replacement.comment.clone());
        }
        Some(entry)
    }
}

impl Entry {
    /// When this version was submitted.
    pub(super) fn updated(&self) -> DateTime<Utc> {
        self.updated.unwrap_or(self.submitted)
    }
}

fn is_visible(announced: NaiveDate, now: DateTime<Utc>) -> bool {
    let local = announced.and_time(VISIBLE);
    New_York
        .from_local_datetime(&local)
        .earliest()
        .is_some_and(|from| from <= now)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use chrono::Timelike;

    use super::*;
    use crate::{
        arxiv::calendar,
        model::{ArxivId, VersionedId},
    };

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn the_bundled_papers_are_forty_distinct_ones_that_say_they_are_invented() {
        assert!(include_str!("papers.json").contains("\"about\": \"Invented sample papers"));
        let papers = papers();
        assert_eq!(papers.len(), 40);
        let ids: BTreeSet<&str> = papers.iter().map(|paper| paper.entry.id.as_str()).collect();
        assert_eq!(ids.len(), 40);
        for paper in &papers {
            let (id, _) = VersionedId::parse(&paper.entry.id).unwrap();
            // arXiv gives out some 30,000 identifiers per month.
            assert!(id.number() > 90_000, "{id}");
            assert!(
                !paper.entry.authors.is_empty() && !paper.entry.categories.is_empty(),
                "{id}"
            );
            assert!(paper.entry.abstract_text.len() > 100, "{id}");
        }
    }

    #[test]
    fn identifiers_rise_with_the_announcement_and_the_submissions_fit_its_window() {
        let papers = papers();
        let numbers = |paper: &Sample| {
            VersionedId::parse(&paper.entry.id)
                .map(|(id, _): (ArxivId, _)| id)
                .unwrap()
        };
        assert!(papers.windows(2).all(|pair| numbers(&pair[0]) < numbers(&pair[1])));
        assert!(papers.windows(2).all(|pair| pair[0].announced <= pair[1].announced));
        let late: Vec<&str> = papers
            .iter()
            .filter(|paper| {
                let evening = New_York
                    .from_local_datetime(&paper.announced.and_hms_opt(21, 0, 0).unwrap())
                    .unwrap();
                let announcement = calendar::latest_announcement(evening.to_utc());
                assert_eq!(announcement.evening, paper.announced, "{}", paper.entry.id);
                let before = calendar::latest_announcement(announcement.at - chrono::TimeDelta::hours(1));
                // The cut-off is six hours before the announcement; Friday's papers wait until Sunday, the weekend's until Monday.
                let days = match paper.announced.format("%a").to_string().as_str() {
                    "Sun" => 2,
                    _ => 0,
                };
                let end = announcement.at - chrono::TimeDelta::hours(6 + 24 * days);
                assert!(paper.entry.submitted < end, "{}", paper.entry.id);
                paper.entry.submitted < before.at - chrono::TimeDelta::hours(6 + 48)
            })
            .map(|paper| paper.entry.id.as_str())
            .collect();
        assert_eq!(late, ["2602.90301"], "one paper was held by moderation");
        assert!(papers.iter().all(|paper| paper.entry.submitted.nanosecond() == 0));
    }

    #[test]
    fn a_paper_is_seen_three_and_a_half_hours_after_its_announcement() {
        let papers = papers();
        let n_seen = |now: &str| papers.iter().filter(|paper| paper.at(at(now)).is_some()).count();
        assert_eq!(n_seen("2026-02-11T04:29:59Z"), 10);
        assert_eq!(n_seen("2026-02-11T04:30:00Z"), 20);
        assert_eq!(n_seen("2026-02-13T07:00:00Z"), 40);
    }

    #[test]
    fn a_replacement_takes_the_place_of_the_first_version() {
        let papers = papers();
        let paper = papers.iter().find(|paper| paper.entry.id == "2602.90103").unwrap();
        let before = paper.at(at("2026-02-10T07:00:00Z")).unwrap();
        let after = paper.at(at("2026-02-11T07:00:00Z")).unwrap();
        assert_eq!((before.version, before.updated()), (1, before.submitted));
        assert_eq!((after.version, after.updated()), (2, at("2026-02-10T11:02:45Z")));
        assert!(after.comment.unwrap().contains("has been withdrawn"));
    }
}
