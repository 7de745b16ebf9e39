//! When arXiv announces, and from when on each interface shows it.
//!
//! Announcements are made Sunday to Thursday at 20:00 US Eastern time. Some evenings are deferred; which ones is
//! known for the years below only, and others happen without notice. So nothing is ever decided by a deferred
//! evening except that nobody is alarmed when nothing new comes.

use chrono::{DateTime, Datelike, Days, NaiveDate, NaiveTime, TimeDelta, TimeZone, Utc, Weekday};
use chrono_tz::America::New_York;

use crate::model::Silence;

/// The evening's hour of the announcement, US Eastern time.
const ANNOUNCED: NaiveTime = NaiveTime::from_hms_opt(20, 0, 0).expect("20:00 is a time of day");
/// Submissions until this hour belong to the day, US Eastern time.
const CUT_OFF: NaiveTime = NaiveTime::from_hms_opt(14, 0, 0).expect("14:00 is a time of day");
/// From this hour of the next day on every interface has turned over, US Eastern time.
const TURNED_OVER: NaiveTime = NaiveTime::from_hms_opt(0, 30, 0).expect("00:30 is a time of day");

/// Evenings without announcement, by year, as (month, day).
///
/// 2026 as arXiv published it. arXiv has not published 2027: these are the same holidays, where they fall on
/// an evening that would have an announcement.
const DEFERRED: [(i32, &[(u32, u32)]); 2] = [
    (
        2026,
        &[
            (1, 1),
            (1, 19),
            (6, 19),
            (7, 3),
            (9, 7),
            (11, 26),
            (12, 25),
            (12, 29),
            (12, 31),
        ],
    ),
    (2027, &[(1, 18), (7, 5), (9, 6), (11, 25), (12, 28), (12, 30)]),
];

/// One public release of papers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Announcement {
    /// The evening, in US Eastern time: its name.
    pub evening: NaiveDate,
    /// The moment: 20:00 US Eastern of that evening.
    pub at: DateTime<Utc>,
}

/// The ways in which arXiv hands out metadata.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interface {
    /// The query API: 3.5 to 4.5 hours after the announcement.
    Api,
    /// OAI-PMH: about 22:30 US Eastern.
    Oai,
    /// RSS and Atom feeds: midnight US Eastern.
    Rss,
}

/// The latest announcement that the calendar has made by `now`, whether or not its evening is deferred.
pub fn latest_announcement(now: DateTime<Utc>) -> Announcement {
    let today = now.with_timezone(&New_York).date_naive();
    let mut evening = today;
    if eastern(today, ANNOUNCED) > now {
        evening = before(evening);
    }
    while !is_announcement_evening(evening) {
        evening = before(evening);
    }
    Announcement::of(evening)
}

/// The latest announcement that every interface must show by `now`: deferred evenings and those after which not
/// all interfaces have turned over are passed by. This is what a freshness alarm may expect.
pub fn latest_expected(now: DateTime<Utc>) -> Announcement {
    let mut announcement = latest_announcement(now);
    while announcement.visible_from() > now || is_deferred(announcement.evening) {
        announcement = announcement.previous();
    }
    announcement
}

/// Why a fetch at `now` after one at `since` brought nothing new. `is_current` says whether arXiv showed the latest
/// announcement that could be expected, `is_complete` whether all keywords were fetched completely.
pub fn silence(since: DateTime<Utc>, now: DateTime<Utc>, is_current: bool, is_complete: bool) -> Silence {
    let expected = latest_expected(now);
    let made = latest_announcement(now);
    if !is_complete {
        Silence::FetchFailed
    } else if expected.visible_from() > since {
        if is_current {
            Silence::NothingMatched
        } else {
            Silence::NotYet
        }
    } else if made.visible_from() > now && !is_deferred(made.evening) {
        Silence::NotYet
    } else {
        Silence::NoAnnouncement
    }
}

/// Whether arXiv has said that it makes no announcement that evening (or, for 2027, probably will not).
pub fn is_deferred(evening: NaiveDate) -> bool {
    DEFERRED
        .iter()
        .any(|(year, days)| *year == evening.year() && days.contains(&(evening.month(), evening.day())))
}

