//! What is remembered of each OAI-PMH set, and whether its next answer counts.
//!
//! Datestamps only move forward, so a list that reaches back to the latest change already seen can neither be
//! empty nor end before it. Every list is therefore asked for from that day or an earlier one.

use std::collections::BTreeMap;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use crate::arxiv::completeness::{AGREEING_MIN, AGREEING_SPAN};

/// How far behind the last complete answer a list begins: arXiv's content network may have answered from a copy
/// that was made before the nightly update.
const OVERLAP: TimeDelta = TimeDelta::days(3);
/// A list never begins later than this before today: answers without any record are kept by the network for the
/// rest of the day and would hide the update.
const RECENT: TimeDelta = TimeDelta::days(2);
/// How far back the first list of a set begins.
const FIRST_REACH: TimeDelta = TimeDelta::days(7);
/// How far back the latest change of a quiet set may be to be asked for again.
const QUIET_MAX: TimeDelta = TimeDelta::days(30);
/// No list begins earlier than this before today.
const REACH_MAX: TimeDelta = TimeDelta::days(400);

/// The memory of all sets, by their names.
pub(super) type Book = BTreeMap<String, SetMemory>;

/// What is remembered of one set.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct SetMemory {
    /// The day on which the last complete list was answered, by arXiv's clock.
    pub(super) answered: Option<NaiveDate>,
    /// When that was, by the calendar here.
    pub(super) completed: Option<DateTime<Utc>>,
    /// The latest change in it or in one before.
    pub(super) latest_change: Option<NaiveDate>,
    /// The earliest day that was asked for in vain since.
    pub(super) owed: Option<NaiveDate>,
    /// Since when no list has been complete.
    pub(super) incomplete_since: Option<DateTime<Utc>>,
    /// Why not, in words.
    pub(super) why: Option<String>,
    /// When lists came that were whole and only hard to believe.
    pub(super) doubted: Vec<DateTime<Utc>>,
}

/// What one list held that was read to its end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(super) struct List {
    /// When its first page was answered.
    pub(super) answered: Option<DateTime<Utc>>,
    /// The latest change in it.
    pub(super) latest_change: Option<NaiveDate>,
    /// How many records it held.
    pub(super) n_records: usize,
    /// How many of them could be read as papers.
    pub(super) n_papers: usize,
    /// How many of these are filed under the set's category.
    pub(super) n_own: usize,
}

impl SetMemory {
    /// From which day the next list must begin, so that nothing is missed and an empty answer is known to be
    /// wrong. `since` is how far back the run wants to see for other reasons.
    pub(super) fn begin(&self, since: Option<NaiveDate>, today: NaiveDate) -> NaiveDate {
        let usual = self.answered.map_or(today - FIRST_REACH, |answered| {
            let latest = self.latest_change.unwrap_or(answered).max(answered - QUIET_MAX);
            latest.min(answered - OVERLAP)
        });
        let wanted = [Some(usual), self.owed, since, Some(today - RECENT)];
        let begin = wanted.into_iter().flatten().min().unwrap_or(usual);
        let earliest = today - REACH_MAX;
        if begin < earliest {
            tracing::warn!(
                since = %begin,
                "the gap is longer than {} days: what arXiv changed before {earliest} is not looked at again",
                REACH_MAX.num_days()
            );
        }
        begin.max(earliest)
    }

    /// Why a whole list that began on `begin` cannot be believed; `None` when it can.
    pub(super) fn doubt(&self, list: &List, begin: NaiveDate) -> Option<String> {
        if list.n_papers > 0 && list.n_own == 0 {
            return Some(format!(
                "none of its {} papers is filed under the category that was asked for",
                list.n_papers
            ));
        }
        let known = self.latest_change.filter(|known| *known >= begin)?;
        match list.latest_change {
            Some(latest) if latest >= known => None,
            // Without datestamps nothing can be said against it.
            None if list.n_records > 0 => None,
            Some(latest) => Some(format!("the list ends on {latest}, but a change of {known} was known")),
            None => Some(format!("the list is empty, but a change of {known} was known")),
        }
    }

    /// Remembers a list that was believed at once, or after others like it.
    pub(super) fn complete(&mut self, list: &List, now: DateTime<Utc>) {
        *self = Self {
            // A server whose clock is ahead must not make the next list begin too late.
            answered: Some(list.answered.map_or(now, |answered| answered.min(now)).date_naive()),
            completed: Some(now),
            latest_change: list.latest_change,
            ..Self::default()
        };
    }

    /// Remembers a list that is hard to believe. Returns whether it must be believed all the same, because it
    /// has come again and again for long enough.
    pub(super) fn doubted(&mut self, now: DateTime<Utc>) -> bool {
        // Several answers of one run are one piece of evidence.
        if self.doubted.last() != Some(&now) {
            self.doubted.push(now);
        }
        let is_long = self.doubted.first().is_some_and(|first| now - *first >= AGREEING_SPAN);
        is_long && self.doubted.len() >= AGREEING_MIN
    }

