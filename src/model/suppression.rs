//! Addresses that are not mailed, and why.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

/// Why an address is not mailed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SuppressionReason {
    /// The reader asked to stop.
    Unsubscribed,
    /// The mailbox does not exist, on evidence of two different days.
    HardBounce,
    /// Mail kept coming back for passing reasons.
    SoftBounces,
    /// The reader reported the mail as spam.
    Complaint,
    /// The operator said so.
    Operator,
}

/// An address that is not mailed. It wins over the configuration file until it is removed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Suppression {
    /// The address in lower case, its domain in ASCII form.
    pub address: String,
    /// Why.
    pub reason: SuppressionReason,
    /// What was seen: the reply of the relay, the status of the bounce, who asked.
    pub evidence: String,
    /// Since when.
    pub since: DateTime<Utc>,
}