impl Announcement {
    /// The announcement of an evening; the caller has chosen one that has one.
    pub fn of(evening: NaiveDate) -> Self {
        Self {
            evening,
            at: eastern(evening, ANNOUNCED),
        }
    }

    /// The announcement before this one.
    #[must_use]
    pub fn previous(&self) -> Self {
        let mut evening = before(self.evening);
        while !is_announcement_evening(evening) {
            evening = before(evening);
        }
        Self::of(evening)
    }

    /// The announcement after this one.
    #[must_use]
    pub fn next(&self) -> Self {
        let mut evening = after(self.evening);
        while !is_announcement_evening(evening) {
            evening = after(evening);
        }
        Self::of(evening)
    }

    /// The submissions that this announcement holds unless moderation delays them: from the first moment, before
    /// the second. After a deferred evening it holds those of that evening too.
    pub fn submission_window(&self) -> (DateTime<Utc>, DateTime<Utc>) {
        let back = |days: u64| {
            let day = self.evening.checked_sub_days(Days::new(days)).unwrap_or(self.evening);
            eastern(day, CUT_OFF)
        };
        match self.evening.weekday() {
            Weekday::Sun => (back(3), back(2)),
            Weekday::Mon => (back(3), back(0)),
            _ => (back(1), back(0)),
        }
    }

    /// From when on all interfaces show this announcement: 00:30 US Eastern after it.
    pub fn visible_from(&self) -> DateTime<Utc> {
        eastern(after(self.evening), TURNED_OVER)
    }

    /// From when on this interface is expected to show this announcement; the earliest recorded, not a promise.
    pub fn visible_in(&self, interface: Interface) -> DateTime<Utc> {
        match interface {
            Interface::Api => self.at + TimeDelta::minutes(210),
            Interface::Oai => self.at + TimeDelta::minutes(150),
            Interface::Rss => eastern(after(self.evening), NaiveTime::MIN),
        }
    }
}

fn is_announcement_evening(day: NaiveDate) -> bool {
    !matches!(day.weekday(), Weekday::Fri | Weekday::Sat)
}

fn before(day: NaiveDate) -> NaiveDate {
    day.pred_opt().unwrap_or(day)
}

fn after(day: NaiveDate) -> NaiveDate {
    day.succ_opt().unwrap_or(day)
}

