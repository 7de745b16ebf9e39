//! One paper's metadata as arXiv gives it.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::{ArxivId, VersionedId};

/// The metadata of one version of a paper, the same whichever interface it came through.
///
/// All text is Unicode with white space folded to single blanks (paragraphs of the abstract are kept as
/// `\n`), TeX accents of names already converted; formulas are left as TeX and are rendered by
/// [`crate::tex`]. Nothing in it is trusted: it is escaped wherever it is shown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Paper {
    /// Identifier without version: the key by which a paper is never sent twice.
    pub id: ArxivId,
    /// The version that this metadata describes, from 1.
    pub version: u16,
    /// The title, never empty: a missing one is replaced by `(untitled) IDENTIFIER`.
    pub title: String,
    /// Authors in order; empty only where arXiv names none.
    pub authors: Vec<Author>,
    /// The abstract; empty where arXiv gives none.
    pub abstract_text: String,
    /// When version 1 was submitted (not announced), if the source says so readably.
    pub submitted: Option<DateTime<Utc>>,
    /// When this version was submitted.
    pub updated: Option<DateTime<Utc>>,
    /// All arXiv categories, the primary one first; never an ACM or MSC class.
    pub categories: Vec<String>,
    /// The authors' comment: pages, figures, venue.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub comment: Option<String>,
    /// Where the paper was published, as the authors put it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub journal_ref: Option<String>,
    /// The DOI as given; unvalidated, possibly several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub doi: Option<String>,
    /// Whether this version withdraws the paper.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub withdrawn: bool,
}

/// One author or collaboration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Author {
    /// The name in reading order: `Ana Example`.
    pub name: String,
    /// Affiliations, where the source gives them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub affiliations: Vec<String>,
}

impl Author {
    /// An author without affiliations.
    pub fn named(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            affiliations: Vec::new(),
        }
    }
}

impl Paper {
    /// The category that the paper was submitted to, if arXiv named one.
    pub fn primary_category(&self) -> Option<&str> {
        self.categories.first().map(String::as_str)
    }

    /// The further categories.
    pub fn cross_lists(&self) -> &[String] {
        self.categories.get(1..).unwrap_or_default()
    }

    /// Identifier and version together.
    pub fn versioned_id(&self) -> VersionedId {
        VersionedId {
            id: self.id.clone(),
            version: self.version,
        }
    }
}
