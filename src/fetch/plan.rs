//! Which way each search goes: asked of arXiv's index, or harvested and matched here.
//!
//! What the index cannot be asked for (a phrase of stop words alone, a query longer than arXiv takes) is harvested
//! whatever is configured: a keyword that nothing serves would lose every paper.

use super::{Search, Source, harvest::Ground};
use crate::arxiv::{
    leafsets::LeafSet,
    search::{self, SearchError},
};

/// Up to how many distinct searches a run asks for one by one, where it may choose.
const SEARCHES_MAX: usize = 100;

/// Which of the ways is used.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    /// This one, as far as it can.
    Always(Source),
    /// Searches up to 100 of them, else the harvest.
    ByNumber,
}

/// The ways of one run's searches.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Plan {
    /// Asked of the query API, one by one.
    pub(super) asked: Vec<Search>,
    /// Found by the harvest.
    pub(super) harvested: Vec<Search>,
}

impl Plan {
    pub(super) fn of(choice: Choice, searches: &[Search], sets: &[LeafSet]) -> Self {
        let all_harvested = || Self {
            asked: Vec::new(),
            harvested: searches.to_vec(),
        };
        if choice == Choice::Always(Source::Harvest) {
            return all_harvested();
        }
        let (asked, harvested): (Vec<Search>, Vec<Search>) = searches.iter().cloned().partition(can_be_asked);
        if choice == Choice::ByNumber {
            // Where some must be harvested anyway, the others may cost less by the same way than by their own.
            let n_sets = |searches: &[Search]| Ground::of(searches, sets.to_vec()).sets.len();
            let is_cheaper = !harvested.is_empty() && n_sets(searches) <= asked.len() + n_sets(&harvested);
            if searches.len() > SEARCHES_MAX || is_cheaper {
                return all_harvested();
            }
        }
        Self { asked, harvested }
    }

    /// The way that the other one is held against once a week.
    pub(super) fn usual(&self) -> Source {
        if self.asked.is_empty() && !self.harvested.is_empty() {
            Source::Harvest
        } else {
            Source::Query
        }
    }
}

/// Whether the index can be asked. A term that nobody can read is left to the searches, which name it: a harvest would
/// match nothing and call that complete.
fn can_be_asked(one: &Search) -> bool {
    match search::search_queries(&one.term, &one.categories) {
        Ok(_) | Err(SearchError::Term(_)) => true,
        Err(SearchError::NotSearchable { .. } | SearchError::TooLarge { .. }) => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{arxiv::leafsets, model::Term};

    #[test]
    fn what_cannot_be_asked_for_is_harvested_and_the_rest_goes_the_cheaper_way() {
        let one = |text: &str, categories: &[&str]| Search {
            term: Term::phrase(text),
            categories: if categories.is_empty() {
                Vec::new()
            } else {
                vec![categories.iter().map(|name| (*name).to_owned()).collect()]
            },
            keywords: [text.to_owned()].into(),
        };
        let check = |choice: Choice, searches: &[Search], n_asked: usize, n_harvested: usize, usual: Source| {
            let plan = Plan::of(choice, searches, &leafsets::all());
            assert_eq!((plan.asked.len(), plan.harvested.len()), (n_asked, n_harvested));
            assert_eq!(plan.usual(), usual);
        };
        let (words, stop) = (one("DARTS", &[]), one("to be or not to be", &[]));
        let narrow = one("it", &["cs.LG"]);
        let query = Choice::Always(Source::Query);
        check(query, std::slice::from_ref(&words), 1, 0, Source::Query);
        check(query, &[words.clone(), stop.clone()], 1, 1, Source::Query);
        check(query, std::slice::from_ref(&stop), 0, 1, Source::Harvest);
        check(query, &[], 0, 0, Source::Query);
        check(
            Choice::Always(Source::Harvest),
            std::slice::from_ref(&words),
            0,
            1,
            Source::Harvest,
        );
        // All sets are read for the one anyway: the other's own request can be saved.
        check(Choice::ByNumber, &[words.clone(), stop], 0, 2, Source::Harvest);
        // One set and one request cost less than all sets.
        check(Choice::ByNumber, &[words, narrow], 1, 1, Source::Query);
        let many: Vec<Search> = (0..=100).map(|n| one(&format!("word{n}"), &[])).collect();
        check(Choice::ByNumber, &many[..100], 100, 0, Source::Query);
        check(Choice::ByNumber, &many, 0, 101, Source::Harvest);
        // What nobody can read is no better for being harvested.
        let unreadable = Search {
            term: Term::query("("),
            ..one("(", &[])
        };
        check(query, &[unreadable], 1, 0, Source::Query);
    }
}
