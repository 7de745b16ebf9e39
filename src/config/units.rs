//! Durations and sizes as people write and read them.

use std::time::Duration;

use bytesize::ByteSize;

/// One second.
pub(super) const SECOND: Duration = Duration::from_secs(1);
/// One minute.
pub(super) const MINUTE: Duration = Duration::from_secs(60);
/// One hour.
pub(super) const HOUR: Duration = Duration::from_secs(3_600);
/// One day of 24 hours.
pub(super) const DAY: Duration = Duration::from_secs(86_400);

/// The duration in the largest unit that divides it: `45d`, `20m`, `1500ms`.
///
/// humantime would write 45 days as a month and 14.56 days.
pub(super) fn show_duration(duration: Duration) -> String {
    let seconds = duration.as_secs();
    if duration.subsec_nanos() > 0 {
        return format!("{}ms", duration.as_millis());
    }
    let units = [(86_400, "d"), (3_600, "h"), (60, "m")];
    match units
        .iter()
        .find(|(unit, _)| seconds > 0 && seconds.is_multiple_of(*unit))
    {
        Some((unit, name)) => format!("{}{name}", seconds / unit),
        None => format!("{seconds}s"),
    }
}

/// `64MiB`, `90kB` or plain bytes.
pub(super) fn parse_size(text: &str) -> Option<u64> {
    text.trim().parse::<ByteSize>().ok().map(|size| size.as_u64())
}

/// The size in the largest unit that divides it, binary units first: `64MiB`, `90kB`.
pub(super) fn show_size(bytes: u64) -> String {
    let units = [
        (1 << 30, "GiB"),
        (1_000_000_000, "GB"),
        (1 << 20, "MiB"),
        (1_000_000, "MB"),
        (1 << 10, "KiB"),
        (1_000, "kB"),
    ];
    match units.iter().find(|(unit, _)| bytes > 0 && bytes.is_multiple_of(*unit)) {
        Some((unit, name)) => format!("{}{name}", bytes / unit),
        None => format!("{bytes}B"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_shown_as_they_are_written() {
        for text in ["1ms", "1500ms", "0s", "3s", "90s", "20m", "48h", "45d", "120d"] {
            let duration = humantime::parse_duration(text).unwrap();
            let shown = show_duration(duration);
            assert_eq!(
                humantime::parse_duration(&shown).unwrap(),
                duration,
                "{text} shown as {shown}"
            );
        }
        assert_eq!(show_duration(45 * DAY), "45d");
        assert_eq!(show_duration(90 * SECOND), "90s");
    }

    #[test]
    fn sizes_are_shown_as_they_are_written() {
        let check = |text: &str, expected: Option<(u64, &str)>| {
            let found = parse_size(text).map(|bytes| (bytes, show_size(bytes)));
            assert_eq!(
                found,
                expected.map(|(bytes, shown)| (bytes, shown.to_owned())),
                "{text:?}"
            );
        };
        check("64MiB", Some((67_108_864, "64MiB")));
        check("90kB", Some((90_000, "90kB")));
        check("90 kB", Some((90_000, "90kB")));
        check("1001", Some((1_001, "1001B")));
        check("many", None);
        check("", None);
    }
}
