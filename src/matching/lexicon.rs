//! All definitions against one paper: the terms are found in one pass, the rest is looked up.

use std::{
    borrow::Cow,
    collections::{BTreeMap, BTreeSet, HashMap},
    sync::{Arc, Mutex, PoisonError},
};

use super::{Match, Matcher};
use crate::model::{Definition, Paper, Term};

/// All distinct terms of a set of definitions, compiled once.
#[derive(Debug)]
pub struct Lexicon {
    matcher: Matcher,
    /// Every term with its number in the matcher; a refused one has none.
    terms: BTreeMap<Term, Option<usize>>,
}

/// The lexicon of the last run, for the next one: with many thousand keywords, compiling them takes longer than reading
/// a day's papers for them.
#[derive(Debug, Default)]
pub struct KeptLexicon(Mutex<Option<Arc<Lexicon>>>);

impl KeptLexicon {
    /// The kept lexicon, if it holds exactly the terms of these definitions; else a new one, which is kept from now on,
    /// with the terms that it refused, as [`Lexicon::new`] does.
    pub fn of<'d>(&self, definitions: impl IntoIterator<Item = &'d Definition>) -> (Arc<Lexicon>, Vec<(Term, String)>) {
        let terms = distinct_terms(definitions);
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(lexicon) = kept
            .as_ref()
            .filter(|lexicon| lexicon.terms.keys().eq(terms.iter().copied()))
        {
            return (Arc::clone(lexicon), Vec::new());
        }
        let (lexicon, refused) = Lexicon::compile(terms);
        let lexicon = Arc::new(lexicon);
        *kept = Some(Arc::clone(&lexicon));
        (lexicon, refused)
    }
}

fn distinct_terms<'d>(definitions: impl IntoIterator<Item = &'d Definition>) -> BTreeSet<&'d Term> {
    let mut distinct = BTreeSet::new();
    for definition in definitions {
        distinct.insert(&definition.term);
        distinct.extend(&definition.exclude);
    }
    distinct
}

impl Lexicon {
    /// Compiles the terms of all definitions. A term that cannot be read (an old wording that a newer grammar
    /// refuses) matches nothing and is returned beside the lexicon with the reason.
    pub fn new<'d>(definitions: impl IntoIterator<Item = &'d Definition>) -> (Self, Vec<(Term, String)>) {
        Self::compile(distinct_terms(definitions))
    }

    fn compile(distinct: BTreeSet<&Term>) -> (Self, Vec<(Term, String)>) {
        let mut terms: Vec<Term> = distinct.into_iter().cloned().collect();
        let mut refused = Vec::new();
        loop {
            match Matcher::new(&terms) {
                Ok(matcher) => {
                    let numbered = terms.into_iter().enumerate().map(|(number, term)| (term, Some(number)));
                    let unread = refused.iter().map(|(term, _): &(Term, String)| (term.clone(), None));
                    let terms = numbered.chain(unread).collect();
                    return (Self { matcher, terms }, refused);
                }
                Err(errors) => {
                    // From the back, so that the numbers before stay right.
                    for (number, error) in errors.into_iter().rev() {
                        refused.push((terms.remove(number), error.to_string()));
                    }
                }
            }
        }
    }

    /// Reads one paper: finds every term in it, once.
    pub fn read<'l>(&'l self, paper: &'l Paper) -> Reading<'l> {
        Reading {
            lexicon: self,
            categories: &paper.categories,
            found: Cow::Owned(self.find(paper)),
        }
    }

    /// What is in a paper, to be kept beside it; [`Lexicon::look_up`] gives the reading.
    pub fn find(&self, paper: &Paper) -> Found {
        let found = self.matcher.find(paper).into_iter();
        Found(found.map(|found| (found.term, found)).collect())
    }

    /// The reading of a paper that was read before, by this lexicon.
    pub fn look_up<'l>(&'l self, paper: &'l Paper, found: &'l Found) -> Reading<'l> {
        Reading {
            lexicon: self,
            categories: &paper.categories,
            found: Cow::Borrowed(found),
        }
    }
}

/// What a lexicon found in one paper, by the numbers of its terms.
#[derive(Debug, Clone)]
pub struct Found(HashMap<usize, Match>);

/// What one paper matches.
#[derive(Debug)]
pub struct Reading<'l> {
    lexicon: &'l Lexicon,
    categories: &'l [String],
    found: Cow<'l, Found>,
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
        self.found.0.is_empty()
    }

    /// Where a term was found.
    pub fn found(&self, term: &Term) -> Option<&Match> {
        let number = (*self.lexicon.terms.get(term)?)?;
        self.found.0.get(&number)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::matching::fixture::paper;

    fn definitions(texts: &[&str]) -> Vec<Definition> {
        texts
            .iter()
            .map(|text| Definition::unrestricted(Term::phrase(*text)))
            .collect()
    }

    #[test]
    fn a_lexicon_is_kept_until_the_terms_change() {
        let kept = KeptLexicon::default();
        let (first, refused) = kept.of(&definitions(&["graph", "?!", "speech"]));
        assert_eq!(refused.len(), 1);
        // The same terms, however often and in whatever order; what was refused is not told twice.
        let (second, refused) = kept.of(&definitions(&["speech", "graph", "graph", "?!"]));
        assert!(Arc::ptr_eq(&first, &second) && refused.is_empty());
        let (third, _) = kept.of(&definitions(&["speech", "graph", "quantum", "?!"]));
        assert!(!Arc::ptr_eq(&first, &third));
        let paper = paper("Quantum graphs", "");
        let found = third.find(&paper);
        let reading = third.look_up(&paper, &found);
        let accepted: Vec<bool> = definitions(&["quantum", "graph", "speech", "?!"])
            .iter()
            .map(|one| reading.accepts(one))
            .collect();
        assert_eq!(accepted, [true, true, false, false]);
        let (fourth, _) = kept.of(&definitions(&["speech", "graph", "?!"]));
        assert!(!Arc::ptr_eq(&third, &fourth));
    }
}
