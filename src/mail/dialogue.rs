//! What was said, for people: `test-mail` and `check --online` show it.

use std::fmt;
use std::time::Duration;

use tokio::time::Instant;

/// One exchange of a dialogue, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// What was done.
    pub what: &'static str,
    /// What came of it.
    pub said: String,
    /// How long it took.
    pub took: Duration,
}

impl fmt::Display for Step {
    /// `EHLO: 250 relay.example.org (3 ms)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} ({} ms)", self.what, self.said, self.took.as_millis())
    }
}

/// The steps of the latest dialogue. It holds no secret, but what the relay says may hold addresses.
#[derive(Debug, Clone, Default)]
pub struct Dialogue {
    steps: Vec<Step>,
}

impl Dialogue {
    /// The steps so far.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Forgets the steps, before a new dialogue.
    pub fn clear(&mut self) {
        self.steps.clear();
    }

    /// Adds a step that began at `began` and ends now.
    pub fn note(&mut self, what: &'static str, said: impl fmt::Display, began: Instant) {
        self.steps.push(Step {
            what,
            said: said.to_string(),
            took: began.elapsed(),
        });
    }
}
