//! When digests fall due: a schedule's text and zone, the slots it yields, and whether one is due now.
//!
//! Slots are found on the civil calendar first and turned into instants second, so a daily schedule has exactly
//! one slot on each civil day: a time that the clocks skip in spring runs at the first moment after the gap, a
//! time that comes twice in autumn runs the first time. The cron crate only matches fields; it never sees a zone.

mod error;
mod text;
mod zone;

use std::{fmt, sync::Arc};

use chrono::{DateTime, LocalResult, NaiveDateTime, Offset, SubsecRound, TimeDelta, TimeZone, Timelike, Utc};
use chrono_tz::Tz;
use croner::Cron;

use self::error::shorten;
pub use self::{
    error::ScheduleError,
    zone::{parse_zone, start_of_day},
};
use crate::model::Slot;

/// How late a slot may be noticed and still count as run on time.
pub const GRACE: TimeDelta = TimeDelta::minutes(10);

/// How many missed slots are counted before the count stops (a year of daily slots, or 17 minutes of seconds).
pub const COALESCED_MAX: usize = 1_000;

/// The longest gap in local time that is looked across: Samoa left out one whole day in 2011.
const GAP_MINUTES_MAX: i64 = 26 * 60;

/// What becomes of a schedule at a given moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Due {
    /// No slot has come since the last one that was completed.
    NotYet {
        /// The next slot.
        next: DateTime<Utc>,
    },
    /// A slot has just come: run it.
    Run {
        /// The slot.
        slot_at: DateTime<Utc>,
    },
    /// Slots went by while nothing ran: one catch-up covers them all.
    Missed {
        /// The latest of them, under which the catch-up is claimed and completed.
        slot_at: DateTime<Utc>,
        /// How many slots the catch-up covers, counted up to [`COALESCED_MAX`].
        n_coalesced: usize,
    },
}

/// Decides whether `schedule` is due at `now`.
///
/// `last` is the last completed slot or, before any, the moment from which the schedule's slots count. A slot is
/// due only when it lies after `last`, so a clock that was set back makes nothing due a second time.
pub fn due(schedule: &Schedule, last: DateTime<Utc>, now: DateTime<Utc>) -> Due {
    let next = schedule.next_after(last);
    if next > now {
        return Due::NotYet { next };
    }
    let slot_at = schedule.latest_at_or_before(now);
    if now - slot_at <= GRACE {
        return Due::Run { slot_at };
    }
    let n_coalesced = schedule
        .slots_after(last)
        .take_while(|slot| *slot <= now)
        .take(COALESCED_MAX)
        .count();
    Due::Missed { slot_at, n_coalesced }
}

/// A rule that yields slots: its text as configured, and the zone in which its hours are read.
#[derive(Clone)]
pub struct Schedule {
    /// Some kilobytes, which many subscribers share.
    pattern: Arc<Pattern>,
    zone: Tz,
}

/// A rule without a zone.
struct Pattern {
    text: String,
    cron: Cron,
}

impl Schedule {
    /// Reads a schedule in the zone of that IANA name.
    ///
    /// The text is a cron pattern of five fields (minute first) or six (seconds first), or days and a time:
    /// `07:00`, `weekdays 07:30`, `Mon,Thu 08:30`, `Mon-Fri 18:00`. As in crontab(5) a pattern that restricts both
    /// the day of the month and the weekday comes when either fits.
    ///
    /// # Errors
    ///
    /// [`ScheduleError`] when the text cannot be read, never comes, or the zone is unknown.
    pub fn parse(text: &str, zone: &str) -> Result<Self, ScheduleError> {
        Self::in_zone(text, parse_zone(zone)?)
    }

    /// Reads a schedule in a zone that is known already; see [`Schedule::parse`].
    ///
    /// # Errors
    ///
    /// [`ScheduleError`] when the text cannot be read or never comes.
    pub fn in_zone(text: &str, zone: Tz) -> Result<Self, ScheduleError> {
        let cron = text::parse(text)?;
        // Patterns without a year repeat with the calendar, so one date for the search is as good as another.
        let cron_fires = cron.find_next_occurrence(&DateTime::UNIX_EPOCH, true).is_ok();
        if !cron_fires {
            return Err(ScheduleError::NeverFires { text: shorten(text) });
        }
        let text = text.to_owned();
        Ok(Self {
            pattern: Arc::new(Pattern { text, cron }),
            zone,
        })
    }

    /// The same rule in another zone.
    #[must_use]
    pub fn with_zone(&self, zone: Tz) -> Self {
        let pattern = Arc::clone(&self.pattern);
        Self { pattern, zone }
    }