    /// Remembers that the list which was to begin on `begin` is still owed.
    pub(super) fn incomplete(&mut self, why: String, begin: NaiveDate, now: DateTime<Utc>) {
        self.owed = Some(self.owed.map_or(begin, |owed| owed.min(begin)));
        self.incomplete_since.get_or_insert(now);
        self.why = Some(why);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn day(number: u32) -> NaiveDate {
        NaiveDate::from_ymd_opt(2026, 3, number).unwrap()
    }

    fn noon(number: u32) -> DateTime<Utc> {
        day(number).and_hms_opt(12, 0, 0).unwrap().and_utc()
    }

    fn list(latest: Option<u32>, answered: u32) -> List {
        List {
            answered: Some(noon(answered)),
            latest_change: latest.map(day),
            n_records: usize::from(latest.is_some()),
            ..List::default()
        }
    }

    #[test]
    fn a_list_begins_early_enough_to_overlap_the_one_before() {
        let check =
            |answered: Option<u32>, latest: Option<u32>, owed: Option<u32>, since: Option<u32>, expected: u32| {
                let memory = SetMemory {
                    answered: answered.map(day),
                    latest_change: latest.map(day),
                    owed: owed.map(day),
                    ..SetMemory::default()
                };
                assert_eq!(
                    memory.begin(since.map(day), day(20)),
                    day(expected),
                    "{answered:?} {latest:?} {owed:?} {since:?}"
                );
            };
        check(None, None, None, None, 13);
        check(None, None, None, Some(5), 5);
        check(Some(19), Some(19), None, None, 16);
        // A quiet set is asked for from its latest change on, so that an empty answer is known to be wrong.
        check(Some(19), Some(10), None, None, 10);
        check(Some(19), None, None, None, 16);
        // A gap of any length is read over.
        check(Some(5), Some(5), None, None, 2);
        check(Some(19), Some(19), Some(8), None, 8);
        check(Some(19), Some(19), None, Some(12), 12);
        // A clock that was set back.
        check(Some(25), Some(25), None, None, 18);
        // A set that has been quiet for long is not read over all that time again, and a gap of years not over years.
        let begin = |answered: NaiveDate, latest_change: &str| {
            let memory = SetMemory {
                answered: Some(answered),
                latest_change: latest_change.parse().ok(),
                ..SetMemory::default()
            };
            memory.begin(None, day(20))
        };
        assert_eq!(begin(day(19), "2025-10-01"), day(19) - QUIET_MAX);
        assert_eq!(begin(day(19) - REACH_MAX * 2, "2024-01-01"), day(20) - REACH_MAX);
    }

    #[test]
    fn an_answer_counts_from_the_servers_day_but_never_from_one_to_come() {
        for (answered, expected) in [(9, 9), (10, 10), (12, 10)] {
            let mut memory = SetMemory::default();
            memory.complete(&list(Some(8), answered), noon(10));
            assert_eq!(memory.answered, Some(day(expected)), "answered on {answered}");
        }
    }

    #[test]
    fn only_the_latest_change_catches_an_empty_or_older_list() {
        let memory = SetMemory {
            latest_change: Some(day(10)),
            ..SetMemory::default()
        };
        let check = |latest: Option<u32>, begin: u32, is_doubted: bool| {
            let doubt = memory.doubt(&list(latest, 12), day(begin));
            assert_eq!(doubt.is_some(), is_doubted, "{latest:?} from {begin}: {doubt:?}");
        };
        check(Some(11), 8, false);
        check(Some(10), 8, false);
        check(Some(9), 8, true);
        check(None, 8, true);
        // A list that begins after it proves nothing.
        check(None, 11, false);
        assert_eq!(SetMemory::default().doubt(&list(None, 12), day(1)), None);
        // Records without a day of change say nothing.
        let undated = List {
            n_records: 5,
            ..list(None, 12)
        };
        assert_eq!(memory.doubt(&undated, day(8)), None);
    }

    #[test]
    fn only_the_categories_catch_the_list_of_another_set() {
        let check = |n_papers: usize, n_own: usize, is_doubted: bool| {
            let list = List {
                n_papers,
                n_own,
                ..list(Some(11), 12)
            };
            let doubt = SetMemory::default().doubt(&list, day(8));
            assert_eq!(doubt.is_some(), is_doubted, "{n_own} of {n_papers}: {doubt:?}");
        };
        check(0, 0, false);
        check(40, 40, false);
        check(40, 1, false);
        check(40, 0, true);
    }

    #[test]
    fn a_doubted_list_is_believed_after_three_runs_over_twelve_hours() {
        let mut memory = SetMemory::default();
        let at = |hour: i64| noon(10) + TimeDelta::hours(hour);
        assert!(!memory.doubted(at(0)));
        assert!(!memory.doubted(at(0)));
        assert!(!memory.doubted(at(6)));
        assert!(!memory.doubted(at(11)));
        assert!(memory.doubted(at(12)));
        memory.complete(&list(None, 11), at(12));
        assert!(memory.doubted.is_empty());
        // Two runs are not enough, however far apart; nor is one more answer in the same run.
        let mut memory = SetMemory::default();
        assert!(![0, 24].map(|hour| memory.doubted(at(hour))).contains(&true));
        let mut memory = SetMemory::default();
        assert!(![0, 0, 24].map(|hour| memory.doubted(at(hour))).contains(&true));
    }

    #[test]
    fn what_was_asked_in_vain_stays_owed_until_a_complete_list() {
        let mut memory = SetMemory::default();
        memory.complete(&list(Some(10), 10), noon(10));
        memory.incomplete("503".into(), day(7), noon(11));
        memory.incomplete("504".into(), day(9), noon(12));
        assert_eq!((memory.owed, memory.incomplete_since), (Some(day(7)), Some(noon(11))));
        assert_eq!(memory.answered, Some(day(10)));
        memory.complete(&list(Some(13), 13), noon(13));
        assert_eq!(
            (memory.owed, memory.incomplete_since, memory.why.as_deref()),
            (None, None, None)
        );
        assert_eq!(memory.begin(None, day(14)), day(10));
    }
}
