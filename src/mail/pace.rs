//! An even pace for mails: providers prefer a steady stream to bursts.

use std::time::{Duration, Instant};

/// Hands out moments at which a message may begin, evenly spaced.
///
/// It waits for nothing and reads no clock: the caller gives the time and does the waiting.
#[derive(Debug, Clone)]
pub struct Pace {
    interval: Duration,
    next: Option<Instant>,
}

impl Pace {
    /// `messages_per_minute` 0 means no limit.
    pub fn new(messages_per_minute: u32) -> Self {
        let interval = match messages_per_minute {
            0 => Duration::ZERO,
            n => Duration::from_secs(60) / n,
        };
        Self { interval, next: None }
    }

    /// Takes the next free moment, at or after `now`. Unused moments are not saved up.
    pub fn reserve(&mut self, now: Instant) -> Instant {
        let begin = self.next.map_or(now, |next| next.max(now));
        self.next = Some(begin + self.interval);
        begin
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_spread_evenly_and_idle_time_is_not_saved_up() {
        let start = Instant::now();
        let at = |seconds: u64| start + Duration::from_secs(seconds);
        let mut pace = Pace::new(20);
        assert_eq!(pace.reserve(start), start);
        assert_eq!(pace.reserve(start), at(3));
        assert_eq!(pace.reserve(at(1)), at(6));
        assert_eq!(pace.reserve(at(60)), at(60));
        assert_eq!(pace.reserve(at(60)), at(63));
        let mut unlimited = Pace::new(0);
        assert!((0..100).all(|_| unlimited.reserve(start) == start));
    }
}
