//! The harvest: everything that changed lately, set by set, matched here.
//!
//! Its cost does not grow with the number of keywords, it sees what arXiv's index cannot find, and it catches up
//! after a gap of any length. A keyword is complete when all sets that can hold its papers are.

use std::collections::BTreeSet;

use chrono::{DateTime, NaiveDate, TimeDelta, Utc};

use super::{
    Errand, Fetched, Fetcher, IncompleteTerm, Progress, Search, Survey,
    book::{Book, SetMemory},
    lists::{Haul, Unread},
    passes::{coverage_key, earliest, query_keys},
    patience::Patience,
};
use crate::{
    arxiv::{
        calendar,
        completeness::{self, Sighting},
        leafsets::{self, LeafSet},
    },
    model::{KeywordCoverage, Paper},
    store::{DocumentKind, Store, StoreError, Versioned, documents},
};

/// Under this name the sets are remembered.
pub(super) const BOOK_NOTE: &str = "harvest";
/// After so many sets in a row that could not be read the service counts as down.
const FAILURES_MAX: u32 = 5;
/// A set that was complete so lately, and after the latest announcement, is not read again: arXiv's content network
/// would answer from its copy for an hour, and on a day without the expected announcement every pass would read all.
const FRESH: TimeDelta = TimeDelta::hours(3);
/// The same in a pass that is there for other sets.
const FRESH_IN_REPEAT: TimeDelta = TimeDelta::hours(6);
/// From so many sets on it is not believed that none holds any record.
const PLAUSIBLE_EMPTY_MAX: usize = 20;
/// A term that was covered until then by searches is harvested from this much earlier.
const OVERLAP: TimeDelta = TimeDelta::days(3);
/// The category whose papers show whether arXiv has turned over.
const BUSY: &str = "cs.LG";

/// Which sets to read, and which of them each search needs.
#[derive(Debug)]
pub(super) struct Ground {
    /// The sets.
    pub(super) sets: Vec<LeafSet>,
    /// By search: the names of the sets that can hold its papers; `None` for all of them.
    needs: Vec<Option<BTreeSet<String>>>,
}

impl Ground {
    /// All sets, unless every search names categories.
    pub(super) fn of(searches: &[Search], mut sets: Vec<LeafSet>) -> Self {
        let needs: Vec<Option<BTreeSet<String>>> = searches.iter().map(|search| needed(search, &sets)).collect();
        let named: Option<BTreeSet<&String>> = needs
            .iter()
            .map(Option::as_ref)
            .collect::<Option<Vec<_>>>()
            .map(|all| all.into_iter().flatten().collect());
        if let Some(named) = named {
            sets.retain(|set| named.contains(&set.spec));
        }
        Self { sets, needs }
    }
}

/// The names of the sets that can hold a search's papers: of the lists of categories, each of which must be
/// satisfied, the one that needs the fewest.
fn needed(search: &Search, sets: &[LeafSet]) -> Option<BTreeSet<String>> {
    search
        .categories
        .iter()
        .filter_map(|patterns| leafsets::covering(patterns, sets))
        .min_by_key(Vec::len)
        .map(|sets| sets.into_iter().map(|set| set.spec.clone()).collect())
}

/// Under which key a term's harvests are remembered.
pub(super) fn harvest_key(search: &Search) -> String {
    let term = &search.term;
    let stemming = if term.stemming { " (stemming)" } else { "" };
    coverage_key(&format!("{}{stemming} by harvest, {:?}", term.text, term.kind))
}