/// A time of day in New York. None of the times above is ever skipped or repeated: the clock changes at 02:00.
fn eastern(day: NaiveDate, time: NaiveTime) -> DateTime<Utc> {
    let local = day.and_time(time);
    New_York
        .from_local_datetime(&local)
        .earliest()
        .map_or_else(|| local.and_utc(), |at| at.to_utc())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn day(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn check(now: &str, evening: &str, announced: &str) {
        let announcement = latest_announcement(at(now));
        assert_eq!(
            (announcement.evening, announcement.at),
            (day(evening), at(announced)),
            "{now}"
        );
        assert!(announcement.at <= at(now) && announcement.next().at > at(now), "{now}");
        assert_eq!(announcement.next().previous(), announcement, "{now}");
    }

    #[test]
    fn the_latest_announcement_is_found_on_every_day_and_in_both_offsets() {
        // Winter: 20:00 Eastern is 01:00 UTC of the next day.
        check("2026-02-11T00:59:59Z", "2026-02-09", "2026-02-10T01:00:00Z");
        check("2026-02-11T01:00:00Z", "2026-02-10", "2026-02-11T01:00:00Z");
        // Summer: 00:00 UTC.
        check("2026-07-15T00:00:00Z", "2026-07-14", "2026-07-15T00:00:00Z");
        // Friday, Saturday and most of Sunday still show Thursday's.
        for now in ["2026-02-13T12:00:00Z", "2026-02-14T12:00:00Z", "2026-02-15T23:00:00Z"] {
            check(now, "2026-02-12", "2026-02-13T01:00:00Z");
        }
        check("2026-02-16T01:30:00Z", "2026-02-15", "2026-02-16T01:00:00Z");
        // The clocks change on Sunday 8 March 2026.
        check("2026-03-09T00:30:00Z", "2026-03-08", "2026-03-09T00:00:00Z");
    }

    #[test]
    fn submission_windows_follow_each_other_without_gap() {
        let window = |evening: &str| Announcement::of(day(evening)).submission_window();
        assert_eq!(
            window("2026-02-10"),
            (at("2026-02-09T19:00:00Z"), at("2026-02-10T19:00:00Z"))
        );
        assert_eq!(
            window("2026-02-15"),
            (at("2026-02-12T19:00:00Z"), at("2026-02-13T19:00:00Z"))
        );
        assert_eq!(
            window("2026-02-16"),
            (at("2026-02-13T19:00:00Z"), at("2026-02-16T19:00:00Z"))
        );
        let mut announcement = latest_announcement(at("2026-01-01T12:00:00Z"));
        for _ in 0..300 {
            let next = announcement.next();
            assert_eq!(
                announcement.submission_window().1,
                next.submission_window().0,
                "{}",
                next.evening
            );
            announcement = next;
        }
    }

    #[test]
    fn every_interface_has_turned_over_by_half_past_midnight() {
        let announcement = Announcement::of(day("2026-02-10"));
        assert_eq!(announcement.visible_from(), at("2026-02-11T05:30:00Z"));
        for interface in [Interface::Api, Interface::Oai, Interface::Rss] {
            let seen = announcement.visible_in(interface);
            assert!(
                announcement.at < seen && seen <= announcement.visible_from(),
                "{interface:?}"
            );
        }
    }

    #[test]
    fn deferred_evenings_only_lower_what_may_be_expected() {
        // Thanksgiving 2026 is Thursday 26 November; the calendar goes on as if nothing were.
        let now = at("2026-11-27T12:00:00Z");
        assert_eq!(latest_announcement(now).evening, day("2026-11-26"));
        assert_eq!(latest_expected(now).evening, day("2026-11-25"));
        // Between announcement and 00:30 Eastern the one before is what may be expected.
        assert_eq!(latest_expected(at("2026-02-11T03:00:00Z")).evening, day("2026-02-09"));
        assert_eq!(latest_expected(at("2026-02-11T05:30:00Z")).evening, day("2026-02-10"));
        assert!(is_deferred(day("2027-11-25")) && !is_deferred(day("2026-11-25")) && !is_deferred(day("2030-12-25")));
    }

    #[test]
    fn each_silence_has_its_own_cause() {
        let check = |since: &str, now: &str, is_current: bool, is_complete: bool, expected: Silence| {
            let at = |text: &str| text.parse::<DateTime<Utc>>().unwrap();
            assert_eq!(
                silence(at(since), at(now), is_current, is_complete),
                expected,
                "{since} {now} {is_current} {is_complete}"
            );
        };
        let (tuesday, wednesday) = ("2026-02-10T07:00:00Z", "2026-02-11T07:00:00Z");
        check(tuesday, wednesday, true, true, Silence::NothingMatched);
        check(tuesday, wednesday, false, true, Silence::NotYet);
        check(tuesday, wednesday, true, false, Silence::FetchFailed);
        // Friday's announcement was seen on Friday morning; Saturday brings none.
        check(
            "2026-02-13T07:00:00Z",
            "2026-02-14T07:00:00Z",
            true,
            true,
            Silence::NoAnnouncement,
        );
        check(
            "2026-02-11T07:00:00Z",
            "2026-02-11T19:00:00Z",
            true,
            true,
            Silence::NoAnnouncement,
        );
        // The evening's announcement is made, but not every interface shows it before half past midnight Eastern.
        check(
            "2026-02-11T19:00:00Z",
            "2026-02-12T02:00:00Z",
            true,
            true,
            Silence::NotYet,
        );
        // 1 January 2026, a Thursday, had no announcement.
        check(
            "2026-01-01T07:00:00Z",
            "2026-01-02T07:00:00Z",
            true,
            true,
            Silence::NoAnnouncement,
        );
    }
}