    /// The text as configured.
    pub fn text(&self) -> &str {
        &self.pattern.text
    }

    /// The zone in which the schedule is read.
    pub fn zone(&self) -> Tz {
        self.zone
    }

    /// The slot of this schedule at that instant, as the store keys runs.
    pub fn slot(&self, at: DateTime<Utc>) -> Slot {
        Slot {
            schedule: self.pattern.text.clone(),
            zone: self.zone.name().to_owned(),
            at,
        }
    }

    /// The first slot strictly after `instant`; [`DateTime::MAX_UTC`] where the calendar ends first.
    pub fn next_after(&self, instant: DateTime<Utc>) -> DateTime<Utc> {
        let Some(local) = self.civil(instant) else {
            return DateTime::<Utc>::MAX_UTC;
        };
        let mut civil = local.and_utc();
        // During the second pass of a repeated hour the civil time lies behind slots that are already past.
        while let Ok(found) = self.pattern.cron.find_next_occurrence(&civil, false) {
            match self.instant_of(found.naive_utc()) {
                Some(slot) if slot > instant => return slot,
                _ => civil = found,
            }
        }
        DateTime::<Utc>::MAX_UTC
    }

    /// The last slot that is not after `now`; [`DateTime::MIN_UTC`] where the calendar begins later.
    pub fn latest_at_or_before(&self, now: DateTime<Utc>) -> DateTime<Utc> {
        let Some(local) = self.civil(now) else {
            return DateTime::<Utc>::MIN_UTC;
        };
        let mut civil = match self.zone.from_local_datetime(&local) {
            // In the second pass every slot of the first is past, also those later on the clock face.
            LocalResult::Ambiguous(first, second) if second <= now => local.checked_add_signed(second - first),
            _ => Some(local),
        }
        .unwrap_or(local)
        .and_utc();
        let mut inclusive = true;
        while let Ok(found) = self.pattern.cron.find_previous_occurrence(&civil, inclusive) {
            match self.instant_of(found.naive_utc()) {
                Some(slot) if slot <= now => return slot,
                _ => (civil, inclusive) = (found, false),
            }
        }
        DateTime::<Utc>::MIN_UTC
    }

    /// The slots after `instant`, in order, without end.
    pub fn slots_after(&self, instant: DateTime<Utc>) -> impl Iterator<Item = DateTime<Utc>> {
        std::iter::successors(Some(self.next_after(instant)), |slot| Some(self.next_after(*slot)))
            .take_while(|slot| *slot < DateTime::<Utc>::MAX_UTC)
    }

    /// What the clocks of the zone show, in whole seconds, since croner would hand a fraction on to the slot that it finds;
    /// `None` at the very ends of the calendar.
    fn civil(&self, instant: DateTime<Utc>) -> Option<NaiveDateTime> {
        let offset = self.zone.offset_from_utc_datetime(&instant.naive_utc()).fix();
        let civil = instant.naive_utc().checked_add_offset(offset)?;
        Some(civil.trunc_subsecs(0))
    }

    /// The instant at which the clocks of the zone show `civil`: the first of two, or the end of the gap that skips it.
    fn instant_of(&self, civil: NaiveDateTime) -> Option<DateTime<Utc>> {
        let at = |civil: &NaiveDateTime| self.zone.from_local_datetime(civil).earliest();
        if let Some(instant) = at(&civil) {
            return Some(instant.to_utc());
        }
        // Zones change on whole minutes, so the gap ends on one.
        let minute = civil.with_second(0)?.with_nanosecond(0)?;
        (1..=GAP_MINUTES_MAX)
            .filter_map(|n| at(&minute.checked_add_signed(TimeDelta::minutes(n))?))
            .map(|instant| instant.to_utc())
            .next()
    }
}

impl PartialEq for Schedule {
    fn eq(&self, other: &Self) -> bool {
        self.pattern.text == other.pattern.text && self.zone == other.zone
    }
}

impl Eq for Schedule {}

impl fmt::Debug for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Schedule({:?}, {})", self.pattern.text, self.zone.name())
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.pattern.text, self.zone.name())
    }
}

#[cfg(test)]
mod tests {
    use chrono::{Datelike, NaiveDate};
    use proptest::prelude::*;

    use super::*;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    fn schedule(text: &str, zone: &str) -> Schedule {
        Schedule::parse(text, zone).unwrap_or_else(|error| panic!("{error}"))
    }

