//! The words in which a match or a miss is told.

use std::fmt;

use super::expression::Scope;

/// Whether a paper fits a term, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// It fits; the pieces of the paper that speak for it, each with its place.
    Fits(Vec<Evidence>),
    /// It does not; what is missing or in the way, at least one.
    Misses(Vec<Miss>),
}

/// A piece of a paper.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evidence {
    /// `title`, `abstract`, `comment`, `journal reference`, `authors`, `categories`.
    pub place: &'static str,
    /// As it stands there, cut to a line.
    pub found: String,
}

/// Why one part of a term is not met.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Miss {
    /// The text has the letters in another case.
    #[error("`{wanted}` is in capitals; the text has `{found}`")]
    Capitals {
        /// What was asked for.
        wanted: String,
        /// What stands there.
        found: String,
    },
    /// The text has another spelling of `=word`.
    #[error("`{wanted}` is asked for in exactly this spelling; the text has `{found}`")]
    Spelling {
        /// What was asked for.
        wanted: String,
        /// What stands there.
        found: String,
    },
    /// Part of a longer word.
    #[error("`{wanted}` is only inside the word `{word}`")]
    Inside {
        /// What was asked for.
        wanted: String,
        /// The whole word.
        word: String,
    },
    /// The keyword is a plural.
    #[error("`{wanted}` is a plural; found only the singular `{found}`")]
    Singular {
        /// What was asked for.
        wanted: String,
        /// What stands there.
        found: String,
    },
    /// Written as one word.
    #[error("`{wanted}` is written as one word: `{found}`")]
    Joined {
        /// What was asked for.
        wanted: String,
        /// What stands there.
        found: String,
    },
    /// Only the stems agree.
    #[error("found only `{found}`, a relative of `{wanted}`")]
    Related {
        /// What was asked for.
        wanted: String,
        /// What stands there.
        found: String,
    },
    /// All words, but not as a phrase.
    #[error("the words of `{wanted}` are there, but not next to each other in this order")]
    Apart {
        /// What was asked for.
        wanted: String,
    },
    /// In another field.
    #[error("`{wanted}` is only in {place}")]
    Elsewhere {
        /// What was asked for.
        wanted: String,
        /// Where it is.
        place: Scope,
    },
    /// Not even nearly.
    #[error("nothing like `{wanted}` in {place}")]
    Absent {
        /// What was asked for.
        wanted: String,
        /// Where it was sought.
        place: Scope,
    },
    /// NEAR, with both sides present.
    #[error("{left} and {right} are further apart than NEAR/{distance} allows")]
    TooFar {
        /// One side.
        left: String,
        /// The other side.
        right: String,
        /// The most words between them.
        distance: u8,
    },
    /// Something that was to be left out is there.
    #[error("left out because of `{found}` in {place} (NOT {excluded})")]
    Excluded {
        /// The part of the query.
        excluded: String,
        /// What stands there.
        found: String,
        /// Where.
        place: &'static str,
    },
    /// Another person of the same family name.
    #[error("no author `{wanted}`, only `{found}`")]
    OtherAuthor {
        /// Who was asked for.
        wanted: String,
        /// Who wrote it.
        found: String,
    },
    /// Nobody of that name.
    #[error("no author of the name `{wanted}`")]
    NoAuthor {
        /// Who was asked for.
        wanted: String,
    },
    /// Filed elsewhere.
    #[error("filed under {found}, not under {wanted}")]
    Category {
        /// The pattern.
        wanted: String,
        /// The paper's categories.
        found: String,
    },
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let list = |f: &mut fmt::Formatter<'_>, parts: &mut dyn Iterator<Item = String>| {
            for (index, part) in parts.enumerate() {
                f.write_str(if index > 0 { "; " } else { "" })?;
                f.write_str(&part)?;
            }
            Ok(())
        };
        match self {
            Self::Fits(evidence) => {
                f.write_str("fits: ")?;
                list(f, &mut evidence.iter().map(ToString::to_string))
            }
            Self::Misses(misses) => list(f, &mut misses.iter().map(ToString::to_string)),
        }
    }
}

impl fmt::Display for Evidence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}` in {}", self.found, self.place)
    }
}
