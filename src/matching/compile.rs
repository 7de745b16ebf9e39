//! From expressions to what a [`Matcher`] works with.

use std::collections::{BTreeMap, HashMap, HashSet};

use aho_corasick::AhoCorasick;

use super::{
    author::Name,
    category,
    expression::{Expression, Leaf, Scope, Spelling},
    fault::{Fault, QueryError},
    matcher::{Atom, AtomKind, Layer, Matcher, Node, Plan},
    phrase::Phrase,
};

/// Collects expressions; equal words and names in them are sought once.
#[derive(Default)]
pub(super) struct Compiler {
    atoms: Vec<Atom>,
    plans: Vec<Plan>,
    known: HashMap<(Leaf, bool), usize>,
    plain: Needles,
    stems: Needles,
    families: HashMap<String, Vec<usize>>,
    categories: HashMap<String, Vec<usize>>,
}

/// What one automaton will seek.
#[derive(Default)]
struct Needles {
    /// By needle, the atoms that begin so.
    atoms: BTreeMap<String, Vec<usize>>,
    scopes: HashSet<Scope>,
}

impl Compiler {
    /// Adds one distinct expression, which answers to `term`; gives its number.
    pub(super) fn add(&mut self, expression: &Expression, stemming: bool, term: usize) -> usize {
        let plan = self.plans.len();
        let node = self.node(expression, stemming, plan);
        self.plans.push(Plan {
            node,
            terms: vec![term],
        });
        plan
    }

    /// Lets an expression answer to one more term.
    pub(super) fn name(&mut self, plan: usize, term: usize) {
        self.plans[plan].terms.push(term);
    }

    fn node(&mut self, expression: &Expression, stemming: bool, plan: usize) -> Node {
        match expression {
            Expression::Leaf(leaf) => Node::Atom(self.atom(leaf, stemming, plan)),
            Expression::Not(inner) => Node::Not(Box::new(self.node(inner, stemming, plan))),
            Expression::Near { left, right, distance } => Node::Near {
                left: self.side(left, stemming, plan),
                right: self.side(right, stemming, plan),
                distance: usize::from(*distance),
            },
            Expression::And(parts) => Node::And(parts.iter().map(|part| self.node(part, stemming, plan)).collect()),
            Expression::Or(parts) => Node::Or(parts.iter().map(|part| self.node(part, stemming, plan)).collect()),
        }
    }

    /// The atoms of one side of NEAR.
    fn side(&mut self, side: &Expression, stemming: bool, plan: usize) -> Vec<usize> {
        match side {
            Expression::Leaf(leaf) => vec![self.atom(leaf, stemming, plan)],
            Expression::And(parts) | Expression::Or(parts) => {
                parts.iter().flat_map(|part| self.side(part, stemming, plan)).collect()
            }
            // The grammar admits only words and phrases joined by OR.
            Expression::Not(_) | Expression::Near { .. } => Vec::new(),
        }
    }

    fn atom(&mut self, leaf: &Leaf, stemming: bool, plan: usize) -> usize {
        let stemming = stemming
            && matches!(
                leaf,
                Leaf::Words {
                    spelling: Spelling::Ordinary,
                    ..
                }
            );
        let atom = match self.known.get(&(leaf.clone(), stemming)) {
            Some(atom) => *atom,
            None => {
                let atom = self.atoms.len();
                let kind = self.kind(leaf, stemming, atom);
                self.atoms.push(Atom {
                    kind,
                    plans: Vec::new(),
                });
                self.known.insert((leaf.clone(), stemming), atom);
                atom
            }
        };
        let plans = &mut self.atoms[atom].plans;
        if plans.last() != Some(&plan) {
            plans.push(plan);
        }
        atom
    }

    fn kind(&mut self, leaf: &Leaf, stemming: bool, atom: usize) -> AtomKind {
        match leaf {
            Leaf::Words { scope, text, spelling } => {
                let phrase = Phrase::new(text, *spelling, stemming).expect("a checked leaf holds a letter or digit");
                let layer = if stemming { &mut self.stems } else { &mut self.plain };
                layer.atoms.entry(phrase.needle()).or_default().push(atom);
                layer.scopes.insert(*scope);
                AtomKind::Words { scope: *scope, phrase }
            }
            Leaf::Author(name) => {
                let name = Name::new(name).expect("a checked leaf holds a name");
                self.families.entry(name.family().to_owned()).or_default().push(atom);
                AtomKind::Author(name)
            }
            Leaf::Category(pattern) => {
                let twins = category::aliases(pattern).into_iter().map(str::to_owned);
                for pattern in std::iter::once(pattern.clone()).chain(twins) {
                    self.categories.entry(pattern).or_default().push(atom);
                }
                AtomKind::Category
            }
        }
    }

    /// The matcher. Fails only if all terms together exceed what an automaton can hold (2^31 states).
    pub(super) fn finish(self) -> Result<Matcher, QueryError> {
        Ok(Matcher {
            plain: self.plain.layer()?,
            stems: self.stems.layer()?,
            atoms: self.atoms,
            plans: self.plans,
            families: self.families,
            categories: self.categories,
        })
    }
}

impl Needles {
    fn layer(self) -> Result<Layer, QueryError> {
        if self.atoms.is_empty() {
            return Ok(Layer::default());
        }
        let automaton =
            AhoCorasick::new(self.atoms.keys()).map_err(|_too_many_states| QueryError::whole("", Fault::TooMuch))?;
        Ok(Layer {
            automaton: Some(automaton),
            atoms: self.atoms.into_values().collect(),
            scopes: self.scopes,
        })
    }
}