    /// CASES 124.
    #[test]
    fn five_fields_are_minute_first_and_six_seconds_first() {
        // 2026-03-10 is a Tuesday.
        let check = |text: &str, zone: &str, expected: &str| {
            let next = schedule(text, zone).next_after(at("2026-03-10T12:00:00Z"));
            assert_eq!(next, at(expected), "{text:?} in {zone}");
        };
        check("0 8 * * *", "UTC", "2026-03-11T08:00:00Z");
        check("30 0 8 * * *", "UTC", "2026-03-11T08:00:30Z");
        check("07:00", "Asia/Tokyo", "2026-03-10T22:00:00Z");
        check("0 8 * * *", "Asia/Tokyo", "2026-03-10T23:00:00Z");
        check(" 7:05 ", "UTC", "2026-03-11T07:05:00Z");
        check("12:00:01", "UTC", "2026-03-10T12:00:01Z");
        check("weekdays 07:30", "UTC", "2026-03-11T07:30:00Z");
        check("Weekends 07:30", "UTC", "2026-03-14T07:30:00Z");
        check("daily 07:30", "UTC", "2026-03-11T07:30:00Z");
        check("Mon,Thu 08:30", "UTC", "2026-03-12T08:30:00Z");
        check("Mon, Thursday 08:30", "UTC", "2026-03-12T08:30:00Z");
        check("Sat-Mon 08:30", "UTC", "2026-03-14T08:30:00Z");
        check("30 8 * * Mon,Thu", "America/New_York", "2026-03-12T12:30:00Z");
        check("@daily", "UTC", "2026-03-11T00:00:00Z");
        check("*/15 * * * *", "UTC", "2026-03-10T12:15:00Z");
        check("0 0 29 2 *", "UTC", "2028-02-29T00:00:00Z");
    }

    /// The clock gives fractions of a second, and a state may hold some; a slot that had one came a minute late.
    #[test]
    fn a_slot_is_a_whole_second_whatever_the_moments_before_and_after_it_are() {
        let daily = schedule("44 20 * * *", "Europe/Berlin");
        let check = |last: &str, now: &str, expected: Due| assert_eq!(due(&daily, at(last), at(now)), expected);
        let slot_at = at("2026-11-26T19:44:00Z");
        let run = Due::Run { slot_at };
        let begun = "2026-11-26T18:38:54.836072412Z";
        check(begun, "2026-11-26T19:43:59.999Z", Due::NotYet { next: slot_at });
        check(begun, "2026-11-26T19:44:00.149770856Z", run.clone());
        check(begun, "2026-11-26T19:44:00Z", run.clone());
        check("2026-11-25T19:44:00.9Z", "2026-11-26T19:44:00.1Z", run);
        let next = at("2026-11-27T19:44:00Z");
        check("2026-11-26T19:44:00.9Z", "2026-11-26T19:45:00.1Z", Due::NotYet { next });
        assert_eq!(daily.next_after(at("2026-11-26T19:44:00.5Z")), next);
        assert_eq!(daily.latest_at_or_before(at("2026-11-26T19:44:00.5Z")), slot_at);
    }

    /// CASES 125.
    #[test]
    fn monday_is_one_and_sunday_is_zero_or_seven() {
        let check = |text: &str, expected: &[u32]| {
            let days: Vec<u32> = schedule(text, "UTC")
                .slots_after(at("2026-03-08T12:00:00Z"))
                .take(7)
                .take_while(|slot| *slot < at("2026-03-16T00:00:00Z"))
                .map(|slot| slot.weekday().number_from_monday())
                .collect();
            assert_eq!(days, expected, "{text:?}");
        };
        check("0 0 8 * * 1-5", &[1, 2, 3, 4, 5]);
        check("0 0 8 * * 0", &[7]);
        check("0 0 8 * * 7", &[7]);
        check("0 0 8 * * MON-FRI", &[1, 2, 3, 4, 5]);
        check("0 8 * * fri-sun", &[5, 6, 7]);
        // As in crontab(5): the 12th or a Monday.
        check("0 8 12 * Mon", &[1, 4]);
    }

