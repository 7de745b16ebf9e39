//! An index that stands still: arXiv has announced more than it shows.

use chrono::{DateTime, Utc};

use super::passes;
use crate::{
    arxiv::{
        calendar::{self, Announcement},
        completeness::Sighting,
    },
    store::{DocumentKind, Store, StoreError, Versioned, documents},
};

/// What arXiv should show by now and has not been seen to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standstill {
    /// From when on the first announcement that is missing should have been there.
    pub since: DateTime<Utc>,
    /// The latest one that was seen.
    pub seen: Announcement,
}

impl Standstill {
    /// What is wrong, and what can be done.
    pub fn in_words(&self) -> String {
        format!(
            "arXiv has shown nothing newer than its announcement of {}. Digests say so and nothing is lost. Where arXiv's own \
             pages list newer papers, look at the addresses in [arxiv]; else arXiv made a pause, and this ends with it",
            self.seen.evening
        )
    }

    fn of(seen: Announcement, now: DateTime<Utc>) -> Option<Self> {
        let expected = calendar::latest_expected(now);
        let missing = std::iter::successors(Some(expected), |announcement| Some(announcement.previous()))
            .take_while(|announcement| *announcement > seen)
            .filter(|announcement| !calendar::is_deferred(announcement.evening));
        let since = missing.last()?.visible_from();
        Some(Self { since, seen })
    }
}

/// Which announcements the looks at a busy category have missed so far; `None` where nothing is missing, or nothing was ever
/// seen.
///
/// # Errors
/// Those of the store.
pub async fn standstill(store: &dyn Store, now: DateTime<Utc>) -> Result<Option<Standstill>, StoreError> {
    let last: Versioned<Option<Sighting>> = documents::load(store, DocumentKind::Note, passes::CANARY_NOTE).await?;
    let seen = last.value.map(|sighting| Announcement::of(sighting.evening));
    Ok(seen.and_then(|seen| Standstill::of(seen, now)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_missing_is_missing_since_the_first_of_it_should_have_been_there() {
        let check = |seen: &str, now: &str, expected: Option<&str>| {
            let seen = Announcement::of(seen.parse().unwrap());
            let found = Standstill::of(seen, now.parse().unwrap());
            let since = found.map(|standstill| standstill.since.format("%F %H:%M").to_string());
            assert_eq!(since.as_deref(), expected, "{seen:?} {now}");
        };
        check("2026-02-10", "2026-02-11T07:00:00Z", None);
        check("2026-02-10", "2026-02-12T05:29:00Z", None);
        check("2026-02-10", "2026-02-12T05:30:00Z", Some("2026-02-12 05:30"));
        check("2026-02-10", "2026-02-17T07:00:00Z", Some("2026-02-12 05:30"));
        // Over a weekend nothing is missing, nor over holidays: none on Thanksgiving, Thursday, 26 November.
        check("2026-02-12", "2026-02-15T20:00:00Z", None);
        check("2026-11-25", "2026-11-29T12:00:00Z", None);
        check("2026-11-24", "2026-11-29T12:00:00Z", Some("2026-11-26 05:30"));
        check("2026-11-25", "2026-12-01T12:00:00Z", Some("2026-11-30 05:30"));
    }
}
