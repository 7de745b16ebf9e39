//! Zones by their IANA names, and what is near a name that is none.

use chrono::{DateTime, Days, TimeDelta, TimeZone, Utc};
use chrono_tz::Tz;

use super::error::{ScheduleError, shorten};

/// How many names a message about an unknown zone suggests.
const SUGGESTIONS_MAX: usize = 3;

/// The zone of that IANA name, from the table that is built in.
///
/// # Errors
///
/// [`ScheduleError::Zone`] with the nearest names.
pub fn parse_zone(name: &str) -> Result<Tz, ScheduleError> {
    name.trim().parse().map_err(|_| ScheduleError::Zone {
        zone: shorten(name),
        nearest: nearest_zones(name.trim()),
    })
}

/// The civil midnight that begins the day of `date` in `zone`, or the first moment of that day.
pub fn start_of_day(date: chrono::NaiveDate, zone: Tz) -> Option<DateTime<Utc>> {
    let midnight = date.and_hms_opt(0, 0, 0)?;
    let end = date.checked_add_days(Days::new(1))?.and_hms_opt(0, 0, 0)?;
    std::iter::successors(Some(midnight), |civil| civil.checked_add_signed(TimeDelta::minutes(1)))
        .take_while(|civil| *civil <= end)
        .find_map(|civil| zone.from_local_datetime(&civil).earliest())
        .map(|instant| instant.to_utc())
}

/// The zones whose name, or the city in it, is spelt most like `name`.
fn nearest_zones(name: &str) -> Vec<&'static str> {
    let wanted: String = shorten(name).to_lowercase().replace(' ', "_");
    let distance_max = (wanted.chars().count() / 3).clamp(1, 3);
    let mut scored: Vec<(usize, &'static str)> = chrono_tz::TZ_VARIANTS
        .iter()
        .map(|zone| zone.name())
        // The signs of the Etc zones are reversed: nobody who mistyped a name means one of them.
        .filter(|name| !name.starts_with("Etc/") && (name.contains('/') || *name == "UTC"))
        .map(|name| {
            let lower = name.to_lowercase();
            let city = lower.rsplit('/').next().unwrap_or_default();
            let by_city = strsim::damerau_levenshtein(&wanted, city);
            (strsim::damerau_levenshtein(&wanted, &lower).min(by_city), name)
        })
        .filter(|(distance, _)| *distance <= distance_max)
        .collect();
    scored.sort_unstable();
    scored.into_iter().take(SUGGESTIONS_MAX).map(|(_, name)| name).collect()
}