    #[test]
    fn a_schedule_that_cannot_be_used_says_what_to_write() {
        let check = |text: &str, zone: &str, expected: &str| {
            let error = Schedule::parse(text, zone)
                .map(|s| s.text().to_owned())
                .unwrap_err()
                .to_string();
            assert!(error.contains(expected), "{text:?} in {zone}: {error}");
        };
        check("", "UTC", "is not a schedule; write five fields");
        check("0 8 * *", "UTC", "is not a schedule; write five fields");
        check("0 0 8 * * * 2026", "UTC", "is not a schedule");
        check(
            "0 25 * * *",
            "UTC",
            "the hour field \"25\" of \"0 25 * * *\" is not valid; it takes 0 to 23",
        );
        check("99 0 8 * * *", "UTC", "the second field \"99\"");
        check("0 8 * * foo", "UTC", "the weekday field \"foo\"");
        check("*/0 8 * * *", "UTC", "the minute field \"*/0\"");
        check("25:00", "UTC", "is not a schedule");
        check("someday 07:00", "UTC", "is not a schedule");
        check("@often", "UTC", "is not a schedule");
        check("0 9 31 2 *", "UTC", "\"0 9 31 2 *\" never comes");
        check("0 9 30 2 *", "UTC", "never comes");
        check("07:00", "Europe/Berln", "did you mean \"Europe/Berlin\"?");
        check("07:00", "europe/berlin", "did you mean \"Europe/Berlin\"");
        check("07:00", "Berlin", "did you mean \"Europe/Berlin\"");
        check("07:00", "New York", "did you mean \"America/New_York\"");
        check("07:00", "", "use an IANA name");
        check("07:00", "Middle-earth/Shire", "use an IANA name");
    }

