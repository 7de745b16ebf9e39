//! Who subscribes, and what exactly one keyword of theirs means.

use std::{fmt, sync::Arc};

use serde::{Deserialize, Serialize};

/// A subscriber's lasting name: the configured `id`, else the address in lower case.
///
/// It keys everything the store remembers about a person, so it survives a change of address where an
/// `id` is configured. It is never shown to anyone but the operator.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct SubscriberId(pub Arc<str>);

impl fmt::Display for SubscriberId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// How the text of a [`Term`] is read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum TermKind {
    /// A literal phrase in title or abstract.
    Phrase,
    /// An expression of the query grammar.
    Query,
    /// An author's name.
    Author,
}

/// One thing to look for in a paper. Equal terms of different subscribers are matched once.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Term {
    /// How `text` is read.
    pub kind: TermKind,
    /// The phrase, query or name as configured.
    pub text: String,
    /// Whether words match by their stems (only by choice: it joins "university" and "universal").
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub stemming: bool,
}

impl Term {
    /// A literal phrase.
    pub fn phrase(text: impl Into<String>) -> Self {
        Self {
            kind: TermKind::Phrase,
            text: text.into(),
            stemming: false,
        }
    }

    /// An expression of the query grammar.
    pub fn query(text: impl Into<String>) -> Self {
        Self {
            kind: TermKind::Query,
            text: text.into(),
            stemming: false,
        }
    }

    /// An author's name.
    pub fn author(text: impl Into<String>) -> Self {
        Self {
            kind: TermKind::Author,
            text: text.into(),
            stemming: false,
        }
    }
}

/// Everything that decides whether a paper belongs to one keyword of one subscriber.
///
/// Two equal definitions accept the same papers. A changed definition is stored beside the former one
/// with a floor of its own, so that widening a subscription never floods it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Definition {
    /// What to look for.
    pub term: Term,
    /// Category patterns (`cs.LG`, `cs.*`): of each inner list at least one must fit; none: any category.
    /// There are up to two lists: the keyword's own and the subscriber's.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub categories: Vec<Vec<String>>,
    /// Terms that keep a paper out.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub exclude: Vec<Term>,
    /// Whether categories other than the primary one count.
    pub cross_lists: bool,
}

/// A keyword as somebody wants it: the heading of its section and what to look for. All who want the same share it.
pub type SharedKeyword = Arc<(String, Definition)>;

impl Definition {
    /// A keyword without any restriction.
    pub fn unrestricted(term: Term) -> Self {
        Self {
            term,
            categories: Vec::new(),
            exclude: Vec::new(),
            cross_lists: true,
        }
    }

    /// Whether the paper's categories satisfy the patterns.
    pub fn admits_categories(&self, categories: &[String]) -> bool {
        let counted = if self.cross_lists {
            categories
        } else {
            categories.get(..1).unwrap_or_default()
        };
        self.categories.iter().all(|patterns| {
            patterns
                .iter()
                .any(|pattern| counted.iter().any(|category| fits(pattern, category)))
        })
    }
}

/// `cs.LG` fits itself; `cs.*` fits every class of the archive and the bare archive.
fn fits(pattern: &str, category: &str) -> bool {
    match pattern.strip_suffix(".*") {
        Some(archive) => category
            .strip_prefix(archive)
            .is_some_and(|rest| rest.is_empty() || rest.starts_with('.')),
        None => pattern == category,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_list_of_categories_must_be_satisfied() {
        let mut definition = Definition::unrestricted(Term::phrase("x"));
        let check = |definition: &Definition, categories: &[&str], expected: bool| {
            let categories: Vec<String> = categories.iter().map(|c| (*c).to_owned()).collect();
            assert_eq!(
                definition.admits_categories(&categories),
                expected,
                "{categories:?} by {definition:?}"
            );
        };
        check(&definition, &[], true);
        definition.categories = vec![vec!["cs.*".into(), "hep-th".into()], vec!["cs.LG".into()]];
        check(&definition, &["stat.ML", "cs.LG"], true);
        check(&definition, &["hep-th", "cs.LG"], true);
        check(&definition, &["cs.AI"], false);
        check(&definition, &["csx.AI", "cs.LG"], true);
        check(&definition, &["hep-th"], false);
        definition.cross_lists = false;
        check(&definition, &["stat.ML", "cs.LG"], false);
        check(&definition, &["cs.LG", "stat.ML"], true);
    }
}
