//! A relay in trouble: how often it has failed, and until when it is left alone.

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

/// What is known of a relay that does not take mail at present.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RelayTrouble {
    /// Since when.
    pub since: DateTime<Utc>,
    /// What the latest attempt came to, in words.
    pub why: String,
    /// Whether something must be changed before it takes mail again.
    pub needs_operator: bool,
    /// How many attempts have failed running since it was last at rest.
    pub n_failures: u32,
    /// How often it was put to rest.
    pub n_rests: u32,
    /// Nothing is handed to it before this moment.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rests_until: Option<DateTime<Utc>>,
}

/// A failure of a relay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RelayFailure {
    /// What the attempt came to, in words.
    pub why: String,
    /// Whether something must be changed before it takes mail again.
    pub needs_operator: bool,
    /// Whether one such failure is enough: it will not be otherwise with the next mail.
    pub is_grave: bool,
}

impl RelayTrouble {
    /// After this many failures running a relay is put to rest.
    pub const FAILURES_MAX: u32 = 3;
    /// The longest rest.
    pub const REST_MAX: TimeDelta = TimeDelta::minutes(15);

    /// What is known after one more failure. A relay that is put to rest rests for `first_rest`, then for twice as long
    /// each time up to [`Self::REST_MAX`]; after a rest one failure puts it to rest again.
    pub fn after(former: Option<&Self>, failure: RelayFailure, first_rest: TimeDelta, now: DateTime<Utc>) -> Self {
        let mut trouble = Self {
            since: former.map_or(now, |former| former.since),
            why: failure.why,
            needs_operator: failure.needs_operator,
            n_failures: former.map_or(0, |former| former.n_failures).saturating_add(1),
            n_rests: former.map_or(0, |former| former.n_rests),
            rests_until: former.and_then(|former| former.rests_until),
        };
        if failure.is_grave || trouble.n_rests > 0 || trouble.n_failures >= Self::FAILURES_MAX {
            let doublings = trouble.n_rests.min(10);
            let rest = first_rest.checked_mul(1 << doublings).unwrap_or(Self::REST_MAX);
            trouble.rests_until = Some(now + rest.min(Self::REST_MAX));
            trouble.n_rests = trouble.n_rests.saturating_add(1);
            trouble.n_failures = 0;
        }
        trouble
    }

    /// Whether nothing is handed to it now.
    pub fn is_resting(&self, now: DateTime<Utc>) -> bool {
        self.rests_until.is_some_and(|until| until > now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(minute: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(1_770_000_000 + minute * 60, 0).unwrap()
    }

    fn failure(is_grave: bool) -> RelayFailure {
        RelayFailure {
            why: "no answer".into(),
            needs_operator: false,
            is_grave,
        }
    }

    #[test]
    fn a_relay_rests_after_three_failures_or_one_that_is_grave_and_longer_each_time() {
        let first = TimeDelta::minutes(1);
        let fail = |former: Option<&RelayTrouble>, is_grave, now| {
            RelayTrouble::after(former, failure(is_grave), first, at(now))
        };
        let mut trouble = fail(None, false, 0);
        assert!(!trouble.is_resting(at(0)));
        trouble = fail(Some(&trouble), false, 1);
        assert!(!trouble.is_resting(at(1)));
        trouble = fail(Some(&trouble), false, 2);
        assert_eq!(trouble.rests_until, Some(at(3)));
        assert!(trouble.is_resting(at(2)) && !trouble.is_resting(at(3)));
        assert_eq!(trouble.since, at(0));
        assert_eq!(fail(None, true, 5).rests_until, Some(at(6)));
        let mut rests = Vec::new();
        for _ in 0..6 {
            let tried = trouble.rests_until.unwrap();
            trouble = RelayTrouble::after(Some(&trouble), failure(false), first, tried);
            rests.push((trouble.rests_until.unwrap() - tried).num_minutes());
        }
        assert_eq!(rests, [2, 4, 8, 15, 15, 15]);
    }
}
