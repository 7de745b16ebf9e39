//! How long one run goes on retrying, over all its searches together.

use std::time::Duration;

/// The longest single wait.
const DELAY_MAX: Duration = Duration::from_secs(15 * 60);
/// How often one request is repeated at most, whatever the budget.
pub(super) const TRIES_MAX: u32 = 8;

/// What is left of a run's patience. Waits and failed requests use it up; a run that goes well uses none.
#[derive(Debug, Clone)]
pub(super) struct Patience {
    budget: Duration,
    left: Duration,
    first_delay: Duration,
}

impl Patience {
    pub(super) fn new(budget: Duration, first_delay: Duration) -> Self {
        Self {
            budget,
            left: budget,
            first_delay,
        }
    }

    /// None at all: every request is made once.
    pub(super) fn none() -> Self {
        Self::new(Duration::ZERO, Duration::from_secs(1))
    }

    /// The wait before the try after `n_failed` failures: doubling, and no shorter than what arXiv asked for.
    /// `None` when that is more than what is left.
    pub(super) fn delay(&mut self, n_failed: u32, asked_for: Option<Duration>) -> Option<Duration> {
        if n_failed >= TRIES_MAX {
            return None;
        }
        let doubled = self
            .first_delay
            .saturating_mul(1 << n_failed.saturating_sub(1).min(20))
            .min(DELAY_MAX);
        let delay = doubled.max(asked_for.unwrap_or_default());
        self.left = self.left.checked_sub(delay)?;
        Some(delay)
    }

    /// How much of it is used up.
    pub(super) fn spent(&self) -> Duration {
        self.budget.saturating_sub(self.left)
    }

    /// Counts the time that a failed request took.
    pub(super) fn spend(&mut self, elapsed: Duration) {
        self.left = self.left.saturating_sub(elapsed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_until_the_budget_is_used_up() {
        let s = Duration::from_secs;
        let mut patience = Patience::new(s(200), s(30));
        assert_eq!(patience.delay(1, None), Some(s(30)));
        assert_eq!(patience.delay(2, None), Some(s(60)));
        assert_eq!(patience.delay(3, None), None);
        assert_eq!(patience.delay(1, Some(s(100))), Some(s(100)));
        assert_eq!(patience.delay(1, None), None);
        let mut patience = Patience::new(s(3600), s(30));
        assert_eq!(patience.delay(6, None), Some(DELAY_MAX));
        assert_eq!(patience.delay(1, Some(s(7200))), None);
        assert_eq!(patience.delay(TRIES_MAX, None), None);
        patience.spend(s(3600));
        assert_eq!(patience.delay(1, None), None);
        assert_eq!(patience.spent(), s(3600));
    }
}
