//! Why nothing new came: four reasons that must never look alike.

use serde::{Deserialize, Serialize};

/// Why nothing new came.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Silence {
    /// Nothing was announced: a weekend, a holiday, or the same day again.
    NoAnnouncement,
    /// An announcement is due, but arXiv does not show it yet.
    NotYet,
    /// Not everything could be fetched, so nothing can be said.
    FetchFailed,
    /// All was fetched, and nothing matched.
    NothingMatched,
}

impl Silence {
    /// For people; `before` is what it is counted from: `the fetch before`, `the last mail`.
    pub fn in_words(self, before: &str) -> String {
        match self {
            Self::NoAnnouncement => format!("no announcement since {before}"),
            Self::NotYet => "the latest announcement is not shown by arXiv yet".to_owned(),
            Self::FetchFailed => "not everything could be fetched".to_owned(),
            Self::NothingMatched => "all was fetched, and nothing new matched".to_owned(),
        }
    }
}
