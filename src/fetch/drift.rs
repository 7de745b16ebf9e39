//! arXiv's clock beside the machine's: what counts as announced, windows and slots all follow from the machine's.

use chrono::{DateTime, TimeDelta, Utc};

/// How far the two may be apart before it is told.
pub const APART_MAX: TimeDelta = TimeDelta::minutes(5);

/// How far the machine's clock is ahead of the server's, as far as the headers of an answer tell: `Date` is when it was
/// made (RFC 9110, 6.6.1), `Age` how many seconds ago a cache got it from there (RFC 9111, 5.1). It was made between
/// `asked` and `answered`, or before by its age. `None` without a `Date` that can be read.
pub(super) fn ahead(
    date: Option<DateTime<Utc>>,
    age: Option<&str>,
    asked: DateTime<Utc>,
    answered: DateTime<Utc>,
) -> Option<TimeDelta> {
    // Old caches send what is no number; such an age is no evidence, and neither is its date.
    let age = match age {
        Some(text) => TimeDelta::try_seconds(text.trim().parse().ok().filter(|age: &i64| *age >= 0)?)?,
        None => TimeDelta::zero(),
    };
    let server = date?.checked_add_signed(age)?;
    Some(if server > answered {
        answered - server
    } else if server < asked {
        asked - server
    } else {
        TimeDelta::zero()
    })
}

/// The difference in words, with what to do.
pub fn in_words(ahead: TimeDelta) -> String {
    let direction = if ahead < TimeDelta::zero() {
        "behind"
    } else {
        "ahead of"
    };
    let minutes = std::time::Duration::from_secs(ahead.num_minutes().unsigned_abs() * 60);
    format!(
        "this machine's clock is {} {direction} arXiv's: set it right (an NTP service keeps it so), for what counts as \
         announced and when digests are due follow from it",
        humantime::format_duration(minutes)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_770_000_000 + second, 0).unwrap()
    }

    #[test]
    fn an_answer_tells_how_far_the_clocks_are_apart() {
        let check = |date: Option<i64>, age: Option<&str>, expected: Option<i64>| {
            let found = ahead(date.map(at), age, at(0), at(10));
            assert_eq!(found.map(|ahead| ahead.num_seconds()), expected, "{date:?} {age:?}");
        };
        check(None, None, None);
        check(None, Some("5"), None);
        // However long the answer takes: it was made meanwhile.
        check(Some(0), None, Some(0));
        check(Some(10), None, Some(0));
        check(Some(7_210), None, Some(-7_200));
        check(Some(-7_200), None, Some(7_200));
        // A cache that had it for two hours.
        check(Some(-7_200), Some("7200"), Some(0));
        check(Some(-86_400), Some("82800"), Some(3_600));
        check(Some(-7_200), Some("soon"), None);
        check(Some(-7_200), Some("-1"), None);
        check(Some(0), Some("99999999999999999"), None);
    }

    #[test]
    fn the_difference_is_told_in_words() {
        let words = in_words(TimeDelta::seconds(-7_275));
        assert!(
            words.starts_with("this machine's clock is 2h 1m behind arXiv's"),
            "{words}"
        );
        assert!(in_words(TimeDelta::minutes(6)).contains("6m ahead of arXiv's"));
    }
}
