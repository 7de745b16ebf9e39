//! Slots and the workers that claim them.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// One due moment of a schedule: the key of a run, so that it happens once.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Slot {
    /// The schedule as configured, e.g. `0 7 * * *`.
    pub schedule: String,
    /// Its IANA zone, e.g. `Europe/Berlin`.
    pub zone: String,
    /// The moment it fell due.
    pub at: DateTime<Utc>,
}

impl fmt::Display for Slot {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{} ({} {})",
            self.at.to_rfc3339_opts(chrono::SecondsFormat::Secs, true),
            self.schedule,
            self.zone
        )
    }
}

/// One process, told apart from others that share a store and from its own earlier lives.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct WorkerId(pub String);

impl fmt::Display for WorkerId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