impl Fetcher {
    /// Reads every set once, and those that failed once more; then judges each search by its sets.
    pub(super) async fn harvest(
        &self,
        store: &dyn Store,
        searches: &[Search],
        errand: &Errand<'_>,
        fetched: &mut Fetched,
        patience: &mut Patience,
    ) -> Result<Harvested, StoreError> {
        let now = errand.now;
        let sets = self.sets(store, &mut fetched.n_requests, now).await?;
        let ground = Ground::of(searches, sets);
        let mut book: Versioned<Book> = documents::load(store, DocumentKind::Note, BOOK_NOTE).await?;
        // A set that nobody needs for now must not be read over months when somebody does again.
        book.value
            .retain(|spec, _| ground.sets.iter().any(|set| set.spec == *spec));
        let mut coverage = Vec::new();
        let mut since = errand.since;
        for search in searches {
            let (memory, behind) = term_memory(store, search).await?;
            since = since.into_iter().chain(behind).min();
            coverage.push((harvest_key(search), memory));
        }
        let is_repeat = ground.sets.iter().any(|set| owes(&book.value, set));
        let to_read: Vec<&LeafSet> = ground
            .sets
            .iter()
            .filter(|set| since.is_some() || !is_fresh(book.value.get(&set.spec), is_repeat, now))
            .collect();
        let mut haul = Haul::default();
        let reading = Reading {
            since: since.map(|at| at.date_naive()),
            now,
            n_total: to_read.len(),
        };
        let begins = self
            .read_sets(&to_read, reading, errand, &mut book.value, &mut haul, patience)
            .await?;
        doubt_empty(&to_read, &begins, &haul, &mut book.value, now);
        let mut earlier = Vec::new();
        for (n, (search, (key, mut memory))) in searches.iter().zip(coverage).enumerate() {
            earlier.push(memory.value.last_complete);
            let missing = ground.needs[n].as_ref().map_or_else(
                || owed(&ground.sets, &book.value),
                |needed| {
                    let sets: Vec<LeafSet> = ground
                        .sets
                        .iter()
                        .filter(|set| needed.contains(&set.spec))
                        .cloned()
                        .collect();
                    owed(&sets, &book.value)
                },
            );
            match missing {
                None => completeness::complete(&mut memory.value, &[], now, true),
                Some(why) => {
                    completeness::incomplete(&mut memory.value, &why, now);
                    fetched.incomplete.push(IncompleteTerm {
                        term: search.term.clone(),
                        keywords: search.keywords.clone(),
                        since: memory.value.incomplete_since.unwrap_or(now),
                        why,
                        is_passing: true,
                    });
                }
            }
            fetched.coverage.push((key, memory));
        }
        // Floors are looked for from `since` on, and then every set is read.
        let is_whole = !ground.sets.iter().any(|set| owes(&book.value, set));
        let survey = since.filter(|_| is_whole).map(|_| Survey {
            from: begins.into_iter().max().unwrap_or(now.date_naive()),
            submitted: haul
                .submitted
                .iter()
                .filter_map(|(id, at)| Some((id.clone(), (*at)?)))
                .collect(),
        });
        let has_busy = ground.sets.iter().any(|set| set.category == BUSY);
        fetched.n_requests += haul.n_requests;
        for rejected in &haul.rejected {
            tracing::warn!(entry = ?rejected.id, why = rejected.why, "a record cannot be read");
        }
        fetched.rejected.extend(haul.rejected);
        fetched.add(haul.papers.into_values());
        fetched.book = Some(book);
        Ok(Harvested {
            earlier: earliest(earlier),
            survey,
            newest: has_busy.then(|| haul.newest.into_values().collect()),
        })
    }

    /// Two rounds over the sets. Returns the days on which their lists began.
    async fn read_sets(
        &self,
        sets: &[&LeafSet],
        reading: Reading,
        errand: &Errand<'_>,
        book: &mut Book,
        haul: &mut Haul,
        patience: &mut Patience,
    ) -> Result<Vec<NaiveDate>, StoreError> {
        let Reading { since, now, n_total } = reading;
        let today = now.date_naive();
        let begins: Vec<NaiveDate> = sets
            .iter()
            .map(|set| book.get(&set.spec).cloned().unwrap_or_default().begin(since, today))
            .collect();
        let mut left: Vec<usize> = (0..sets.len()).collect();
        let mut is_down = false;
        for _round in 0..2 {
            let mut failed = Vec::new();
            let mut n_running = 0;
            for &index in &left {
                let (set, begin) = (sets[index], begins[index]);
                let memory = book.entry(set.spec.clone()).or_default();
                if is_down {
                    memory.incomplete(
                        "arXiv's OAI-PMH is down, so that it was not asked for".to_owned(),
                        begin,
                        now,
                    );
                    continue;
                }
                self.progress.send_replace(Progress {
                    n_done: index,
                    n_total,
                    keyword: set.category.clone(),
                    waiting: None,
                });
                let unread = match self.list(set, begin, errand.wanted, haul, patience).await? {
                    Ok(list) => match memory.doubt(&list, begin) {
                        None => {
                            memory.complete(&list, now);
                            n_running = 0;
                            continue;
                        }
                        Some(_) if memory.doubted(now) => {
                            memory.complete(&list, now);
                            continue;
                        }
                        Some(why) => Unread { why, is_stopped: false },
                    },
                    Err(unread) => unread,
                };
                tracing::warn!(set = set.spec, why = unread.why, "a set was not read completely");
                memory.incomplete(unread.why, begin, now);
                failed.push(index);
                n_running += 1;
                is_down = unread.is_stopped || n_running >= FAILURES_MAX;
            }
            if is_down {
                break;
            }
            left = failed;
        }
        Ok(begins)
    }

