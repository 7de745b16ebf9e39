//! Numbers, days and lists in words.

use chrono::{DateTime, Datelike, NaiveDate, Utc};
use chrono_tz::Tz;

/// `2,990`
pub(super) fn thousands(n: usize) -> String {
    let digits = n.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}

/// `1 paper`, `2,990 papers`: the plural is the singular with an `s`.
pub fn count(n: usize, noun: &str) -> String {
    format!("{} {noun}{}", thousands(n), if n == 1 { "" } else { "s" })
}

/// `a`, `a and b`, `a, b and c`.
pub(super) fn list(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [most @ .., last] => format!("{} and {last}", most.join(", ")),
    }
}

/// The days of one mail, in the reader's zone.
#[derive(Debug, Clone, Copy)]
pub(super) struct Days {
    zone: Tz,
    year: i32,
}

impl Days {
    /// Days as seen from a mail frozen at `frozen_at`. A zone that is not known is read as UTC: the configuration
    /// refuses such a one, and a mail must not fail over it.
    pub(super) fn new(frozen_at: DateTime<Utc>, zone: &str) -> Self {
        let zone = zone.parse().unwrap_or(Tz::UTC);
        Self {
            zone,
            year: frozen_at.with_timezone(&zone).year(),
        }
    }

    /// `9 Feb`, and `9 Feb 2024` of another year than the mail's.
    pub(super) fn short(self, at: DateTime<Utc>) -> String {
        let day = at.with_timezone(&self.zone);
        let format = if day.year() == self.year { "%-d %b" } else { "%-d %b %Y" };
        day.format(format).to_string()
    }

    /// `12 August`, and `12 August 2024` of another year than the mail's.
    pub(super) fn long(self, at: DateTime<Utc>) -> String {
        let day = at.with_timezone(&self.zone);
        let format = if day.year() == self.year { "%-d %B" } else { "%-d %B %Y" };
        day.format(format).to_string()
    }

    /// `Tue 10 Feb 2026`
    pub(super) fn whole(self, at: DateTime<Utc>) -> String {
        at.with_timezone(&self.zone).format("%a %-d %b %Y").to_string()
    }

    /// `Tue 10 Feb 14:05`
    pub(super) fn minute(self, at: DateTime<Utc>) -> String {
        at.with_timezone(&self.zone).format("%a %-d %b %H:%M").to_string()
    }

    /// An announcement's evening, which is a day in US Eastern time whatever the reader's zone: `Tue 10 Feb`.
    pub(super) fn evening(self, day: NaiveDate) -> String {
        let format = if day.year() == self.year {
            "%a %-d %b"
        } else {
            "%a %-d %b %Y"
        };
        day.format(format).to_string()
    }
}

#[cfg(test)]
mod tests {
    use chrono::TimeZone;

    use super::*;

    #[test]
    fn numbers_are_grouped_and_nouns_agree() {
        for (n, expected) in [
            (0, "0 papers"),
            (1, "1 paper"),
            (999, "999 papers"),
            (2_990, "2,990 papers"),
            (1_234_567, "1,234,567 papers"),
        ] {
            assert_eq!(count(n, "paper"), expected);
        }
        let items = |n: usize| list(&["a", "b", "c"][..n].iter().map(|s| (*s).to_owned()).collect::<Vec<_>>());
        assert_eq!(
            [items(0), items(1), items(2), items(3)],
            ["", "a", "a and b", "a, b and c"]
        );
    }

    #[test]
    fn days_are_those_of_the_readers_zone() {
        let late = Utc.with_ymd_and_hms(2026, 2, 9, 23, 30, 0).unwrap();
        let old = Utc.with_ymd_and_hms(2024, 8, 12, 12, 0, 0).unwrap();
        let berlin = Days::new(late, "Europe/Berlin");
        assert_eq!(berlin.whole(late), "Tue 10 Feb 2026");
        assert_eq!(berlin.short(late), "10 Feb");
        assert_eq!(berlin.minute(late), "Tue 10 Feb 00:30");
        assert_eq!(berlin.long(old), "12 August 2024");
        assert_eq!(Days::new(late, "America/New_York").short(late), "9 Feb");
        assert_eq!(Days::new(late, "Nowhere/Land").short(late), "9 Feb");
    }
}
