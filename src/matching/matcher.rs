//! All terms in one pass over the text.

use std::{
    collections::{HashMap, HashSet},
    ops::Range,
};

use aho_corasick::AhoCorasick;

use super::{
    author::Name,
    compile::Compiler,
    expression::{Expression, Scope},
    fault::QueryError,
    phrase::Phrase,
    sought::Sought,
    validate::expression,
};
use crate::model::{Paper, Term};

/// Any number of terms, compiled.
///
/// The words and phrases of all terms are sought together by one automaton; only for terms of which a part
/// was found is the rest looked at. The cost grows with the text and with what is found in it, not with the
/// number of terms.
#[derive(Debug)]
pub struct Matcher {
    pub(super) atoms: Vec<Atom>,
    pub(super) plans: Vec<Plan>,
    /// Words as they stand, and words by their stems.
    pub(super) plain: Layer,
    pub(super) stems: Layer,
    /// Author atoms by the last word of the family name.
    pub(super) families: HashMap<String, Vec<usize>>,
    /// Category atoms by their pattern.
    pub(super) categories: HashMap<String, Vec<usize>>,
}

/// One term that a paper fits, and why.
///
/// Ranges are bytes of the paper's own strings, ascending, without overlap, on character boundaries.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Match {
    /// Index into the terms that the matcher was made from.
    pub term: usize,
    /// What to mark in the title.
    pub title: Vec<Range<usize>>,
    /// What to mark in the abstract.
    pub abstract_text: Vec<Range<usize>>,
    /// What was found in the comment.
    pub comment: Vec<Range<usize>>,
    /// What was found in the journal reference.
    pub journal_ref: Vec<Range<usize>>,
    /// Indexes of the authors that were asked for.
    pub authors: Vec<usize>,
}

#[derive(Debug)]
pub(super) struct Atom {
    pub(super) kind: AtomKind,
    /// The plans that it is part of.
    pub(super) plans: Vec<usize>,
}

#[derive(Debug)]
pub(super) enum AtomKind {
    Words { scope: Scope, phrase: Phrase },
    Author(Name),
    Category,
}

/// One distinct term.
#[derive(Debug)]
pub(super) struct Plan {
    pub(super) node: Node,
    /// The indexes under which the term was given.
    pub(super) terms: Vec<usize>,
}

#[derive(Debug)]
pub(super) enum Node {
    Atom(usize),
    Not(Box<Node>),
    Near {
        left: Vec<usize>,
        right: Vec<usize>,
        distance: usize,
    },
    And(Vec<Node>),
    Or(Vec<Node>),
}

/// One automaton over one form of the text.
#[derive(Debug, Default)]
pub(super) struct Layer {
    pub(super) automaton: Option<AhoCorasick>,
    /// For each pattern of the automaton the atoms that begin so.
    pub(super) atoms: Vec<Vec<usize>>,
    /// Where any of them may stand; nothing else need be read.
    pub(super) scopes: HashSet<Scope>,
}

impl Matcher {
    /// Compiles terms; equal ones are compiled once.
    ///
    /// # Errors
    /// Every term that cannot be read, with its index.
    pub fn new(terms: &[Term]) -> Result<Self, Vec<(usize, QueryError)>> {
        let mut compiler = Compiler::default();
        let mut known: HashMap<&Term, usize> = HashMap::new();
        let mut errors = Vec::new();
        for (index, term) in terms.iter().enumerate() {
            if let Some(plan) = known.get(term) {
                compiler.name(*plan, index);
                continue;
            }
            match expression(term) {
                Ok(expression) => {
                    known.insert(term, compiler.add(&expression, term.stemming, index));
                }
                Err(error) => errors.push((index, error)),
            }
        }
        if !errors.is_empty() {
            return Err(errors);
        }
        compiler.finish().map_err(|error| vec![(0, error)])
    }

    /// A matcher for one expression, its index 0.
    pub(crate) fn of(expression: &Expression, stemming: bool) -> Result<Self, QueryError> {
        let mut compiler = Compiler::default();
        compiler.add(expression, stemming, 0);
        compiler.finish()
    }

    /// The terms that a paper fits, by ascending index.
    pub fn find(&self, paper: &Paper) -> Vec<Match> {
        let sought = Sought::new(self, paper);
        let mut matches = Vec::new();
        for plan in &sought.candidates {
            let plan = &self.plans[*plan];
            let mut found = Vec::new();
            if sought.holds(&plan.node, &mut found) {
                let found = sought.marked(found);
                matches.extend(plan.terms.iter().map(|term| Match {
                    term: *term,
                    ..found.clone()
                }));
            }
        }
        matches.sort_by_key(|found| found.term);
        matches
    }
}

#[cfg(test)]
mod tests;
