//! All definitions against one paper: the terms are found in one pass, the rest is looked up.

use std::collections::{BTreeSet, HashMap};

use super::{Match, Matcher};
use crate::model::{Definition, Paper, Term};

/// All distinct terms of a set of definitions, compiled once.
#[derive(Debug)]
pub struct Lexicon {
    matcher: Matcher,
    index: HashMap<Term, usize>,
}

impl Lexicon {
    /// Compiles the terms of all definitions. A term that cannot be read (an old wording that a newer grammar
    /// refuses) matches nothing and is returned beside the lexicon with the reason.
    pub fn new<'d>(definitions: impl IntoIterator<Item = &'d Definition>) -> (Self, Vec<(Term, String)>) {
        let mut distinct: BTreeSet<&Term> = BTreeSet::new();
        for definition in definitions {
            distinct.insert(&definition.term);
            distinct.extend(&definition.exclude);
        }
        let mut terms: Vec<Term> = distinct.into_iter().cloned().collect();
        let mut refused = Vec::new();
        loop {
            match Matcher::new(&terms) {
                Ok(matcher) => {
                    let index = terms
                        .into_iter()
                        .enumerate()
                        .map(|(index, term)| (term, index))
                        .collect();
                    return (Self { matcher, index }, refused);
                }
                Err(errors) => {
                    // From the back, so that the indexes before stay right.
                    for (index, error) in errors.into_iter().rev() {
                        refused.push((terms.remove(index), error.to_string()));
                    }
                }
            }
        }
    }

    /// Reads one paper: finds every term in it, once.
    pub fn read<'l>(&'l self, paper: &'l Paper) -> Reading<'l> {
        let matches = self
            .matcher
            .find(paper)
            .into_iter()
            .map(|found| (found.term, found))
            .collect();
        Reading {
            lexicon: self,
            categories: &paper.categories,
            matches,
        }
    }
}

/// What one paper matches.
#[derive(Debug)]
pub struct Reading<'l> {
    lexicon: &'l Lexicon,
    categories: &'l [String],
    matches: HashMap<usize, Match>,
}

/// How a definition takes a paper.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Take {
    /// It belongs to the keyword.
    Accepted,
    /// The term matches, but an exclusion keeps the paper out.
    Excluded,
    /// The term matches, but no category fits.
    OtherCategory,
    /// The term does not match.
    No,
}

impl Reading<'_> {
    /// Whether any term matched at all.
    pub fn is_empty(&self) -> bool {
        self.matches.is_empty()
    }

    /// Where a term was found.
    pub fn found(&self, term: &Term) -> Option<&Match> {
        self.matches.get(self.lexicon.index.get(term)?)
    }

    /// How a definition takes the paper.
    pub fn take(&self, definition: &Definition) -> Take {
        if self.found(&definition.term).is_none() {
            Take::No
        } else if !definition.admits_categories(self.categories) {
            Take::OtherCategory
        } else if definition.exclude.iter().any(|term| self.found(term).is_some()) {
            Take::Excluded
        } else {
            Take::Accepted
        }
    }

    /// Whether a definition accepts the paper.
    pub fn accepts(&self, definition: &Definition) -> bool {
        self.take(definition) == Take::Accepted
    }
}