    /// Looks in what was harvested whether arXiv shows the latest announcement; where the busiest category is not
    /// among the sets, the query API is asked, once.
    pub(super) async fn sight(
        &self,
        store: &dyn Store,
        newest: Option<Vec<Paper>>,
        fetched: &mut Fetched,
        now: DateTime<Utc>,
    ) -> Result<(), StoreError> {
        let Some(papers) = newest else {
            let mut once = Patience::none();
            return self.canary(store, fetched, &mut once, now).await;
        };
        let last: Versioned<Option<Sighting>> =
            documents::load(store, DocumentKind::Note, super::passes::CANARY_NOTE).await?;
        fetched.judge_freshness(&papers, last.value.as_ref(), now);
        Ok(())
    }
}

/// What a harvest tells besides its papers.
#[derive(Debug)]
pub(super) struct Harvested {
    /// When the earliest of its searches was complete before; `None` where one never was.
    pub(super) earlier: Option<DateTime<Utc>>,
    /// Everything that it saw, if all sets were read.
    pub(super) survey: Option<Survey>,
    /// The papers with the highest identifiers, where the busiest category is among the sets.
    pub(super) newest: Option<Vec<Paper>>,
}

/// How one harvest reads its sets.
#[derive(Debug, Clone, Copy)]
struct Reading {
    since: Option<NaiveDate>,
    now: DateTime<Utc>,
    n_total: usize,
}

/// The memory of a term's harvests, and from when on it must be harvested because searches covered it until then.
async fn term_memory(
    store: &dyn Store,
    search: &Search,
) -> Result<(Versioned<KeywordCoverage>, Option<DateTime<Utc>>), StoreError> {
    let mut memory: Versioned<KeywordCoverage> =
        documents::load(store, DocumentKind::Coverage, &harvest_key(search)).await?;
    if memory.revision > 0 {
        return Ok((memory, None));
    }
    let mut behind: Option<DateTime<Utc>> = None;
    for key in query_keys(search) {
        let query: Versioned<KeywordCoverage> = documents::load(store, DocumentKind::Coverage, &key).await?;
        if query.revision > 0 {
            let reach = query.value.last_complete.or(query.value.incomplete_since);
            behind = behind.into_iter().chain(reach).min();
            memory.value.last_complete = query.value.last_complete;
            memory.value.incomplete_since = query.value.incomplete_since;
        }
    }
    Ok((memory, behind.map(|at| at - OVERLAP)))
}

/// Whether a set was complete so lately that it is not read again.
fn is_fresh(memory: Option<&SetMemory>, is_repeat: bool, now: DateTime<Utc>) -> bool {
    let fresh_for = if is_repeat { FRESH_IN_REPEAT } else { FRESH };
    let turned_over = calendar::latest_expected(now).visible_from();
    memory.is_some_and(|memory| {
        let is_late = memory
            .completed
            .is_some_and(|at| at >= turned_over && at <= now && now - at < fresh_for);
        is_late && memory.incomplete_since.is_none()
    })
}

fn owes(book: &Book, set: &LeafSet) -> bool {
    book.get(&set.spec)
        .is_none_or(|memory| memory.incomplete_since.is_some())
}

/// Which of the sets is not complete and why, in words; `None` when all are.
fn owed(sets: &[LeafSet], book: &Book) -> Option<String> {
    let mut missing = sets.iter().filter(|set| owes(book, set));
    let first = missing.next()?;
    let n_others = missing.count();
    let why = book.get(&first.spec).and_then(|memory| memory.why.as_deref());
    let others = if n_others == 0 {
        String::new()
    } else {
        format!(" (and {n_others} more sets)")
    };
    Some(format!(
        "{} was not harvested completely{others}: {}",
        first.category,
        why.unwrap_or("it was not read")
    ))
}