    /// CASES 126.
    #[test]
    fn an_hour_that_does_not_exist_or_comes_twice_has_one_slot() {
        let check = |text: &str, zone: &str, from: &str, expected: &[&str]| {
            let schedule = schedule(text, zone);
            let slots: Vec<DateTime<Utc>> = schedule.slots_after(at(from)).take(expected.len()).collect();
            let expected: Vec<DateTime<Utc>> = expected.iter().map(|text| at(text)).collect();
            assert_eq!(slots, expected, "{text:?} in {zone}");
        };
        let spring = &["2026-03-28T01:30:00Z", "2026-03-29T01:00:00Z", "2026-03-30T00:30:00Z"];
        check("0 30 2 * * *", "Europe/Berlin", "2026-03-28T00:00:00Z", spring);
        let autumn = &["2026-10-24T00:30:00Z", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"];
        check("0 30 2 * * *", "Europe/Berlin", "2026-10-24T00:00:00Z", autumn);
        // Midnight is what Chile's clocks skip; Samoa skipped all of 30 December 2011.
        check(
            "00:30",
            "America/Santiago",
            "2026-09-05T12:00:00Z",
            &["2026-09-06T04:00:00Z", "2026-09-07T03:30:00Z"],
        );
        check(
            "12:00",
            "Pacific/Apia",
            "2011-12-29T12:00:00Z",
            &["2011-12-29T22:00:00Z", "2011-12-30T10:00:00Z"],
        );
    }

    /// CASES 127.
    #[test]
    fn seven_o_clock_stays_seven_o_clock_across_both_changes() {
        let schedule = schedule("0 0 7 * * *", "Europe/Berlin");
        let mut n_summer = 0;
        for slot in schedule.slots_after(at("2026-03-01T00:00:00Z")).take(300) {
            let local = slot.with_timezone(&schedule.zone());
            assert_eq!((local.hour(), local.minute(), local.second()), (7, 0, 0), "{local}");
            n_summer += usize::from(slot.hour() == 5);
        }
        assert_eq!(n_summer, 210);
    }

    #[test]
    fn a_daily_schedule_has_one_slot_on_each_civil_day() {
        let zones = [
            "UTC",
            "Europe/Berlin",
            "America/New_York",
            "America/Santiago",
            "Australia/Lord_Howe",
            "Asia/Kathmandu",
            "Africa/Cairo",
            "Pacific/Chatham",
        ];
        const N_DAYS: usize = 730;
        for zone in zones {
            for time in ["00:00", "00:30", "01:59", "02:30", "07:00", "23:59"] {
                let schedule = schedule(time, zone);
                let start = start_of_day(NaiveDate::from_ymd_opt(2026, 1, 1).unwrap(), schedule.zone()).unwrap();
                let mut day = NaiveDate::from_ymd_opt(2026, 1, 1).unwrap();
                for slot in schedule.slots_after(start - TimeDelta::seconds(1)).take(N_DAYS) {
                    assert_eq!(
                        slot.with_timezone(&schedule.zone()).date_naive(),
                        day,
                        "{time} in {zone}"
                    );
                    assert_eq!(schedule.latest_at_or_before(slot), slot, "{time} in {zone}");
                    day = day.succ_opt().unwrap();
                }
            }
        }
    }

    /// CASES 129, 130, 132.
    #[test]
    fn a_slot_is_due_once_and_missed_slots_become_one_catch_up() {
        let schedule = schedule("08:00", "Europe/Berlin");
        let check = |last: &str, now: &str, expected: Due| {
            assert_eq!(due(&schedule, at(last), at(now)), expected, "last {last}, now {now}");
        };
        let not_yet = |next: &str| Due::NotYet { next: at(next) };
        let run = |slot: &str| Due::Run { slot_at: at(slot) };
        let missed = |slot: &str, n_coalesced| Due::Missed {
            slot_at: at(slot),
            n_coalesced,
        };
        check(
            "2026-03-09T07:00:00Z",
            "2026-03-10T06:59:59Z",
            not_yet("2026-03-10T07:00:00Z"),
        );
        check(
            "2026-03-09T07:00:00Z",
            "2026-03-10T07:00:00Z",
            run("2026-03-10T07:00:00Z"),
        );
        check(
            "2026-03-09T07:00:00Z",
            "2026-03-10T07:10:00Z",
            run("2026-03-10T07:00:00Z"),
        );
        check(
            "2026-03-09T07:00:00Z",
            "2026-03-10T07:10:01Z",
            missed("2026-03-10T07:00:00Z", 1),
        );
        // Asleep from 07:55 to 10:20, and off for a week.
        check(
            "2026-03-09T07:00:00Z",
            "2026-03-10T09:20:00Z",
            missed("2026-03-10T07:00:00Z", 1),
        );
        check(
            "2026-03-03T07:00:00Z",
            "2026-03-10T09:20:00Z",
            missed("2026-03-10T07:00:00Z", 7),
        );
        check(
            "2026-03-03T07:00:00Z",
            "2026-03-10T07:03:00Z",
            run("2026-03-10T07:00:00Z"),
        );
        // Completed: nothing until tomorrow, also when the clock is set back two hours or starts in 1970.
        check(
            "2026-03-10T07:00:00Z",
            "2026-03-10T07:00:00Z",
            not_yet("2026-03-11T07:00:00Z"),
        );
        check(
            "2026-03-10T07:00:00Z",
            "2026-03-10T05:00:00Z",
            not_yet("2026-03-11T07:00:00Z"),
        );
        check(
            "2026-03-10T07:00:00Z",
            "1970-01-01T00:00:30Z",
            not_yet("2026-03-11T07:00:00Z"),
        );
        // A state first written under a clock that stood at 1970 is caught up once.
        check(
            "1970-01-01T00:00:00Z",
            "2026-03-10T09:20:00Z",
            missed("2026-03-10T07:00:00Z", COALESCED_MAX),
        );
    }

    #[test]
    fn a_slot_carries_the_configured_text_and_zone() {
        let slot = schedule("Mon,Thu 08:30", "Asia/Tokyo").slot(at("2026-03-12T08:30:00Z"));
        assert_eq!(slot.to_string(), "2026-03-12T08:30:00Z (Mon,Thu 08:30 Asia/Tokyo)");
    }

    #[test]
    fn the_ends_of_the_calendar_do_not_panic() {
        let schedule = schedule("07:00", "Pacific/Apia");
        assert_eq!(
            schedule.next_after(DateTime::<Utc>::MAX_UTC - TimeDelta::days(3)),
            DateTime::<Utc>::MAX_UTC
        );
        assert_eq!(
            schedule.latest_at_or_before(DateTime::<Utc>::MIN_UTC + TimeDelta::days(3)),
            DateTime::<Utc>::MIN_UTC
        );
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(300))]

        #[test]
        fn no_text_makes_the_parser_panic(text in "[-0-9*/,@#LW?+a-zA-Z: é]{0,24}", zone in "[A-Za-z/_]{0,20}") {
            let _ = Schedule::parse(&text, &zone);
            let _ = Schedule::parse(&text, "UTC");
        }

        #[test]
        fn next_and_latest_agree(
            seconds in 1_700_000_000_i64..1_900_000_000,
            text in prop::sample::select(vec!["02:30", "*/20 * * * *", "0 */2 * * 1-5", "15 1-3 L * *"]),
            zone in prop::sample::select(vec!["Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "UTC"]),
        ) {
            let schedule = schedule(text, zone);
            let instant = DateTime::from_timestamp(seconds, 0).unwrap();
            let next = schedule.next_after(instant);
            let latest = schedule.latest_at_or_before(instant);
            prop_assert!(latest <= instant && instant < next);
            prop_assert_eq!(schedule.next_after(latest), next);
            prop_assert_eq!(schedule.latest_at_or_before(next - TimeDelta::seconds(1)), latest);
        }
    }
}