/// A harvest over many sets without a single record is no quiet week, whatever is remembered: each list is owed from the
/// day on which it began.
fn doubt_empty(sets: &[&LeafSet], begins: &[NaiveDate], haul: &Haul, book: &mut Book, now: DateTime<Utc>) {
    if sets.len() <= PLAUSIBLE_EMPTY_MAX || !haul.submitted.is_empty() || !haul.rejected.is_empty() {
        return;
    }
    for (set, begin) in sets.iter().zip(begins) {
        let memory = book.entry(set.spec.clone()).or_default();
        if memory.incomplete_since.is_none() {
            memory.incomplete("none of the lists holds any record".to_owned(), *begin, now);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::arxiv::Rejected;

    fn at(text: &str) -> DateTime<Utc> {
        text.parse().unwrap()
    }

    #[test]
    fn of_several_lists_of_categories_the_one_with_the_fewest_sets_is_read() {
        let search = Search {
            term: crate::model::Term::phrase("DARTS"),
            categories: [["cs.*"], ["cs.LG"], ["stat.*"]]
                .map(|list| list.map(str::to_owned).to_vec())
                .to_vec(),
            keywords: BTreeSet::new(),
        };
        let ground = Ground::of(&[search], leafsets::all());
        let read: Vec<&str> = ground.sets.iter().map(|set| set.category.as_str()).collect();
        assert_eq!(read, ["cs.LG"]);
    }

    #[test]
    fn a_set_is_not_read_again_for_some_hours_after_the_announcement() {
        let check = |completed: Option<&str>, is_repeat: bool, now: &str, expected: bool| {
            let memory = SetMemory {
                completed: completed.map(at),
                ..SetMemory::default()
            };
            assert_eq!(
                is_fresh(Some(&memory), is_repeat, at(now)),
                expected,
                "{completed:?} {is_repeat} {now}"
            );
        };
        // Wednesday, 11 February 2026: Tuesday's announcement is there from 04:30 UTC at the latest.
        check(None, false, "2026-02-11T07:00:00Z", false);
        check(Some("2026-02-11T07:00:00Z"), false, "2026-02-11T09:59:00Z", true);
        check(Some("2026-02-11T07:00:00Z"), false, "2026-02-11T10:00:00Z", false);
        // A pass for other sets lets it be for longer.
        check(Some("2026-02-11T07:00:00Z"), true, "2026-02-11T12:59:00Z", true);
        check(Some("2026-02-11T07:00:00Z"), true, "2026-02-11T13:00:00Z", false);
        // Complete just before the announcement.
        check(Some("2026-02-11T03:30:00Z"), false, "2026-02-11T06:00:00Z", false);
        // A clock that was set back.
        check(Some("2026-02-11T09:00:00Z"), false, "2026-02-11T07:00:00Z", false);
        assert!(!is_fresh(None, false, at("2026-02-11T07:00:00Z")));
        let owing = SetMemory {
            completed: Some(at("2026-02-11T07:00:00Z")),
            incomplete_since: Some(at("2026-02-11T08:00:00Z")),
            ..SetMemory::default()
        };
        assert!(!is_fresh(Some(&owing), false, at("2026-02-11T08:30:00Z")));
    }

    #[test]
    fn many_lists_without_a_record_are_doubted_together_and_each_stays_owed() {
        let now = at("2026-02-11T07:00:00Z");
        let check = |n_sets: usize, haul: &Haul, is_doubted: bool| {
            let all = leafsets::all();
            let sets: Vec<&LeafSet> = all.iter().take(n_sets).collect();
            let mut book: Book = sets
                .iter()
                .map(|set| {
                    let memory = SetMemory {
                        answered: Some(now.date_naive()),
                        completed: Some(now),
                        ..SetMemory::default()
                    };
                    (set.spec.clone(), memory)
                })
                .collect();
            let failed = book.get_mut(&sets[0].spec).unwrap();
            failed.incomplete("HTTP 503".to_owned(), "2026-01-01".parse().unwrap(), now);
            // After a gap of two weeks, which none of the lists has made up for.
            let begin: NaiveDate = "2026-01-25".parse().unwrap();
            doubt_empty(&sets, &vec![begin; n_sets], haul, &mut book, now);
            for set in &sets[1..] {
                let memory = &book[&set.spec];
                assert_eq!(owes(&book, set), is_doubted, "{n_sets} sets: {memory:?}");
                assert_eq!(memory.owed, is_doubted.then_some(begin), "{n_sets} sets");
            }
            // What is known to have failed keeps its own reason.
            assert_eq!(book[&sets[0].spec].why.as_deref(), Some("HTTP 503"));
        };
        check(PLAUSIBLE_EMPTY_MAX + 1, &Haul::default(), true);
        check(PLAUSIBLE_EMPTY_MAX, &Haul::default(), false);
        let mut one = Haul::default();
        one.submitted.insert("2602.00011".parse().unwrap(), None);
        check(PLAUSIBLE_EMPTY_MAX + 1, &one, false);
        let mut broken = Haul::default();
        broken.rejected.push(Rejected {
            id: None,
            why: "broken".to_owned(),
        });
        check(PLAUSIBLE_EMPTY_MAX + 1, &broken, false);
    }
}
